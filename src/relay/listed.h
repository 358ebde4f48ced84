/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The networks of ban.lists as bans: set without an end when the lists are read, lifted when a network has gone from
 * them. A ban that stands already becomes the list's, unless it is an operator's without an end; one that an operator
 * has lifted meanwhile is set again.
 */
#ifndef WEIR_RELAY_LISTED_H
#define WEIR_RELAY_LISTED_H

#include "config/config.h"
#include "policy/bans.h"

struct listed_result {
    size_t set, lifted;
    size_t without_place; /* that others of the table have displaced at once */
};

/* From the lists that were in force to those that are now. Main thread. */
void listed_apply(struct bans *t, const struct ban_lists *was, const struct ban_lists *now, uint64_t now_ns,
                  struct listed_result *ret);

#endif
