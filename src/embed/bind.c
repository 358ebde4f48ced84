/* SPDX-License-Identifier: MPL-2.0 */
/* The part of a gate in a program that knows libzmq. */
#include "lib/common.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <weir/gate.h>
#include <zmq.h>

/* NULL: it has no gate. ZMQ_STREAM speaks no ZMTP, and drafts have rules of their own. */
static const char *name_of_type(int type)
{
    switch (type) {
    case ZMQ_PAIR:
        return "pair";
    case ZMQ_PUB:
        return "pub";
    case ZMQ_SUB:
        return "sub";
    case ZMQ_REQ:
        return "req";
    case ZMQ_REP:
        return "rep";
    case ZMQ_DEALER:
        return "dealer";
    case ZMQ_ROUTER:
        return "router";
    case ZMQ_PULL:
        return "pull";
    case ZMQ_PUSH:
        return "push";
    case ZMQ_XPUB:
        return "xpub";
    case ZMQ_XSUB:
        return "xsub";
    default:
        return NULL;
    }
}

/* What the socket tells about itself. 0 or a negative errno. */
static int bind_learn(void *socket, struct weir_gate_options *o)
{
    int type = 0;
    int64_t most = -1;
    size_t type_len = sizeof(type), most_len = sizeof(most);
    if (zmq_getsockopt(socket, ZMQ_TYPE, &type, &type_len) < 0 ||
        zmq_getsockopt(socket, ZMQ_MAXMSGSIZE, &most, &most_len) < 0)
        return -zmq_errno();
    o->socket = name_of_type(type);
    if (most > 0 && (!o->message_max || (uint64_t)most < o->message_max))
        o->message_max = (uint64_t)most;
    return o->socket ? 0 : -ENOTSUP;
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
    weir_gate_options_init(&o);
    int error = common_options(&o, given, sizeof(o), sizeof(o)) ? bind_learn(socket, &o) : -EINVAL;
    struct weir_gate *g = error ? NULL : weir_gate_new(&o);
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
