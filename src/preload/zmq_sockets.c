/* SPDX-License-Identifier: MPL-2.0 */
/*
 * libzmq's functions by which a socket ceases to count: zmq_unbind(), zmq_close(), and those that take its messages
 * unseen (zmq_proxy() and its kin). zmq_bind() is in zmq_bind.c for `weir run`, in zmq_bind_counted.c for `weir count`.
 */
#include "preload/zmq_sockets.h"

#include "preload/caller.h"
#include "preload/noted.h"
#include "preload/taken_sockets.h"

#include <dlfcn.h>
#include <errno.h>

INTERPOSED int zmq_unbind(void *socket, const char *endpoint);
INTERPOSED int zmq_close(void *socket);
INTERPOSED int zmq_proxy(void *frontend, void *backend, void *capture);
INTERPOSED int zmq_proxy_steerable(void *frontend, void *backend, void *capture, void *control);
INTERPOSED int zmq_device(int type, void *frontend, void *backend);

static __thread bool is_binding; /* within zmq_bind() */

int zmq_sockets_bind(const struct zmq_library *zmq, void *socket, const char *endpoint)
{
    is_binding = true;
    int result = zmq->bind(socket, endpoint);
    is_binding = false;
    return result;
}

bool zmq_sockets_is_binding(void)
{
    return is_binding;
}

int zmq_unbind(void *socket, const char *endpoint)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->unbind)
        return NO_LIBZMQ;
    int error = zmq->unbind(socket, endpoint);
    if (!error)
        taken_sockets_unbound(zmq, socket, endpoint);
    return error;
}

int zmq_close(void *socket)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->close)
        return NO_LIBZMQ;
    taken_sockets_closing(socket);
    noted_forget(socket);
    return zmq->close(socket);
}

/* ---- messages are taken unseen ---- */

static void lend(void *frontend, void *backend)
{
    zmq_depth++;
    taken_sockets_lend(frontend);
    taken_sockets_lend(backend);
}

static void take_back(void *frontend, void *backend)
{
    zmq_depth--;
    taken_sockets_return(frontend);
    taken_sockets_return(backend);
}

int zmq_proxy(void *frontend, void *backend, void *capture)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->proxy)
        return NO_LIBZMQ;
    lend(frontend, backend);
    int error = zmq->proxy(frontend, backend, capture);
    take_back(frontend, backend);
    return error;
}

int zmq_proxy_steerable(void *frontend, void *backend, void *capture, void *control)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->proxy_steerable)
        return NO_LIBZMQ;
    lend(frontend, backend);
    int error = zmq->proxy_steerable(frontend, backend, capture, control);
    take_back(frontend, backend);
    return error;
}

int zmq_device(int type, void *frontend, void *backend)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->device)
        return NO_LIBZMQ;
    lend(frontend, backend);
    int error = zmq->device(type, frontend, backend);
    take_back(frontend, backend);
    return error;
}

/* ---- a libzmq that is out of reach ---- */

void zmq_sockets_listens(const void *caller)
{
    Dl_info at;
    int before = errno;
    if (!is_binding && caller_is_libzmq(caller) && dladdr(caller, &at) && at.dli_fname &&
        !zmq_library_is_weirs(at.dli_fname))
        taken_sockets_unreached(at.dli_fname);
    errno = before;
}
