/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The request limiter of a gate (flow/request_limiter.h) as its workers share it: the lock, the tick, and the hand-over
 * of granted messages to the worker of their session.
 *
 * Locks and threads:
 * - The limiter has one lock. Any worker takes it, for one limiter call at a time.
 * - The worker that holds the lock when it is due brings the limiter up to date (reqlimit_tick()). Each worker with
 *   active connections has a timer for that; an idle gate has none.
 * - A session that was granted messages is linked into its limiter_worker.woken, under the lock. Its worker takes it
 * from there (request_flow.h).
 *
 * Memory: GATE_LIMITER_SOURCES claims of 128 bytes.
 */
#ifndef WEIR_RELAY_GATE_LIMITER_H
#define WEIR_RELAY_GATE_LIMITER_H

#include "base/hash.h"
#include "base/log.h"
#include "flow/codel.h"
#include "flow/request_limiter.h"
#include "loop/loop.h"
#include "zmtp/socket_type.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Sources whose claims are remembered. */
#define GATE_LIMITER_SOURCES 16384u

struct worker_gate;

/* A gate of a worker. */
struct limiter_worker {
    struct list woken; /* sessions that were granted messages; under the limiter's lock */
    struct alarm tick; /* brings the limiter up to date while a connection is active */
};

struct gate_limiter {
    pthread_mutex_t lock;
    struct reqlimit limit;    /* under the lock, except its atomic members */
    _Atomic uint32_t waiting; /* connections in line, when the lock was last released */
    struct hash_key key;      /* of sources, in its table; survives a restart (kept_claims.h) */
    uint32_t most;            /* concurrency.max */
    _Atomic bool off;         /* concurrency.limit is off, for connections that start now */
    _Atomic uint64_t told;    /* holds without progress that were reported */
    struct log_limit notice;  /* of these */
};

/* 0 or -ENOMEM. */
MUST_USE int gate_limiter_init(struct gate_limiter *g, const struct hash_key *key, uint64_t now_ns);
void gate_limiter_fini(struct gate_limiter *g);

void gate_limiter_watch(struct limiter_worker *l);

/* For one call of the limiter. The second also brings it up to date if that is due, and hands out what was granted. */
static inline struct reqlimit *gate_limiter_lock(struct gate_limiter *g)
{
    pthread_mutex_lock(&g->lock);
    return &g->limit;
}

void gate_limiter_unlock(struct gate_limiter *g, struct worker_gate *wg);

/* Whether a session is in line. Any thread. */
static inline bool gate_limiter_holds(const struct gate_limiter *g)
{
    return atomic_load_explicit(&g->waiting, memory_order_relaxed) != 0;
}

/* Attaches the application's counter. NULL detaches it: the previous page is not read any more. Any thread. */
void gate_limiter_attach(struct gate_limiter *g, struct taken_page *page);

/* The counter has signalled: looks at it. */
void gate_limiter_look(struct worker_gate *wg);

/* The application has another socket type than before: the limiter starts over. Any worker. */
void gate_limiter_begin_anew(struct gate_limiter *g, enum socket_type app, uint64_t now_ns);

/* Sets the parameters by which messages in line are shed from now on. Any worker. */
void gate_limiter_shed_by(struct gate_limiter *g, const struct codel_params *p);

#endif
