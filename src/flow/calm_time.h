/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Calm time of a gate: the stretches of half a second during which no client had to wait.
 *
 * Only a stretch that stayed calm to its end counts. So what is served in the first moments of a flood, before the
 * flood is noticed, earns no claim (claims.h).
 *
 *   state of the present stretch  event                                       next
 *   (none)                        calm_time_init()                            DISTURBED: its beginning was not seen
 *   CALM                          calm_time_disturb()                         DISTURBED
 *   CALM, DISTURBED               calm_time_advance(), after its half second  CALM: the next stretch begins, and
 *                                                                             the state of this one is recorded
 *
 * Stretches that pass between two calls of calm_time_advance() are recorded as calm: nothing happened in them.
 *
 * Locks: the limiter lock of the gate, for all fields and transitions.
 * Units: monotonic nanoseconds; stretches are numbered in units of CALM_STRETCH_NS.
 * Memory: 536 bytes. The last 4096 stretches (34 minutes) are remembered; older ones count as disturbed.
 */
#ifndef WEIR_FLOW_CALM_TIME_H
#define WEIR_FLOW_CALM_TIME_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define CALM_STRETCH_NS   (500 * NS_PER_MS)
#define CALM_STRETCHES    4096u
#define CALM_TIME_MOST_NS (60 * NS_PER_S)

struct calm_time {
    uint64_t stretch; /* number of the present one */
    uint64_t calm;    /* how many were calm, in all */
    bool disturbed;
    uint64_t was_calm[CALM_STRETCHES / 64];
};

void calm_time_init(struct calm_time *c, uint64_t now_ns);

/* Takes over the number of calm stretches from before a restart, up to CALM_TIME_MOST_NS. Means then go on over as much
 * time as before. At the start only. */
static inline void calm_time_resume(struct calm_time *c, uint64_t stretches)
{
    uint64_t most = CALM_TIME_MOST_NS / CALM_STRETCH_NS;
    c->calm = stretches < most ? stretches : most;
}

/* Advances to the stretch of `now_ns`. */
void calm_time_advance(struct calm_time *c, uint64_t now_ns);

/* A client waits, or what is measured is suspicious: the present stretch is not calm. */
void calm_time_disturb(struct calm_time *c);

/* Whether a past stretch stayed calm to its end. */
bool calm_time_was_calm(const struct calm_time *c, uint64_t stretch);

/* Calm time so far in nanoseconds: at least one stretch, at most CALM_TIME_MOST_NS. */
static inline uint64_t calm_time_ns(const struct calm_time *c)
{
    uint64_t most = CALM_TIME_MOST_NS / CALM_STRETCH_NS;
    return CALM_STRETCH_NS * (c->calm > most ? most : c->calm ? c->calm : 1);
}

#endif
