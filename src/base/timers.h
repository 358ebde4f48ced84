/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Hierarchical timer wheel: ticks of 1 ms and 4 levels of 64 slots, which reach 4.6 hours. A later deadline is parked
 * in the slot of the last level that is reached last, and placed again then. A timer never fires early, and fires at
 * most one tick late.
 *
 * Adding, moving and removing are O(1) and never fail: the nodes are part of their owners. One thread.
 * Source: Varghese and Lauck, 1987.
 */
#ifndef WEIR_BASE_TIMERS_H
#define WEIR_BASE_TIMERS_H

#include "base/list.h"

#include <stdint.h>

#define TIMERS_LEVELS 4
#define TIMERS_SLOTS  64

struct timer {
    struct list node;
    uint64_t expires_ns; /* 0: not armed */
};

struct timers {
    struct list slots[TIMERS_LEVELS][TIMERS_SLOTS];
    uint64_t occupied[TIMERS_LEVELS]; /* one bit for each slot that may hold timers */
    struct list due;
    uint64_t tick; /* the last tick that was processed */
};

void timers_init(struct timers *w, uint64_t now_ns);

void timer_init(struct timer *t);

/* Arms or moves `t`. A deadline in the past fires at the next tick at the latest. `expires_ns` must not be 0. */
void timer_arm(struct timers *w, struct timer *t, uint64_t expires_ns);

/* Disarms `t`; harmless if it is not armed. */
void timer_disarm(struct timer *t);

/* Disarms and returns the next timer whose deadline has passed; NULL: there is none. Call until NULL. */
struct timer *timers_pop(struct timers *w, uint64_t now_ns);

/* When to call timers_pop() next: at most one tick after the earliest deadline. It may be earlier, when a level has to
 * be spread out. 0: a timer is due already. UINT64_MAX: no timer is armed. */
uint64_t timers_next_ns(const struct timers *w);

#endif
