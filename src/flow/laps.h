/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Which requests an application keeps while it answers others that came later: long polls, workers that ask for a job,
 * slow queries beside quick ones. They queue for nothing, and whoever waits for their answers waits in vain.
 *
 * A lap ends when a client is answered twice in it, the second time a request that came after the lap had begun. While
 * a request waits for its turn hardly a lap ends: in an application that answers in the order of coming none that
 * began after it, however long the queue; in libzmq's fair queue, which takes of each connection in turn but of one
 * that was silent before others, one or two. So a request that LAPS_OVERTAKEN have ended since is not waiting for its
 * turn.
 *
 * One owner at a time (flow/valve.h holds a lock around it), but for laps_ask().
 */
#ifndef WEIR_FLOW_LAPS_H
#define WEIR_FLOW_LAPS_H

#include <stdatomic.h>
#include <stdint.h>

#define LAPS_OVERTAKEN 3u

struct laps {
    _Atomic uint8_t number; /* of the lap under way; wraps */
    uint64_t began_ns;
};

/* What a client remembers: the lap in which its request came, and the one in which it was answered last. */
struct lap_mark {
    uint8_t asked, answered;
};

void laps_init(struct laps *l);

/* The client's request, of which the answer will be told, goes to the application. Any thread. */
static inline void laps_ask(const struct laps *l, struct lap_mark *m)
{
    m->asked = atomic_load_explicit(&l->number, memory_order_relaxed);
}

/* The client is answered what it asked at `asked_ns`. */
void laps_answer(struct laps *l, struct lap_mark *m, uint64_t asked_ns, uint64_t now_ns);

/* Laps that have ended since the client asked, modulo 256. */
static inline uint8_t laps_since(const struct laps *l, const struct lap_mark *m)
{
    return (uint8_t)(atomic_load_explicit(&l->number, memory_order_relaxed) - m->asked);
}

#endif
