/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The sockets that count, and the counter (weir/taken.h) of each. A tally belongs to one rule (taken_rules.h) and
 * counts one socket at a time.
 *
 * Threads: a counter is used by the thread that has its socket, as libzmq demands of the socket itself. Tallies begin
 * and end under the lock of taken_sockets.c. Finding one takes no lock: it is in the path of each message.
 * Memory: fixed, but for the counters.
 */
#ifndef WEIR_PRELOAD_TAKEN_TALLY_H
#define WEIR_PRELOAD_TAKEN_TALLY_H

#include "preload/taken_rules.h"
#include "preload/zmq_library.h"

#include <weir/taken.h>

struct taken_tally {
    void *_Atomic socket; /* NULL or its own address: none now */
    struct weir_taken *counter;
    const struct zmq_library *zmq;                       /* of the socket */
    int (*msg_recv)(void *msg, void *socket, int flags); /* of `zmq` */
    long more_at;                                        /* of `zmq` */
    unsigned run; /* so many messages may be taken before the counter is told of them all */
    unsigned run_length;
    int flags;  /* of the call in a run */
    bool by_fd; /* the application waits for messages by ZMQ_FD: when it finds none, it goes to wait elsewhere */
};

/* One for each rule. This object exists once in a process, and so do they. */
extern struct taken_tally taken_tallies[TAKEN_RULES_MOST];
extern _Atomic unsigned taken_tallies_used;

/* The tally of the socket; NULL: it does not count. */
static inline struct taken_tally *taken_tally_of(const void *socket)
{
    unsigned used = atomic_load_explicit(&taken_tallies_used, memory_order_relaxed);
    for (unsigned i = 0; i < used; i++)
        if (atomic_load_explicit(&taken_tallies[i].socket, memory_order_acquire) == socket)
            return socket ? &taken_tallies[i] : NULL;
    return NULL;
}

/* Tells the counter of the messages of this run. Before anything else is told. */
static inline void taken_tally_settle(struct taken_tally *t)
{
    if (!t->run_length)
        return;
    weir_taken_took_quickly(t->counter, t->run_length - t->run);
    t->run = t->run_length = 0;
}

/* `counter` is taken over. */
void taken_tally_count(unsigned rule, struct weir_taken *counter, const struct zmq_library *zmq, void *socket);

/* 0, or -errno of weir_taken_open(). Blocks for a second at most. */
int taken_tally_begin(unsigned rule, const char *path, const struct zmq_library *zmq, void *socket);

/* By the thread that has the socket. */
void taken_tally_end(unsigned rule);

/* By another thread: the thread that has the socket may be using the counter now. So the counter says to Weir that it
 * has gone, and its memory stays. */
void taken_tally_abandon(unsigned rule);

/* In the child after fork(2): the counter stays the parent's. */
void taken_tally_forget(unsigned rule);

#endif
