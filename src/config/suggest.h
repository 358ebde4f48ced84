/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Suggests the nearest known word for an unknown one, by edit distance (insert, delete, replace, swap neighbours;
 * Damerau 1964, in the restricted form). Long words are never near anything, so the cost of an offer is bounded. Pure.
 */
#ifndef WEIR_CONFIG_SUGGEST_H
#define WEIR_CONFIG_SUGGEST_H

#include <stddef.h>

#define SUGGEST_WORD_MAX 48

struct suggestion {
    const char *best; /* NULL: nothing is near enough */
    size_t best_len;
    unsigned distance;
};

/* Keeps `candidate` (not NUL-terminated) when it is nearer to `word` than everything before it, and near enough to be
 * meant. */
void suggest_offer(struct suggestion *s, const char *word, const char *candidate, size_t len);

#endif
