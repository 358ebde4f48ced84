/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The request limiter: when the next message of a connection goes on to the application.
 *
 * There is one for each gate, shared by its workers. It holds a message back only for a reason that is true now.
 * docs/internals/admission.md explains the design. Its parts: reqlimit_proof.h, reqlimit_queue.h, reqlimit_look.c.
 *
 *   state of the gate  while                                                what passes
 *   LIMIT_NONE         no connection is over, or none is established        everything
 *                      (request_costs.h)
 *   LIMIT_PROBING      one is over and one is established, but there is     everything
 *                      neither a counter nor a plain service
 *   LIMIT_ACTIVE       the same, and the counter is believed                within its claim: at once; others: by level
 *                      (taken_counter.h), or the service was seen to be     (fair_queue.h), as the windows allow
 *                      plain in calm time (plain_service.h)
 *
 * The state of the gate is not stored; reqlimit_state() derives it. If `most` is set (the operator's limit), then in
 * every state each message goes by level, while fewer than `most` are in hand. The claim of its connection does not
 * matter then. The windows still do.
 *
 *   state of a message  event                                                next               lock
 *   OFFERED             reqlimit_quick(): the gate is free, or its lease     PASSED             none
 *                       covers it
 *   OFFERED             reqlimit_offer(): it is within 1.5 x its claim       PASSED             limiter
 *   OFFERED             reqlimit_offer(): LIMIT_NONE or LIMIT_PROBING, and   PASSED             limiter
 *                       no connection is in line
 *   OFFERED             reqlimit_offer(): otherwise                          IN LINE            limiter
 *   OFFERED             reqlimit_passed(): it passed uncounted               PASSED             limiter
 *   IN LINE             reqlimit_look(): it is first, and the windows allow  GRANTED, in        limiter
 *                       it; or it is within its claim by now                 `woken`
 *   IN LINE             reqlimit_rest()                                      OFFERED            limiter
 *   IN LINE             reqlimit_sheds()                                     shed by its owner  limiter
 *   IN LINE, GRANTED    reqlimit_leave()                                     dropped by its     limiter
 *                                                                            owner
 *   GRANTED             reqlimit_take()                                      PASSED             limiter
 *   GRANTED, PASSED     reqlimit_give_back(): it was not sent                not counted        limiter
 *   PASSED              taken or answered                                    its cost is known  limiter, or none
 *   PASSED              reqlimit_leave()                                     charged to the     limiter
 *                                                                            source
 *
 * A granted message counts as passed. A message of a connection that has left stays in hand until it is worked off.
 *
 *   field                                                   protected by
 *   connection: lease, tells, passed, folded_at             its worker's thread alone
 *   connection: in_hand, awaited, answered_at, got          atomics: its worker without a lock, any worker under the
 *                                                           limiter lock
 *   connection: silent                                      atomic: written under the limiter lock
 *   connection: replies                                     written by its worker under the limiter lock
 *   connection: all others                                  the limiter lock
 *   gate: passed, answered, in_hand, busy, passed_ns,       atomics: any worker, with or without the lock
 *         answered_ns, guarded
 *   gate: free_until, sampling, by_hand                     atomics: written under the limiter lock
 *   gate: all others                                        the limiter lock
 *
 * The limiter lock is that of the owner (struct gate_limiter); each function says whether it needs it. Messages that
 * meet no limit take no lock. A read window of them costs two atomic additions to the gate's fields (three if the
 * connection had nothing in hand) and one to the connection's. The books are brought up to date under the lock
 * after REQLIMIT_FOLD messages or REQLIMIT_FOLD_NS.
 *
 * Classes (reqlimit_class()): the weight multiplies what is due to a connection besides its claim. The priority decides
 * who is first among those in line. A connection within its claim passes at once, whatever its class.
 *
 * Shedding (reqlimit_shed_by()): a message that has been in line for too long may be shed (codel.h, for each source).
 * The owner asks reqlimit_sheds() when it is time. A source that was lately served less than half of an equal part is
 * not shed, unless it stands back for a higher priority.
 *
 * The guard: with a counter, no stranger's message passes while a message of an established connection lies untaken.
 * libzmq reads its pipes in turn, and a pipe that is filled again before its turn keeps its place. So strangers would
 * overtake for as long as the round is.
 *
 * Units: monotonic nanoseconds; times in a connection are on the coarse clock (decay.h); costs are nanoseconds of the
 * application's work. Each call has the clock of its worker, which may be a little ahead of another's or behind it. A
 * time in the future counts as no time elapsed.
 * Memory: the table of sources (claims.h), 14 KiB a gate, and 200 bytes in each connection. Nothing is ever refused:
 * when the table is full, sources share entries.
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
#define REQLIMIT_UNREAD_NS (20 * NS_PER_MS)
#define REQLIMIT_COSTS     1024u
#define REQLIMIT_PROBES    64u

