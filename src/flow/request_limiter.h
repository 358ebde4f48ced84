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
 *   with `most` set     always                                            by level, while fewer than that are in hand
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
 * Classes (reqlimit_class()): a weight multiplies what is due to a connection besides its claim, a priority decides who
 * goes first among those in line (fair_queue.h). Whoever is within its claim passes at once, whatever its class.
 *
 * What waits in line for too long may be shed (codel.h, for each source), if that was asked for: its owner asks
 * reqlimit_sheds() when it is time. Of a source that was served less than half of an equal part lately nothing is,
 * unless it stands back for a higher priority.
 *
 * With a counter no stranger goes on while a message of the established lies untaken. libzmq reads its pipes in turn,
 * and a pipe that is filled again before its turn keeps its place: strangers would overtake for as long as the round
 * is.
 *
 * Clocks: each call has its worker's, which may be a little ahead of another's or behind it. What lies in the future
 * has not elapsed.
 *
 * Memory: the table of sources (claims.h), 14 KiB, and 200 bytes in each connection. Nothing is ever refused: when the
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

/* What a hold rests on: that messages lie untaken, that latency rises while throughput does not, or the operator's word
 * (`most`). */
enum hold_proof { PROOF_NONE, PROOF_COUNTER, PROOF_LATENCY, PROOF_MAX, PROOF_COUNT };

/* A message whose cost is being measured. */
struct reqlimit_sample {
    uint64_t passed_ns;
    uint32_t index; /* how many were passed before it, in the gate */
    float expected_ns;
};

/* Times are on the coarse clock (decay.h): 200 bytes stand in each session, and most sessions are idle. */
struct reqlimit_conn {
    /* its worker's */
    uint8_t lease;   /* messages that it may pass without asking */
    bool tells;      /* what it passes next is told under the lock, so that it may be measured */
    uint16_t passed; /* since the last fold */
    uint32_t folded_at;
    /* its worker's, or under the lock */
    _Atomic uint32_t in_hand; /* passed and not answered */
    _Atomic uint32_t awaited; /* answers to come before the sample's is there; 0: no sample */
    _Atomic uint32_t answered_at;
    _Atomic uint32_t got; /* answers, and messages sent, lately and while nobody waited: does it ask? */
    uint16_t sent;        /* under the lock */
    bool established : 1, over : 1, is_active : 1; /* the same */
    uint8_t proof;                                 /* the same: enum hold_proof of its present hold */
    _Atomic bool silent;                           /* what it sends is not answered: not counted as in hand */
    bool replies; /* something has come back to it; written by its worker under the lock */
    /* under the lock */
    uint8_t stands_for; /* messages that the sample stands for */
    uint8_t unsampled;  /* since it was taken, up to 64 */
    struct fair_waiter waiter;
    struct list active, woken;
    struct claims_source *source;
    struct claim claim;
    float debt_ns; /* drawn in advance; leaks at the share */
    float work_ns; /* attained; fades */
    float share;   /* cost a nanosecond that is its due */
    float cost_ns; /* of one message; 0: not known */
    uint32_t settled_at, used_at;
    struct reqlimit_sample sample;
    uint32_t silenced_at;
    uint32_t granted; /* may be passed; counted as passed */
    uint32_t held;    /* messages that wait, as far as they are counted in the stats */
};
_Static_assert(sizeof(struct reqlimit_conn) <= 200, "an idle connection may cost 1024 bytes in all");

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
    _Atomic int32_t busy;        /* connections with something in hand; below 0 for moments */
    _Atomic uint64_t free_until; /* `passed` may grow to this without a lock */
    _Atomic uint64_t passed_ns, answered_ns;
    _Atomic uint64_t guarded; /* `passed` when the established last passed something */
    _Atomic bool sampling;    /* answers are to be reported under the lock */
    _Atomic bool by_hand;     /* somebody waits until others are answered: the same */
    /* under the lock */
    struct taken_page *page; /* or NULL */
    bool frames;             /* what is passed are frames: not each is a message, nor is each ever taken */
    uint32_t most;           /* an operator's limit on messages in hand; 0: none */
    struct taken_counter counter;
    struct release_window release;
    struct latency_window latency;
    struct plain_service plain;
    struct calm_time calm;
    struct claims claims;
    struct fair_queue queue;
    struct codel_params shed; /* target_ns 0: nothing is shed */
    struct list active, woken;
    uint32_t active_count, active_sources;
    double active_rate;      /* claims of active sources */
    double capacity;         /* cost a nanosecond while somebody waits */
    struct faded_sum left;   /* messages in hand of connections that are gone; worked off at the capacity */
    double charged;          /* since the last tick */
    struct faded_sum served; /* cost, of all connections, lately */
    double cost_ns, calm_cost_ns;
    uint64_t tick_ns;             /* reqlimit_tick() is due */
    uint64_t empty_ns;            /* the queue was last empty */
    uint64_t kept_index, kept_ns; /* so many were passed then: are they taken by now? */
    uint64_t lazy_ns;             /* it was last seen to leave messages in its pipes: what it takes, it works on */
    uint64_t capacity_ns;
    uint64_t counted_passed, counted_answered; /* at the last tick */
    uint64_t known_ns;                         /* the established last passed something */
    bool by_counter;                           /* the last refusal was the release window's */
    bool by_guard;                             /* it was for the established, not for the window's size */
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

