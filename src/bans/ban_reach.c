/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_reach.h"

#include <stdlib.h>

#define PAGE 1024u

/* Addresses by their first 64 bits; those of IPv4 have 32. */
struct range {
    uint8_t kind;
    uint64_t first, last;
};

static const struct range clients[] = {
    {ADDR_V4, 0x01000000, 0x7effffff},
    {ADDR_V4, 0x80000000, 0xdfffffff},
    {ADDR_V6, 0x2000000000000000, 0x3fffffffffffffff},
};

bool ban_reach_is_too_wide(const struct network *who)
{
    return (who->kind == ADDR_V4 && who->bits < BAN_REACH_V4_BITS_MIN) ||
           (who->kind == ADDR_V6 && who->bits < BAN_REACH_V6_BITS_MIN);
}

static unsigned width_of(uint8_t kind)
{
    return kind == ADDR_V6 ? 64 : 32;
}

static struct range range_of(const struct network *n)
{
    struct range r = {.kind = n->kind};
    unsigned width = width_of(n->kind);
    for (unsigned i = 0; i < width / 8; i++)
        r.first = r.first << 8 | n->bytes[i];
    r.last = n->bits < width ? r.first | ((UINT64_C(1) << (width - n->bits)) - 1) : r.first;
    return r;
}

/* Networks inside one /64 of IPv6 are left out: they cannot fill a range that holds 2^61 of those. */
static bool is_filled(const struct range *all, const struct network *sorted, size_t count)
{
    uint64_t next = all->first;
    for (size_t i = 0; i < count; i++) {
        if (sorted[i].kind != all->kind || sorted[i].bits > width_of(all->kind))
            continue;
        struct range r = range_of(&sorted[i]);
        if (r.first > next)
            return false;
        if (r.last >= all->last)
            return true;
        if (r.last >= next)
            next = r.last + 1;
    }
    return false;
}

static bool is_everybody(uint8_t kind, const struct network *sorted, size_t count)
{
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        if (clients[i].kind == kind && !is_filled(&clients[i], sorted, count))
            return false;
    return true;
}

bool ban_reach_leaves_nobody(const struct network *sorted, size_t count)
{
    return is_everybody(ADDR_V4, sorted, count) || is_everybody(ADDR_V6, sorted, count);
}

/* ---- a table ---- */

/* How much of the whole address space clients can have. */
static uint64_t breadth_of_clients(uint8_t kind)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        if (clients[i].kind == kind)
            sum += (clients[i].last - clients[i].first) >> (width_of(kind) - 8);
    return sum << (BANS_BREADTH_BITS - 8);
}

static uint64_t breadth_of(const struct network *n)
{
    return n->bits < BANS_BREADTH_BITS ? UINT64_C(1) << (BANS_BREADTH_BITS - n->bits) : 1;
}

/* All bans of a family, with room for one more; NULL: not enough memory. */
static struct network *ban_reach_gather(struct bans *t, uint8_t kind, uint64_t now_ns, size_t *ret_count)
{
    struct bans_stats s;
    bans_stats(t, &s);
    struct network *all = malloc((s.capacity + 1) * sizeof(*all));
    struct ban *page = malloc(PAGE * sizeof(*page));
    size_t count = 0, cursor = 0;
    while (all && page && cursor != BANS_END) {
        size_t n = bans_page(t, &cursor, false, now_ns, page, PAGE);
        for (size_t i = 0; i < n && count < s.capacity; i++)
            if (page[i].who.kind == kind)
                all[count++] = page[i].who;
    }
    if (!page) {
        free(all);
        return NULL;
    }
    free(page);
    *ret_count = count;
    return all;
}

bool ban_reach_would_leave_nobody(struct bans *t, const struct network *more, uint64_t now_ns)
{
    size_t count;
    if ((more->kind != ADDR_V4 && more->kind != ADDR_V6) ||
        bans_breadth(t, more->kind) + breadth_of(more) < breadth_of_clients(more->kind))
        return false;
    struct network *all = ban_reach_gather(t, more->kind, now_ns, &count);
    if (!all)
        return true;
    all[count++] = *more;
    network_sort(all, count);
    bool everybody = is_everybody(more->kind, all, count);
    free(all);
    return everybody;
}
