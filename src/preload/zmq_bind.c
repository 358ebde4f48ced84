/* SPDX-License-Identifier: MPL-2.0 */
/*
 * ZMQ_STREAM sockets speak no ZMTP, so they have no gate. zmq_bind() listens on the thread that calls it.
 */
#include "preload/moved.h"
#include "preload/zmq_library.h"

#include <errno.h>

INTERPOSED int zmq_bind(void *socket, const char *endpoint);

static bool is_stream(const struct zmq_library *zmq, void *socket)
{
    int type = -1, before = errno;
    size_t len = sizeof(type);
    bool stream = zmq->getsockopt && zmq->getsockopt(socket, API_TYPE, &type, &len) == 0 && type == API_STREAM;
    errno = before;
    return stream;
}

INTERPOSED int zmq_bind(void *socket, const char *endpoint)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->bind) {
        errno = ENOSYS;
        return -1;
    }
    bool stream = is_stream(zmq, socket);
    moved_leave(stream);
    int result = zmq->bind(socket, endpoint);
    moved_leave(false);
    return result;
}
