/* SPDX-License-Identifier: MPL-2.0 */
/*
 * zmq_setsockopt() under `weir run`: notes what zmq_getsockopt() does not tell (noted.h). ZMQ_ROUTER_HANDOVER is the
 * only option that matters to a gate and that libzmq heeds after zmq_bind() too, so the gates that are there are told.
 */
#include "preload/moved.h"
#include "preload/noted.h"
#include "preload/taken_sockets.h"
#include "preload/zmq_library.h"

#include <string.h>

INTERPOSED int zmq_setsockopt(void *socket, int option, const void *value, size_t bytes);

/* Endpoints of one socket. The gates of those beyond keep what they have. */
#define GATES_MOST 16u

static void tell_gates(const void *socket, bool on)
{
    uint32_t gates[GATES_MOST];
    unsigned count = taken_sockets_gates(socket, gates, GATES_MOST);
    for (unsigned i = 0; i < count; i++)
        moved_hand_over(gates[i], on);
}

/* Whether that is news. */
static bool note_if_on(enum noted what, void *socket, const void *value, size_t bytes)
{
    int on = 0;
    if (bytes != sizeof(on))
        return false;
    memcpy(&on, value, sizeof(on));
    bool before = noted_is_on(what, socket);
    noted_set(what, socket, on != 0);
    return before != (on != 0);
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t bytes)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->setsockopt)
        return NO_LIBZMQ;
    int error = zmq->setsockopt(socket, option, value, bytes);
    if (!error && option == API_ROUTER_HANDOVER && note_if_on(NOTED_ROUTER_HANDOVER, socket, value, bytes))
        tell_gates(socket, noted_is_on(NOTED_ROUTER_HANDOVER, socket));
    if (!error && option == API_ROUTER_RAW)
        (void)note_if_on(NOTED_ROUTER_RAW, socket, value, bytes);
    return error;
}