enum limit_state { LIMIT_NONE, LIMIT_PROBING, LIMIT_ACTIVE };

/* What a hold rests on: messages lie untaken (counter), latency rises and throughput does not (latency), or the
 * operator's limit (`most`). */
enum hold_proof { PROOF_NONE, PROOF_COUNTER, PROOF_LATENCY, PROOF_MAX, PROOF_COUNT };

/* A message whose cost is being measured by its answer. */
struct reqlimit_sample {
    uint64_t passed_ns;
    uint32_t index; /* how many messages of the gate passed before it */
    float expected_ns;
};

/* Times are on the coarse clock (decay.h), since most of the connections that have one of these are idle. */
#define REQLIMIT_APART        0x80000000u
#define REQLIMIT_IN_HAND_MOST 0x40000000u /* more of one connection are not counted */

struct reqlimit_conn {
    /* its worker's thread alone */
    uint8_t lease;   /* messages that it may pass without asking */
    bool tells;      /* its next messages are reported under the lock, so that they can be measured */
    uint16_t passed; /* since the last fold */
    uint32_t folded_at;
    /* its worker, or any under the lock */
    _Atomic uint32_t in_hand; /* passed and not answered; REQLIMIT_APART: not in the sums of the gate */
    _Atomic uint32_t awaited; /* answers up to that of the sample; 0: no sample */
    _Atomic uint32_t answered_at;
    _Atomic uint32_t got;                          /* answers lately; with `sent`: does it get answers? */
    uint16_t sent;                                 /* messages lately, in LIMIT_NONE; under the lock */
    bool established : 1, over : 1, is_active : 1; /* under the lock */
    uint8_t proof;                                 /* under the lock: enum hold_proof of its present hold */
    _Atomic bool silent;                           /* it gets no answers: not counted as in hand */
    bool replies;                                  /* it has had an answer; written by its worker under the lock */
    /* under the lock */
    uint8_t stands_for; /* messages that the sample stands for */
    uint8_t unsampled;  /* messages since it was taken, up to 64 */
    struct fair_waiter waiter;
    struct list active, woken;
    struct claims_source *source;
    struct claim claim;
    float debt_ns; /* cost drawn in advance; leaks at the share */
    float work_ns; /* attained cost; fades */
    float share;   /* cost a nanosecond that is due to it */
    float cost_ns; /* of one message; 0: not known */
    uint32_t settled_at, used_at;
    struct reqlimit_sample sample;
    uint32_t silenced_at;
    uint32_t granted;           /* messages that may pass; counted as passed */
    uint32_t held;              /* messages in line, as counted in the stats */
    _Atomic uint32_t unread_at; /* its client has not taken its answers since then; 0: it does; its worker */
};
_Static_assert(sizeof(struct reqlimit_conn) <= 200, "most connections are idle");

struct reqlimit_probe {
    struct reqlimit_conn *conn; /* NULL: the connection has left */
    uint64_t index;
    double expected_ns;
    uint32_t stands_for;
};

