/* SPDX-License-Identifier: MPL-2.0 */
/*
 * How many requests an application should have in hand at once: enough that it never idles, and no more, so that the
 * queue stands in Weir, where it is fair. Learned from the latency of replies, as the adaptive concurrency limits of
 * TCP Vegas (Brakmo and Peterson, 1995) and of Netflix's concurrency-limits do.
 *
 * The limit in force changes between two values, some replies each. If latency grew as the requests in hand did, the
 * additional ones only queued and the window shrinks; if it did not, they were worked on and the window grows. So
 * nothing has to be known of an unloaded application: a minimum that is remembered goes stale when requests become
 * costlier, and an average that follows the load drifts upwards with it under a flood that does not end. As long as
 * nearly all is answered within CONCURRENCY_HARMLESS_NS the window doubles without any search, which leaves fast
 * applications their batches.
 *
 * Requests cost more or less by chance, and a difference that chance explains decides nothing: the same pair is tried
 * until the difference is larger than its standard error. The two values are far apart (1:2) as long as the window
 * moves one way or the application has just changed, which tells much from few replies, and close together (4:5) when
 * it has arrived, which costs little.
 *
 * An application need not take the oldest request first (libzmq takes of each connection in turn, and of one that it
 * has just heard of before others). Then some are answered as fast as if nothing queued and the others when the limit
 * falls, and latencies under the higher value come out too low. So they are held against what is in hand and the
 * replies in that time (Little's law), and where they cannot be the mean, that decides.
 *
 * Clients may ask for different things, and then the means of two rounds differ by who happened to ask. So a client's
 * latency under one value is also compared with its own under the other, and the comparison with the smaller error
 * decides; where clients differ from each other more than from themselves, means count only over rounds that have heard
 * of all who want something.
 *
 * Only pairs in which somebody waited under the lower limit count: otherwise the limit was not what decided.
 *
 * 392 bytes, one owner at a time (flow/valve.h holds a lock around it). Nothing to free.
 */
#ifndef WEIR_FLOW_CONCURRENCY_H
#define WEIR_FLOW_CONCURRENCY_H

#include "base/attr.h"
#include "flow/latency.h"

#include <stdbool.h>
#include <stdint.h>

#define CONCURRENCY_HARMLESS_NS (500 * NS_PER_US)

/* The first pair is half of this and this. */
#define CONCURRENCY_FIRST 4u

/* The latency that a client saw last, and in which round; all zero at the beginning. */
struct concurrency_last {
    uint16_t round, scaled; /* latency_scaled() */
};

/* How fair the application is to those it has in hand: sums that fade. */
struct concurrency_order {
    double area; /* in hand x time */
    double replies, latencies, samples;
    uint64_t at_ns, answered; /* when this was written, and replies until then */
};

/* A reply of which the latency is told. */
struct concurrency_reply {
    uint16_t round;   /* in which its request was admitted */
    uint32_t in_hand; /* with itself */
    bool contended;   /* somebody waits for a place */
    bool kept;        /* as long as it pleased the application: no measure of how long others take */
    uint32_t rivals;  /* all who have or want a place */
    uint64_t latency_ns;
    struct concurrency_last last; /* of the same client */
    uint64_t answered;            /* replies in all, whether their latency is told or not */
    uint64_t now_ns;
};

/* Whether clients differ from each other more than from themselves: of logarithms of latencies, sums that fade. */
struct concurrency_kinds {
    double samples, sum, squares; /* of all */
    double pairs, changes;        /* of a client's to its own before: squares */
};

struct concurrency {
    uint32_t low, high; /* the two values */
    uint32_t most;
    uint32_t round; /* number of the round under way; odd: high */
    uint32_t since; /* the round from which on the pair is this one */
    uint32_t quick; /* samples in a row that were answered within CONCURRENCY_HARMLESS_NS */
    uint32_t skip;  /* samples to be left out: admitted all at once when the limit rose */
    uint8_t narrow; /* high - low is low >> narrow */
    uint8_t run;    /* moves in the same direction */
    int8_t direction;
    double last_ns;                   /* the latency before */
    uint64_t began_ns, answered_then; /* of the round: its first sample */
    struct concurrency_order order;
    struct concurrency_kinds kinds;
    struct latency now;      /* the round under way */
    struct latency tried[2]; /* the rounds before, under low and under high */
    struct latency_pairs pairs;
    uint64_t smooth_ns; /* of all latencies but of the kept, exponentially weighted by 1/8 */
};

/* `most`: the limit never exceeds it. */
void concurrency_init(struct concurrency *w, uint32_t most);

/* Requests that may be in hand now; at least 1. */
uint32_t concurrency_limit(const struct concurrency *w);

/* The round to remember with a request whose latency will be told. */
uint32_t concurrency_round(const struct concurrency *w);

/* That many have to be in hand at least, as seen by other means: searches from there. */
void concurrency_raise(struct concurrency *w, uint32_t limit);

/* Learns from a reply. Returns what is to be remembered with the client. */
struct concurrency_last concurrency_sample(struct concurrency *w, const struct concurrency_reply *r);

#endif
