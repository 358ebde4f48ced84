/* SPDX-License-Identifier: MPL-2.0 */
#include "loop/net.h"
#include "relay/relay_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

static int share_descriptor(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? -errno : copy;
}

static void listener_is_up(struct gate *g)
{
    endpoint_format(g->listen.text, sizeof(g->listen.text), &g->listen.endpoint);
    atomic_store(&g->listen.up, true);
}

int relay_share_listener(struct relay *r, size_t gate, int fd)
{
    for (unsigned i = 0; i < r->worker_count; i++) {
        struct worker_gate *wg = &r->workers[i]->gates[gate];
        if (i > 0)
            fd = share_descriptor(r->workers[0]->gates[gate].listener.fd);
        if (fd < 0)
            return fd;
        wg->listener.fd = fd;
        int error = loop_watch(&r->workers[i]->loop, &wg->listener, EPOLLIN | EPOLLEXCLUSIVE);
        if (error < 0)
            return error;
    }
    listener_is_up(&r->gates[gate]);
    return 0;
}

/* Each worker has a listener of its own, and the kernel spreads newcomers. */
static int listen_each(struct relay *r, size_t gate)
{
    struct gate *g = &r->gates[gate];
    int fd = net_listen(&g->listen.endpoint, true, true);
    for (unsigned i = 0; i < r->worker_count; i++) {
        struct worker_gate *wg = &r->workers[i]->gates[gate];
        if (i > 0)
            fd = net_listen(&g->listen.endpoint, false, true);
        if (fd < 0)
            return fd;
        wg->listener.fd = fd;
        int error = loop_watch(&r->workers[i]->loop, &wg->listener, EPOLLIN);
        if (error < 0)
            return error;
    }
    listener_is_up(g);
    return 0;
}

int relay_listen(struct relay *r, size_t gate)
{
    struct endpoint *e = &r->gates[gate].listen.endpoint;
    if (e->kind == ENDPOINT_TCP && r->worker_count > 1)
        return listen_each(r, gate);
    int fd = net_listen(e, true, false);
    return fd < 0 ? fd : relay_share_listener(r, gate, fd);
}
