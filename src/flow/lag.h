/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What an application holds back for clients that do not take what it sends them (laggards), one by one and together,
 * and who of them gives way when that is too much. What a client costs is not how slow it is but what waits for it: one
 * that is slow, or takes nothing, stays as long as all laggards together are within a bound.
 *
 * A requester: what it has asked and not got waits in the application. libzmq keeps at most LAG_QUEUE messages (the
 * default of ZMQ_SNDHWM) and leaves the others out, so that small messages never amount to much.
 *
 * A subscriber: Weir does not see the publisher's queue for it, but what the other subscribers were sent meanwhile: so
 * much was published, as long as all listen to the same, and what of it the laggard did not take waits in the
 * publisher, LAG_QUEUE messages at most. Subscribers of rarer topics are held for further behind than they are, while
 * they lag. Where everybody lags nobody tells how much was published, nor does anybody what is published for laggards
 * alone: as much as before is assumed then, and of more than LAG_FEW that take nothing at all. Messages are
 * shared among subscribers: what waits for several is there once, so only full queues are added up, which hold what is
 * not sent to others any more.
 *
 * The bound holds for laggards that will have taken all within LAG_DRAIN_S. For those that will not, and for strangers
 * of whom it is not known yet, it is half of that, and they give way first: each that holds at least the mean of those.
 * A client that is the only one to hold anything gets all of it as long as it takes it that fast, and its one message
 * however long it takes.
 *
 * Costs one relaxed load as long as nobody lags. Shared by all workers of a gate; fixed memory.
 */
#ifndef WEIR_FLOW_LAG_H
#define WEIR_FLOW_LAG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LAG_QUEUE   1000u
#define LAG_DRAIN_S 60u
#define LAG_FEW     2u

/* What some laggards hold, by estimate. */
struct lag_sum {
    _Atomic uint64_t bytes;
    _Atomic uint32_t count; /* of those that hold anything */
};

/* All zero at the beginning. */
struct lag {
    _Atomic uint64_t told; /* what each subscriber that keeps up was sent while some lagged, in 1/LAG_UNIT bytes */
    _Atomic uint32_t lagging;
    _Atomic uint32_t stalled;  /* subscribers that take nothing */
    _Atomic bool crowded;      /* they were more than LAG_FEW, and are not none yet */
    struct lag_sum all, first; /* those that give way first are in both */
};

#define LAG_UNIT 1024u

/* What of this a client remembers. */
struct laggard {
    uint64_t told, passed, since_ns; /* when it began to lag */
    uint64_t held : 61;              /* as counted in the sums */
    uint64_t stalled : 1;            /* the same */
    uint64_t first : 1;
    uint64_t single : 1; /* nothing waits behind the message on its way, or all that does will soon be taken */
};

/* A client that has been sent `passed` bytes is measured from now on. */
void lag_begin(struct lag *g, struct laggard *l, uint64_t passed, uint64_t now_ns);

/* It lags; it does not any more. */
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

/* One of `subscribers`, which does not lag, was sent `bytes`. */
static inline void lag_told(struct lag *g, uint64_t bytes, uint32_t subscribers)
{
    if (atomic_load_explicit(&g->lagging, memory_order_relaxed) != 0)
        lag_tell(g, bytes, subscribers);
}

/* What a connection was sent, and since when. */
struct lag_sent {
    uint64_t bytes, messages;
    uint64_t opened_ns;
};

/* It takes nothing; it takes something again. */
void lag_stall(struct lag *g, struct laggard *l, bool stalled);

/* Bytes that wait in the publisher for a laggard of `subscribers`; *ret_full: its queue there is full. */
uint64_t lag_published(const struct lag *g, const struct laggard *l, const struct lag_sent *sent, uint32_t subscribers,
                       uint64_t now_ns, bool *ret_full);

/* Bytes that wait in the application for a laggard that `asked` so many messages and was sent so many; of the one on
 * its way, of `size` bytes, `left` have not come. *ret_single: nothing else waits. */
uint64_t lag_answers(const struct lag_sent *sent, uint64_t asked, uint64_t left, uint64_t size, bool *ret_single);

/* Whether it has lagged for long enough to tell how fast it takes. */
bool lag_is_known(const struct laggard *l, uint64_t now_ns);

/* Whether a laggard that has been sent `passed` bytes will not have taken `waiting` more soon. */
bool lag_is_long(const struct laggard *l, uint64_t passed, uint64_t waiting, uint64_t now_ns);

/* It is counted with so many bytes; `first`: it will be long, or is a stranger of whom that is not known. */
void lag_count(struct lag *g, struct laggard *l, uint64_t bytes, bool first);

/* Whether a laggard gives way at once, when all may hold `most` bytes. `waiting`: what waits for it alone, counted or
 * not; 0: what is counted says it all. */
bool lag_gives_way(const struct lag *g, const struct laggard *l, uint64_t waiting, uint64_t most);

#endif
