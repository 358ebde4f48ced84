/* SPDX-License-Identifier: MPL-2.0 */
/*
 * zmq_setsockopt() under `weir run`: notes what zmq_getsockopt() does not tell (noted.h).
 */
#include "preload/noted.h"
#include "preload/zmq_library.h"

#include <string.h>

INTERPOSED int zmq_setsockopt(void *socket, int option, const void *value, size_t bytes);

static void note_if_on(enum noted what, void *socket, const void *value, size_t bytes)
{
    int on = 0;
    if (bytes != sizeof(on))
        return;
    memcpy(&on, value, sizeof(on));
    noted_set(what, socket, on != 0);
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t bytes)
{
    const struct zmq_library *zmq = &zmq_user_of(CALLER)->zmq;
    if (!zmq->setsockopt)
        return NO_LIBZMQ;
    int error = zmq->setsockopt(socket, option, value, bytes);
    if (!error && option == API_ROUTER_HANDOVER)
        note_if_on(NOTED_ROUTER_HANDOVER, socket, value, bytes);
    if (!error && option == API_ROUTER_RAW)
        note_if_on(NOTED_ROUTER_RAW, socket, value, bytes);
    return error;
}
