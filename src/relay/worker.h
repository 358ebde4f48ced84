/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A worker: one thread with its own loop (loop.h), listeners and sessions. A worker may never
 * - block: no system call that waits, except epoll_wait() at the start of a round and the semaphore of struct parking
 *   behind it; locks only for bounded work that makes no such call;
 * - touch another worker's sessions, lists or timers. It may change another worker's atomic members and wake it by
 *   loop_signal(). Exceptions: limiter_worker.woken, under the lock of the gate's limiter, and the descriptor of a
 *   routing id's holder, under the table's lock (claim.h);
 * - keep a pointer into a policy snapshot from one round to the next, except worker_gate.policy (policy_snapshot.h);
 * - free a session within a round: an event of the round may still point to it.
 *
 * worker.c says which features run in a round, and stands near the top of the folder. The records here are everybody's:
 * what a feature keeps in a worker, or in a gate of it, is a struct of its own header.
 *
 * Everything here belongs to the worker's thread, except the atomic members and limiter_worker.woken.
 *
 * Descriptors are watched edge-triggered and registered once. Readiness is remembered in the session. Ready sessions
 * stand in a run queue, and each gets a bounded turn (run_queues.h): the order of service is the queue's, not the
 * kernel's.
 */
#ifndef WEIR_RELAY_WORKER_H
#define WEIR_RELAY_WORKER_H

#include "base/list.h"
#include "flow/pressure.h"
#include "loop/loop.h"
#include "relay/ban_enforce.h"
#include "relay/buffer_room.h"
#include "relay/connect_pacer.h"
#include "relay/gate.h"
#include "relay/half_open.h"
#include "relay/health.h"
#include "relay/linger.h"
#include "relay/policy_snapshot.h"
#include "relay/query.h"
#include "relay/run_queues.h"
#include "relay/strangers.h"
#include "relay/sweep.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct counter;
struct source_conns;
struct session;
struct worker;

/* A gate as one worker sees it. */
struct worker_gate {
    struct watch listener;
    struct worker *worker;
    struct gate *gate;
    const struct gate_policy *policy; /* in force here; changes between two rounds only */
    struct cells *cells;
    struct class_cells *class_cells; /* NULL: there are no classes */
    struct list conns;               /* sources with connections or lingering connections */
    struct list proxied;             /* connections without their PROXY protocol header yet (proxied.h), oldest first */
    struct list blind;               /* connections that are judged by nobody (blind.h) */
    struct alarm accept_again;       /* after descriptors ran out */
    struct half_open_worker half_open;
    struct strangers_worker strangers;
    struct limiter_worker limiter;
    struct connect_pacer_worker connect_pacer;
    struct linger_worker linger;
    struct stall_watch stalls; /* of worker 0 */
    struct counter *counter;   /* of worker 0; NULL: the application has none (counter.h) */
};

struct worker_sessions {
    struct list all;    /* in the order of their last visit (sweep.h) */
    struct list ended;  /* to be torn down (session_reap()) */
    struct list closed; /* to be freed when this round of events is done */
    uint64_t next_id;
};

/* Hash table by source (source_conns.c). */
struct source_conns_table {
    struct source_conns **at;
    size_t mask;
};

/* Set by other threads, which then wake the worker (loop_signal()). */
struct worker_signals {
    _Atomic bool stop, drain, park;
    _Atomic bool news;     /* something was learned of an application */
    _Atomic bool turns;    /* sessions were granted messages */
    _Atomic bool crowded;  /* a gate holds too many topics */
    _Atomic bool give_way; /* strangers_worker.asked is not 0 somewhere */
    _Atomic bool bans_changed;
    _Atomic bool queried;    /* query_worker.given is there */
    _Atomic bool published;  /* there is another policy to adopt */
    _Atomic bool reconsider; /* every worker has adopted it: all waiting sessions are judged again */
};

/* The main thread stops all workers between two rounds while it changes which gates there are (relay_gates.c): a
 * millisecond, when an application begins or ends to listen. */
struct parking {
    sem_t *parked; /* of the relay: posted by each worker that has stopped */
    sem_t go;      /* posted when it may go on */
};

struct worker {
    struct loop loop;
    unsigned index;
    pthread_t thread;
    bool started;
    struct account *account;
    struct pressure *pressure; /* on the account; of all workers */
    int receive_buffer_most;   /* see net.h */
    uint64_t drain_from_ns;    /* 0: not draining */
    struct run_queues run;
    struct worker_sessions sessions;
    struct sweep sweep;
    struct list lingering; /* see linger.h */
    struct ban_enforce_worker bans;
    struct source_conns_table source_conns;
    struct buffer_room_worker buffer_room;
    struct query_worker query;
    size_t gate_count;
    struct worker_gate *gates;
    struct worker **all; /* every worker, for wake-ups */
    unsigned all_count;
    struct policy_publisher *publisher;
    _Atomic uint64_t adopted; /* the generation of the policies of its gates */
    struct worker_signals signals;
    struct parking parking;
};

/* Allocates tables and descriptors (not the listeners). `gates` are those of the publisher's policies; if these are
 * patterns, room for CONFIG_GATES_MAX that are opened later. 0 or -errno; worker_fini() accepts what is there. */
MUST_USE int worker_init(struct worker *w, unsigned index, struct account *account, struct pressure *pressure,
                         struct gate *gates, struct policy_publisher *publisher, size_t max_sessions);
void worker_fini(struct worker *w);

/* While the worker is parked: a gate begins, which the worker has not seen before or which is unused; the limits in
 * force are taken for it. */
void worker_begin_gate(struct worker *w, size_t slot, struct gate *g);

/* While the worker is parked: it accepts no more connections of the gate. */
void worker_stop_listening(struct worker *w, size_t slot);

/* While the worker is parked: whether nothing of the worker points to the gate any more. If so, its alarms are off. */
MUST_USE bool worker_leave_gate(struct worker *w, size_t slot);

/* Starts the thread. 0 or -errno. */
MUST_USE int worker_start(struct worker *w);

/* One round: waits for events (as long as no timer is due and, unless it is -1, at most `most_ms`), then serves events,
 * timers and sessions. A worker's thread repeats it until it is stopped. */
void worker_round(struct worker *w, int most_ms);

/* Closes and frees every session, before worker_fini(). The worker's thread does this when it is stopped. */
void worker_close_all(struct worker *w);

/* Tells all workers that something was learned of an application. */
static inline void worker_tell_all(struct worker *w)
{
    for (unsigned i = 0; i < w->all_count; i++)
        loop_signal(&w->all[i]->loop, &w->all[i]->signals.news);
}

#endif
