/* SPDX-License-Identifier: MPL-2.0 */
#include "firewall/firewall_wire.h"

#include "base/cursor.h"

#include <string.h>

static const uint8_t magic[4] = {'W', 'F', 'W', FIREWALL_WIRE_VERSION};

size_t firewall_wire_bytes(size_t records)
{
    return FIREWALL_WIRE_HEAD + records * FIREWALL_WIRE_RECORD;
}

void firewall_wire_head(uint8_t *dst, const struct firewall_message *m)
{
    memcpy(dst, magic, sizeof(magic));
    uint8_t *at = cursor_put(dst + sizeof(magic), m->type, 1);
    at = cursor_put(at, m->gate, 1);
    at = cursor_put(at, m->count, 2);
    at = cursor_put(at, m->number, 4);
    at = cursor_put(at, m->error, 4);
    at = cursor_put(at, m->packets, 8);
    cursor_put(at, m->bytes, 8);
}

void firewall_wire_put(uint8_t *dst, size_t index, const struct firewall_entry *e)
{
    uint8_t *at = dst + firewall_wire_bytes(index);
    at = cursor_put(at, e->who.kind, 1);
    at = cursor_put(at, e->who.bits, 1);
    at = cursor_put(at, 0, 2);
    at = cursor_put(at, e->left_ms, 4);
    memcpy(at, e->who.bytes, sizeof(e->who.bytes));
}

static bool may_carry_records(uint8_t type)
{
    return type == FIREWALL_FILL || type == FIREWALL_EXEMPT || type == FIREWALL_CHANGES;
}

static bool is_sensible(const struct firewall_message *m)
{
    if (m->type < FIREWALL_BEGIN || m->type > FIREWALL_ANSWER)
        return false;
    if (m->count > (may_carry_records(m->type) ? FIREWALL_WIRE_RECORDS : 0))
        return false;
    if (m->type != FIREWALL_EXEMPT && m->gate != 0)
        return false;
    return m->type == FIREWALL_ANSWER || (m->error == 0 && m->packets == 0 && m->bytes == 0);
}

bool firewall_wire_read(const uint8_t *bytes, size_t len, struct firewall_message *ret)
{
    struct cursor c = cursor_over(bytes, len);
    struct bytes head = cursor_take(&c, sizeof(magic));
    if (c.failed || memcmp(head.at, magic, sizeof(magic)) != 0)
        return false;
    ret->type = cursor_u8(&c);
    ret->gate = cursor_u8(&c);
    ret->count = cursor_be16(&c);
    ret->number = cursor_be32(&c);
    ret->error = cursor_be32(&c);
    ret->packets = cursor_be64(&c);
    ret->bytes = cursor_be64(&c);
    ret->records = c.at;
    return !c.failed && is_sensible(ret) && len == firewall_wire_bytes(ret->count);
}

bool firewall_wire_get(const struct firewall_message *m, size_t index, struct firewall_entry *ret)
{
    struct cursor c = cursor_over(m->records + index * FIREWALL_WIRE_RECORD, FIREWALL_WIRE_RECORD);
    ret->who.kind = cursor_u8(&c);
    ret->who.bits = cursor_u8(&c);
    bool written = cursor_be16(&c) == 0;
    ret->left_ms = cursor_be32(&c);
    memcpy(ret->who.bytes, cursor_take(&c, sizeof(ret->who.bytes)).at, sizeof(ret->who.bytes));
    return written;
}
