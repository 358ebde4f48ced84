/* SPDX-License-Identifier: MPL-2.0 */
/*
 * zmq_bind() under `weir run`: the socket counts for the gate that opens meanwhile. zmq_bind() listens on the thread
 * that calls it. What is no ZMTP over TCP has no gate. Before it binds, the socket gets the high-water marks of --hwm.
 */
#include "preload/moved.h"
#include "preload/taken_sockets.h"
#include "preload/zmq_hwm.h"
#include "preload/zmq_sockets.h"

#include <errno.h>

INTERPOSED int zmq_bind(void *socket, const char *endpoint);

__attribute__((constructor)) static void count_for_gates(void)
{
    if (setting_get())
        taken_sockets_count_for_gates(moved_count_at);
}

static int type_of(const struct zmq_library *zmq, void *socket)
{
    int type = -1, before = errno;
    size_t len = sizeof(type);
    bool known = zmq->getsockopt && zmq->getsockopt(socket, API_TYPE, &type, &len) == 0;
    errno = before;
    return known ? type : -1;
}

INTERPOSED int zmq_bind(void *socket, const char *endpoint)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->bind) {
        errno = ENOSYS;
        return -1;
    }
    struct hwm_before marks;
    enum ungated why = ungated_why(type_of(zmq, socket), endpoint);
    (void)moved_gate(); /* of another socket */
    moved_leave(why);
    zmq_hwm_set(zmq, socket, endpoint, &marks);
    int result = zmq_sockets_bind(zmq, socket, endpoint);
    moved_leave(UNGATED_NOTHING);
    if (result) {
        zmq_hwm_put_back(zmq, socket, &marks);
        return result;
    }
    if (setting_get() && why >= UNGATED_UDP)
        ungated_say(why);
    taken_sockets_bound(zmq, socket, endpoint, moved_gate());
    return 0;
}
