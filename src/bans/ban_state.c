/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_state.h"

#include "bans/ban_reach.h"
#include "base/cursor.h"
#include "base/hash.h"

#include <string.h>

#define HEAD_BYTES  24u
#define ENTRY_BYTES 52u
#define SUM_BYTES   8u

/* The size of an entry of version 1. */
#define OLD_ENTRY_BYTES 44u

static const uint8_t magic[8] = {'W', 'E', 'I', 'R', 'B', 'A', 'N', 'S'};

size_t ban_state_bytes(size_t count)
{
    return HEAD_BYTES + count * ENTRY_BYTES + SUM_BYTES;
}

/* Detects accidents, not tampering: a person who may write the file may write anything. So the key is public. */
static uint64_t ban_state_checksum(const uint8_t *bytes, size_t len)
{
    static const struct hash_key key = {.bytes = "weir ban state."};
    return hash_bytes(&key, bytes, len);
}

/* ---- writing ---- */

static uint64_t left(uint64_t at_ns, uint64_t now_ns)
{
    return at_ns == BAN_FOR_EVER ? BAN_FOR_EVER : at_ns > now_ns ? at_ns - now_ns : 0;
}

static uint8_t *put_entry(uint8_t *at, const struct ban *b, uint64_t now_ns)
{
    at = cursor_put(at, b->who.kind, 1);
    at = cursor_put(at, b->who.bits, 1);
    at = cursor_put(at, b->reason, 1);
    at = cursor_put(at, b->level, 1);
    memcpy(at, b->who.bytes, sizeof(b->who.bytes));
    at = cursor_put(at + sizeof(b->who.bytes), left(b->until_ns, now_ns), 8);
    at = cursor_put(at, left(b->fade_at_ns, now_ns), 8);
    at = cursor_put(at, b->fade_ns, 8);
    return cursor_put(at, now_ns - b->since_ns, 8);
}

void ban_state_write(uint8_t *dst, const struct ban *bans, size_t count, uint64_t now_ns, uint64_t wall_ns)
{
    uint8_t *at = dst;
    memcpy(at, magic, sizeof(magic));
    at = cursor_put(at + sizeof(magic), BAN_STATE_VERSION, 4);
    at = cursor_put(at, count, 4);
    at = cursor_put(at, wall_ns, 8);
    for (size_t i = 0; i < count; i++)
        at = put_entry(at, &bans[i], now_ns);
    ban_state_seal(dst, (size_t)(at - dst) + SUM_BYTES);
}

void ban_state_seal(uint8_t *bytes, size_t len)
{
    cursor_put(bytes + len - SUM_BYTES, ban_state_checksum(bytes, len - SUM_BYTES), SUM_BYTES);
}

/* ---- reading ---- */

static size_t entry_bytes(uint32_t version)
{
    return version == 1 ? OLD_ENTRY_BYTES : ENTRY_BYTES;
}

static uint32_t ban_state_version_of(const uint8_t *bytes)
{
    struct cursor c = cursor_over(bytes + sizeof(magic), 4);
    return cursor_be32(&c);
}

enum ban_state_fault ban_state_check(const uint8_t *bytes, size_t len, size_t *ret_count)
{
    struct cursor c = cursor_over(bytes, len);
    struct bytes head = cursor_take(&c, sizeof(magic));
    if (c.failed || memcmp(head.at, magic, sizeof(magic)) != 0)
        return BAN_STATE_DAMAGED;
    uint32_t version = cursor_be32(&c);
    if (!c.failed && version > BAN_STATE_VERSION)
        return BAN_STATE_NEWER;
    size_t count = cursor_be32(&c);
    if (c.failed || version == 0 || len != HEAD_BYTES + count * entry_bytes(version) + SUM_BYTES)
        return BAN_STATE_DAMAGED;
    c = cursor_over(bytes + len - SUM_BYTES, SUM_BYTES);
    if (cursor_be64(&c) != ban_state_checksum(bytes, len - SUM_BYTES))
        return BAN_STATE_DAMAGED;
    *ret_count = count;
    return BAN_STATE_SOUND;
}

/* The time now of an event that was `left_ns` away `passed_ns` ago; 0: it has passed. */
static uint64_t when(uint64_t left_ns, uint64_t passed_ns, uint64_t now_ns)
{
    if (left_ns == BAN_FOR_EVER)
        return BAN_FOR_EVER;
    if (left_ns <= passed_ns)
        return 0;
    left_ns -= passed_ns;
    return left_ns > UINT64_MAX - now_ns ? BAN_FOR_EVER : now_ns + left_ns;
}

static bool is_possible(const struct ban *b)
{
    struct addr a = {.kind = (enum addr_kind)b->who.kind};
    if (b->who.kind == ADDR_NONE || b->who.kind > ADDR_UID || b->reason >= BAN_REASON_COUNT)
        return false;
    memcpy(a.bytes, b->who.bytes, sizeof(a.bytes));
    struct network clean = network_of(&a, b->who.bits);
    return network_equal(&clean, &b->who) && !ban_reach_is_too_wide(&b->who);
}

/* Each fading time that has passed since the state was written takes a level away. */
static void fade(struct ban *b, uint64_t left_ns, uint64_t passed_ns, uint64_t now_ns)
{
    while (b->level && left_ns <= passed_ns) {
        b->level = b->fade_ns ? b->level - 1 : 0;
        left_ns = left_ns > UINT64_MAX - b->fade_ns ? UINT64_MAX : left_ns + b->fade_ns;
    }
    b->fade_at_ns = when(left_ns, passed_ns, now_ns);
}

bool ban_state_entry(const uint8_t *bytes, size_t index, uint64_t now_ns, uint64_t wall_ns, struct ban *ret)
{
    struct cursor head = cursor_over(bytes + HEAD_BYTES - 8, 8);
    uint32_t version = ban_state_version_of(bytes);
    struct cursor c = cursor_over(bytes + HEAD_BYTES + index * entry_bytes(version), entry_bytes(version));
    uint64_t written_ns = cursor_be64(&head), passed_ns = wall_ns > written_ns ? wall_ns - written_ns : 0;
    struct ban b = {.since_ns = now_ns};
    b.who.kind = cursor_u8(&c);
    b.who.bits = cursor_u8(&c);
    b.reason = cursor_u8(&c);
    b.level = cursor_u8(&c);
    memcpy(b.who.bytes, cursor_take(&c, sizeof(b.who.bytes)).at, sizeof(b.who.bytes));
    b.until_ns = when(cursor_be64(&c), passed_ns, now_ns);
    uint64_t fade_left_ns = cursor_be64(&c);
    b.fade_ns = cursor_be64(&c);
    if (version > 1)
        b.since_ns = now_ns - cursor_be64(&c) - passed_ns; /* may lie before this boot: see bans.h */
    fade(&b, fade_left_ns, passed_ns, now_ns);
    if (!is_possible(&b) || (b.until_ns == 0 && b.level == 0))
        return false;
    *ret = b;
    return true;
}
