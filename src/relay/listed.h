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
    size_t without_place; /* for which the table had no room */
};

/* From the lists that were in force to those that are now. Main thread. */
void listed_apply(struct bans *t, const struct ban_lists *was, const struct ban_lists *now, uint64_t now_ns,
                  struct listed_result *ret);

/* Says what came of it, for a line of a log. False: nothing has changed. */
#define LISTED_TEXT_MAX 128
bool listed_format(char *dst, size_t size, const struct config *c, const struct listed_result *r);

#endif
