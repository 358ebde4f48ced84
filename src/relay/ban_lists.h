/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Turns the networks of ban.lists into bans: set without an end when the lists are read, lifted when a network has gone
 * from them.
 *
 * A ban that stands already becomes the list's, unless it is an operator's ban without an end. A ban that an operator
 * has lifted meanwhile is set again.
 */
#ifndef WEIR_RELAY_BAN_LISTS_H
#define WEIR_RELAY_BAN_LISTS_H

#include "bans/bans.h"
#include "config/config.h"

struct ban_lists_result {
    size_t set, lifted;
    size_t without_place; /* networks for which the table had no room */
};

/* Goes from the lists that were in force to those in force now. Main thread. */
void ban_lists_apply(struct bans *t, const struct ban_lists *was, const struct ban_lists *now, uint64_t now_ns,
                     struct ban_lists_result *ret);

/* Formats the result for a log line. False: nothing has changed. */
#define BAN_LISTS_TEXT_MAX 128
bool ban_lists_format(char *dst, size_t size, const struct config *c, const struct ban_lists_result *r);

#endif
