/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A task of the pool: a message with its envelope, and the reply to it. It has one owner at a time: the thread of the
 * socket, the queue (under the pool's lock), or the worker that runs its handler. The envelope is the socket thread's
 * alone, also while a handler runs.
 *
 * Memory: 200 bytes, and 64 for each frame besides its content.
 */
#ifndef WEIR_LIB_TASK_H
#define WEIR_LIB_TASK_H

#include "base/attr.h"
#include "base/list.h"

#include <stdbool.h>
#include <weir/pool.h>
#include <zmq.h>

#define TASK_FRAME_BYTES 64u /* what a frame counts for besides its content */

struct task_source;

/* Frames in a row. */
struct task_frames {
    zmq_msg_t *at;
    uint32_t count, room;
};

enum task_end { TASK_DONE, TASK_SHED_DELAY, TASK_SHED_FULL, TASK_SHED_DEADLINE, TASK_SHED_DRAIN, TASK_ENDS };

struct weir_task {
    struct list node; /* in its source while it waits; then among those that have ended */
    struct list age;  /* among all that are neither ended nor answered, in the order of arrival */
    struct task_source *source;
    uint64_t received_ns, began_ns, ended_ns;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    uint64_t charged_ns;  /* what its source was charged when it began */
    uint64_t cpu_ns;      /* processor time of the handler, if that is measured */
    size_t bytes;
    struct task_frames frames, reply;
    uint32_t envelope;   /* frames of it */
    uint32_t reply_most; /* frames; 0: the socket cannot send */
    bool running;
    bool answered; /* while it ran, its client was told that it is late */
    enum weir_outcome outcome;
    enum task_end end;
};

/* NULL: no memory. */
MUST_USE struct weir_task *task_new(uint64_t now_ns);
void task_free(struct weir_task *t);

/* Adds a frame, and returns it, initialised and empty. NULL: no memory. */
MUST_USE zmq_msg_t *frames_add(struct task_frames *f);

/* Closes all frames. */
void frames_clear(struct task_frames *f);

#endif
