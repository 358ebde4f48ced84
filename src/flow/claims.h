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
 * The table of sources is what outlives connections, and its largest claims outlive the process (claims_state.h). There
 * a source is its key alone, so what else may have claims (an identity) needs no other table: it is another key.
 * Memory: 128 bytes for each of `capacity` sources, fixed, touched as they come, in sets of 8. When all of a set are in
 * use, a newcomer shares the entry of another source, with what is left there; otherwise the one with the smallest
 * claim gives way. Nobody is refused. One owner at a time.
 */
#ifndef WEIR_FLOW_CLAIMS_H
#define WEIR_FLOW_CLAIMS_H

#include "base/attr.h"
#include "flow/calm_time.h"
#include "flow/codel.h"
#include "flow/decay.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLAIM_RIPE 4u /* calm stretches that a connection has to see before its claim counts */

/* All zero at the beginning. */
struct claim {
    float rate;       /* cost a nanosecond; 0: none */
    float recent;     /* mean of up to 60 s of calm time; at least this is claimed */
    float pending;    /* cost in the present stretch, which may not stay calm */
    uint32_t stretch; /* the present one; all before are counted */
    uint32_t calm;    /* calm stretches counted so far */
    uint32_t first;   /* and before it came */
};

/* Counts the stretches that are over; calm_time_advance() first. Returns by how much the rate changed. */
double claim_update(struct claim *c, const struct calm_time *calm);

/* Whether it is to be heeded: a flood that begins slowly has claims as well, but young ones. */
static inline bool claim_is_ripe(const struct claim *c)
{
    return c->rate > 0 && c->calm - c->first >= CLAIM_RIPE;
}

/* `cost_ns` was spent on it; negative: less than charged before. After claim_update(). */
static inline void claim_spend(struct claim *c, double cost_ns)
{
    c->pending += (float)cost_ns;
}

#define CLAIMS_WORK_NS (5 * NS_PER_S) /* for how long attained cost counts */

struct claims_source {
    uint64_t key;          /* 0: unused */
    uint32_t live;         /* connections */
    uint32_t busy;         /* of these, active within the last second */
    uint32_t claimants;    /* of these, with a claim */
    uint32_t left;         /* claims of connections that are gone */
    float cost_ns;         /* estimate for one message; 0: unknown */
    uint16_t live_calm;    /* as live_at_ns, in calm stretches up to a minute */
    uint16_t left_calm;    /* as left_at_ns, the same */
    double live_rate;      /* sum of claims of its connections */
    uint64_t live_at_ns;   /* when one of these was last brought up to date */
    double left_rate;      /* sum of those left behind */
    double left_recent;    /* and of their means over the last minute of calm time */
    double left_debt_ns;   /* what their owners had drawn in advance */
    uint64_t left_at_ns;   /* when the two were last brought up to date */
    struct faded_sum work; /* attained by connections that are gone */
    struct codel codel;    /* the request limiter's: of all its connections */
    struct faded_sum served;
};

struct claims {
    struct claims_source *table;
    size_t sets;
};

/* claim_update() for a connection of `s`, whose sums follow. */
double claims_update(struct claims_source *s, struct claim *c, const struct calm_time *calm, uint64_t now_ns);

/* 0 or -ENOMEM. */
MUST_USE int claims_init(struct claims *c, size_t capacity);
void claims_fini(struct claims *c);

/* The entry for a source; `key` is a keyed hash, so that nobody can aim at one set. One connection more is live. */
struct claims_source *claims_acquire(struct claims *c, uint64_t key, uint64_t now_ns);

/* A connection takes over one of the claims that were left at its source, if any; returns its debt. */
double claims_inherit(struct claims_source *s, struct claim *claim, const struct calm_time *calm, uint64_t now_ns);

/* A connection leaves its claim, debt and attained work behind. One connection less is live. */
void claims_release(struct claims_source *s, const struct claim *claim, double debt_ns, double work_ns,
                    const struct calm_time *calm, uint64_t now_ns);

/* The claims that were left at a source, as they are now. */
double claims_left(const struct claims_source *s, const struct calm_time *calm, uint64_t now_ns);

/* ---- over a restart ---- */

/* The claims of one source, as they are kept. Debts are not: they are worked off within a second or two. */
struct claims_kept {
    uint64_t rate; /* all together, in units of 2^-40, rounded down */
    uint64_t key;
    uint32_t count; /* connections that have them, at least 1 */
};

#define CLAIMS_END SIZE_MAX

/* The claims of the next `most` entries of the table from *cursor on (0 at first), which becomes CLAIMS_END at the end.
 * Returns how many rows there are. Bounded work, so that whoever has the lock gives it back in between. */
size_t claims_page(const struct claims *c, size_t *cursor, const struct calm_time *calm, uint64_t now_ns,
                   struct claims_kept *rows, size_t most);

/* Puts back what was kept `passed_ns` ago, as claims that were left behind at the source; calm_time_resume() first.
 * Returns the sum that it came to, never more than was kept; 0: faded, or there is no room.
 */
double claims_restore(struct claims *c, const struct claims_kept *kept, const struct calm_time *calm,
                      uint64_t passed_ns, uint64_t now_ns);

#endif
