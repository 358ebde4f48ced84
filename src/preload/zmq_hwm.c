/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/zmq_hwm.h"

#include "preload/preload_say.h"

#include <stdlib.h>
#include <unistd.h>

#define TCP "tcp://"
#define IPC "ipc://"

/* ---- lines ---- */

/* A mark of the program's own has given way. */
static void tell_replaced(const char *name, const char *endpoint, int mark, int before)
{
    static _Atomic bool said;
    if (before != mark && before != API_HWM_DEFAULT)
        preload_say_once(&said, "--hwm: process %d has set %s %d for %s: %d is in force", (int)getpid(), name, before,
                         endpoint, mark);
}

void zmq_hwm_unreached(const struct setting *s, uint16_t port)
{
    static _Atomic bool said;
    if (hwm_rules_find(&s->marks, port))
        preload_say_once(&said,
                         "warning: --hwm has no effect in process %d: its libzmq is out of reach (linked in "
                         "statically, looked up with dlsym, or not libzmq); set the high-water marks in the program",
                         (int)getpid());
}

/* ---- marks ---- */

/* The port of an endpoint of tcp://; 0: the kernel chooses it. -1: it is no such endpoint. */
static int port_named(const char *endpoint)
{
    if (!endpoint || strncmp(endpoint, TCP, sizeof(TCP) - 1) != 0)
        return -1;
    const char *colon = strrchr(endpoint, ':');
    unsigned long port = strtoul(colon + 1, NULL, 10);
    return port <= UINT16_MAX ? (int)port : -1;
}

static const struct hwm_rule *rule_of(const char *endpoint)
{
    const struct setting *s = setting_get();
    int port = port_named(endpoint);
    if (!s || !s->marks.count)
        return NULL;
    if (s->ipc && endpoint && strncmp(endpoint, IPC, sizeof(IPC) - 1) == 0)
        return hwm_rules_find(&s->marks, HWM_RULE_IPC);
    if (port < 0)
        return NULL;
    const struct hwm_rule *r = hwm_rules_find(&s->marks, port);
    return r && !r->port && port && setting_names(s, -port) ? NULL : r;
}

static int get_option(const struct zmq_library *zmq, void *socket, int option)
{
    int value = -1;
    size_t len = sizeof(value);
    return zmq->getsockopt(socket, option, &value, &len) == 0 ? value : -1;
}

/* Returns what it was, or -1. */
static int set_mark(const struct zmq_library *zmq, void *socket, int option, int mark)
{
    int before = get_option(zmq, socket, option);
    if (before < 0 || zmq->setsockopt(socket, option, &mark, sizeof(mark)) < 0)
        return -1;
    return before;
}

/* Whether its receive mark counts messages. */
static bool counts_received(int type)
{
    return type != API_PUB && type != API_XPUB && type != API_PUSH;
}

/* The same of its send mark. */
static bool counts_sent(int type)
{
    return type != API_SUB && type != API_XSUB && type != API_PULL;
}

void zmq_hwm_set(const struct zmq_library *zmq, void *socket, const char *endpoint, struct hwm_before *ret)
{
    *ret = (struct hwm_before){-1, -1};
    const struct hwm_rule *r = rule_of(endpoint);
    int before = errno, type = r && zmq->getsockopt && zmq->setsockopt ? get_option(zmq, socket, API_TYPE) : -1;
    if (type >= 0 && type < API_STREAM) {
        if (r->receive && counts_received(type))
            ret->receive = set_mark(zmq, socket, API_RCVHWM, r->receive);
        if (r->send && counts_sent(type))
            ret->send = set_mark(zmq, socket, API_SNDHWM, r->send);
    }
    if (ret->receive >= 0)
        tell_replaced("ZMQ_RCVHWM", endpoint, r->receive, ret->receive);
    if (ret->send >= 0)
        tell_replaced("ZMQ_SNDHWM", endpoint, r->send, ret->send);
    errno = before;
}

void zmq_hwm_put_back(const struct zmq_library *zmq, void *socket, const struct hwm_before *before)
{
    int error = errno;
    if (before->receive >= 0)
        (void)zmq->setsockopt(socket, API_RCVHWM, &before->receive, sizeof(before->receive));
    if (before->send >= 0)
        (void)zmq->setsockopt(socket, API_SNDHWM, &before->send, sizeof(before->send));
    errno = error;
}
