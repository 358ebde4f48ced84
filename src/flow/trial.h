/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Latencies of requests under a limit on those in hand (a trial), and what may be concluded from two trials: by their
 * means, by those of all that was in hand (Little's law), and by what the same clients saw in both. Every figure has
 * the square of its relative standard error beside it, so that chance is told from an effect.
 *
 * Pure sums: nothing to free, one owner at a time.
 */
#ifndef WEIR_FLOW_TRIAL_H
#define WEIR_FLOW_TRIAL_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* Samples that say something when all are alike, and when they are not. */
#define TRIAL_ALIKE   4u
#define TRIAL_VARIOUS 16u

/* Clients that were seen in both trials, from which on their differences count. */
#define TRIAL_PAIRS 8u

struct trial {
    uint32_t samples, contended;
    double sum, squares, products; /* of latencies in ns; products: of each and the one before */
    double in_hand;                /* sum of what was in hand */
    double replies, ns; /* from the first sample to the last of each round: what was answered, and the time */
    uint32_t rounds;
};

/* Differences of the same client's latencies in one trial and in the other. */
struct trial_pairs {
    uint32_t samples;
    double low;                    /* sum of the latencies in the one */
    double sum, squares, products; /* of the differences; products: of each and the one before */
    double last;
};

/* How latencies in one trial compare with those in another: their ratio, and the square of its relative standard error
 * for a conclusion that they are higher, and (`repeated`) for one that they are not. */
struct trial_comparison {
    double ratio, error_2, repeated_2;
    bool queue; /* neighbours are alike, as in a queue */
};

/* The mean latency, in ns. All but trial_add() and trial_halve() need samples. */
double trial_mean(const struct trial *t);

/* The variance in units of the squared mean. */
double trial_spread(const struct trial *t);

/* The mean latency of all that was in hand, and not only of what was answered: Little's law. Needs replies. */
double trial_mean_of_all(const struct trial *t);

/* Whether the latencies are of those that did not have to wait while others did. */
bool trial_starves(const struct trial *t);

/* Whether the mean latency is another than before, by more than chance explains and by more than a factor of 1.6. */
bool trial_changed(const struct trial *before, const struct trial *now);

void trial_add(struct trial *to, const struct trial *t);
void trial_halve(struct trial *t);

/* A latency as it is remembered with a client: its logarithm to the base of 2, times 1024, to a thousandth of it. */
uint16_t trial_scaled(uint64_t latency_ns);

/* A client saw `low` in the one trial and `high` in the other. */
void trial_pair(struct trial_pairs *p, uint16_t low, uint16_t high);

/* `h` with `l`; `all`: by the latencies of all that was in hand. */
struct trial_comparison trial_compare(const struct trial *l, const struct trial *h, bool all);

/* The same by the pairs seen in both. Needs pairs. */
struct trial_comparison trial_compare_pairs(const struct trial_pairs *p);

#endif
