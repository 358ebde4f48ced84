/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Reads the files of ban.lists, whole, whenever the configuration is read, so that a wrong file refuses the
 * configuration. At most 16 files of BAN_LIST_BYTES_MAX bytes, and BAN_LISTS_MOST networks; beyond that the
 * configuration is refused.
 */
#ifndef WEIR_CONFIG_BAN_LISTS_H
#define WEIR_CONFIG_BAN_LISTS_H

#include "base/attr.h"
#include "config/config.h"

#include <stdio.h>

#define BAN_LIST_BYTES_MAX (8u * 1024u * 1024u)

/* This many mistakes of one file are named. */
#define BAN_LIST_MISTAKES_SHOWN 10u

/* Fills c->ban_lists from the files that `c` names. Returns 0, or -EINVAL after a line for each mistake to `errors`, as
 * "FILE:LINE:COLUMN: sentence". May block. */
MUST_USE int ban_lists_read(struct config *c, FILE *errors);

#endif
