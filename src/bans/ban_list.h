/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Reads a ban list as operators and their feeds write it: one network a line, in the form of base/network.h.
 *
 * Blank lines say nothing, and nor does the rest of a line from '#' or ';' on. Lines may end in CR LF. The file may
 * begin with a byte-order mark. Spamhaus DROP, FireHOL's sets and plain lists of addresses have this form.
 *
 * Pure: the reader steps through bytes of the caller, allocates nothing, and goes on after a mistake.
 */
#ifndef WEIR_BANS_BAN_LIST_H
#define WEIR_BANS_BAN_LIST_H

#include "base/network.h"

#include <stddef.h>
#include <stdint.h>

struct ban_list_reader {
    const char *at, *end;
    uint32_t line; /* the line that was read last, from 1 */
};

enum ban_list_step { BAN_LIST_NETWORK, BAN_LIST_MISTAKE, BAN_LIST_END };

struct ban_list_line {
    struct network who;
    uint32_t line, column; /* of the text in `seen`; both from 1, the column in bytes */
    const char *seen;      /* points into the caller's bytes, not NUL-terminated */
    size_t seen_len;
    const char *why; /* of a mistake: a sentence for a person, a constant */
};

void ban_list_begin(struct ban_list_reader *r, const void *bytes, size_t len);

/* Returns the next network or mistake. */
enum ban_list_step ban_list_next(struct ban_list_reader *r, struct ban_list_line *ret);

#endif
