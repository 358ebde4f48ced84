/* SPDX-License-Identifier: MPL-2.0 */
/*
 * libzmq's functions that receive. Each does what libzmq's does, with its results and errno. If the socket counts, it
 * first tries without waiting, so that it is known when the application finds nothing. A message counts with its last
 * part.
 *
 * They stand in the path of each message. A socket that does not count costs a comparison for each tally. Where
 * messages follow one another within microseconds, the counter is told of some at a time: a run, which ends as soon as
 * the application finds nothing or waits in another way.
 */
#include "preload/taken_tally.h"
#include "preload/zmq_library.h"

#define UNLIKELY(x) __builtin_expect(!!(x), 0)

INTERPOSED int zmq_recv(void *socket, void *buffer, size_t bytes, int flags);
INTERPOSED int zmq_recvmsg(void *socket, void *msg, int flags);
INTERPOSED int zmq_recviov(void *socket, struct iovec *parts, size_t *count, int flags);
INTERPOSED int zmq_msg_recv(void *msg, void *socket, int flags);

/* The application asks without waiting and finds nothing; errno is EAGAIN. Returns whether it will wait in the call. */
static bool found_nothing(struct taken_tally *t, int flags)
{
    bool waits = !(flags & API_DONTWAIT);
    weir_taken_found_nothing(t->counter, waits || t->by_fd);
    errno = EAGAIN;
    return waits;
}

/* A call that waits has ended without a message. */
static void waited_in_vain(struct taken_tally *t)
{
    int before = errno;
    weir_taken_found_nothing(t->counter, false);
    errno = before;
}

static void took_part(struct taken_tally *t, bool more)
{
    t->counter->within = more;
    if (more)
        return;
    weir_taken_took(t->counter);
    if (t->more_at >= 0)
        t->run = t->run_length = weir_taken_may_delay(t->counter);
}

/* The counter is told of this message. */
static __attribute__((noinline)) int receive_told(struct taken_tally *t, void *msg, void *socket, int flags)
{
    const struct zmq_library *zmq = t->zmq;
    taken_tally_settle(t);
    if (!t->counter->within)
        weir_taken_asked(t->counter);
    int n = zmq->msg_recv(msg, socket, flags | API_DONTWAIT);
    if (n < 0 && errno == EAGAIN && found_nothing(t, flags)) {
        n = zmq->msg_recv(msg, socket, flags);
        if (n < 0)
            waited_in_vain(t);
    }
    if (n >= 0)
        took_part(t, zmq->msg_more(msg) != 0);
    return n;
}

/* A run has found no message: it is asked once more, and the counter is told what that finds. */
static __attribute__((noinline)) int ran_out(struct taken_tally *t, void *msg, void *socket, int flags)
{
    return errno == EAGAIN ? receive_told(t, msg, socket, flags) : -1;
}

static inline int receive_counted(struct taken_tally *t, void *msg, void *socket, int flags)
{
    if (!t->run)
        return receive_told(t, msg, socket, flags);
    int n = t->zmq->msg_recv(msg, socket, flags | API_DONTWAIT);
    if (n < 0)
        return ran_out(t, msg, socket, flags);
    t->run -= !(((const unsigned char *)msg)[t->more_at] & 1);
    return n;
}

static __attribute__((noinline)) int receive_from(void *msg, void *socket, int flags, const void *caller)
{
    struct taken_tally *t = taken_tally_of(socket);
    if (t)
        return receive_counted(t, msg, socket, flags);
    const struct zmq_library *zmq = &zmq_user_of(caller)->zmq;
    return zmq->msg_recv ? zmq->msg_recv(msg, socket, flags) : NO_LIBZMQ;
}

static __attribute__((noinline)) int ran_out_first(void *msg)
{
    struct taken_tally *t = &taken_tallies[0];
    return ran_out(t, msg, atomic_load_explicit(&t->socket, memory_order_relaxed), t->flags);
}

/* A run of the first tally by the shortest way: some 20 instructions. Hence t->flags. What a tally has is read only
 * after its socket is known to be the caller's: other threads have the others. */
int zmq_msg_recv(void *msg, void *socket, int flags)
{
    struct taken_tally *t = &taken_tallies[0];
    if (UNLIKELY(atomic_load_explicit(&t->socket, memory_order_acquire) != socket || !t->run))
        return receive_from(msg, socket, flags, CALLER);
    t->flags = flags;
    int n = t->msg_recv(msg, socket, flags | API_DONTWAIT);
    if (UNLIKELY(n < 0))
        return ran_out_first(msg);
    if (!(((const unsigned char *)msg)[t->more_at] & 1))
        t->run--;
    return n;
}

/* By libzmq's definition the same as zmq_msg_recv(). Not libzmq's own function, since that calls zmq_msg_recv() above:
 * the message would count twice. */
int zmq_recvmsg(void *socket, void *msg, int flags)
{
    struct taken_tally *t = taken_tally_of(socket);
    if (t)
        return receive_counted(t, msg, socket, flags);
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    return zmq->recvmsg ? zmq->recvmsg(socket, msg, flags) : NO_LIBZMQ;
}

/* Does what libzmq's does, since that does not say whether more parts come. */
int zmq_recv(void *socket, void *buffer, size_t bytes, int flags)
{
    struct taken_tally *t = taken_tally_of(socket);
    if (!t) {
        const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
        return zmq->recv ? zmq->recv(socket, buffer, bytes, flags) : NO_LIBZMQ;
    }
    void *msg[API_MSG_WORDS];
    (void)t->zmq->msg_init(msg);
    int n = receive_counted(t, msg, socket, flags);
    if (n < 0) {
        int before = errno;
        (void)t->zmq->msg_close(msg);
        errno = before;
        return n;
    }
    size_t copied = (size_t)n < bytes ? (size_t)n : bytes;
    if (copied)
        memcpy(buffer, t->zmq->msg_data(msg), copied);
    (void)t->zmq->msg_close(msg);
    return n;
}

static bool has_more(const struct zmq_library *zmq, void *socket)
{
    int more = 0;
    size_t bytes = sizeof(more);
    return zmq->getsockopt(socket, API_RCVMORE, &more, &bytes) == 0 && more;
}

int zmq_recviov(void *socket, struct iovec *parts, size_t *count, int flags)
{
    struct taken_tally *t = taken_tally_of(socket);
    if (!t) {
        const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
        return zmq->recviov ? zmq->recviov(socket, parts, count, flags) : NO_LIBZMQ;
    }
    size_t room = count ? *count : 0;
    taken_tally_settle(t);
    if (!t->counter->within)
        weir_taken_asked(t->counter);
    int n = t->zmq->recviov(socket, parts, count, flags | API_DONTWAIT);
    if (n < 0 && errno == EAGAIN && found_nothing(t, flags)) {
        *count = room;
        n = t->zmq->recviov(socket, parts, count, flags);
        if (n < 0)
            waited_in_vain(t);
    }
    if (n > 0)
        took_part(t, has_more(t->zmq, socket));
    return n;
}
