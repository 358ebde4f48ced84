/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A pool, as its three files share it: pool.c makes and ends it, pool_run.c is the thread that has the socket (the
 * owner), pool_worker.c is the workers.
 *
 * A task goes from the owner (receives it) to the queue, to a worker, to `ended`, and back to the owner, which sends
 * the reply and frees it. What was shed goes from the queue to `ended`.
 *
 * Lock order: `lock`, then a stage's mutex. No handler, no send and no receive happens under `lock`.
 */
#ifndef WEIR_LIB_POOL_INNER_H
#define WEIR_LIB_POOL_INNER_H

#include "lib/backpressure.h"
#include "lib/pool_socket.h"
#include "lib/sizing.h"
#include "lib/task_queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <weir/pool.h>

struct pool_worker {
    struct weir_pool *pool;
    pthread_t thread;
    bool started; /* the owner's: there is a thread to be joined */
    bool ended;   /* under the pool's lock */
};

struct weir_pool {
    struct weir_pool_options options; /* constant */
    char *busy;
    struct pool_socket socket; /* the owner's */
    int wake_fd;               /* wakes the owner */
    _Atomic uint64_t stop_ns;  /* 0: RUNS; else what waits then is shed */

    /* the owner's */
    int error;     /* of the socket; 0: none */
    uint32_t owed; /* received and not answered; for a REP */
    bool is_stuck; /* a DEALER has no room for the first reply of `ended` */
    bool was_full; /* it does not receive: WAIT, until there is room; SHED, until `paced_ns` or half of the queue is
                      free */
    uint64_t paced_ns;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    struct task_queue queue;
    struct list age;   /* tasks with a deadline that wait or run, the oldest first */
    struct list ended; /* to be answered and freed by the owner */
    struct sizing sizing;
    struct pool_worker *workers; /* options.workers_max places */
    uint32_t worker_count, idle;
    bool ending; /* workers end when nothing waits */
    bool owner_sleeps, owner_wants_room;
    struct weir_pool_stats stats;
    struct stage_watcher watcher;
};

/* ---- pool_worker.c; under the lock, except pool_wake() ---- */

/* Whether an owner that has stopped receiving should begin again. */
MUST_USE bool pool_has_room(const struct weir_pool *p);

/* Wakes the owner. Any thread; async-signal-safe. */
void pool_wake(const struct weir_pool *p);

/* Starts a worker in a free place. 0 or -errno. */
MUST_USE int pool_worker_start(struct weir_pool *p);

/* Lets workers look for tasks. */
void pool_worker_call(struct weir_pool *p);

/* Whether the stage behind the pool lets a task begin. *ret_until_ns: when that changes by itself. */
MUST_USE bool pool_stage_allows(struct weir_pool *p, uint64_t *ret_until_ns);

/* Takes what the queue has shed to `ended`. */
void pool_take_shed(struct weir_pool *p, uint64_t now_ns);

/* Sheds all that waits. */
void pool_shed_all(struct weir_pool *p, uint64_t now_ns);

#endif
