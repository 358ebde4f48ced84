/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The queue of a pool: tasks that wait, by source, in the order in which they are served.
 *
 * Start-time fair queueing: each source has a tag in virtual time, which is the sum of what its tasks took. The source
 * with the lowest tag is next; among equals the one that came first. When a task begins, the source is charged an
 * estimate (the mean of its tasks, or of all tasks for a new source); when it ends, the difference. A source that
 * becomes active begins at the present virtual time, so none saves up for later; one that owes goes on owing.
 *
 * Within a source tasks are served in the order of arrival. Shedding: see weir/pool.h.
 *
 *   state of a source  event                                  next
 *   IDLE               a task is pushed                       READY, or FULL
 *   READY (in heap)    its last task is popped or shed        RUNNING
 *   READY              it has `source_running` tasks running  FULL
 *   FULL               a task ends                            READY, if it has tasks that wait; else RUNNING
 *   RUNNING            its last task ends                     IDLE: remembered until others need the place
 *
 * Locks: the caller's; all of it. Time is an argument.
 * Units: monotonic nanoseconds.
 * Memory: 48 bytes for each of `messages`, and 200 for each source, of which there are `sources` at most, or as many as
 * have a task here. Pushing and popping cost O(log sources).
 * Source: Goyal, Vin and Cheng, 1996; with estimates and several servers as in Mace et al., "2DFQ", 2016.
 */
#ifndef WEIR_LIB_TASK_QUEUE_H
#define WEIR_LIB_TASK_QUEUE_H

#include "base/hash.h"
#include "flow/codel.h"
#include "lib/task.h"

struct task_source {
    struct task_source *next; /* in its bucket */
    struct list active;       /* among those with waiting tasks; or, when it is idle, among the idle ones */
    struct list by_count;     /* among those with as many waiting tasks */
    struct list tasks;        /* that wait, the oldest first */
    uint32_t waiting, running;
    uint64_t bytes; /* of what waits */
    uint32_t bucket;
    uint32_t heap_at; /* its place in the heap, from 1; 0: it is not in it */
    uint64_t tag_ns;  /* virtual */
    uint64_t turn;    /* among equal tags, the lowest goes first */
    uint64_t cost_ns; /* mean of its tasks; 0: not known */
    struct codel codel;
    uint32_t key_size;
    char key[WEIR_POOL_KEY_MAX + 1];
};

struct task_queue_params {
    uint32_t messages, sources, source_running; /* source_running 0: no limit */
    uint64_t bytes;
    struct codel_params codel;
    bool newest_first; /* is shed */
};

struct task_queue {
    struct task_queue_params params;
    struct hash_key hash_key;
    struct task_source **buckets, **heap;
    uint32_t mask, heap_count;
    struct list *by_count; /* of sources, by their waiting tasks: 1 to params.messages + 1 */
    uint32_t longest;      /* the highest that is not empty; 0: all are */
    struct list active, idle, shed;
    uint32_t source_count, waiting, running;
    uint64_t waiting_bytes;
    uint64_t virtual_ns, turns, cost_ns; /* cost: mean of all tasks */
};

/* 0 or -ENOMEM. */
MUST_USE int task_queue_init(struct task_queue *q, const struct task_queue_params *params);

/* All tasks must be gone. */
void task_queue_fini(struct task_queue *q);

/* The source with this key, made if it is not known; with one that is idle forgotten, if there are too many. NULL: no
 * memory. It has to be used, or given up by task_queue_unuse(), before the next call. */
MUST_USE struct task_source *task_queue_source(struct task_queue *q, const void *key, size_t size);
void task_queue_unuse(struct task_queue *q, struct task_source *s);

/* Whether one more message should not be received. */
MUST_USE bool task_queue_is_full(const struct task_queue *q);

/* The task (with its source set) waits. It, or others, may be shed at once: see task_queue_shed(). `make_room`: a full
 * queue sheds from its longest source, by messages or by bytes, whichever there are too many of; else the caller sees
 * to it that there is room. */
void task_queue_push(struct task_queue *q, struct weir_task *t, bool make_room, uint64_t now_ns);

/* The next task begins; NULL: none may. What has waited too long is shed on the way. */
MUST_USE struct weir_task *task_queue_pop(struct task_queue *q, uint64_t now_ns);

/* A task that was popped has ended after `took_ns`. */
void task_queue_end(struct task_queue *q, struct weir_task *t, uint64_t took_ns);

/* A waiting task is taken out, for the list of what is shed. */
void task_queue_drop(struct task_queue *q, struct weir_task *t, enum task_end why);

/* Sheds what has waited too long while no worker asked. *ret_again_ns: when to look again; UINT64_MAX: need not. */
void task_queue_look(struct task_queue *q, uint64_t now_ns, uint64_t *ret_again_ns);

/* The next of the tasks that were shed, or NULL. It is the caller's; its source may be gone after this. */
MUST_USE struct weir_task *task_queue_shed(struct task_queue *q);

#endif
