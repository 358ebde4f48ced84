/* SPDX-License-Identifier: MPL-2.0 */
/*
 * libzmq's functions by which a socket begins and ceases to count: zmq_bind(), zmq_unbind(), zmq_close(), and those
 * that take its messages unseen (zmq_proxy() and its kin).
 */
#include "preload/caller.h"
#include "preload/taken_sockets.h"

#include <errno.h>
#include <sys/socket.h>
#include <dlfcn.h>

INTERPOSED int zmq_bind(void *socket, const char *endpoint);
INTERPOSED int zmq_unbind(void *socket, const char *endpoint);
INTERPOSED int zmq_close(void *socket);
INTERPOSED int zmq_proxy(void *frontend, void *backend, void *capture);
INTERPOSED int zmq_proxy_steerable(void *frontend, void *backend, void *capture, void *control);
INTERPOSED int zmq_device(int type, void *frontend, void *backend);

#define NO_LIBZMQ (errno = ENOTSUP, -1)

static __thread bool is_binding; /* within zmq_bind() */

int zmq_bind(void *socket, const char *endpoint)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->bind)
        return NO_LIBZMQ;
    is_binding = true;
    int error = zmq->bind(socket, endpoint);
    is_binding = false;
    if (!error)
        taken_sockets_bound(zmq, socket, endpoint);
    return error;
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

static __attribute__((noinline)) void note_caller(const void *caller)
{
    Dl_info at;
    int before = errno;
    if (!is_binding && caller_is_libzmq(caller) && dladdr(caller, &at) && at.dli_fname)
        taken_sockets_unreached(at.dli_fname);
    errno = before;
}

static int no_listen(int fd, int backlog)
{
    return NO_LIBZMQ;
}

/* libc's, which libzmq calls in the thread that binds. So a libzmq is seen that the application reaches in another
 * way. The last call is a jump: the listen() of `weir run` may come next, and asks who calls, too. */
INTERPOSED int listen(int fd, int backlog)
{
    int (*next)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "listen");
    note_caller(CALLER);
    if (!next)
        next = no_listen;
    return next(fd, backlog);
}
