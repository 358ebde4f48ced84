/* SPDX-License-Identifier: MPL-2.0 */
/*
 * How many requests an application should have in hand at once: enough that it never idles, and no more, so that the
 * queue stands in Weir, where it is fair. Learned from the latency of replies, as the adaptive concurrency limits of
 * TCP Vegas (Brakmo and Peterson, 1995) and of Netflix's concurrency-limits do.
 *
 * The limit in force changes between two neighbouring values, a few dozen replies each. If latency grew with the limit,
 * the additional requests only queued and the window shrinks; if it did not, they were worked on and the window grows.
 * So nothing has to be known of an unloaded application: a minimum that is remembered goes stale when requests become
 * costlier, and an average that follows the load drifts upwards with it under a flood that does not end. Whatever is
 * answered within CONCURRENCY_HARMLESS_NS is fine at any number, which leaves fast applications their batches.
 *
 * Only rounds in which somebody waited count: otherwise the limit was not what decided.
 *
 * 72 bytes, one owner at a time (relay/ holds a lock around it). Nothing to free.
 */
#ifndef WEIR_FLOW_CONCURRENCY_H
#define WEIR_FLOW_CONCURRENCY_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define CONCURRENCY_HARMLESS_NS (1 * NS_PER_MS)
#define CONCURRENCY_FIRST       16u

/* Samples that make a round. */
#define CONCURRENCY_SAMPLES 8u

struct concurrency {
    uint32_t low, high; /* the two values */
    uint32_t most;
    uint32_t round;     /* number of the round under way; odd: high */
    uint32_t samples;   /* of this round */
    uint64_t sum_ns;    /* of their latencies */
    uint64_t low_ns;    /* mean latency of the low round before, 0: none */
    uint64_t smooth_ns; /* of all samples, exponentially weighted by 1/8 */
    bool contended;     /* somebody waited during this pair of rounds */
};

/* `most`: the limit never exceeds it. */
void concurrency_init(struct concurrency *w, uint32_t most);

/* Requests that may be in hand now; at least 1. */
uint32_t concurrency_limit(const struct concurrency *w);

/* The round to remember with a request whose latency will be told. */
uint32_t concurrency_round(const struct concurrency *w);

/* A request admitted in `round` was answered after `latency_ns`. `contended`: somebody waits for a place. */
void concurrency_sample(struct concurrency *w, uint32_t round, uint64_t latency_ns, bool contended);

#endif
