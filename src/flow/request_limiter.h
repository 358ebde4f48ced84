/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The request limiter: when a connection's next message goes on to the application. It holds back only with a reason
 * that is true now; docs/internals/admission.md is the prose. One for each gate, shared by its workers.
 *
 *   state of the gate   when                                              what passes
 *   LIMIT_NONE          nobody is over its claim, or nobody has one       everything, without a lock
 *   LIMIT_PROBING       somebody is; neither counter nor plain service    everything
 *   LIMIT_ACTIVE        somebody is; and there is a counter               within its claim: at once; others by level,
 *                       (taken_counter.h) or the service was seen to be   as the windows allow
 *                       plain in calm time (plain_service.h)
 *
 *   state of a message  event                                             next
 *   OFFERED             its connection is within 1.5 x its claim          PASSED
 *   OFFERED             LIMIT_NONE, LIMIT_PROBING                         PASSED
 *   OFFERED             LIMIT_ACTIVE                                      IN LINE (fair_queue.h)
 *   IN LINE             first of its level, and the windows allow it      PASSED; its connection is woken
 *   IN LINE             its connection leaves                             dropped by its owner
 *   PASSED              taken, or answered                                its cost is known and charged
 *   PASSED              its connection leaves                             stays charged to the source
 *
 * Who locks: fields of a connection that are its worker's are touched by that worker alone; all others, and those of
 * the limiter that are not atomic, under the lock of the limiter's owner. Functions say which they need. A message that
 * meets no limit costs two atomic additions for each read window and no lock; the books are brought up to date
 * (reqlimit_fold()) after REQLIMIT_FOLD messages or REQLIMIT_FOLD_NS.
 *
 * Memory: the table of sources (claims.h), 13 KiB, and 312 bytes in each connection. Nothing is ever refused: when the
 * table is full, sources share entries.
 */
#ifndef WEIR_FLOW_REQUEST_LIMITER_H
#define WEIR_FLOW_REQUEST_LIMITER_H

#include "base/attr.h"
#include "base/list.h"
#include "flow/calm_time.h"
#include "flow/claims.h"
#include "flow/fair_queue.h"
#include "flow/latency_window.h"
#include "flow/plain_service.h"
#include "flow/release_window.h"
#include "flow/taken_counter.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REQLIMIT_FOLD      512u
#define REQLIMIT_FOLD_NS   (10 * NS_PER_MS)
#define REQLIMIT_ACTIVE_NS NS_PER_S
#define REQLIMIT_COSTS     1024u
#define REQLIMIT_PROBES    64u

enum limit_state { LIMIT_NONE, LIMIT_PROBING, LIMIT_ACTIVE };

/* What a hold rests on: that messages lie untaken, or that latency rises while throughput does not. */
enum hold_proof { PROOF_NONE, PROOF_COUNTER, PROOF_LATENCY, PROOF_COUNT };

/* A message whose cost is being measured. */
struct reqlimit_sample {
    uint64_t index; /* how many were passed before it, in the gate */
    uint64_t passed_ns;
    double expected_ns;
    uint32_t stands_for; /* messages since the last that was measured */
};

struct reqlimit_conn {
    /* its worker's */
    uint32_t lease;  /* messages that it may pass without asking */
    uint32_t passed; /* since the last fold */
    uint64_t folded_ns;
    /* its worker's, or under the lock */
    _Atomic uint32_t in_hand;     /* passed and not answered */
    _Atomic uint32_t awaited;     /* answers to come before the sample's is there; 0: no sample */
    _Atomic uint64_t answered_ns; /* the last answer */
    _Atomic bool silent;          /* what it sends is not answered: not counted as in hand */
    _Atomic uint32_t got;         /* answers, and messages sent, lately and while nobody waited: does it ask? */
    uint32_t sent;
    /* under the lock */
    struct fair_waiter waiter;
    struct list active, woken;
    struct claims_source *source;
    struct claim claim;
    struct faded_sum work, debt;
    double share;   /* cost a nanosecond that is its due */
    double cost_ns; /* of one message; 0: not known */
    struct reqlimit_sample sample;
    uint64_t used_ns, silent_ns;
    uint32_t granted;      /* may be passed; counted as passed */
    uint32_t held;         /* messages that wait, as far as they are counted in the stats */
    enum hold_proof proof; /* of its present hold */
    uint32_t unsampled;    /* messages since a sample was taken */
    bool established, over, is_active;
    bool replies; /* something has come back to it */
};

struct reqlimit_probe {
    struct reqlimit_conn *conn; /* NULL: it has left */
    uint64_t index;
    double expected_ns;
    uint32_t stands_for;
};

struct reqlimit_stats {
    uint64_t held[PROOF_COUNT], passed_held[PROOF_COUNT]; /* messages that had to wait; of these, that went on */
    uint64_t waiting;                                     /* messages that wait */
    uint64_t stuck;                                       /* holds that kept an idle application from working */
    uint32_t connections, established, over;
};

