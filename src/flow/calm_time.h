/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Calm time of a gate: stretches of half a second during which nobody had to wait. Only whole stretches that stayed
 * calm to their end count: what is served in the first moments of a flood, before it is felt, earns nothing.
 *
 *   state of the stretch   event                        next
 *   CALM                   calm_time_disturb()          DISTURBED
 *   CALM, DISTURBED        its half second is over      CALM (the next one; this one is written down)
 *
 * Memory: 536 bytes; the last 4096 stretches (34 minutes) are remembered, older ones count as disturbed. One owner at a
 * time (the request limiter's lock).
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

/* So many stretches were calm before a restart, as far as they matter: means go on over as much time as before. At the
 * beginning only. */
static inline void calm_time_resume(struct calm_time *c, uint64_t stretches)
{
    uint64_t most = CALM_TIME_MOST_NS / CALM_STRETCH_NS;
    c->calm = stretches < most ? stretches : most;
}

/* Goes on to the stretch of `now_ns`. */
void calm_time_advance(struct calm_time *c, uint64_t now_ns);

/* Somebody waits, or what is measured is suspicious. */
void calm_time_disturb(struct calm_time *c);

/* Whether a past stretch stayed calm to its end. */
bool calm_time_was_calm(const struct calm_time *c, uint64_t stretch);

/* Calm time so far, up to CALM_TIME_MOST_NS; at least one stretch. */
static inline uint64_t calm_time_ns(const struct calm_time *c)
{
    uint64_t most = CALM_TIME_MOST_NS / CALM_STRETCH_NS;
    return CALM_STRETCH_NS * (c->calm > most ? most : c->calm ? c->calm : 1);
}

#endif
