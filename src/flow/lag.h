/* SPDX-License-Identifier: MPL-2.0 */
/*
 * How much a publisher holds back for a subscriber that does not keep up. Weir does not see the publisher's queue for
 * it, but what the other subscribers were sent meanwhile: so much was published, as long as all listen to the same, and
 * what of it the laggard did not take waits in the publisher. libzmq keeps at most LAG_QUEUE messages (the default of
 * ZMQ_SNDHWM) and leaves the others out, so that small messages never amount to much, however long a subscriber pauses.
 *
 * An estimate: subscribers of rarer topics are held for further behind than they are, while they lag. Where everybody
 * lags nobody tells how much was published.
 *
 * Costs one relaxed load as long as nobody lags. Shared by all workers of a gate; fixed memory.
 */
#ifndef WEIR_FLOW_LAG_H
#define WEIR_FLOW_LAG_H

#include <stdatomic.h>
#include <stdint.h>

#define LAG_QUEUE 1000u

/* All zero at the beginning. */
struct lag {
    _Atomic uint64_t told; /* what each subscriber that keeps up was sent while some lagged, in 1/LAG_UNIT bytes */
    _Atomic uint32_t lagging;
};

#define LAG_UNIT 1024u

/* What of this a subscriber remembers. */
struct laggard {
    uint64_t told, passed; /* when it began to lag */
};

/* A subscriber that has been sent `passed` bytes is measured from now on. */
void lag_begin(struct lag *g, struct laggard *l, uint64_t passed);

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

/* Bytes that wait in the publisher for a laggard, which has been sent `passed` bytes, as much as `messages` messages in
 * all its life. */
uint64_t lag_bytes(const struct lag *g, const struct laggard *l, uint64_t passed, uint64_t messages);

#endif
