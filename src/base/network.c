/* SPDX-License-Identifier: MPL-2.0 */
#include "base/network.h"

#include "base/units.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int network_refuse(const char **ret_why, const char *why)
{
    if (ret_why)
        *ret_why = why;
    return -EINVAL;
}

uint8_t network_bits_max(uint8_t kind)
{
    return kind == ADDR_V6 ? 128 : kind == ADDR_NONE ? 0 : 32;
}

/* Clears the bits that do not count. True when some of them were set. */
static bool clear_rest(uint8_t bytes[static 16], unsigned bits)
{
    bool were_set = false;
    for (unsigned i = 0; i < 16; i++) {
        unsigned counted = bits > 8 * i ? bits - 8 * i : 0;
        uint8_t keep = counted >= 8 ? 0xff : (uint8_t)(0xff << (8 - counted));
        were_set |= (bytes[i] & (uint8_t)~keep) != 0;
        bytes[i] &= keep;
    }
    return were_set;
}

struct network network_of(const struct addr *a, uint8_t bits)
{
    uint8_t max = network_bits_max((uint8_t)a->kind);
    struct network n = {.kind = (uint8_t)a->kind, .bits = bits < max ? bits : max};
    memcpy(n.bytes, a->bytes, max / 8);
    (void)clear_rest(n.bytes, n.bits);
    return n;
}

bool network_equal(const struct network *a, const struct network *b)
{
    return a->kind == b->kind && a->bits == b->bits && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool network_contains(const struct network *n, const struct addr *a)
{
    if (n->kind == ADDR_NONE || n->kind != (uint8_t)a->kind)
        return false;
    struct network of = network_of(a, n->bits);
    return network_equal(n, &of);
}

bool networks_contain(const struct networks *n, const struct addr *a)
{
    for (uint32_t i = 0; i < n->count; i++)
        if (network_contains(&n->at[i], a))
            return true;
    return false;
}

static int parse_uid(struct network *ret, const char *text, const char **ret_why)
{
    uint64_t uid;
    struct addr a;
    if (units_parse_count(text, &uid) || uid > UINT32_MAX)
        return network_refuse(ret_why, "a user id is a number, as in uid:1000");
    addr_from_uid(&a, (uint32_t)uid);
    *ret = network_of(&a, 32);
    return 0;
}

/* The text before the slash, as an address. */
static bool network_parse_host(struct network *n, const char *text, size_t len)
{
    char host[INET6_ADDRSTRLEN];
    if (len == 0 || len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, n->bytes) == 1)
        n->kind = ADDR_V4;
    else if (inet_pton(AF_INET6, host, n->bytes) == 1)
        n->kind = ADDR_V6;
    return n->kind != ADDR_NONE;
}

int network_parse(struct network *ret, const char *text, const char **ret_why)
{
    struct network n = {.kind = ADDR_NONE};
    size_t host_len = strcspn(text, "/");
    uint64_t bits;
    if (strncmp(text, "uid:", 4) == 0)
        return parse_uid(ret, text + 4, ret_why);
    if (!network_parse_host(&n, text, host_len))
        return network_refuse(ret_why, "an address is written 192.0.2.0, 2001:db8:: or uid:1000");
    bits = network_bits_max(n.kind);
    if (text[host_len] && (units_parse_count(text + host_len + 1, &bits) || bits > network_bits_max(n.kind)))
        return network_refuse(ret_why, n.kind == ADDR_V4 ? "the prefix of an IPv4 network is a number from 0 to 32"
                                                         : "the prefix of an IPv6 network is a number from 0 to 128");
    /* Accepted connections of such addresses are IPv4's. */
    if (n.kind == ADDR_V6 && memcmp(n.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
        return network_refuse(ret_why, "an IPv4 network is written in the way of IPv4");
    n.bits = (uint8_t)bits;
    bool were_set = clear_rest(n.bytes, n.bits);
    *ret = n;
    if (!were_set)
        return 0;
    (void)network_refuse(ret_why, "bits are set behind the prefix");
    return -EDOM;
}

int network_compare(const struct network *a, const struct network *b)
{
    int bytes = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return bytes ? bytes : (int)a->bits - (int)b->bits;
}

static int network_order(const void *a, const void *b)
{
    return network_compare(a, b);
}

void network_sort(struct network *at, size_t count)
{
    if (count)
        qsort(at, count, sizeof(*at), network_order);
}

char *network_format(char *dst, size_t size, const struct network *n)
{
    char host[ADDR_TEXT_MAX];
    struct addr a = {.kind = (enum addr_kind)n->kind};
    memcpy(a.bytes, n->bytes, sizeof(a.bytes));
    addr_format_host(host, sizeof(host), &a);
    if (n->bits == network_bits_max(n->kind))
        snprintf(dst, size, "%s", host);
    else
        snprintf(dst, size, "%s/%u", host, n->bits);
    return dst;
}
