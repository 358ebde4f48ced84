/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Claims: what a connection was served in calm time (calm_time.h), as cost a nanosecond: 0.1 is a tenth of one server.
 * Claims decide who survives a flood, so none can be minted: each is the mean of what was served over up to 60 s of
 * calm time, and the sum over all is never more than was served in that time. A claim that is not used fades with a
 * half-life of an hour.
 *
 *   state of a connection   event                                         next
 *   STRANGER                served in CLAIM_RIPE calm stretches or more   ESTABLISHED
 *   STRANGER                joins a source at which claims were left      ESTABLISHED: takes their mean, with debt
 *   ESTABLISHED             not served in calm time for hours             STRANGER
 *   ESTABLISHED             leaves                                        claim, debt and work stay at the source
 *
 * The table of sources is what outlives connections. Memory: 80 bytes for each of `capacity` sources, fixed, touched as
 * they come, in sets of 8. When all of a set are in use, a newcomer shares the entry of another source, with what is
 * left there; otherwise the one with the smallest claim gives way. Nobody is refused. One owner at a time.
 */
#ifndef WEIR_FLOW_CLAIMS_H
#define WEIR_FLOW_CLAIMS_H

#include "base/attr.h"
#include "flow/calm_time.h"
#include "flow/decay.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLAIM_RIPE 4u /* calm stretches that a connection has to see before its claim counts */

/* All zero at the beginning. */
struct claim {
    double rate;      /* cost a nanosecond; 0: none */
    double recent;    /* mean of up to 60 s of calm time; at least this is claimed */
    double pending;   /* cost in the present stretch, which may not stay calm */
    uint64_t stretch; /* the present one */
    uint64_t calm;    /* calm stretches counted so far */
    uint64_t first;   /* and before it came */
    uint64_t at_ns;   /* when `rate` was last brought up to date */
};

/* Counts the stretches that are over; calm_time_advance() first. Returns by how much the rate changed. */
double claim_update(struct claim *c, const struct calm_time *calm, uint64_t now_ns);

/* Whether it is to be heeded: a flood that begins slowly has claims as well, but young ones. */
static inline bool claim_is_ripe(const struct claim *c)
{
    return c->rate > 0 && c->calm - c->first >= CLAIM_RIPE;
}

/* `cost_ns` was spent on it; negative: less than charged before. After claim_update(). */
static inline void claim_spend(struct claim *c, double cost_ns)
{
    c->pending += cost_ns;
}

#define CLAIMS_WORK_NS (5 * NS_PER_S) /* for how long attained cost counts */

struct claims_source {
    uint64_t key;
    uint32_t live;         /* connections */
    uint32_t busy;         /* of these, active within the last second */
    uint32_t left;         /* claims of connections that are gone */
    float cost_ns;         /* estimate for one message; 0: unknown */
    double live_rate;      /* sum of claims of its connections */
    double left_rate;      /* sum of those left behind */
    double left_recent;    /* and of their means over the last minute of calm time */
    double left_debt_ns;   /* what their owners had drawn in advance */
    uint64_t left_at_ns;   /* when the two were last brought up to date */
    struct faded_sum work; /* attained by connections that are gone */
};

struct claims {
    struct claims_source *table;
    size_t sets;
};

/* 0 or -ENOMEM. */
MUST_USE int claims_init(struct claims *c, size_t capacity);
void claims_fini(struct claims *c);

/* The entry for a source; `key` is a keyed hash, so that nobody can aim at one set. One connection more is live. */
struct claims_source *claims_acquire(struct claims *c, uint64_t key, uint64_t now_ns);

/* A connection takes over one of the claims that were left at its source, if any; returns its debt. */
double claims_inherit(struct claims_source *s, struct claim *claim, const struct calm_time *calm, uint64_t now_ns);

/* A connection leaves its claim, debt and attained work behind. One connection less is live. */
void claims_release(struct claims_source *s, const struct claim *claim, double debt_ns, double work_ns,
                    uint64_t now_ns);

#endif