struct reqlimit_stats {
    uint64_t held[PROOF_COUNT], passed_held[PROOF_COUNT]; /* messages that had to wait; those of them that passed */
    uint64_t waiting;                                     /* messages in line */
    uint64_t untaken_most;                                /* by the counter */
    uint64_t stuck;                                       /* holds that kept an idle application from working */
    uint32_t connections, established, over;
};

struct reqlimit {
    _Atomic uint64_t passed, answered, in_hand;
    _Atomic int32_t busy;        /* connections with messages in hand; below 0 for moments */
    _Atomic uint64_t free_until; /* `passed` may grow up to this without a lock */
    _Atomic uint64_t passed_ns, answered_ns;
    _Atomic uint64_t guarded; /* `passed` when an established connection last passed a message */
    _Atomic bool sampling;    /* answers have to be reported under the lock */
    _Atomic bool by_hand;     /* the same, since a connection in line waits for answers */
    /* under the lock */
    struct taken_page *page; /* or NULL */
    bool frames;             /* frames are counted: not each is a message, and not each is ever taken */
    uint32_t most;           /* the operator's limit on messages in hand; 0: none */
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
    double capacity;         /* cost a nanosecond while messages wait */
    struct faded_sum left;   /* messages in hand of connections that have left; worked off at the capacity */
    double charged;          /* since the last tick */
    struct faded_sum served; /* cost of all connections, lately */
    double cost_ns, calm_cost_ns;
    uint64_t tick_ns;             /* reqlimit_tick() is due */
    uint64_t empty_ns;            /* the queue was last empty */
    uint64_t kept_index, kept_ns; /* `passed` at kept_ns: are these taken by now? */
    uint64_t lazy_ns;             /* the application was last seen to leave messages in its pipes */
    uint64_t capacity_ns;
    uint64_t counted_passed, counted_answered; /* at the last tick */
    uint64_t known_ns;                         /* an established connection last passed a message */
    bool by_counter;                           /* the last refusal was that of the release window */
    bool by_guard;                             /* it was for the guard, not for the window's size */
    bool refilling;                            /* the application found nothing, and what was released is on its way */
    bool was_stuck;
    uint64_t idle_taken;          /* taken at the last look */
    double costs[REQLIMIT_COSTS]; /* running sum of expected costs, by index */
    uint64_t costs_count;
    struct reqlimit_probe probes[REQLIMIT_PROBES]; /* messages that are not answered, measured by the counter */
    uint32_t probe_first, probe_count;
    struct reqlimit_stats stats;
};

/* Makes a limiter with room for `sources` sources. 0 or -ENOMEM. No lock: before it is shared. */
MUST_USE int reqlimit_init(struct reqlimit *l, size_t sources, uint64_t now_ns);
void reqlimit_fini(struct reqlimit *l);

/* Sets the operator's limit: at most `most` messages in hand, whatever is known of the application; 0: no limit.
 * Messages of connections that get no answers do not count. Before any message passes; or with the lock, before
 * reqlimit_begin_anew(). */
void reqlimit_bound(struct reqlimit *l, uint32_t most);

/* Attaches the page of a counter, or NULL when it is gone. The caller keeps the page. Lock. */
void reqlimit_attach(struct reqlimit *l, struct taken_page *page);

/* Whether a connection of this source would have a claim from the start. If not, it may as well join when its first
 * message comes. Lock. */
static inline bool reqlimit_knows(const struct reqlimit *l, uint64_t source_key)
{
    return claims_are_left(&l->claims, source_key);
}

/* A connection begins. `source_key`: the keyed hash of its source. The caller owns `c`. Lock. */
void reqlimit_join(struct reqlimit *l, struct reqlimit_conn *c, uint64_t source_key, uint64_t now_ns);

/* Sets its class: `weight` from 1, `priority` from 1 (first) to FAIR_PRIORITIES. The default is 1 and 2. Lock. */
void reqlimit_class(struct reqlimit *l, struct reqlimit_conn *c, unsigned weight, unsigned priority);

