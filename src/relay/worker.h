/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A worker: one thread with its own epoll, listeners, timers, buffers and sessions. A worker may never block.
 *
 * - It makes no system call that waits, except epoll_wait() at the start of a round. It takes locks only for bounded
 *   work that makes no such call.
 * - It never touches another worker's sessions, lists or timers. It changes another worker's atomic members only, and
 *   wakes it by loop_signal(). Exceptions: worker_gate.woken, under the lock of the gate's limiter, and the
 *   descriptor of a routing id's holder, under the tally's lock (claim.h).
 * - It never keeps a pointer into a policy snapshot from one round to the next, except worker_gate.policy (policies.h).
 * - It never frees a session within a round: an event of the round may still point to it.
 *
 * Everything here belongs to the worker's thread, except the atomic members and worker_gate.woken.
 *
 * Descriptors are watched edge-triggered and registered once. Readiness is remembered in the session. Ready sessions
 * stand in a run queue, and each gets a bounded turn: the order of service is the queue's, not the kernel's.
 *
 * Sessions that move much, and sessions in their handshakes, have queues of their own. These are served for a bounded
 * time between two looks at new events. A client that sends a little thus never waits for a round of hundreds of
 * floods. While requests wait for an application, handshakes rest in between: the application may lack the processor
 * time that they take.
 */
#ifndef WEIR_RELAY_WORKER_H
#define WEIR_RELAY_WORKER_H

#include "base/list.h"
#include "flow/pressure.h"
#include "relay/gate.h"
#include "relay/loop.h"
#include "relay/policies.h"
#include "relay/sweep.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Checks whether the application takes anything (health.h); of worker 0. */
struct stall_watch {
    struct alarm alarm;
    uint64_t taken;    /* by the application, at the last look */
    uint64_t since_ns; /* it has taken nothing since, and connections have waited */
};

struct worker;
struct counter;
struct peer;
struct survey;
struct session;

/* Open sessions of one kind (strangers.h). */
struct strangers {
    struct session **at;
    uint32_t count, capacity;
    uint64_t random;
};

/* A gate as one worker sees it. */
struct worker_gate {
    struct watch listener;
    struct worker *worker;
    struct gate *gate;
    const struct gate_policy *policy; /* in force here; changes between two rounds only */
    struct cells *cells;
    struct class_cells *class_cells; /* NULL: there are no classes */
    struct list peers;               /* sources with connections or farewells */
    struct list proxied;             /* connections without their PROXY protocol header yet (proxied.h), oldest first */
    struct list half_open[STANDING_COUNT][2]; /* sessions before the end of their handshake: whose client has the next
                                               * move, and which wait for the application; longest first (entry.h) */
    unsigned half_open_count;
    bool crowded_out;                /* newcomers wait in the kernel until a handshake ends */
    struct strangers strangers;      /* sessions that have been of no use yet */
    struct strangers proven;         /* the other open ones */
    _Atomic uint32_t stranger_count; /* strangers.count, for other workers */
    _Atomic uint32_t asked;          /* number of them that shall give way to newcomers of other workers */
    struct list woken;               /* sessions that were granted messages; under the limiter's lock */
    struct alarm limiter_tick;       /* see admission.h */
    struct alarm accept_again;       /* after descriptors ran out */
    struct list connect_line[STANDING_COUNT], connecting; /* see connects.h; oldest first */
    unsigned connecting_count;
    uint64_t connect_again_ns; /* no connect before this while requests wait */
    bool connect_oldest;       /* which end of the line is next then */
    unsigned connect_turns;    /* turns given so far */
    struct alarm connect_next;
    struct list leaving; /* farewells not yet reported to the application, oldest first */
    struct alarm leave;  /* of the next of them */
    struct stall_watch stalls;
    struct counter *counter; /* of worker 0; NULL: the application has none (counter.h) */
};

struct worker {
    struct loop loop;
    unsigned index;
    pthread_t thread;
    bool started;
    struct account *account;
    struct pressure *pressure; /* on the account; of all workers */
    int receive_buffer_most;   /* see net.h */
    struct list run;           /* sessions with work to do */
    struct list run_heavy;     /* the same, of those whose last turn moved much */
    struct list run_new;       /* the same, of those in their handshakes */
    gcra_word new_rounds;      /* limiter of their turns while an application is busy */
    uint64_t new_again_ns;     /* they have no turn before this: an application is busy (worker.c) */
    struct list ended;         /* sessions that have ended, to be torn down (session_reap()) */
    struct list closed;        /* sessions to be freed when this round of events is done */
    struct list sessions;      /* see sweep.h */
    struct sweep sweep;
    struct list farewells;  /* see farewell.h */
    struct list tarpit;     /* see banned.h */
    struct bans *bans;      /* of all gates; may be NULL */
    uint64_t bans_seen;     /* changes of it that this worker has followed */
    uint64_t drain_from_ns; /* 0: not draining */
    uint64_t next_id;
    struct peer **peers; /* hash table by source */
    size_t peer_mask;
    uint32_t holders;    /* peers here that hold buffers (memory.h) */
    struct list holding; /* the same; those visited longest ago first */
    bool wants_memory;   /* a session within its share found no room */
    uint64_t cut_ns;     /* when the heaviest sessions were last looked for */
    struct list pressed; /* sessions that wait for memory */
    struct alarm press;  /* when some of them try again */
    size_t gate_count;
    struct worker_gate *gates;
    struct survey *survey;                 /* the survey that is under way; else NULL (survey.h) */
    size_t survey_at;                      /* the chain of `peers` to be visited next */
    _Atomic(struct survey *) survey_given; /* not begun yet */
    struct worker **all;                   /* every worker, for wake-ups */
    unsigned all_count;
    struct policy_board *board;
    _Atomic uint64_t adopted; /* the generation of the policies of its gates */
    _Atomic bool stop, drain;
    _Atomic bool news;     /* something was learned of an application */
    _Atomic bool turns;    /* sessions were granted messages */
    _Atomic bool crowded;  /* a gate holds too many topics */
    _Atomic bool give_way; /* worker_gate.asked is not 0 somewhere */
    _Atomic bool bans_changed;
    _Atomic bool surveyed;   /* survey_given is there */
    _Atomic bool published;  /* there is another policy to adopt */
    _Atomic bool reconsider; /* every worker has adopted it: all waiting sessions are judged again */
};

/* Allocates tables and descriptors (not the listeners). `gates` are those of the board's policies. 0 or -errno;
 * worker_fini() accepts what is there. */
MUST_USE int worker_init(struct worker *w, unsigned index, struct account *account, struct pressure *pressure,
                         struct gate *gates, struct policy_board *board, size_t max_sessions);
void worker_fini(struct worker *w);

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
        loop_signal(&w->all[i]->loop, &w->all[i]->news);
}

#endif
