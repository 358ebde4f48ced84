/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Finds the libzmq that a caller is linked with. A process may have several: the system's, and one under another name
 * in a Python wheel. Extension modules are loaded with RTLD_LOCAL, so RTLD_NEXT does not find what they are linked
 * with. So the object that the return address lies in is searched first, with its dependencies, then what follows the
 * preload object (RTLD_NEXT), then every loaded object.
 *
 * Threads: any; no locks. Two threads may find the same object at the same time, and then it stands in the list twice.
 * Memory: some 250 bytes for each object that calls libzmq, never freed. The object is kept loaded, since its addresses
 * are kept.
 */
#ifndef WEIR_PRELOAD_ZMQ_LIBRARY_H
#define WEIR_PRELOAD_ZMQ_LIBRARY_H

#include "preload/zmq_api.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The result of a replaced function that has no libzmq behind it. */
#define NO_LIBZMQ (errno = ENOTSUP, -1)

/* Its functions; one that it does not have is NULL. */
struct zmq_library {
    int more_at; /* the byte of zmq_msg_t whose lowest bit says that more parts follow; -1: not known */
#define X(result, name, arguments) result(*name) arguments;
    ZMQ_FUNCTIONS(X)
#undef X
};

/* An object of the process that calls libzmq. */
struct zmq_user {
    const struct zmq_user *next;
    uintptr_t from;
    size_t bytes;
    struct zmq_library zmq;
};

extern const struct zmq_user *_Atomic zmq_users;

const struct zmq_user *zmq_user_find(const void *caller);

/* Whether an object is one of those that Weir loads into programs, by its file name. */
bool zmq_library_is_weirs(const char *object);

/* The object that contains the address `caller`. Never NULL: without any libzmq its functions are NULL. */
static inline const struct zmq_user *zmq_user_of(const void *caller)
{
    const struct zmq_user *u = atomic_load_explicit(&zmq_users, memory_order_acquire);
    if (u && (uintptr_t)caller - u->from < u->bytes)
        return u;
    return zmq_user_find(caller);
}

/* Marks a function that takes the place of libzmq's or of libc's. */
#define INTERPOSED __attribute__((visibility("default")))
#define CALLER     __builtin_return_address(0)

/* Within libzmq's functions that call others of its functions, by names that lead here again: zmq_poll() asks for
 * ZMQ_FD and ZMQ_EVENTS, and zmq_proxy() polls. That is not the application's doing. */
extern __thread unsigned zmq_depth;

#endif
