/* SPDX-License-Identifier: MPL-2.0 */
#include "firewall/firewall.h"

#include "bans/ban_reach.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* ::, ::1 and IPv4 addresses in IPv6 form lie here, and nothing that is routed. */
static bool is_special_v6(const struct network *n)
{
    static const uint8_t zeros[8] = {0};
    return memcmp(n->bytes, zeros, sizeof(zeros)) == 0;
}

static bool is_special_v4(const struct network *n)
{
    return n->bytes[0] == 127 || n->bytes[0] == 0;
}

static bool is_clean(const struct network *n)
{
    struct addr a = {.kind = (enum addr_kind)n->kind};
    memcpy(a.bytes, n->bytes, sizeof(a.bytes));
    struct network clean = network_of(&a, n->bits);
    return network_equal(&clean, n);
}

bool firewall_accepts(const struct network *who)
{
    if (who->kind != ADDR_V4 && who->kind != ADDR_V6)
        return false;
    if (who->bits > network_bits_max(who->kind) || !is_clean(who))
        return false;
    if (ban_reach_is_too_wide(who))
        return false;
    return who->kind == ADDR_V4 ? !is_special_v4(who) : !is_special_v6(who);
}

static uint32_t left_ms(uint64_t until_ns, uint64_t now_ns)
{
    if (until_ns <= now_ns)
        return 0;
    /* Rounded up: a ban that runs never has 0 ms left. */
    uint64_t ms = (until_ns - now_ns - 1) / NS_PER_MS + 1;
    return ms < FIREWALL_LONGEST_MS ? (uint32_t)ms : FIREWALL_LONGEST_MS;
}

bool firewall_entry_of(const struct ban *b, uint64_t now_ns, struct firewall_entry *ret)
{
    if (b->until_ns <= now_ns || !firewall_accepts(&b->who))
        return false;
    *ret = (struct firewall_entry){.who = b->who, .left_ms = left_ms(b->until_ns, now_ns)};
    return true;
}

static int by_network_and_age(const void *a, const void *b)
{
    const struct ban_change *x = a, *y = b;
    int order = network_compare(&x->ban.who, &y->ban.who);
    if (order)
        return order;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

size_t firewall_changes(struct ban_change *changes, size_t count, uint64_t now_ns, struct firewall_entry *ret)
{
    size_t n = 0;
    qsort(changes, count, sizeof(*changes), by_network_and_age);
    for (size_t i = 0; i < count; i++) {
        const struct ban_change *c = &changes[i];
        bool last = i + 1 == count || !network_equal(&c->ban.who, &changes[i + 1].ban.who);
        if (!last || !firewall_accepts(&c->ban.who))
            continue;
        uint32_t left = c->event == BAN_SET ? left_ms(c->ban.until_ns, now_ns) : 0;
        ret[n++] = (struct firewall_entry){.who = c->ban.who, .left_ms = left};
    }
    return n;
}

static int firewall_by_network(const void *a, const void *b)
{
    const struct firewall_entry *x = a, *y = b;
    return network_compare(&x->who, &y->who);
}

size_t firewall_sort(struct firewall_entry *entries, size_t count)
{
    size_t n = 0;
    qsort(entries, count, sizeof(*entries), firewall_by_network);
    for (size_t i = 0; i < count; i++)
        if (n == 0 || !network_equal(&entries[n - 1].who, &entries[i].who))
            entries[n++] = entries[i];
    return n;
}

bool firewall_may_follow(const struct network *before, const struct firewall_entry *e)
{
    return firewall_accepts(&e->who) && e->left_ms <= FIREWALL_LONGEST_MS &&
           (!before || network_compare(before, &e->who) < 0);
}

bool firewall_gate_at(const struct endpoint *listen, struct addr *ret)
{
    if (listen->kind != ENDPOINT_TCP)
        return false;
    addr_from_sockaddr(ret, &listen->sa);
    if (ret->kind == ADDR_NONE || ret->port == 0)
        return false;
    /* A socket on [::] takes IPv4, too. */
    static const uint8_t zeros[16] = {0};
    if (ret->kind == ADDR_V6 && memcmp(ret->bytes, zeros, sizeof(zeros)) == 0)
        ret->kind = ADDR_NONE;
    return true;
}
