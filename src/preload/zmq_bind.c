/* SPDX-License-Identifier: MPL-2.0 */
/*
 * zmq_bind() under `weir run`: the socket counts for the gate that opens meanwhile, and the gate is told what libzmq
 * says of it. zmq_bind() listens on the thread that calls it. What is no ZMTP over TCP has no gate. Before it binds,
 * the socket gets the high-water marks of --hwm.
 */
#include "preload/moved.h"
#include "preload/noted.h"
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

static int type_of(const struct socket_options *o)
{
    int64_t type = -1;
    (void)socket_options_get(o, SOCKET_OPTION_TYPE, &type);
    return (int)type;
}

static uint32_t version_of(const struct zmq_library *zmq)
{
    int major = 0, minor = 0, patch = 0;
    if (zmq->version)
        zmq->version(&major, &minor, &patch);
    return socket_options_version(major, minor, patch);
}

/* errno stays. */
static void ask_socket(struct socket_options *ret, const struct zmq_library *zmq, void *socket)
{
    int before = errno;
    *ret = (struct socket_options){0};
    if (zmq->getsockopt)
        socket_options_read(ret, zmq->getsockopt, socket);
    socket_options_set(ret, SOCKET_OPTION_ROUTER_HANDOVER, noted_is_on(NOTED_ROUTER_HANDOVER, socket));
    ret->version = version_of(zmq);
    errno = before;
}

INTERPOSED int zmq_bind(void *socket, const char *endpoint)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->bind) {
        errno = ENOSYS;
        return -1;
    }
    struct hwm_before marks;
    struct socket_options told;
    zmq_hwm_set(zmq, socket, endpoint, &marks);
    ask_socket(&told, zmq, socket);
    enum ungated why = ungated_why(type_of(&told), endpoint);
    if (why == UNGATED_NOTHING && noted_is_on(NOTED_ROUTER_RAW, socket))
        why = UNGATED_RAW;
    (void)moved_gate(); /* of another socket */
    moved_leave(why);
    moved_tell(&told);
    int result = zmq_sockets_bind(zmq, socket, endpoint);
    moved_tell(NULL);
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