struct reqlimit {
    _Atomic uint64_t passed, answered, in_hand;
    _Atomic uint64_t free_until; /* `passed` may grow to this without a lock */
    _Atomic uint64_t passed_ns, answered_ns;
    _Atomic bool sampling; /* answers are to be reported under the lock */
    /* under the lock */
    struct taken_page *page; /* or NULL */
    struct taken_counter counter;
    struct release_window release;
    struct latency_window latency;
    struct plain_service plain;
    struct calm_time calm;
    struct claims claims;
    struct fair_queue queue;
    struct list active, woken;
    uint32_t active_count, active_sources;
    double active_rate;    /* claims of active sources */
    double capacity;       /* cost a nanosecond while somebody waits */
    struct faded_sum left; /* messages in hand of connections that are gone; worked off at the capacity */
    double charged;        /* since the last tick */
    double cost_ns, calm_cost_ns;
    uint64_t empty_ns;            /* the queue was last empty */
    uint64_t kept_index, kept_ns; /* so many were passed then: are they taken by now? */
    uint64_t lazy_ns;             /* it was last seen to leave messages in its pipes: what it takes, it works on */
    uint64_t capacity_ns;
    uint64_t counted_passed, counted_answered; /* at the last tick */
    bool by_counter;                           /* the last refusal was the release window's */
    bool refilling;                            /* it found nothing, and what was released is on its way */
    bool was_stuck;
    uint64_t idle_taken;          /* taken at the last look */
    double costs[REQLIMIT_COSTS]; /* running sum of expected costs, by index */
    uint64_t costs_count;
    struct reqlimit_probe probes[REQLIMIT_PROBES]; /* what is not answered: measured by the counter */
    uint32_t probe_first, probe_count;
    struct reqlimit_stats stats;
};

/* 0 or -ENOMEM. */
MUST_USE int reqlimit_init(struct reqlimit *l, size_t sources, uint64_t now_ns);
void reqlimit_fini(struct reqlimit *l);

/* A counter's page, or NULL when it is gone. Lock. */
void reqlimit_attach(struct reqlimit *l, struct taken_page *page);

/* A connection of the source with this keyed hash. Lock. */
void reqlimit_join(struct reqlimit *l, struct reqlimit_conn *c, uint64_t source_key, uint64_t now_ns);

/* It ends; what it still offers is dropped by its owner. Lock. */
void reqlimit_leave(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* Messages `n` are there, all that the connection has: how many may pass now, with the lock held. If fewer, it stands
 * in line, and stands in `woken` when more may. */
MUST_USE uint32_t reqlimit_offer(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* It has nothing to pass now. Lock. */
void reqlimit_rest(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* The next that was woken and how many it may pass, or NULL. Lock. */
struct reqlimit_conn *reqlimit_woken(struct reqlimit *l, uint32_t *ret_messages);

/* Brings the books up to date. Lock. */
void reqlimit_fold(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* Reads the counter and lets go who may. When the counter woke Weir, and at reqlimit_tick(). Lock. */
void reqlimit_look(struct reqlimit *l, uint64_t now_ns);

/* Returns when to call it again; harmless at any time. Lock. */
uint64_t reqlimit_tick(struct reqlimit *l, uint64_t now_ns);

/* `n` messages came back to a connection. `locked`: the lock is held, since reqlimit_answer_needs_lock() said so. */
void reqlimit_answered(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, bool locked, uint64_t now_ns);

enum limit_state reqlimit_state(const struct reqlimit *l);

static inline void reqlimit_count_passed(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    atomic_fetch_add_explicit(&l->passed, n, memory_order_relaxed);
    atomic_store_explicit(&l->passed_ns, now_ns, memory_order_relaxed);
    if (atomic_load_explicit(&c->silent, memory_order_relaxed))
        return;
    atomic_fetch_add_explicit(&c->in_hand, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->in_hand, n, memory_order_relaxed);
}

/* Whether all `n` messages may pass, found out without a lock; then they count as passed. Its worker. */
MUST_USE static inline bool reqlimit_quick(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    uint64_t passed = atomic_load_explicit(&l->passed, memory_order_relaxed);
    bool due = c->passed + n > REQLIMIT_FOLD || now_ns - c->folded_ns > REQLIMIT_FOLD_NS;
    if (due || (c->lease < n && passed + n > atomic_load_explicit(&l->free_until, memory_order_relaxed)))
        return false;
    c->lease -= c->lease < n ? c->lease : n;
    c->passed += n;
    reqlimit_count_passed(l, c, n, now_ns);
    return true;
}

/* Whether `n` answers are to be told under the lock. Its worker. */
static inline bool reqlimit_answer_needs_lock(const struct reqlimit *l, const struct reqlimit_conn *c, uint32_t n)
{
    uint32_t awaited = atomic_load_explicit(&c->awaited, memory_order_relaxed);
    return (awaited && awaited <= n) || !c->replies || atomic_load_explicit(&l->sampling, memory_order_relaxed) ||
           !atomic_load_explicit(&l->free_until, memory_order_relaxed);
}

#endif
