/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Laggards: how much an application holds back for clients that do not take what it sends them, and which of them gives
 * way when that is too much.
 *
 * The cost of a client is not its slowness but what waits for it. A client that is slow, or takes nothing, stays as
 * long as all laggards together are within a bound.
 *
 *   state of a client  event                                                       next
 *   KEEPS UP           lag_begin() and lag_enter(): it does not take what it is    LAGS
 *                      sent
 *   LAGS               lag_stall(true): a subscriber takes nothing                 STALLED
 *   STALLED            lag_stall(false)                                            LAGS
 *   LAGS, STALLED      lag_count(0), lag_stall(false) and lag_leave()              KEEPS UP
 *
 *   `crowded`          event                                                       next
 *   false              more than LAG_FEW subscribers are STALLED                   true
 *   true               no subscriber is STALLED                                    false
 *
 * A requester: the answers that it asked for and did not get wait in the application. libzmq keeps at most LAG_QUEUE
 * messages (the default high-water mark ZMQ_SNDHWM) and drops the others, so that small messages never amount to much.
 *
 * A subscriber: Weir does not see the publisher's queue for it, but sees what the other subscribers were sent
 * meanwhile. So much was published, if all listen to the same topics. The part that the laggard did not take waits in
 * the publisher, LAG_QUEUE messages at most. A subscriber of rarer topics counts as further behind than it is, while it
 * lags.
 *
 *   - Where every subscriber lags, none shows how much is published. Then the rate before the lag is assumed.
 *   - While `crowded`, the same is assumed for a stalled subscriber, if it is more: no other subscriber shows what is
 *     published for laggards alone.
 *   - Subscribers share messages: a message that waits for several is there once. So only full queues are added up:
 *     they hold messages that are no longer sent to others.
 *
 * The bound holds for laggards that will have taken everything within LAG_DRAIN_S. For those that will not, and for
 * strangers of whom that is not known yet, the bound is half of it, and they give way first: each that holds at least
 * the mean of those. A client that is the only one to hold anything may have all that it takes within LAG_DRAIN_S, and
 * its one message however long that takes.
 *
 * Locks: none. `struct lag` has relaxed atomics, shared by all workers of a gate; `struct laggard` is its session's
 * worker's alone. While no client lags, the cost is one relaxed load.
 * Units: bytes, and 1/LAG_UNIT bytes where it says so; monotonic nanoseconds.
 * Memory: 56 bytes a gate, 32 a client; fixed.
 */
#ifndef WEIR_FLOW_LAG_H
#define WEIR_FLOW_LAG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LAG_QUEUE   1000u
#define LAG_DRAIN_S 60u
#define LAG_FEW     2u

/* The estimated sum of what some laggards hold. */
struct lag_sum {
    _Atomic uint64_t bytes;
    _Atomic uint32_t count; /* laggards that hold anything */
};

/* All zeros at first. */
struct lag {
    _Atomic uint64_t told; /* what each subscriber that keeps up was sent while others lagged, in 1/LAG_UNIT bytes */
    _Atomic uint32_t lagging;
    _Atomic uint32_t stalled;  /* subscribers that take nothing */
    _Atomic bool crowded;      /* there were more than LAG_FEW stalled, and some still are */
    struct lag_sum all, first; /* laggards that give way first are in both */
};

#define LAG_UNIT 1024u

/* The part that a client remembers. */
struct laggard {
    uint64_t told, passed, since_ns; /* as of when it began to lag */
    uint64_t held : 61;              /* bytes, as counted in the sums */
    uint64_t stalled : 1;            /* as counted in `stalled` */
    uint64_t first : 1;
    uint64_t single : 1; /* nothing waits behind the message on its way, or all of it will soon be taken */
};

/* Begins to measure a client, which has been sent `passed` bytes so far. */
void lag_begin(struct lag *g, struct laggard *l, uint64_t passed, uint64_t now_ns);

/* A client begins to lag; it has caught up or ends. */
static inline void lag_enter(struct lag *g)
{
    atomic_fetch_add_explicit(&g->lagging, 1, memory_order_relaxed);
}
static inline void lag_leave(struct lag *g)
{
    atomic_fetch_sub_explicit(&g->lagging, 1, memory_order_relaxed);
}

/* Slow path of lag_told(). */
void lag_tell(struct lag *g, uint64_t bytes, uint32_t subscribers);

/* One of `subscribers` that does not lag was sent `bytes`. */
static inline void lag_told(struct lag *g, uint64_t bytes, uint32_t subscribers)
{
    if (atomic_load_explicit(&g->lagging, memory_order_relaxed) != 0)
        lag_tell(g, bytes, subscribers);
}

/* What a connection was sent since it was opened. */
struct lag_sent {
    uint64_t bytes, messages;
    uint64_t opened_ns;
};

/* A subscriber takes nothing (true), or takes something again (false). */
void lag_stall(struct lag *g, struct laggard *l, bool stalled);

/* The bytes that wait in the publisher for a laggard, one of `subscribers`. *ret_full: its queue there is full. */
uint64_t lag_published(const struct lag *g, const struct laggard *l, const struct lag_sent *sent, uint32_t subscribers,
                       uint64_t now_ns, bool *ret_full);

/* The bytes that wait in the application for a laggard that asked `asked` messages and was sent `sent`. The message on
 * its way has `size` bytes, of which `left` have not come. *ret_single: nothing else waits. */
uint64_t lag_answers(const struct lag_sent *sent, uint64_t asked, uint64_t left, uint64_t size, bool *ret_single);

/* Whether a laggard has lagged for long enough to know how fast it takes. */
bool lag_is_known(const struct laggard *l, uint64_t now_ns);

/* Whether a laggard that has been sent `passed` bytes will need more than LAG_DRAIN_S for the `waiting` ones. */
bool lag_is_long(const struct laggard *l, uint64_t passed, uint64_t waiting, uint64_t now_ns);

/* Counts a laggard with `bytes`. `first`: lag_is_long(), or a stranger of whom that is not known yet. */
void lag_count(struct lag *g, struct laggard *l, uint64_t bytes, bool first);

/* Whether a laggard gives way now, where all together may hold `most` bytes. `waiting`: the bytes that wait for it,
 * counted or not; 0: only counted bytes matter. */
bool lag_gives_way(const struct lag *g, const struct laggard *l, uint64_t waiting, uint64_t most);

#endif
