/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A list of networks as operators and their feeds write it: one network a line, as in base/network.h. Blank lines, and
 * whatever follows '#' or ';', say nothing; lines may end in CR LF, and the file may begin with a byte-order mark. That
 * is the form of Spamhaus DROP, of FireHOL's sets and of plain lists of addresses.
 *
 * Pure: steps through bytes that belong to the caller, allocates nothing, and goes on after a mistake.
 */
#ifndef WEIR_POLICY_BAN_LIST_H
#define WEIR_POLICY_BAN_LIST_H

#include "base/network.h"

#include <stddef.h>
#include <stdint.h>

struct ban_list_reader {
    const char *at, *end;
    uint32_t line; /* the one that was looked at last, from 1 */
};

enum ban_list_step { BAN_LIST_NETWORK, BAN_LIST_MISTAKE, BAN_LIST_END };

struct ban_list_line {
    struct network who;
    uint32_t line, column; /* from 1, the column in bytes; of what stands in `seen` */
    const char *seen;      /* in the caller's bytes, not NUL-terminated */
    size_t seen_len;
    const char *why; /* of a mistake: a sentence for a person, a constant */
};

void ban_list_begin(struct ban_list_reader *r, const void *bytes, size_t len);

/* The next network or mistake. */
enum ban_list_step ban_list_next(struct ban_list_reader *r, struct ban_list_line *ret);

#endif
