/* SPDX-License-Identifier: MPL-2.0 */
#include "zmtp/metadata.h"

#include <string.h>
#include <strings.h>

/* RFC 37 allows letters, digits and "-_.+". libzmq sends and takes whatever its user has set with ZMQ_METADATA, also
 * spaces, colons and UTF-8: only what no text has is refused. */
static bool is_name_char(uint8_t c)
{
    return c >= 0x20 && c != 0x7f;
}

static bool zmtp_property_name_ok(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_char(name.at[i]))
            return false;
    return name.len > 0;
}

bool zmtp_property_next(struct cursor *c, struct zmtp_property *ret)
{
    if (c->failed || cursor_left(c) == 0)
        return false;
    struct bytes name = cursor_take(c, cursor_u8(c));
    uint32_t value_len = cursor_be32(c);
    /* RFC 37: "value = 4OCTET *OCTET" of at most 2^31-1 octets; the cursor refuses what is not there. */
    struct bytes value = cursor_take(c, value_len);
    if (c->failed || !zmtp_property_name_ok(name)) {
        c->failed = true;
        return false;
    }
    *ret = (struct zmtp_property){name, value};
    return true;
}

/* Compares names without case. RFC 37: "Metadata names SHALL be case-insensitive.". */
static bool zmtp_property_is(const struct zmtp_property *p, const char *name)
{
    return p->name.len == strlen(name) && strncasecmp((const char *)p->name.at, name, p->name.len) == 0;
}

bool zmtp_property_is_reserved(const struct zmtp_property *p)
{
    static const char prefix[] = "X-Weir-";
    if (p->name.len >= sizeof(prefix) - 1 && strncasecmp((const char *)p->name.at, prefix, sizeof(prefix) - 1) == 0)
        return true;
    return zmtp_property_is(p, "Peer-Address") || zmtp_property_is(p, "User-Id") || zmtp_property_is(p, "Routing-Id") ||
           zmtp_property_is(p, "__fd");
}

bool zmtp_metadata_parse(struct bytes metadata, struct zmtp_metadata *ret)
{
    struct cursor c = cursor_over(metadata.at, metadata.len);
    struct zmtp_metadata m = {0};
    bool has_type = false;
    for (struct zmtp_property p; zmtp_property_next(&c, &p);) {
        bool is_type = zmtp_property_is(&p, "Socket-Type"), is_id = zmtp_property_is(&p, "Identity");
        if ((is_type && has_type) || (is_id && m.has_routing_id))
            return false;
        if (is_type) {
            m.socket_type = p.value;
            has_type = true;
        }
        if (is_id) {
            m.routing_id = p.value;
            m.has_routing_id = true;
        }
    }
    if (c.failed)
        return false;
    *ret = m;
    return true;
}

bool zmtp_routing_id_ok(struct bytes id)
{
    return id.len <= 255;
}

bool zmtp_routing_id_is_generated(struct bytes id)
{
    return id.len == 5 && id.at[0] == 0;
}

static size_t put_property(uint8_t *dst, struct bytes name, struct bytes value)
{
    dst[0] = (uint8_t)name.len;
    memcpy(dst + 1, name.at, name.len);
    uint8_t *v = dst + 1 + name.len;
    for (int i = 0; i < 4; i++)
        v[i] = (uint8_t)(value.len >> (8 * (3 - i)));
    if (value.len)
        memcpy(v + 4, value.at, value.len);
    return 5 + name.len + value.len;
}

size_t zmtp_property_put(uint8_t *dst, size_t size, const char *name, const char *value)
{
    struct bytes n = {(const uint8_t *)name, strlen(name)}, v = {(const uint8_t *)value, strlen(value)};
    return size < 5 + n.len + v.len ? 0 : put_property(dst, n, v);
}

size_t zmtp_metadata_rewrite(uint8_t *dst, size_t size, struct bytes metadata, const char *name, const char *value)
{
    struct bytes n = {(const uint8_t *)name, strlen(name)}, v = {(const uint8_t *)value, strlen(value)};
    if (size < metadata.len + 5 + n.len + v.len)
        return 0;
    size_t used = put_property(dst, n, v);
    struct cursor c = cursor_over(metadata.at, metadata.len);
    for (struct zmtp_property p; zmtp_property_next(&c, &p);)
        if (!zmtp_property_is_reserved(&p))
            used += put_property(dst + used, p.name, p.value);
    return used;
}
