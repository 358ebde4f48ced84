/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Large messages on their way into the application. A message above the hold limit streams through, so the application
 * holds its parts before Weir knows that it will end (libzmq reserves the whole announced frame at once, and its
 * high-water mark does not count unfinished messages). The sum over all connections of a gate is therefore limited:
 * each frame of a streaming message reserves its announced size first. When the limit is reached, one connection at a
 * time may still go beyond it (it holds the pass), so that any message that fits message.size gets through; the others
 * wait unread. The pass goes round the sources in the order in which they asked, so that many connections of one source
 * do not keep the others from it. Who holds a reservation and does not move while others wait is cut by its owner
 * (unfinished_wanted()).
 *
 * About 1.6 KiB a gate, shared by all workers; a lock is taken only while the limit is reached. Sources beyond
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

/* A source that waits for the pass. */
struct unfinished_turn {
    uint64_t owner;
    uint64_t since_ns; /* 0: an empty place */
    uint64_t asked_ns;
};

struct unfinished {
    _Atomic uint64_t bytes;     /* reserved now */
    _Atomic uint64_t pass;      /* id of the connection that may exceed the limit, or 0 */
    _Atomic uint64_t wanted_ns; /* when somebody was last refused */
    pthread_mutex_t lock;       /* of `turns` and of taking the pass */
    struct unfinished_turn turns[UNFINISHED_TURNS];
};

/* Who asks: a connection (id not 0), and what stands for its source. */
struct unfinished_client {
    uint64_t id;
    uint64_t owner;
};

void unfinished_init(struct unfinished *u);
void unfinished_fini(struct unfinished *u);

/* Reserves `bytes` for the client, or refuses: then its source stands in line for the pass as long as it asks again.
 * Any thread. */
MUST_USE bool unfinished_reserve(struct unfinished *u, uint64_t limit_bytes, struct unfinished_client client,
                                 uint64_t bytes, uint64_t now_ns);

/* Gives back all that `id` has reserved, and the pass if it holds it. */
void unfinished_release(struct unfinished *u, uint64_t id, uint64_t bytes);

/* Whether somebody was refused within the last `within_ns`. */
bool unfinished_wanted(const struct unfinished *u, uint64_t now_ns, uint64_t within_ns);

#endif
