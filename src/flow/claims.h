/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Claims: how much service a connection was given in calm time (calm_time.h), as a rate.
 *
 * Claims decide which connections are protected during a flood, so a client must not be able to mint them. A claim is
 * the mean of what the connection was served over up to 60 s of calm time. The sum of all claims is never more than
 * what was served in that time. A claim that is not used fades with a half-life of an hour.
 *
 *   state of a connection  event                                              next
 *   STRANGER               it was served in calm time, and has seen at        ESTABLISHED
 *                          least CLAIM_RIPE calm stretches
 *   STRANGER               it joins a source at which claims were left; the   ESTABLISHED: takes their mean claim and
 *                          gate has had CLAIM_RIPE calm stretches             their mean debt
 *   ESTABLISHED            its claim fades below 1e-9, after hours without    STRANGER
 *                          service in calm time
 *   any                    it leaves                                          its claim with its debt, and its attained
 *                                                                             work, stay at the source
 *
 * The table of sources outlives connections, and its largest claims outlive the process (claims_state.h). A source is
 * nothing but its key. So another party that may have claims, such as an identity, needs no other table but another
 * key.
 *
 * Locks: the limiter lock of the gate, for the table and for the claims of its connections.
 * Units: costs are nanoseconds of the application's work; rates are cost a nanosecond, so 0.1 is a tenth of one server.
 * Memory: 128 bytes for each of `capacity` sources, in sets of 8, the number of sets rounded up to a power of two. The
 * table is fixed, and its pages are touched as sources come. When a set is full, an entry without live connections
 * gives way, the one with the smallest claim first. If all 8 entries have live connections, a newcomer shares the entry
 * of another source, with what is left there. No connection is refused.
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

/* All zeros at first. */
struct claim {
    float rate;       /* cost a nanosecond; 0: none */
    float recent;     /* mean over up to 60 s of calm time; the claim is at least this */
    float pending;    /* cost in the present stretch, which may still be disturbed */
    uint32_t stretch; /* the present stretch; all before it are counted */
    uint32_t calm;    /* calm stretches of the gate, as counted so far */
    uint32_t first;   /* calm stretches of the gate before the connection came */
};

/* Counts the stretches that are over; call calm_time_advance() first. Returns the change of the rate. */
double claim_update(struct claim *c, const struct calm_time *calm);

/* Whether the claim counts. A flood that begins slowly has claims as well, but young ones. */
static inline bool claim_is_ripe(const struct claim *c)
{
    return c->rate > 0 && c->calm - c->first >= CLAIM_RIPE;
}

/* `cost_ns` was spent on the connection; negative: it had been charged too much. After claim_update(). */
static inline void claim_spend(struct claim *c, double cost_ns)
{
    c->pending += (float)cost_ns;
}

#define CLAIMS_WORK_NS (5 * NS_PER_S) /* time constant of attained cost */

struct claims_source {
    uint64_t key;          /* 0: unused */
    uint32_t live;         /* its connections */
    uint32_t busy;         /* of these, active within the last second */
    uint32_t claimants;    /* of these, with a claim */
    uint32_t left;         /* number of claims left by connections that are gone */
    float cost_ns;         /* estimated cost of one message; 0: unknown */
    uint16_t live_calm;    /* the time of live_at_ns in calm stretches, up to a minute of them */
    uint16_t left_calm;    /* the same of left_at_ns */
    double live_rate;      /* sum of the claims of its connections */
    uint64_t live_at_ns;   /* when one of these was last updated */
    double left_rate;      /* sum of the claims that were left */
    double left_recent;    /* sum of their means over the last minute of calm time */
    double left_debt_ns;   /* sum of their debts: cost that was drawn in advance */
    uint64_t left_at_ns;   /* when the sums of what was left were last updated */
    struct faded_sum work; /* attained by connections that are gone */
    struct codel codel;    /* shedding, for all its connections */
    struct faded_sum served;
};

struct claims {
    struct claims_source *table;
    size_t sets;
};

/* claim_update() for a connection of `s`; also updates the sums of `s`. */
double claims_update(struct claims_source *s, struct claim *c, const struct calm_time *calm, uint64_t now_ns);

/* 0 or -ENOMEM. */
MUST_USE int claims_init(struct claims *c, size_t capacity);
void claims_fini(struct claims *c);

/* The entry of a source, with one more live connection. The table owns it. `key` is a keyed hash, so that no client can
 * aim at one set. */
struct claims_source *claims_acquire(struct claims *c, uint64_t key, uint64_t now_ns);

/* Whether claims were left at a source. Takes no entry. */
bool claims_are_left(const struct claims *c, uint64_t key);

/* A connection that joins takes over the mean of the claims left at its source, if there are any. Returns its debt. */
double claims_inherit(struct claims_source *s, struct claim *claim, const struct calm_time *calm, uint64_t now_ns);

/* A connection ends: its claim, debt and attained work stay at the source, which has one live connection less. */
void claims_release(struct claims_source *s, const struct claim *claim, double debt_ns, double work_ns,
                    const struct calm_time *calm, uint64_t now_ns);

/* The sum of the claims that were left at a source, faded until now. */
double claims_left(const struct claims_source *s, const struct calm_time *calm, uint64_t now_ns);

/* ---- restart ---- */

/* The claims of one source, as they are kept. Debts are not kept: they are worked off within a second or two. */
struct claims_kept {
    uint64_t rate; /* their sum, in units of 2^-40, rounded down */
    uint64_t key;
    uint32_t count; /* number of claims, at least 1 */
};

#define CLAIMS_END SIZE_MAX

/* Copies the claims of the next `most` entries from *cursor on (0 at first) to `rows`, which has room for `most`. Sets
 * *cursor, to CLAIMS_END at the end of the table. Returns the number of rows. The work is bounded, so that the caller
 * can give the lock back in between. */
size_t claims_page(const struct claims *c, size_t *cursor, const struct calm_time *calm, uint64_t now_ns,
                   struct claims_kept *rows, size_t most);

/* Puts back claims that were kept `passed_ns` ago, as claims that were left at the source; calm_time_resume() first.
 * Returns their sum, never more than was kept; 0: they have faded, or all entries of the set are in use.
 */
double claims_restore(struct claims *c, const struct claims_kept *kept, const struct calm_time *calm,
                      uint64_t passed_ns, uint64_t now_ns);

#endif