/* The application is to have no more than `most` messages in hand, whatever is known of it; 0: no such limit. Those of
 * connections that are not answered do not count. Before anything passes, or before reqlimit_begin_anew(). */
void reqlimit_bound(struct reqlimit *l, uint32_t most);

/* A counter's page, or NULL when it is gone. Lock. */
void reqlimit_attach(struct reqlimit *l, struct taken_page *page);

/* A connection of the source with this keyed hash. Lock. */
void reqlimit_join(struct reqlimit *l, struct reqlimit_conn *c, uint64_t source_key, uint64_t now_ns);

/* Its class: `weight` from 1, `priority` from 1 (goes first) to FAIR_PRIORITIES. Without: 1 and 2. Lock. */
void reqlimit_class(struct reqlimit *l, struct reqlimit_conn *c, unsigned weight, unsigned priority);

/* It ends; what it still offers is dropped by its owner. Lock. */
void reqlimit_leave(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* Messages `n` are there, all that the connection has: how many may pass now, with the lock held. If fewer, it stands
 * in line, and stands in `woken` when more may. */
MUST_USE uint32_t reqlimit_offer(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* It has nothing to pass now. Lock. */
void reqlimit_rest(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* From now on what waits is shed by these. Lock. */
void reqlimit_shed_by(struct reqlimit *l, const struct codel_params *p);

/* Whether the connection has stood in line for so long that what it waits with is to be shed: then it does not any
 * more, and is not woken. If not, *ret_again_ns is when to ask again; UINT64_MAX: not before it lines up anew. Lock. */
MUST_USE bool reqlimit_sheds(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns, uint64_t *ret_again_ns);

/* The next that was woken and how many it may pass, or NULL. Lock. */
struct reqlimit_conn *reqlimit_woken(struct reqlimit *l, uint32_t *ret_messages);

/* The same in two steps, where another thread passes the messages: until reqlimit_take() the node `woken` is the
 * caller's, who may keep it in a list of his own; more may be granted meanwhile. Lock, both. */
struct reqlimit_conn *reqlimit_next_woken(struct reqlimit *l);
uint32_t reqlimit_take(struct reqlimit_conn *c);

/* A connection has something to say, but it is not known yet how many messages: brings the books up to date, so that
 * `lease` and reqlimit_is_free() are true now. Lock. */
void reqlimit_arrive(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* `n` messages were passed that neither reqlimit_quick() nor an offer has counted. Lock. */
void reqlimit_passed(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* `n` messages that an offer or a wake-up allowed were not passed after all. Lock. */
void reqlimit_give_back(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* From now on what is counted may be frames (CURVE). Lock. */
void reqlimit_count_frames(struct reqlimit *l);

/* The application is another than before: what was learned of it is not true any more; claims stay. `plain`: it answers
 * each message on its connection (REP). Lock. */
void reqlimit_begin_anew(struct reqlimit *l, bool plain, uint64_t now_ns);

/* Brings the books up to date. Lock. */
void reqlimit_fold(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* Reads the counter and lets go who may. When the counter woke Weir, and at reqlimit_tick(). Lock. */
void reqlimit_look(struct reqlimit *l, uint64_t now_ns);

/* Returns when to call it again, which is `tick_ns`; it may be sooner when somebody begins to wait. Harmless at any
 * time. Lock. */
uint64_t reqlimit_tick(struct reqlimit *l, uint64_t now_ns);

/* `n` messages came back to a connection. `locked`: the lock is held, since reqlimit_answer_needs_lock() said so. */
void reqlimit_answered(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, bool locked, uint64_t now_ns);

/* Lock. */
static inline enum limit_state reqlimit_state(const struct reqlimit *l)
{
    if (!l->stats.over || !l->stats.established)
        return LIMIT_NONE;
    return taken_counter_holds(&l->counter) || l->plain.state == PLAIN_YES ? LIMIT_ACTIVE : LIMIT_PROBING;
}

/* Whether reqlimit_arrive() is due before anything may pass. Its worker. */
static inline bool reqlimit_is_due(const struct reqlimit_conn *c, uint64_t now_ns)
{
    return c->passed >= REQLIMIT_FOLD || coarse_elapsed(c->folded_at, now_ns) > REQLIMIT_FOLD_NS;
}

/* Whether everything passes now. Any thread. */
static inline bool reqlimit_is_free(const struct reqlimit *l)
{
    return atomic_load_explicit(&l->free_until, memory_order_relaxed) != 0;
}

/* What a connection has in hand is never more than what the gate has: it is added here last, and taken away first. */
static inline void reqlimit_count_passed(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    atomic_fetch_add_explicit(&l->passed, n, memory_order_relaxed);
    atomic_store_explicit(&l->passed_ns, now_ns, memory_order_relaxed);
    if (atomic_load_explicit(&c->silent, memory_order_relaxed))
        return;
    atomic_fetch_add_explicit(&l->in_hand, n, memory_order_relaxed);
    if (!atomic_fetch_add_explicit(&c->in_hand, n, memory_order_release) && n)
        atomic_fetch_add_explicit(&l->busy, 1, memory_order_relaxed);
}

/* Up to `n` are not in hand any more. Its worker ends what is answered while another, under the lock, may end all. */
static inline void reqlimit_end_in_hand(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n)
{
    uint32_t had = atomic_load_explicit(&c->in_hand, memory_order_relaxed), less;
    do
        less = had < n ? had : n;
    while (!atomic_compare_exchange_weak_explicit(&c->in_hand, &had, had - less, memory_order_acquire,
                                                  memory_order_relaxed));
    atomic_fetch_sub_explicit(&l->in_hand, less, memory_order_relaxed);
    if (less && had == less)
        atomic_fetch_sub_explicit(&l->busy, 1, memory_order_relaxed);
}

/* Whether all `n` messages may pass, found out without a lock; then they count as passed. Its worker. */
MUST_USE static inline bool reqlimit_quick(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    uint64_t passed = atomic_load_explicit(&l->passed, memory_order_relaxed);
    bool due = c->passed + n > REQLIMIT_FOLD || reqlimit_is_due(c, now_ns);
    uint64_t free_until = atomic_load_explicit(&l->free_until, memory_order_relaxed);
    if (due || c->tells || (c->lease < n && passed + n > free_until))
        return false;
    c->lease = (uint8_t)(c->lease < n ? 0 : c->lease - n);
    c->passed = (uint16_t)(c->passed + n);
    if (!free_until)
        atomic_store_explicit(&l->guarded, passed + n, memory_order_relaxed);
    reqlimit_count_passed(l, c, n, now_ns);
    return true;
}

/* Whether `n` answers are to be told under the lock. Its worker. */
static inline bool reqlimit_answer_needs_lock(const struct reqlimit *l, const struct reqlimit_conn *c, uint32_t n)
{
    uint32_t awaited = atomic_load_explicit(&c->awaited, memory_order_relaxed);
    uint32_t in_hand = atomic_load_explicit(&c->in_hand, memory_order_relaxed);
    return (awaited && (awaited <= n || in_hand <= n)) || !c->replies ||
           atomic_load_explicit(&l->sampling, memory_order_relaxed) ||
           atomic_load_explicit(&l->by_hand, memory_order_relaxed);
}

#endif
