/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/claims_state.h"

#include <string.h>

#define HEAD_BYTES  24u
#define GATE_BYTES  25u /* without its name */
#define ENTRY_BYTES 20u
#define SUM_BYTES   8u

static const uint8_t magic[8] = {'W', 'E', 'I', 'R', 'C', 'L', 'M', 'S'};

size_t claims_state_bytes(const struct claims_state_gate *gates, size_t count)
{
    size_t bytes = HEAD_BYTES + SUM_BYTES;
    for (size_t i = 0; i < count; i++)
        bytes += GATE_BYTES + strlen(gates[i].name) + gates[i].count * ENTRY_BYTES;
    return bytes;
}

/* Protects against accidents, not against attackers: the key is public. */
static uint64_t claims_state_checksum(const uint8_t *bytes, size_t len)
{
    static const struct hash_key key = {.bytes = "weir claims sum"};
    return hash_bytes(&key, bytes, len);
}

void claims_state_seal(uint8_t *bytes, size_t len)
{
    cursor_put(bytes + len - SUM_BYTES, claims_state_checksum(bytes, len - SUM_BYTES), SUM_BYTES);
}

static uint8_t *put_gate(uint8_t *at, const struct claims_state_gate *g)
{
    size_t name = strlen(g->name);
    at = cursor_put(at, name, 1);
    memcpy(at, g->name, name);
    memcpy(at + name, g->key.bytes, sizeof(g->key.bytes));
    at = cursor_put(at + name + sizeof(g->key.bytes), g->calm, 4);
    at = cursor_put(at, g->count, 4);
    for (size_t i = 0; i < g->count; i++) {
        at = cursor_put(at, g->rows[i].key, 8);
        at = cursor_put(at, g->rows[i].rate, 8);
        at = cursor_put(at, g->rows[i].count, 4);
    }
    return at;
}

void claims_state_write(uint8_t *dst, const struct claims_state_gate *gates, size_t count, uint64_t wall_ns)
{
    uint8_t *at = dst;
    memcpy(at, magic, sizeof(magic));
    at = cursor_put(at + sizeof(magic), CLAIMS_STATE_VERSION, 4);
    at = cursor_put(at, count, 4);
    at = cursor_put(at, wall_ns, 8);
    for (size_t i = 0; i < count; i++)
        at = put_gate(at, &gates[i]);
    claims_state_seal(dst, (size_t)(at - dst) + SUM_BYTES);
}

/* ---- reading ---- */

static struct bytes take_gate(struct cursor *c, struct claims_state_part *ret)
{
    struct bytes name = cursor_take(c, cursor_u8(c)), key = cursor_take(c, sizeof(ret->key.bytes));
    if (key.len)
        memcpy(ret->key.bytes, key.at, key.len);
    ret->calm = cursor_be32(c);
    ret->count = cursor_be32(c);
    ret->entries = cursor_take(c, ret->count * ENTRY_BYTES);
    return name;
}

enum claims_state_fault claims_state_check(const uint8_t *bytes, size_t len, struct claims_state_head *ret)
{
    struct cursor c = cursor_over(bytes, len);
    struct bytes head = cursor_take(&c, sizeof(magic));
    if (c.failed || memcmp(head.at, magic, sizeof(magic)) != 0)
        return CLAIMS_STATE_DAMAGED;
    uint32_t version = cursor_be32(&c);
    if (!c.failed && version > CLAIMS_STATE_VERSION)
        return CLAIMS_STATE_NEWER;
    ret->gates = cursor_be32(&c);
    ret->written_ns = cursor_be64(&c);
    for (uint32_t i = 0; i < ret->gates && !c.failed; i++) {
        struct claims_state_part p;
        take_gate(&c, &p);
    }
    if (c.failed || version == 0 || cursor_left(&c) != SUM_BYTES ||
        cursor_be64(&c) != claims_state_checksum(bytes, len - SUM_BYTES))
        return CLAIMS_STATE_DAMAGED;
    return CLAIMS_STATE_SOUND;
}

bool claims_state_find(const uint8_t *bytes, size_t len, const char *name, struct claims_state_part *ret)
{
    struct cursor c = cursor_over(bytes + HEAD_BYTES, len - HEAD_BYTES - SUM_BYTES);
    size_t wanted = strlen(name);
    while (cursor_left(&c)) {
        struct bytes found = take_gate(&c, ret);
        if (found.len == wanted && memcmp(found.at, name, wanted) == 0)
            return true;
    }
    return false;
}

struct claims_kept claims_state_entry(const struct claims_state_part *p, size_t index)
{
    struct cursor c = cursor_over(p->entries.at + index * ENTRY_BYTES, ENTRY_BYTES);
    struct claims_kept kept = {.key = cursor_be64(&c)};
    kept.rate = cursor_be64(&c);
    kept.count = cursor_be32(&c);
    return kept;
}
