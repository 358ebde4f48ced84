/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Finds the differences between two configurations, key by key over the schema tables: what a reload changes, and what
 * it cannot change. Gates are matched by their names; their order does not matter. Pure: steps through both and
 * allocates nothing, so it has no maximum.
 */
#ifndef WEIR_CONFIG_DIFF_H
#define WEIR_CONFIG_DIFF_H

#include "base/attr.h"
#include "config/config.h"
#include "config/schema.h"
#include "config/value_words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define DIFF_PATH_MAX (sizeof("gates..") + CONFIG_NAME_MAX + SCHEMA_PATH_MAX)

struct config_change {
    char path[DIFF_PATH_MAX]; /* "gates.orders.source.messages.rate", "memory", "gates.orders" */
    char before[VALUE_TEXT_MAX], after[VALUE_TEXT_MAX]; /* "500/s", "none" for a gate that is not there */
    bool restart;                                       /* cannot change at run time */
};

/* Both configurations must outlive it. */
struct config_diff {
    const struct config *before, *after;
    size_t gate; /* 0: the top level; then the gates of `after`, then those of `before` */
    size_t row;
};

void config_diff_begin(struct config_diff *d, const struct config *before, const struct config *after);

/* Finds the next key that differs, in the order of the tables. Returns false when there is none. */
MUST_USE bool config_diff_next(struct config_diff *d, struct config_change *ret);

/* Writes the value of a row as a file would have it, a burst that follows an unlimited rate as "unlimited". */
void config_diff_format(char dst[static VALUE_TEXT_MAX], const struct schema *s, const struct schema_key *k,
                        const void *base);

/* The gate of this name, or NULL. */
const struct config_gate *config_find_gate(const struct config *c, const char *name);

/* Writes the first `most` changes as "KEY OLD -> NEW, ..." and how many more there are. With `restart_only` those alone
 * that need a restart. Returns how many there are altogether. */
size_t config_diff_write(FILE *out, const struct config *before, const struct config *after, bool restart_only,
                         size_t most);

#endif
