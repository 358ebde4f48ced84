/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Limits the bytes of large messages on their way into the application, over all connections of a gate.
 *
 * A message above the hold limit streams through, so the application holds its parts before Weir knows that it will
 * end. libzmq reserves the whole announced frame at once, and its high-water mark does not count unfinished messages.
 * So each frame of a streaming message reserves its announced size first.
 *
 *   State of a message    Counted in        Next state
 *   waiting in line       a turn            pool or pass: stream_budget_reserve() succeeds; gone: it asks no more
 *   in the pool           `bytes`           end waits: stream_budget_end_waits(); gone: stream_budget_release()
 *   by the pass           `beyond`          the same; the pass is free again
 *   end waits             `ends`            gone: stream_budget_end_goes()
 *
 * The pool (message.unfinished) takes reservations that fit into it. One that does not fit may go beyond it, for one
 * connection at a time: that connection holds the pass. Bytes that go by the pass do not count in the pool, so a
 * message larger than the pool takes nothing from those that fit. The application holds at most the pool and one
 * message of what is on its way.
 *
 * A source that is refused by both waits in line, once for all of its connections. The key of the line is the time at
 * which the source came, plus the time that its message will take at the pace at which its beginning came. So of
 * sources that came at the same time the one that will be through first is first. A slow source stands behind, but not
 * for ever.
 *
 * A message that is whole but for its last octet is not on its way any more, and gives its room back. Weir keeps that
 * octet back until the application may have one more message (traffic.h), and no client may have to wait for another
 * one's turn. What the application holds of such messages is counted apart. While that is message.unfinished or more,
 * no further message begins that would have to wait at its end. So the application holds at most twice the pool and one
 * message.
 *
 * A holder of a reservation must move while others wait: stream_budget_least() says how fast. The least pace rises
 * fourfold each second that a source waits, up to a quarter of the pace of the fastest that waits. A holder at that
 * pace is never cut, and no source waits longer than some seconds for a much slower one.
 *
 * About 2.6 KiB a gate, shared by all workers. Counters and the pass are atomic. The lock protects the line and
 * `pass_ns`, and is held while the pass is taken, not while it is given back. It is taken only when the pool refuses,
 * and by stream_budget_least() for STREAM_BUDGET_PATIENCE_NS after that. Sources beyond STREAM_BUDGET_TURNS that wait
 * at the same time get into the line when one of those has been served.
 */
#ifndef WEIR_LIMITS_STREAM_BUDGET_H
#define WEIR_LIMITS_STREAM_BUDGET_H

#include "base/attr.h"
#include "base/units.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STREAM_BUDGET_TURNS 64u

/* A source that has not asked again for this long has given up. Waiting sources ask every few milliseconds. */
#define STREAM_BUDGET_PATIENCE_NS (100 * NS_PER_MS)

/* A message counts at most this long for its place in line, at any pace. */
#define STREAM_BUDGET_SLOWEST_NS (30 * NS_PER_S)

/* How often the least pace rises. */
#define STREAM_BUDGET_STEP_NS NS_PER_S

/* The connection that asks (id not 0), what stands for its source, and the pace of its message so far, in bytes per
 * second (0: not known, or all at once). */
struct stream_budget_client {
    uint64_t id;
    uint64_t owner;
    uint64_t pace;
};

/* A source that waits. */
struct stream_budget_turn {
    uint64_t owner;
    uint64_t since_ns; /* 0: an empty place */
    uint64_t asked_ns;
    uint64_t takes_ns; /* the time that its message will take */
    uint64_t pace;
};

struct stream_budget {
    _Atomic uint64_t bytes;     /* reserved in the pool */
    _Atomic uint64_t beyond;    /* reserved by the holder of the pass, outside the pool */
    _Atomic uint64_t ends;      /* of messages whose last octet waits for its turn, outside the pool */
    _Atomic uint64_t pass;      /* id of the connection that holds the pass, or 0 */
    _Atomic uint64_t wanted_ns; /* when a source was last refused */
    pthread_mutex_t lock;       /* of the fields below, and of taking the pass */
    uint64_t pass_ns;           /* since when the pass is held */
    struct stream_budget_turn turns[STREAM_BUDGET_TURNS];
};

void stream_budget_init(struct stream_budget *u);
void stream_budget_fini(struct stream_budget *u);

/* Reserves `bytes` in the pool, if they fit; there is no line for that. Any thread. */
MUST_USE bool stream_budget_take(struct stream_budget *u, uint64_t limit_bytes, uint64_t bytes);

/* Reserves `bytes` in the pool or by the pass. Or refuses: then the source stands in line as long as it asks again. Any
 * thread. */
MUST_USE bool stream_budget_reserve(struct stream_budget *u, uint64_t limit_bytes, struct stream_budget_client client,
                                    uint64_t bytes, uint64_t now_ns);

/* Gives back all that `id` has reserved, and the pass if `id` holds it. Any thread. */
void stream_budget_release(struct stream_budget *u, uint64_t id, uint64_t bytes);

/* All of a message is there but its last octet, which waits. The reservation of `id` for it counts as `ends` from now
 * on, until stream_budget_end_goes(). Any thread. */
void stream_budget_end_waits(struct stream_budget *u, uint64_t id, uint64_t bytes);
void stream_budget_end_goes(struct stream_budget *u, uint64_t bytes);

/* Bytes in the application of messages whose end waits. */
static inline uint64_t stream_budget_ends(const struct stream_budget *u)
{
    return atomic_load_explicit(&u->ends, memory_order_relaxed);
}

/* The bytes per second that `id`, which holds a reservation, must move now; 0: no source waits for it. `least`: the
 * first step. */
uint64_t stream_budget_least(struct stream_budget *u, uint64_t id, uint64_t least, uint64_t now_ns);

/* Whether a source was refused within the last `within_ns`. Any thread, without a lock. */
bool stream_budget_wanted(const struct stream_budget *u, uint64_t now_ns, uint64_t within_ns);

/* The bytes of unfinished messages that the application may hold now. */
uint64_t stream_budget_held(const struct stream_budget *u);

#endif
