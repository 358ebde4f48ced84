/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The release window: how many messages may lie untaken in front of an application while others are held back.
 *
 * It is sized by starvation. The application may find nothing to do although messages are held. If it loses more than
 * 1 % of the time by that (5 % if only strangers are held), the window was too small. If messages lie untaken all the
 * time, the window was too large.
 *
 *   event                                                    next
 *   more time was lost than that                             the one of `messages` and `cost_ns` that refused grows by
 *                                                            what could have been worked on in that time, at most x 2
 *   release_window_grow(): a batch was too small             the one that refused x 2
 *   RELEASE_SHRINK_NS are over without growth, and at least  `messages` less half of the least that lay there (at
 *   one message lay untaken whenever something was held      least 1), `cost_ns` less half of the least cost there
 *
 *   messages  one more passes when
 *   0         nothing is untaken, and the last poll found nothing
 *   >= 1      nothing is untaken
 *   >= 1      fewer than `messages` are untaken, and the expected cost of them and of the new one is at most `cost_ns`:
 *             two costly messages do not stand in front of cheap ones
 *
 * `messages` starts at RELEASE_FIRST, stops doubling at RELEASE_MOST, and may shrink to 0. `cost_ns` starts at 100 us
 * and is never below what a message costs in calm time.
 *
 * Locks: the limiter lock, for all fields and transitions.
 * Units: messages; expected cost in nanoseconds of the application's work; monotonic nanoseconds.
 * Memory: 80 bytes; fixed.
 * Source: sized as byte queue limits (Linux BQL) and airtime queue limits are.
 */
#ifndef WEIR_FLOW_RELEASE_WINDOW_H
#define WEIR_FLOW_RELEASE_WINDOW_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define RELEASE_FIRST     1u
#define RELEASE_MOST      65536u
#define RELEASE_SHRINK_NS (50 * NS_PER_MS)
/* A wait counts when it ends, and until then in pieces of this length. While other programs have the processor, an
 * application takes nothing, whatever lies there: counted in small pieces, one such wait would grow the window without
 * end. */
#define RELEASE_WAIT_NS (10 * NS_PER_MS)

struct release_window {
    uint32_t messages;
    double cost_ns; /* the same window in expected cost */
    bool by_cost;   /* the last refusal was for cost */
    bool patient;   /* only strangers are held: more time may be lost */
    bool grew;      /* since the last RELEASE_SHRINK_NS began */
    bool idle;      /* the application has nothing to do because messages are held */
    uint64_t idle_from_ns;
    uint64_t lost_ns, since_ns;   /* time lost since since_ns */
    uint64_t least, shrink_at_ns; /* the least untaken while something was held */
    double least_cost_ns, calm_cost_ns;
};

void release_window_init(struct release_window *w, uint64_t now_ns);

/* Whether one more message may pass, with an expected cost of `cost_ns`. `untaken_cost_ns`: the expected cost of the
 * untaken ones. */
MUST_USE bool release_window_allows(struct release_window *w, uint64_t untaken, bool idle, double untaken_cost_ns,
                                    double cost_ns);

/* Sets what a message costs in calm time. So much cost may always lie there. */
void release_window_calm(struct release_window *w, double cost_ns);

/* At each look at the counter. `starves`: the application found nothing, and something is held, or was just released
 * and is on its way. `taken_ns`: the first take after that; 0: not known. */
void release_window_look(struct release_window *w, bool starves, uint64_t taken_ns, uint64_t now_ns);

/* The application took what was released and asked for more while more was held: the batch was too small. */
void release_window_grow(struct release_window *w);

/* At each look at the counter. `held`: something is held by this window. */
void release_window_shrink(struct release_window *w, uint64_t untaken, double untaken_cost_ns, bool held,
                           uint64_t now_ns);

#endif
