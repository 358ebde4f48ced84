/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Hierarchical timer wheel (Varghese and Lauck, 1987): ticks of 1 ms, 4 levels of 64 slots, so up to 4.6 hours; a later
 * deadline is parked in the last slot and looked at again. Adding, moving and removing are O(1) and never fail: the
 * nodes live in their owners. One thread. A timer never fires early; it fires at most one tick late.
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
    uint64_t occupied[TIMERS_LEVELS]; /* one bit a slot that may hold timers */
    struct list due;
    uint64_t tick; /* the last tick that was run */
};

void timers_init(struct timers *w, uint64_t now_ns);

void timer_init(struct timer *t);

/* Arms or moves `t`. A deadline that has passed fires at the next tick at the latest. expires_ns must not be 0. */
void timer_arm(struct timers *w, struct timer *t, uint64_t expires_ns);

/* Disarms; harmless when not armed. */
void timer_disarm(struct timer *t);

/* The next timer whose deadline has passed, disarmed, or NULL. Call until NULL. */
struct timer *timers_pop(struct timers *w, uint64_t now_ns);

/* When timers_pop() should be called next: a time not later than one tick after the earliest deadline (it may be
 * earlier, when a level has to be spread out; 0 when one is due already), or UINT64_MAX when nothing is armed. */
uint64_t timers_next_ns(const struct timers *w);

#endif
