/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The pool's side of a ZeroMQ socket: a message becomes a task, a task's reply goes out on its envelope. All of it is
 * for the thread that has the socket. Nothing here blocks.
 */
#ifndef WEIR_LIB_POOL_SOCKET_H
#define WEIR_LIB_POOL_SOCKET_H

#include "lib/task.h"

struct pool_socket {
    void *socket;
    int type;              /* ZMQ_ROUTER, ... */
    uint32_t frames_most;  /* of a message */
    bool all_before_empty; /* WEIR_POOL_ENVELOPE_ALL */
    enum weir_pool_peer peer_property;
    const void *busy; /* NULL: no reply to what is shed */
    size_t busy_size;
};

/* Finds out the type. 0, -ENOTSOCK, or -ENOTSUP. */
MUST_USE int pool_socket_init(struct pool_socket *s, void *socket);

/* Whether the socket can send replies. */
MUST_USE bool pool_socket_replies(const struct pool_socket *s);

/* Receives a message. 0, with a task of the caller's. -EAGAIN: there is none. -E2BIG, -ENOMEM: it was dropped, and a
 * REP has answered. Others: the socket has failed. */
MUST_USE int pool_socket_receive(struct pool_socket *s, uint64_t now_ns, struct weir_task **ret);

/* Writes the key of the task's source by its address: X-Weir-Peer (if it is believed), Peer-Address, or a routing id.
 * Returns its size, WEIR_POOL_KEY_MAX at most. */
MUST_USE size_t pool_socket_key(struct pool_socket *s, struct weir_task *t, char *key);

/* Sends the task's reply, or what is said of a task that was shed. 1: sent; 0: there is nothing to say; -EAGAIN: a
 * DEALER has no room: try again when the socket is writable. Others: it is lost. */
MUST_USE int pool_socket_answer(struct pool_socket *s, struct weir_task *t);

/* Tells the client of a running task that it is late; results as above. The task keeps its envelope. */
MUST_USE int pool_socket_say_busy(struct pool_socket *s, struct weir_task *t);

#endif
