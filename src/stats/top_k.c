/* SPDX-License-Identifier: MPL-2.0 */
#include "stats/top_k.h"

#include <stdlib.h>
#include <string.h>

static char *row(const struct top_k *h, size_t i)
{
    return h->rows + i * h->row_bytes;
}

static uint64_t weight_of(const void *p)
{
    uint64_t weight;
    memcpy(&weight, p, sizeof(weight));
    return weight;
}

bool top_k_keeps(const struct top_k *h, uint64_t weight)
{
    return h->count < h->room || (h->room && weight > weight_of(h->rows));
}

/* `at` is free: those above it that are heavier than the new row move down. */
static size_t sift_up(struct top_k *h, size_t at, uint64_t weight)
{
    while (at > 0 && weight_of(row(h, (at - 1) / 2)) > weight) {
        memcpy(row(h, at), row(h, (at - 1) / 2), h->row_bytes);
        at = (at - 1) / 2;
    }
    return at;
}

/* The top is free: the lighter of each two below moves up. */
static size_t sift_down(struct top_k *h, uint64_t weight)
{
    size_t at = 0;
    for (size_t below; (below = 2 * at + 1) < h->count; at = below) {
        below += below + 1 < h->count && weight_of(row(h, below + 1)) < weight_of(row(h, below));
        if (weight_of(row(h, below)) >= weight)
            break;
        memcpy(row(h, at), row(h, below), h->row_bytes);
    }
    return at;
}

void top_k_offer(struct top_k *h, const void *offered)
{
    uint64_t weight = weight_of(offered);
    if (!top_k_keeps(h, weight))
        return;
    size_t at = h->count < h->room ? sift_up(h, h->count++, weight) : sift_down(h, weight);
    memcpy(row(h, at), offered, h->row_bytes);
}

static int heavier_first(const void *a, const void *b)
{
    uint64_t left = weight_of(a), right = weight_of(b);
    return (left < right) - (left > right);
}

void top_k_sort(struct top_k *h)
{
    if (h->count > 1)
        qsort(h->rows, h->count, h->row_bytes, heavier_first);
}
