/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Pollers (zmq_poller_*, where libzmq has them). A poller does not tell which sockets it has, so that is noted here.
 *
 * Threads: any; the notes are under a lock while they change. A wait reads them without it: each poller belongs to one
 * thread. Memory: fixed. Of the pairs beyond PAIRS_MOST it is not known when they are empty; their messages count.
 */
#include "preload/zmq_wait.h"

#include <pthread.h>

INTERPOSED int zmq_poller_destroy(void **poller);
INTERPOSED int zmq_poller_add(void *poller, void *socket, void *user_data, short events);
INTERPOSED int zmq_poller_modify(void *poller, void *socket, short events);
INTERPOSED int zmq_poller_remove(void *poller, void *socket);
INTERPOSED int zmq_poller_wait(void *poller, struct zmq_event *event, long timeout_ms);
INTERPOSED int zmq_poller_wait_all(void *poller, struct zmq_event *events, int count, long timeout_ms);

#define PAIRS_MOST 256u

struct pair {
    void *_Atomic poller; /* written last; NULL: free */
    void *_Atomic socket;
    _Atomic int events;
};

static pthread_mutex_t pairs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pair pairs[PAIRS_MOST];
static _Atomic unsigned pairs_used;

/* ---- the notes ---- */

/* The place of the pair, of any socket of the poller (NULL), or a free one (both NULL). NULL: there is none. */
static struct pair *find_pair(const void *poller, const void *socket)
{
    for (unsigned i = 0; i < PAIRS_MOST; i++)
        if (atomic_load(&pairs[i].poller) == poller && (!socket || atomic_load(&pairs[i].socket) == socket))
            return &pairs[i];
    return NULL;
}

static void note_pair(void *poller, void *socket, short events)
{
    pthread_mutex_lock(&pairs_lock);
    struct pair *p = find_pair(poller, socket);
    if (!p)
        p = find_pair(NULL, NULL);
    if (p) {
        unsigned used = (unsigned)(p - pairs) + 1;
        atomic_store(&p->socket, socket);
        atomic_store(&p->events, events);
        atomic_store(&p->poller, poller);
        if (used > atomic_load(&pairs_used))
            atomic_store(&pairs_used, used);
    }
    pthread_mutex_unlock(&pairs_lock);
}

static void forget_pairs(const void *poller, const void *socket)
{
    struct pair *p;
    pthread_mutex_lock(&pairs_lock);
    while ((p = find_pair(poller, socket)))
        atomic_store(&p->poller, NULL);
    pthread_mutex_unlock(&pairs_lock);
}

static uint32_t waited_for(const void *poller)
{
    uint32_t bits = 0;
    for (unsigned i = 0, used = atomic_load(&pairs_used); i < used; i++)
        if (atomic_load(&pairs[i].poller) == poller && (atomic_load(&pairs[i].events) & API_POLLIN))
            bits |= zmq_wait_bit(atomic_load(&pairs[i].socket));
    return bits;
}

/* ---- changes ---- */

int zmq_poller_add(void *poller, void *socket, void *user_data, short events)
{
    const struct zmq_user *u = zmq_user_of(CALLER);
    if (!u->zmq.poller_add)
        return NO_LIBZMQ;
    int error = u->zmq.poller_add(poller, socket, user_data, events);
    if (!error && !zmq_depth)
        note_pair(poller, socket, events);
    return error;
}

int zmq_poller_modify(void *poller, void *socket, short events)
{
    const struct zmq_user *u = zmq_user_of(CALLER);
    if (!u->zmq.poller_modify)
        return NO_LIBZMQ;
    int error = u->zmq.poller_modify(poller, socket, events);
    if (!error && !zmq_depth)
        note_pair(poller, socket, events);
    return error;
}

int zmq_poller_remove(void *poller, void *socket)
{
    const struct zmq_user *u = zmq_user_of(CALLER);
    if (!u->zmq.poller_remove)
        return NO_LIBZMQ;
    int error = u->zmq.poller_remove(poller, socket);
    if (!error && poller && socket)
        forget_pairs(poller, socket);
    return error;
}

int zmq_poller_destroy(void **poller)
{
    const struct zmq_user *u = zmq_user_of(CALLER);
    if (!u->zmq.poller_destroy)
        return NO_LIBZMQ;
    if (poller && *poller)
        forget_pairs(*poller, NULL);
    return u->zmq.poller_destroy(poller);
}

/* ---- waits ---- */

static int call_wait_all(const struct zmq_user *u, void *poller, struct zmq_event *events, int count, long timeout_ms)
{
    zmq_depth++;
    int ready = u->zmq.poller_wait_all(poller, events, count, timeout_ms);
    zmq_depth--;
    return ready;
}

static int call_wait(const struct zmq_user *u, void *poller, struct zmq_event *event, long timeout_ms)
{
    zmq_depth++;
    int error = u->zmq.poller_wait(poller, event, timeout_ms);
    zmq_depth--;
    return error;
}

/* The sockets of which it is known that they have a message. If the caller's places are full, others may have one, too:
 * then nothing is said of any. */
static uint32_t found(const struct zmq_wait *w, const struct zmq_event *events, int ready, int count)
{
    uint32_t bits = 0;
    if (ready >= count)
        return w->asked;
    for (int i = 0; i < ready; i++)
        if (events[i].socket && (events[i].events & API_POLLIN))
            bits |= zmq_wait_bit(events[i].socket);
    return bits;
}

int zmq_poller_wait_all(void *poller, struct zmq_event *events, int count, long timeout_ms)
{
    const struct zmq_user *u = zmq_user_of(CALLER);
    if (!u->zmq.poller_wait_all)
        return NO_LIBZMQ;
    struct zmq_wait w = {.asked = poller && !zmq_depth ? waited_for(poller) : 0};
    if (!w.asked)
        return call_wait_all(u, poller, events, count, timeout_ms);
    zmq_wait_begin(&w);
    int ready = call_wait_all(u, poller, events, count, 0);
    bool empty = ready < 0 && (errno == EAGAIN || errno == ETIMEDOUT);
    if (ready < 0 && !empty)
        return ready;
    w.readable = empty ? 0 : found(&w, events, ready, count);
    if (!zmq_wait_tried(&w, empty, timeout_ms != 0))
        return ready;
    ready = call_wait_all(u, poller, events, count, timeout_ms);
    w.readable = ready < 0 ? 0 : found(&w, events, ready, count);
    zmq_wait_ended(&w);
    return ready;
}

int zmq_poller_wait(void *poller, struct zmq_event *event, long timeout_ms)
{
    const struct zmq_user *u = zmq_user_of(CALLER);
    if (!u->zmq.poller_wait)
        return NO_LIBZMQ;
    struct zmq_wait w = {.asked = poller && !zmq_depth ? waited_for(poller) : 0};
    if (!w.asked)
        return call_wait(u, poller, event, timeout_ms);
    zmq_wait_begin(&w);
    int error = call_wait(u, poller, event, 0);
    bool empty = error && (errno == EAGAIN || errno == ETIMEDOUT);
    if (error && !empty)
        return error;
    w.readable = empty ? 0 : w.asked;
    if (!zmq_wait_tried(&w, empty, timeout_ms != 0))
        return error;
    error = call_wait(u, poller, event, timeout_ms);
    w.readable = error ? 0 : w.asked;
    zmq_wait_ended(&w);
    return error;
}
