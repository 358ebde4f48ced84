/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The heaviest of many rows, in memory of the caller: a heap whose top is the lightest row that is kept.
 *
 * When full: a row that is not heavier than the top is left out. An offer then costs one comparison, and log2(room)
 * moves if the row is kept. Rows are copied. Pure; one thread at a time.
 */
#ifndef WEIR_STATS_TOP_K_H
#define WEIR_STATS_TOP_K_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each row begins with its weight, a uint64_t. */
struct top_k {
    char *rows;
    size_t row_bytes; /* at least sizeof(uint64_t), a multiple of its alignment */
    size_t room, count;
};

/* Whether a row of this weight would be kept. Asked before the row is made. */
bool top_k_keeps(const struct top_k *h, uint64_t weight);

/* Copies the row, in place of the lightest if there is no room. Leaves it out if it is not heavier than that. */
void top_k_offer(struct top_k *h, const void *row);

/* Sorts the rows, the heaviest first. No offers afterwards. */
void top_k_sort(struct top_k *h);

#endif
