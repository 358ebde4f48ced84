/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Latencies of requests under a limit on those in hand (a trial), and what may be concluded from two trials: by their
 * means, by those of all that was in hand (Little's law), and by what the same clients saw in both. Every figure has
 * the square of its relative standard error beside it, so that chance is told from an effect.
 *
 * Pure sums: nothing to free, one owner at a time.
 */
#ifndef WEIR_FLOW_LATENCY_H
#define WEIR_FLOW_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

/* Samples that say something when all are alike, and when they are not. */
#define LATENCY_ALIKE   4u
#define LATENCY_VARIOUS 16u

/* Clients that were seen in both trials, from which on their differences count. */
#define LATENCY_PAIRS 8u

struct latency {
    uint32_t samples, contended;
    double sum, squares, products; /* of latencies in ns; products: of each and the one before */
    double in_hand;                /* sum of what was in hand */
    double replies, ns; /* from the first sample to the last of each round: what was answered, and the time */
    double rounds;
};

/* Differences of the same client's latencies in one trial and in the other. */
struct latency_pairs {
    uint32_t samples;
    double low;                    /* sum of the latencies in the one */
    double sum, squares, products; /* of the differences; products: of each and the one before */
    double last;
};

/* How latencies in one trial compare with those in another: their ratio, and the square of its relative standard error
 * for a conclusion that they are higher, and (`repeated`) for one that they are not. */
struct latency_comparison {
    double ratio, error_2, repeated_2;
    bool queue; /* neighbours are alike, as in a queue */
};

/* The mean latency, in ns. All but those that add and halve need samples. */
double latency_mean(const struct latency *t);

/* The variance in units of the squared mean. */
double latency_spread(const struct latency *t);

/* Whether the latencies are of those that did not have to wait while others did. */
bool latency_starves(const struct latency *t);

/* Whether the mean latency is another than before, by more than chance explains and by more than a factor of 1.6. */
bool latency_changed(const struct latency *before, const struct latency *now);

void latency_add(struct latency *to, const struct latency *t);
void latency_halve(struct latency *t);
void latency_halve_pairs(struct latency_pairs *p);

/* What a factor of two is, in a latency as it is remembered. */
#define LATENCY_OCTAVE 1024.0

/* A latency as it is remembered with a client: its logarithm to the base of 2, times 1024, to a thousandth of it. */
uint16_t latency_scaled(uint64_t latency_ns);

/* A client saw `low` in the one trial and `high` in the other. */
void latency_pair(struct latency_pairs *p, uint16_t low, uint16_t high);

/* `h` with `l`; `all`: by the latencies of all that was in hand. */
struct latency_comparison latency_compare(const struct latency *l, const struct latency *h, bool all);

/* The same by the pairs seen in both. Needs pairs. */
struct latency_comparison latency_compare_pairs(const struct latency_pairs *p);

#endif
