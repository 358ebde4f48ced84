/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/ban_lists.h"

#include <stdio.h>

/* Whether the ban stands already, so that nothing has to be done. */
static bool ban_lists_ban_stands(struct bans *t, const struct network *who, uint64_t now_ns)
{
    struct ban b;
    return bans_get(t, who, now_ns, &b) &&
           (b.reason == BAN_REASON_LIST || (b.reason == BAN_REASON_OPERATOR && b.until_ns == BAN_FOR_EVER));
}

static size_t lift_if_listed(struct bans *t, const struct network *who, uint64_t now_ns)
{
    struct ban b;
    return bans_get(t, who, now_ns, &b) && b.reason == BAN_REASON_LIST && bans_lift(t, who, now_ns);
}

/* Lifts those of `was` that `now` does not have; both are sorted. Comes first, so that they leave room. */
static size_t lift_the_gone(struct bans *t, const struct ban_lists *was, const struct ban_lists *now, uint64_t now_ns)
{
    size_t n = 0, lifted = 0;
    for (size_t i = 0; i < was->count; i++) {
        while (n < now->count && network_compare(&now->at[n], &was->at[i]) < 0)
            n++;
        if (n == now->count || !network_equal(&now->at[n], &was->at[i]))
            lifted += lift_if_listed(t, &was->at[i], now_ns);
    }
    return lifted;
}

void ban_lists_apply(struct bans *t, const struct ban_lists *was, const struct ban_lists *now, uint64_t now_ns,
                     struct ban_lists_result *ret)
{
    *ret = (struct ban_lists_result){.lifted = lift_the_gone(t, was, now, now_ns)};
    for (size_t i = 0; i < now->count; i++) {
        if (ban_lists_ban_stands(t, &now->at[i], now_ns))
            continue;
        bool done = bans_set(t, &now->at[i], BAN_FOR_EVER, BAN_REASON_LIST, now_ns);
        ret->set += done;
        ret->without_place += !done;
    }
}

bool ban_lists_format(char *dst, size_t size, const struct config *c, const struct ban_lists_result *r)
{
    size_t networks = c->ban_lists.count, files = c->ban_list_files.count;
    snprintf(dst, size, "%zu network%s in %zu file%s: %zu banned now, %zu lifted", networks, networks == 1 ? "" : "s",
             files, files == 1 ? "" : "s", r->set, r->lifted);
    return r->set || r->lifted;
}
