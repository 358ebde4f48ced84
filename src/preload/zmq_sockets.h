/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What zmq_bind() and listen() have in common under `weir run` and `weir count`: a libzmq is noticed that opens a
 * listening socket though the application has not called the zmq_bind() that is replaced.
 */
#ifndef WEIR_PRELOAD_ZMQ_SOCKETS_H
#define WEIR_PRELOAD_ZMQ_SOCKETS_H

#include "preload/zmq_library.h"

/* libzmq's zmq_bind(). */
int zmq_sockets_bind(const struct zmq_library *zmq, void *socket, const char *endpoint);

/* Whether this thread is within it. */
bool zmq_sockets_is_binding(void);

/* listen() was called from the code at `caller`. errno stays. */
void zmq_sockets_listens(const void *caller);

#endif
