/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The valve in front of an application that answers requests: how many of them it has in hand, and who may send the
 * next one. Requests are counted by their replies; what the application should not have yet waits in Weir, where the
 * order is fair (turns.h), and not in the application's own queues, where every connection has a turn.
 *
 *   UNDECIDED  so at the beginning: a connection may have VALVE_UNDECIDED requests in hand
 *
 *   OPEN       nothing is limited; whether replies come is learned from samples (an application that answers minutes
 *              later, or never, stays here)
 *
 *   LIMITED    as many requests are in hand as was learned of its answers (answers.h); the others wait for their turn
 *
 * As long as nobody waits and the window is not used up, a message costs two atomic additions and no lock: a healthy
 * application does not notice the valve.
 *
 * What an application keeps while it answers others (long polls, laps.h) is not waited for: after ANSWERS_KEPT_NS such
 * a request is not counted any more, and one more of a client whose requests were kept is not even at the beginning, so
 * that quick requests never wait for polls. If nothing is answered at all, a few more are let in (silence.h).
 *
 * What waits for too long may be shed (codel.h), if that was asked for: its owner asks valve_sheds() when it is time.
 *
 * Memory: the table of turns, fixed. Shared by all workers of a gate. When the table of turns is full, sources share
 * entries; nobody is refused.
 */
#ifndef WEIR_FLOW_VALVE_H
#define WEIR_FLOW_VALVE_H

#include "base/attr.h"
#include "flow/answers.h"
#include "flow/turns.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Requests that may be in hand uncounted because those before were kept: if they are not, this is too many for as
 * long as it takes to work them off. */
#define VALVE_ASIDE_MOST 16u

/* No limit on the messages that may pass now. */
#define VALVE_UNLIMITED UINT32_MAX

/* While it is not known whether requests are answered, a connection may have this many of them in hand; if no reply
 * comes for VALVE_UNDECIDED_NS then, that is an answer too. An application with more replies to send than its own
 * high-water mark allows would throw some away, and they would be waited for in vain. */
#define VALVE_UNDECIDED    512u
#define VALVE_UNDECIDED_NS (50 * NS_PER_MS)

/* What a connection has at the valve. Belongs to its worker, but for the fields under the lock. */
struct valve_client {
    struct turn turn;            /* under the lock; when it does not wait, its node may stand in a list of the woken */
    struct turns_source *source; /* under the lock: where `charged` is counted */
    uint64_t waits_since_ns;     /* under the lock; in line since then */
    uint32_t charged;            /* under the lock: granted or in hand, on the source's account */
    _Atomic uint32_t granted;    /* may be passed; given by whichever worker sees a place become free */
    _Atomic bool waits;          /* stands in line */
    bool known;                  /* has waited before: the lock must be taken at its end */
    bool aside;                  /* its oldest request is not counted, since it will be kept */
    uint8_t kept : 4;            /* its requests are kept by the application; so many answered at once deny it */
    uint8_t away : 1;            /* what was kept of it is not counted any more, and not answered yet */
    uint32_t uncounted;          /* in hand, but aside or passed while nothing was limited: not in the valve's sum */
    struct asked asked;          /* passed */
};

/* Tells that a client was given a turn. Called under the lock, by any worker, for a client of any worker: puts its
 * turn's node into a list of the woken, which its worker empties by valve_pop(). */
typedef void (*valve_wake)(struct valve_client *c);

struct valve {
    _Atomic bool busy; /* somebody waits, or the window is used up */
    _Atomic uint32_t in_hand, waiting;
    _Atomic uint32_t aside; /* clients of which a request is in hand and not counted */
    struct answers answers;
    valve_wake wake;
    pthread_mutex_t lock;
    struct turns turns;
    struct codel_params shed; /* target_ns 0: nothing is shed */
    uint64_t kept;            /* requests in all */
};

/* 0 or -ENOMEM. */
MUST_USE int valve_init(struct valve *v, uint32_t most, size_t sources, valve_wake wake);
void valve_fini(struct valve *v);

/* The application is known to answer each request (REP): LIMITED at once. */
void valve_be_strict(struct valve *v);

/* What is counted are no requests: LIMITED at once, to this many, whatever their latency. */
void valve_be_fixed(struct valve *v, uint32_t limit);

/* The inverse of both: what is answered has to be learned, as at the beginning. */
void valve_be_learning(struct valve *v, uint64_t now_ns);

/* From now on requests are shed by these. Any thread. */
void valve_shed_by(struct valve *v, const struct codel_params *p);

void valve_client_init(struct valve_client *c);

static inline bool valve_is_limited(const struct valve *v)
{
    return answers_are(&v->answers, ANSWERS_LIMITED);
}

/* Whether somebody waits. */
static inline bool valve_is_wanted(const struct valve *v)
{
    return atomic_load_explicit(&v->waiting, memory_order_relaxed) != 0;
}

/* Whether another client waits. */
static inline bool valve_is_wanted_by_others(const struct valve *v, const struct valve_client *c)
{
    uint32_t own = atomic_load_explicit(&c->waits, memory_order_relaxed);
    return atomic_load_explicit(&v->waiting, memory_order_relaxed) > own;
}

/* Whether somebody waits, or no place is left. */
static inline bool valve_is_busy(const struct valve *v)
{
    return atomic_load_explicit(&v->busy, memory_order_relaxed);
}

/* How many messages the client may pass now. 0: valve_wait() first. */
uint32_t valve_allows(struct valve *v, struct valve_client *c);

/* It has passed `n` messages. */
void valve_passed(struct valve *v, struct valve_client *c, uint32_t n, uint64_t now_ns);

/* It has a message to pass and may not: waits for its turn. It may be its turn at once: it is woken then. */
void valve_wait(struct valve *v, struct valve_client *c, const struct turns_client *who, uint64_t now_ns);

/* Whether the client has stood in line for so long that what it waits with is to be shed: then it does not any more,
 * and is not woken. If not, *ret_again_ns is when to ask again; UINT64_MAX: not before it lines up anew. */
MUST_USE bool valve_sheds(struct valve *v, struct valve_client *c, uint64_t now_ns, uint64_t *ret_again_ns);

/* `n` messages came back to it: the next get their turns. */
void valve_answered(struct valve *v, struct valve_client *c, uint32_t n, uint64_t now_ns);

/* It has nothing to pass now: what it was granted goes to others. */
void valve_rest(struct valve *v, struct valve_client *c, uint64_t now_ns);

/* When the client's requests are to be looked at if no reply comes before; 0: none is in hand. */
uint64_t valve_look_at(const struct valve *v, const struct valve_client *c, uint64_t now_ns);

/* Looks at them: those that are kept, or that nobody will answer, are not waited for any more. Returns as
 * valve_look_at(). Harmless at any time. */
uint64_t valve_look(struct valve *v, struct valve_client *c, uint64_t now_ns);

/* Its client takes no answers now, so the application may have worked off its requests, or wait for it: others do not.
 */
void valve_excuse(struct valve *v, struct valve_client *c, uint64_t now_ns);

/* The client ends. Before valve_fini(), for each that was initialised. */
void valve_leave(struct valve *v, struct valve_client *c, uint64_t now_ns);

/* The next client in a list of the woken, or NULL. */
struct valve_client *valve_pop(struct valve *v, struct list *woken);

struct valve_stats {
    uint32_t limit, in_hand, waiting;
    bool limited;
    uint64_t kept; /* requests, since the beginning */
};
void valve_stats(struct valve *v, struct valve_stats *ret);

#endif
