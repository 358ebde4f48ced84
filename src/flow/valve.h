/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The valve in front of an application that answers requests: how many of them it has in hand, and who may send the
 * next one. Requests are counted by their replies; what the application should not have yet waits in Weir, where the
 * order is fair (turns.h), and not in the application's own queues, where every connection has a turn.
 *
 *   UNDECIDED_YET  so at the beginning: a connection may have VALVE_UNDECIDED requests in hand
 *   OPEN    nothing is limited; whether replies come is learned from samples (an application that answers minutes
 * later, or never, stays here) LIMITED at most concurrency_limit() requests are in hand; the others wait for their turn
 *
 * As long as nobody waits and the window is not used up, a message costs two atomic additions and no lock: a healthy
 * application does not notice the valve.
 *
 * What waits for too long may be shed (codel.h), if that was asked for: its owner asks valve_sheds() when it is time.
 *
 * Memory: the table of turns, fixed. Shared by all workers of a gate. When the table of turns is full, sources share
 * entries; nobody is refused.
 */
#ifndef WEIR_FLOW_VALVE_H
#define WEIR_FLOW_VALVE_H

#include "base/attr.h"
#include "flow/turns.h"
#include "flow/concurrency.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A request that is not answered within this, and eight times the mean latency, is no longer counted. */
#define VALVE_FORGET_NS (1000 * NS_PER_MS)

/* No limit on the messages that may pass now. */
#define VALVE_UNLIMITED UINT32_MAX

/* While it is not known whether requests are answered, a connection may have this many of them in hand; if no reply
 * comes for VALVE_UNDECIDED_NS then, that is an answer too. An application with more replies to send than its own
 * high-water mark allows would throw some away, and they would be waited for in vain. */
#define VALVE_UNDECIDED    512u
#define VALVE_UNDECIDED_NS (50 * NS_PER_MS)

enum valve_mode { VALVE_UNDECIDED_YET, VALVE_OPEN, VALVE_LIMITED };

/* What a connection has at the valve. Belongs to its worker, but for the fields under the lock. */
struct valve_client {
    struct turn turn;            /* under the lock; when it does not wait, its node may stand in a list of the woken */
    struct turns_source *source; /* under the lock: where `charged` is counted */
    uint64_t waits_since_ns;     /* under the lock; in line since then */
    uint32_t charged;            /* under the lock: granted or in hand, on the source's account */
    _Atomic uint32_t granted;    /* may be passed; given by whichever worker sees a place become free */
    _Atomic bool waits;          /* stands in line */
    bool known;                  /* has waited before: the lock must be taken at its end */
    uint32_t in_hand;            /* passed and not answered */
    uint32_t uncounted;          /* of these, passed while nothing was limited: not in the valve's sum */
    uint32_t until_sample;       /* replies until that of the sampled request; 0: none is followed */
    uint32_t round;              /* of the sampled request */
    uint64_t sampled_ns;
};

/* Tells that a client was given a turn. Called under the lock, by any worker, for a client of any worker: puts its
 * turn's node into a list of the woken, which its worker empties by valve_pop(). */
typedef void (*valve_wake)(struct valve_client *c);

struct valve {
    _Atomic uint8_t mode; /* enum valve_mode */
    _Atomic bool busy;    /* somebody waits, or the window is used up */
    _Atomic uint32_t in_hand, waiting;
    _Atomic uint32_t limit, round; /* of the window, to be read without the lock */
    _Atomic uint64_t smooth_ns;
    _Atomic uint64_t answered; /* replies in all */
    valve_wake wake;
    pthread_mutex_t lock;
    struct concurrency concurrency;
    struct turns turns;
    struct codel_params shed; /* target_ns 0: nothing is shed */
    uint32_t kept, broken;    /* samples: answered in time, and not since the last that was */
    bool strict;              /* requests are answered one by one: nothing has to be learned */
    uint32_t fixed;           /* the limit, when it is not learned; else 0 */
};

/* 0 or -ENOMEM. */
MUST_USE int valve_init(struct valve *v, uint32_t most, size_t sources, valve_wake wake);
void valve_fini(struct valve *v);

/* The application is known to answer each request (REP): LIMITED at once. */
void valve_be_strict(struct valve *v);

/* What is counted are no requests: LIMITED at once, to this many, whatever their latency. */
void valve_be_fixed(struct valve *v, uint32_t limit);

/* From now on requests are shed by these. Any thread. */
void valve_shed_by(struct valve *v, const struct codel_params *p);

void valve_client_init(struct valve_client *c);

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

/* When the client's requests are to be forgotten if no reply comes; 0: none is in hand. */
uint64_t valve_forget_at(const struct valve *v, const struct valve_client *c);

/* Its client takes no answers now, so the application may have worked off its requests, or wait for it: others do not.
 */
void valve_excuse(struct valve *v, struct valve_client *c, uint64_t now_ns);

/* Its requests will not be answered any more. */
void valve_forget(struct valve *v, struct valve_client *c, uint64_t now_ns);

/* The client ends. Before valve_fini(), for each that was initialised. */
void valve_leave(struct valve *v, struct valve_client *c, uint64_t now_ns);

/* The next client in a list of the woken, or NULL. */
struct valve_client *valve_pop(struct valve *v, struct list *woken);

struct valve_stats {
    uint32_t limit, in_hand, waiting;
    bool limited;
};
void valve_stats(struct valve *v, struct valve_stats *ret);

#endif
