/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The heaviest of many rows, in memory that the caller gives: a heap with the lightest of those kept on top. What is
 * lighter than all of them is left out when it is full; an offer costs a comparison then, and log2(room) moves when it
 * is kept. Rows are copied; one thread at a time. Pure.
 */
#ifndef WEIR_STATS_HEAVIEST_H
#define WEIR_STATS_HEAVIEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each row begins with its weight, a uint64_t. */
struct heaviest {
    char *rows;
    size_t row_bytes; /* at least sizeof(uint64_t), a multiple of its alignment */
    size_t room, count;
};

/* Whether a row of this weight would be kept: asked before it is made. */
bool heaviest_keeps(const struct heaviest *h, uint64_t weight);

/* Copies the row, in place of the lightest when there is no room; leaves it out when it is no heavier than that. */
void heaviest_offer(struct heaviest *h, const void *row);

/* Puts them in order, the heaviest first. No offers afterwards. */
void heaviest_sort(struct heaviest *h);

#endif