/* A connection ends. Its owner drops what it still offers. Lock. */
void reqlimit_leave(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* A connection offers all `n` messages that it has. Returns how many may pass now. If fewer, the connection is in line,
 * and in `woken` as soon as more may pass. Lock. */
MUST_USE uint32_t reqlimit_offer(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* A connection has nothing to pass now: it leaves the line. Lock. */
void reqlimit_rest(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* Sets the parameters of shedding. Lock. */
void reqlimit_shed_by(struct reqlimit *l, const struct codel_params *p);

/* Whether a connection has been in line for so long that its messages are to be shed. If true, it has left the line and
 * is not woken. If false, *ret_again_ns is when to ask again; UINT64_MAX: not before it is in line anew. Lock. */
MUST_USE bool reqlimit_sheds(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns, uint64_t *ret_again_ns);

/* Takes the next woken connection; NULL: there is none. reqlimit_take() tells how many messages it may pass. Until then
 * the node `woken` is the caller's, for a list of its own, and more messages may be granted. Lock, both. */
struct reqlimit_conn *reqlimit_next_woken(struct reqlimit *l);
uint32_t reqlimit_take(struct reqlimit_conn *c);

/* A connection has something to send, and the number of messages is not known yet. Brings the books up to date, so that
 * `lease` and reqlimit_is_free() are true now. Lock. */
void reqlimit_arrive(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* Counts `n` messages that passed and that neither reqlimit_quick() nor an offer has counted. Lock. */
void reqlimit_passed(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* `n` messages that an offer or a wake-up allowed were not sent after all. Lock. */
void reqlimit_give_back(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* From now on frames may be counted in place of messages (CURVE). Lock. */
void reqlimit_count_frames(struct reqlimit *l);

/* There is another application: what was learned of the one before is forgotten, claims stay. `plain`: it answers each
 * message on its connection (REP). Lock. */
void reqlimit_begin_anew(struct reqlimit *l, bool plain, uint64_t now_ns);

/* Reads the counter and grants what may pass. When the counter woke Weir, and at reqlimit_tick(). Lock.
 * (reqlimit_look.c) */
void reqlimit_look(struct reqlimit *l, uint64_t now_ns);

/* Periodic work. Returns when to call it again, which is `tick_ns`; that may become sooner when a message begins to
 * wait. Harmless at any time. Lock. */
uint64_t reqlimit_tick(struct reqlimit *l, uint64_t now_ns);

/* A connection got `n` answers. `locked`: the lock is held, as reqlimit_answer_needs_lock() demanded. Its worker. */
void reqlimit_answered(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, bool locked, uint64_t now_ns);

/* Whether its client takes its answers. While it does not, they are not read, and nothing shows whether the application
 * still works on them. A sample that this has delayed for long says nothing. Its worker. */
static inline void reqlimit_unread(struct reqlimit_conn *c, bool unread, uint64_t now_ns)
{
    uint32_t at = atomic_load_explicit(&c->unread_at, memory_order_relaxed);
    if (!unread && at && coarse_elapsed(at, now_ns) > REQLIMIT_UNREAD_NS)
        atomic_store_explicit(&c->awaited, 0, memory_order_relaxed);
    atomic_store_explicit(&c->unread_at, unread ? coarse_clock(now_ns) | 1 : 0, memory_order_relaxed);
}

/* Whether reqlimit_activate() has to come after reqlimit_unread(): the connection has been quiet, and might not be
 * reviewed any more. Its worker. */
static inline bool reqlimit_unread_needs_lock(const struct reqlimit_conn *c, uint64_t now_ns)
{
    return atomic_load_explicit(&c->in_hand, memory_order_relaxed) &&
           coarse_elapsed(c->folded_at, now_ns) > REQLIMIT_ACTIVE_NS / 2;
}

/* The connection is active from now on: it has something to send, or has to be reviewed although it sends nothing.
 * Lock. */
void reqlimit_activate(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* The state of the gate. Lock. */
static inline enum limit_state reqlimit_state(const struct reqlimit *l)
{
    if (!l->stats.over || !l->stats.established)
        return LIMIT_NONE;
    return taken_counter_holds(&l->counter) || l->plain.state == PLAIN_YES ? LIMIT_ACTIVE : LIMIT_PROBING;
}

/* Whether reqlimit_arrive() has to come before any message may pass. Its worker. */
static inline bool reqlimit_is_due(const struct reqlimit_conn *c, uint64_t now_ns)
{
    return c->passed >= REQLIMIT_FOLD || coarse_elapsed(c->folded_at, now_ns) > REQLIMIT_FOLD_NS;
}

/* Whether everything passes now. Any thread. */
static inline bool reqlimit_is_free(const struct reqlimit *l)
{
    return atomic_load_explicit(&l->free_until, memory_order_relaxed) != 0;
}

/* Messages of the connection in hand. */
static inline uint32_t reqlimit_conn_in_hand(const struct reqlimit_conn *c)
{
    return atomic_load_explicit(&c->in_hand, memory_order_relaxed) & ~REQLIMIT_APART;
}

/* A connection never has more in hand than its gate: its own number is increased last, and decreased first. */
static inline void reqlimit_count_passed(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    atomic_fetch_add_explicit(&l->passed, n, memory_order_relaxed);
    atomic_store_explicit(&l->passed_ns, now_ns, memory_order_relaxed);
    if (!n || atomic_load_explicit(&c->silent, memory_order_relaxed) ||
        reqlimit_conn_in_hand(c) > REQLIMIT_IN_HAND_MOST)
        return;
    atomic_fetch_add_explicit(&l->in_hand, n, memory_order_relaxed);
    uint32_t had = atomic_fetch_add_explicit(&c->in_hand, n, memory_order_release);
    if (had & REQLIMIT_APART)
        atomic_fetch_sub_explicit(&l->in_hand, n, memory_order_relaxed);
    else if (!had)
        atomic_fetch_add_explicit(&l->busy, 1, memory_order_relaxed);
}

/* Up to `n` messages are not in hand any more. Returns how many of them were in the sums of the gate. Its worker ends
 * what is answered, while another worker may end all of it under the lock. */
static inline uint32_t reqlimit_end_in_hand(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n)
{
    uint32_t had = atomic_load_explicit(&c->in_hand, memory_order_relaxed), less, rest;
    do {
        less = (had & ~REQLIMIT_APART) < n ? had & ~REQLIMIT_APART : n;
        rest = (had & ~REQLIMIT_APART) - less;
    } while (!atomic_compare_exchange_weak_explicit(&c->in_hand, &had, rest ? had - less : 0, memory_order_acquire,
                                                    memory_order_relaxed));
    if (had & REQLIMIT_APART)
        return 0;
    atomic_fetch_sub_explicit(&l->in_hand, less, memory_order_relaxed);
    if (less && !rest)
        atomic_fetch_sub_explicit(&l->busy, 1, memory_order_relaxed);
    return less;
}

/* Whether all `n` messages may pass without the lock. If true, they count as passed. Its worker. */
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

/* Whether `n` answers have to be reported under the lock. Its worker. */
static inline bool reqlimit_answer_needs_lock(const struct reqlimit *l, const struct reqlimit_conn *c, uint32_t n)
{
    uint32_t awaited = atomic_load_explicit(&c->awaited, memory_order_relaxed);
    uint32_t in_hand = reqlimit_conn_in_hand(c);
    return (awaited && (awaited <= n || in_hand <= n)) || !c->replies ||
           atomic_load_explicit(&l->sampling, memory_order_relaxed) ||
           atomic_load_explicit(&l->by_hand, memory_order_relaxed);
}

#endif
