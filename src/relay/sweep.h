/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A look at all sessions and banned connections of a worker, for a change that concerns all of them.
 *
 *   state      event                                             next
 *   IDLE       sweep_begin()                                     SESSIONS
 *   SESSIONS   it meets a session of this sweep, or there is     TARPIT if SWEEP_BANS is among the reasons, else IDLE
 *              none
 *   TARPIT     it meets a connection of this sweep, or there     IDLE
 *              is none
 *   any but    sweep_begin()                                     SESSIONS: the reasons are added, and all are visited
 *   IDLE                                                         again, those that wait for longest first
 *
 * A sweep runs in parts between two rounds, so that traffic does not wait for it. Sessions stand in worker.sessions.all
 * in the order of their last visit: each visited session goes to the end. A session accepted meanwhile is not visited:
 * it came under the current rules.
 *
 * Threads: belongs to the worker.
 */
#ifndef WEIR_RELAY_SWEEP_H
#define WEIR_RELAY_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

/* Visited between two rounds. */
#define SWEEP_PART 512u

enum sweep_reason {
    SWEEP_BANS = 1,   /* connections that are banned now are closed; tarpit connections that are not are released */
    SWEEP_POLICY = 2, /* there is another policy */
    SWEEP_DRAIN = 4,  /* Weir is ending */
};

struct worker;

struct sweep {
    unsigned reasons; /* 0: none runs */
    uint32_t round;   /* of the sweep that runs, or ran last */
    bool sessions_done;
};

void sweep_begin(struct worker *w, enum sweep_reason reason);

/* Visits the next part; a plain load while none runs. */
void sweep_step(struct worker *w);

#endif
