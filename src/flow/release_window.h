/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The release window: how many messages may lie untaken in front of an application while others are held back. It is
 * sized by starvation, as byte queue limits (Linux BQL) and airtime queue limits size theirs: when the application
 * found nothing to do although something was held, and lost more than 1 % of the time by it (5 %, when only
 * strangers were held), the window was too small and grows by what could have been worked on in that time, at most by
 * as much again; when messages lay untaken all the time, it was too large and shrinks by half of the least that lay
 * there.
 *
 *   messages  allows one more when
 *   0         nothing is untaken and the last poll found nothing
 *   >= 1      fewer are untaken, and what is expected of them and of the new one is no more than `cost_ns`: two costly
 *             ones do not stand in front of cheap ones. One may always be there
 *
 * `cost_ns` begins with what a message costs in calm time, and grows and shrinks as `messages` does, whichever refused.
 * `messages` goes from RELEASE_FIRST by growing to RELEASE_MOST, down to 0 by shrinking each RELEASE_SHRINK_NS.
 *
 * Memory: 80 bytes. One owner at a time.
 */
#ifndef WEIR_FLOW_RELEASE_WINDOW_H
#define WEIR_FLOW_RELEASE_WINDOW_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define RELEASE_FIRST     1u
#define RELEASE_MOST      65536u
#define RELEASE_SHRINK_NS (250 * NS_PER_MS)
/* Of one wait: counted in pieces, so that a long one grows the window soon. */
#define RELEASE_LOST_NS (60 * NS_PER_US)

struct release_window {
    uint32_t messages;
    double cost_ns; /* as `messages`, in expected cost */
    bool by_cost;   /* the last refusal was for cost */
    bool patient;   /* only strangers are held: more may be lost */
    bool grew;      /* since the last shrinking */
    bool idle;      /* the application has nothing to do for want of what was held */
    uint64_t idle_from_ns;
    uint64_t lost_ns, since_ns;   /* idle time since then */
    uint64_t least, shrink_at_ns; /* untaken while something was held */
    double least_cost_ns, calm_cost_ns;
};

void release_window_init(struct release_window *w, uint64_t now_ns);

/* Whether one more may be passed, which is expected to cost `cost_ns`; `untaken_cost_ns`: what the untaken ones are
 * expected to cost. */
MUST_USE bool release_window_allows(struct release_window *w, uint64_t untaken, bool idle, double untaken_cost_ns,
                                    double cost_ns);

/* What a message costs in calm time: so much may always lie there. */
void release_window_calm(struct release_window *w, double cost_ns);

/* At each look at the counter. `starves`: the application found nothing, and something is held or was just released and
 * is on its way; `taken_ns`: the first take since it did, 0: not known. */
void release_window_look(struct release_window *w, bool starves, uint64_t taken_ns, uint64_t now_ns);

/* The application took what was released and asked for more, which it could have had: a batch that was too small. */
void release_window_grow(struct release_window *w);

/* At each look while something is held. */
void release_window_shrink(struct release_window *w, uint64_t untaken, double untaken_cost_ns, bool held,
                           uint64_t now_ns);

#endif
