/* SPDX-License-Identifier: MPL-2.0 */
#include "lib/task.h"

#include "base/clock.h"
#include "lib/task_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct weir_task *task_new(uint64_t now_ns)
{
    struct weir_task *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    list_init(&t->node);
    list_init(&t->age);
    t->received_ns = now_ns;
    t->deadline_ns = UINT64_MAX;
    return t;
}

void task_free(struct weir_task *t)
{
    frames_clear(&t->frames);
    frames_clear(&t->reply);
    list_del(&t->age);
    free(t);
}

zmq_msg_t *frames_add(struct task_frames *f)
{
    if (f->count == f->room) {
        uint32_t room = f->room ? 2 * f->room : 4;
        /* libzmq moves its messages by copying their bytes, too (zmq_msg_move). */
        zmq_msg_t *at = realloc(f->at, room * sizeof(*at));
        if (!at)
            return NULL;
        f->at = at;
        f->room = room;
    }
    zmq_msg_t *frame = &f->at[f->count++];
    zmq_msg_init(frame);
    return frame;
}

void frames_clear(struct task_frames *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        zmq_msg_close(&f->at[i]);
    free(f->at);
    *f = (struct task_frames){0};
}

/* ---- for handlers ---- */

size_t weir_task_frames(const struct weir_task *t)
{
    return t->frames.count - t->envelope;
}

const void *weir_task_frame(struct weir_task *t, size_t index, size_t *ret_size)
{
    *ret_size = 0;
    if (index >= weir_task_frames(t))
        return NULL;
    zmq_msg_t *frame = &t->frames.at[t->envelope + index];
    *ret_size = zmq_msg_size(frame);
    return zmq_msg_data(frame);
}

const char *weir_task_property(struct weir_task *t, const char *name)
{
    return t->frames.count ? zmq_msg_gets(&t->frames.at[t->frames.count - 1], name) : NULL;
}

const char *weir_task_source(const struct weir_task *t, size_t *ret_size)
{
    *ret_size = t->source ? t->source->key_size : 0;
    return t->source ? t->source->key : "";
}

uint64_t weir_task_left_ns(const struct weir_task *t)
{
    uint64_t now_ns = clock_now_ns();
    if (t->deadline_ns == UINT64_MAX)
        return UINT64_MAX;
    return t->deadline_ns > now_ns ? t->deadline_ns - now_ns : 0;
}

uint64_t weir_task_waited_ns(const struct weir_task *t)
{
    return t->began_ns > t->received_ns ? t->began_ns - t->received_ns : 0;
}

int weir_task_reply(struct weir_task *t, const void *bytes, size_t size)
{
    if (t->reply_most == 0)
        return -ENOTSUP;
    if (t->reply.count >= t->reply_most)
        return -E2BIG;
    zmq_msg_t *frame = frames_add(&t->reply);
    if (!frame)
        return -ENOMEM;
    if (zmq_msg_init_size(frame, size) < 0) {
        t->reply.count--;
        return -ENOMEM;
    }
    if (size)
        memcpy(zmq_msg_data(frame), bytes, size);
    return 0;
}
