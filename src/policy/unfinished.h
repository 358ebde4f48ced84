/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Large messages on their way into the application. A message above the hold limit streams through, so the application
 * holds its parts before Weir knows that it will end (libzmq reserves the whole announced frame at once, and its
 * high-water mark does not count unfinished messages). The sum over all connections of a gate is therefore limited:
 * each frame of a streaming message reserves its announced size first.
 *
 * The pool (message.unfinished) takes what fits into it. What does not may go beyond it, one connection at a time: it
 * holds the pass. What goes by the pass does not count in the pool, so that a message larger than the pool takes
 * nothing from those that fit. The application holds at most the pool and one message of what is on its way.
 *
 * Who is refused by both waits in line, a source once, however many connections it has. First comes who will be through
 * first, of those who came at the same time: the key is when it came, and the time that its message will take at the
 * pace at which its beginning came. So whoever is slow stands behind, but not for ever.
 *
 * A message that is whole but for its last octet, which Weir keeps back until the application may have one more message
 * (traffic.h), is not on its way any more, and gives its room back: nobody may have to wait for a turn of somebody
 * else's. What the application holds of such messages is counted apart, and while it is `message.unfinished` no further
 * message begins that would have to wait at its end. So the application holds at most twice the pool and one message.
 *
 * Who holds a reservation while others wait must move: unfinished_least() says how fast. It rises fourfold each
 * second that somebody waits, up to a quarter of the pace of the fastest that waits: a holder at that pace is never
 * cut, and nobody waits longer than some seconds for one who is much slower.
 *
 * About 2 KiB a gate, shared by all workers; a lock is taken only when the pool is full. Sources beyond
 * UNFINISHED_TURNS that wait at the same time get into the line when one of those has been served.
 */
#ifndef WEIR_POLICY_UNFINISHED_H
#define WEIR_POLICY_UNFINISHED_H

#include "base/attr.h"
#include "base/units.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define UNFINISHED_TURNS 64u

/* Who has not asked again for this long has given up. Those who wait ask every few milliseconds. */
#define UNFINISHED_PATIENCE_NS (100 * NS_PER_MS)

/* A message counts at most this long for its place in line, however slow it is. */
#define UNFINISHED_SLOWEST_NS (30 * NS_PER_S)

/* How often the least pace rises. */
#define UNFINISHED_STEP_NS NS_PER_S

/* Who asks: a connection (id not 0), what stands for its source, and at what pace its message came so far, in bytes per
 * second (0: not known, or all at once). */
struct unfinished_client {
    uint64_t id;
    uint64_t owner;
    uint64_t pace;
};

/* A source that waits. */
struct unfinished_turn {
    uint64_t owner;
    uint64_t since_ns; /* 0: an empty place */
    uint64_t asked_ns;
    uint64_t takes_ns; /* what its message will take */
    uint64_t pace;
};

struct unfinished {
    _Atomic uint64_t bytes;     /* reserved in the pool */
    _Atomic uint64_t beyond;    /* reserved by who holds the pass, outside the pool */
    _Atomic uint64_t ends;      /* of messages whose last octet waits for its turn, outside the pool */
    _Atomic uint64_t pass;      /* id of the connection that holds it, or 0 */
    _Atomic uint64_t wanted_ns; /* when somebody was last refused */
    pthread_mutex_t lock;       /* of what follows, and of taking the pass */
    uint64_t pass_ns;           /* since when it is held */
    struct unfinished_turn turns[UNFINISHED_TURNS];
};

void unfinished_init(struct unfinished *u);
void unfinished_fini(struct unfinished *u);

/* Reserves `bytes` in the pool, if they fit; nobody stands in line for that. Any thread. */
MUST_USE bool unfinished_take(struct unfinished *u, uint64_t limit_bytes, uint64_t bytes);

/* Reserves `bytes` in the pool or by the pass, or refuses: then its source stands in line as long as it asks again. Any
 * thread. */
MUST_USE bool unfinished_reserve(struct unfinished *u, uint64_t limit_bytes, struct unfinished_client client,
                                 uint64_t bytes, uint64_t now_ns);

/* Gives back all that `id` has reserved, and the pass if it holds it. */
void unfinished_release(struct unfinished *u, uint64_t id, uint64_t bytes);

/* All of a message but its last octet is there, which waits: what `id` has reserved for it counts as `ends` from now
 * on, until unfinished_end_goes(). Any thread. */
void unfinished_end_waits(struct unfinished *u, uint64_t id, uint64_t bytes);
void unfinished_end_goes(struct unfinished *u, uint64_t bytes);

/* What lies in the application of messages whose end waits. */
static inline uint64_t unfinished_ends(const struct unfinished *u)
{
    return atomic_load_explicit(&u->ends, memory_order_relaxed);
}

/* The bytes per second that `id`, which holds a reservation, must move now; 0: nobody waits for it. `least`: the first
 * step. */
uint64_t unfinished_least(struct unfinished *u, uint64_t id, uint64_t least, uint64_t now_ns);

/* Whether somebody was refused within the last `within_ns`. Any thread, without a lock. */
bool unfinished_wanted(const struct unfinished *u, uint64_t now_ns, uint64_t within_ns);

/* What the application may hold now. */
uint64_t unfinished_held(const struct unfinished *u);

#endif
