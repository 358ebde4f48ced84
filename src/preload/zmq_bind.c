/* SPDX-License-Identifier: MPL-2.0 */
/*
 * zmq_bind() under `weir run`: the socket counts for the gate that opens meanwhile. zmq_bind() listens on the thread
 * that calls it. ZMQ_STREAM sockets speak no ZMTP, so they have no gate.
 */
#include "preload/moved.h"
#include "preload/taken_sockets.h"
#include "preload/zmq_sockets.h"

#include <errno.h>

INTERPOSED int zmq_bind(void *socket, const char *endpoint);

__attribute__((constructor)) static void count_for_gates(void)
{
    if (setting_get())
        taken_sockets_count_for_gates(moved_count_at);
}

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
    (void)moved_gate(); /* of another socket */
    moved_leave(stream);
    int result = zmq_sockets_bind(zmq, socket, endpoint);
    moved_leave(false);
    if (!result)
        taken_sockets_bound(zmq, socket, endpoint, moved_gate());
    return result;
}
