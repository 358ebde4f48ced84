/* SPDX-License-Identifier: MPL-2.0 */
/*
 * zmq_poll(), zmq_ppoll(), and zmq_getsockopt() for those who wait by ZMQ_FD: they ask for ZMQ_EVENTS before they wait.
 */
#include "preload/taken_sockets.h"
#include "preload/zmq_wait.h"

INTERPOSED int zmq_poll(struct zmq_item *items, int count, long timeout_ms);
INTERPOSED int zmq_ppoll(struct zmq_item *items, int count, long timeout_ms, const sigset_t *mask);
INTERPOSED int zmq_getsockopt(void *socket, int option, void *value, size_t *bytes);

static uint32_t polled(const struct zmq_item *items, int count)
{
    uint32_t bits = 0;
    for (int i = 0; items && i < count; i++)
        if (items[i].socket && (items[i].events & API_POLLIN))
            bits |= zmq_wait_bit(items[i].socket);
    return bits;
}

static uint32_t readable(const struct zmq_item *items, int count)
{
    uint32_t bits = 0;
    for (int i = 0; i < count; i++)
        if (items[i].socket && (items[i].revents & API_POLLIN))
            bits |= zmq_wait_bit(items[i].socket);
    return bits;
}

static int call(const struct zmq_library *zmq, struct zmq_item *items, int count, long timeout_ms, const sigset_t *mask,
                bool is_ppoll)
{
    if (is_ppoll ? !zmq->ppoll : !zmq->poll)
        return NO_LIBZMQ;
    zmq_depth++;
    int ready = is_ppoll ? zmq->ppoll(items, count, timeout_ms, mask) : zmq->poll(items, count, timeout_ms);
    zmq_depth--;
    return ready;
}

static int poll_counted(const struct zmq_library *zmq, struct zmq_item *items, int count, long timeout_ms,
                        const sigset_t *mask, bool is_ppoll)
{
    struct zmq_wait w = {.asked = zmq_depth ? 0 : polled(items, count)};
    if (!w.asked)
        return call(zmq, items, count, timeout_ms, mask, is_ppoll);
    zmq_wait_begin(&w);
    int ready = call(zmq, items, count, 0, mask, is_ppoll);
    if (ready < 0)
        return ready;
    w.readable = readable(items, count);
    if (!zmq_wait_tried(&w, ready == 0, timeout_ms != 0))
        return ready;
    ready = call(zmq, items, count, timeout_ms, mask, is_ppoll);
    w.readable = ready > 0 ? readable(items, count) : 0;
    zmq_wait_ended(&w);
    return ready;
}

int zmq_poll(struct zmq_item *items, int count, long timeout_ms)
{
    return poll_counted(&zmq_user_of(CALLER)->zmq, items, count, timeout_ms, NULL, false);
}

int zmq_ppoll(struct zmq_item *items, int count, long timeout_ms, const sigset_t *mask)
{
    return poll_counted(&zmq_user_of(CALLER)->zmq, items, count, timeout_ms, mask, true);
}

/* ---- those who wait by ZMQ_FD ---- */

static int get_events(const struct zmq_library *zmq, struct taken_tally *t, void *socket, void *value, size_t *bytes)
{
    int events;
    taken_tally_settle(t);
    weir_taken_asked(t->counter);
    int error = zmq->getsockopt(socket, API_EVENTS, value, bytes);
    if (error)
        return error;
    memcpy(&events, value, sizeof(events));
    if (!(events & API_POLLIN))
        weir_taken_found_nothing(t->counter, t->by_fd);
    return 0;
}

int zmq_getsockopt(void *socket, int option, void *value, size_t *bytes)
{
    const struct zmq_user *u = zmq_user_of(CALLER);
    if (!u->zmq.getsockopt)
        return NO_LIBZMQ;
    struct taken_tally *t = option == API_EVENTS && !zmq_depth ? taken_tally_of(socket) : NULL;
    if (t)
        return get_events(&u->zmq, t, socket, value, bytes);
    int error = u->zmq.getsockopt(socket, option, value, bytes);
    if (!error && option == API_FD && !zmq_depth)
        taken_sockets_waits_by_fd(&u->zmq, socket);
    return error;
}
