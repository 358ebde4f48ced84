/* SPDX-License-Identifier: MPL-2.0 */
/*
 * zmq_bind() under `weir count`: the socket begins to count.
 */
#include "preload/taken_sockets.h"
#include "preload/zmq_sockets.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

INTERPOSED int zmq_bind(void *socket, const char *endpoint);

int zmq_bind(void *socket, const char *endpoint)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->bind)
        return NO_LIBZMQ;
    int error = zmq_sockets_bind(zmq, socket, endpoint);
    if (!error)
        taken_sockets_bound(zmq, socket, endpoint, 0);
    return error;
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
    zmq_sockets_listens(CALLER);
    if (!next)
        next = no_listen;
    return next(fd, backlog);
}
