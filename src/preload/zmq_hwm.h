/* SPDX-License-Identifier: MPL-2.0 */
/*
 * `weir run --hwm`: sets ZMQ_RCVHWM and ZMQ_SNDHWM of a socket before it binds a TCP port, or with --ipc a Unix socket.
 * libzmq copies both into the listener when it binds, and from there into each connection.
 *
 * The operator's mark takes the place of what the program has set before, or its default, and stays for what the socket
 * binds or connects afterwards. What the program sets after it has bound is its own. With SUB and XSUB the send mark,
 * and with PUB and XPUB the receive mark, count subscriptions, which would be lost: they are left alone.
 *
 * Threads: any; no lock. One line at most for each process and each kind of news.
 */
#ifndef WEIR_PRELOAD_ZMQ_HWM_H
#define WEIR_PRELOAD_ZMQ_HWM_H

#include "preload/setting.h"
#include "preload/zmq_library.h"

/* What the socket had before; -1: that was not changed. */
struct hwm_before {
    int receive, send;
};

/* `endpoint` is about to be bound. errno stays. */
void zmq_hwm_set(const struct zmq_library *zmq, void *socket, const char *endpoint, struct hwm_before *ret);

/* It could not be bound. errno stays. */
void zmq_hwm_put_back(const struct zmq_library *zmq, void *socket, const struct hwm_before *before);

/* `port` gets a gate, and libzmq cannot be reached there: says so if it was to have marks. errno stays. */
void zmq_hwm_unreached(const struct setting *s, uint16_t port);

#endif
