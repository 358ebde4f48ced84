/* SPDX-License-Identifier: MPL-2.0 */
/* The part of a gate in a program that knows libzmq. */
#include "embed/gate_told.h"
#include "lib/common.h"
#include "zmtp/socket_type.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <weir/gate.h>
#include <zmq.h>

/* What the socket tells about itself. 0 or a negative errno: ZMQ_STREAM speaks no ZMTP, and drafts have rules of their
 * own. */
static int bind_learn(void *socket, struct socket_options *ret, struct weir_gate_options *o)
{
    int64_t type = 0;
    int major, minor, patch;
    socket_options_read(ret, zmq_getsockopt, socket);
    zmq_version(&major, &minor, &patch);
    ret->version = socket_options_version(major, minor, patch);
    if (!socket_options_get(ret, SOCKET_OPTION_TYPE, &type))
        return -zmq_errno();
    enum socket_type t = socket_type_told(ret);
    o->socket = socket_type_name(t);
    return t == SOCKET_AUTO ? -ENOTSUP : 0;
}

static int bind_open(struct weir_gate *g, void *socket, const char *endpoint)
{
    if (zmq_bind(socket, weir_gate_inside(g)) < 0)
        return -zmq_errno();
    int error = weir_gate_listen(g, endpoint);
    if (error)
        (void)zmq_unbind(socket, weir_gate_inside(g));
    return error;
}

struct weir_gate *weir_bind(void *socket, const char *endpoint, const struct weir_gate_options *given)
{
    struct weir_gate_options o;
    struct socket_options told;
    weir_gate_options_init(&o);
    int error = common_options(&o, given, sizeof(o), sizeof(o)) ? bind_learn(socket, &told, &o) : -EINVAL;
    struct weir_gate *g = error ? NULL : weir_gate_new(&o);
    if (g)
        gate_told(g, &told);
    if (!error)
        error = g ? bind_open(g, socket, endpoint) : -errno;
    if (!error)
        return g;
    weir_gate_free(g);
    errno = -error;
    return NULL;
}

void weir_unbind(struct weir_gate *g, void *socket)
{
    if (!g)
        return;
    weir_gate_close(g);
    if (socket)
        (void)zmq_unbind(socket, weir_gate_inside(g));
    weir_gate_free(g);
}
