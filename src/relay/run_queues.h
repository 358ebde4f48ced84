/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Who is served next within a worker: the sessions with work to do, in three queues.
 *
 *   queue   sessions                                     served in a round
 *   light   open, their last turn moved little           first, for 5 ms at most
 *   fresh   in their handshakes                          then, for 0.3 ms; at a rate, while requests wait for an
 *                                                        application
 *   heavy   open, their last turn moved much             last, for 0.3 ms
 *
 * A session gets one bounded turn and goes to the end of its queue if it still has work. A client that sends a little
 * thus never waits for a round of hundreds of floods. While requests wait for an application, handshakes rest in
 * between: the application may lack the processor time that they take.
 *
 * Threads: belongs to its worker. record.c puts sessions in (session_wake()).
 */
#ifndef WEIR_RELAY_RUN_QUEUES_H
#define WEIR_RELAY_RUN_QUEUES_H

#include "base/list.h"
#include "limits/gcra.h"

#include <stdint.h>

struct worker;

/* A worker's part in it. All zero is no valid state: run_queues_init(). */
struct run_queues {
    struct list light;
    struct list heavy;    /* those whose last turn moved much */
    struct list fresh;    /* those in their handshakes */
    gcra_word rounds;     /* limiter of the turns of the last while an application is busy */
    uint64_t fresh_at_ns; /* they have no turn before this: an application is busy */
};

void run_queues_init(struct run_queues *r);

/* Gives sessions their turns, for a bounded time. */
void run_queues_serve(struct worker *w);

#endif
