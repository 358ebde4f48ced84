/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/listener.h"

#include "base/log.h"
#include "loop/net.h"
#include "relay/give_way.h"
#include "relay/half_open.h"
#include "relay/newcomer.h"
#include "relay/proxied.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Connections accepted in one turn, so that a storm of newcomers does not hold up other work. */
#define ACCEPTS_A_TURN 8

/* The time until the next try when the system has no descriptor or memory for a newcomer. */
#define ACCEPT_AGAIN_NS (100 * NS_PER_MS)

static void take(struct worker_gate *wg, int fd, const struct addr *addr)
{
    cell_add(wg->cells, CELL_ACCEPTED, 1);
    if (UNLIKELY(networks_contain(&wg->policy->config->balancers, addr)))
        proxied_take(wg, fd, addr);
    else
        newcomer_welcome(wg, fd, addr, false);
}

static void accept_later(struct worker_gate *wg, int error)
{
    gate_count_verdict(wg->gate, wg->worker->index, VERDICT_NO_DESCRIPTORS, 1);
    LOG_LIMITED(&wg->gate->notices.verdicts[VERDICT_NO_DESCRIPTORS], wg->worker->loop.now_ns, LOG_LEVEL_WARN,
                "gate %s: cannot accept now (%s); newcomers wait in the kernel's queue", wg->gate->config->name,
                strerror(error));
    timer_arm(&wg->worker->loop.timers, &wg->accept_again.timer, wg->worker->loop.now_ns + ACCEPT_AGAIN_NS);
}

/* No unfinished handshake makes room: newcomers wait in the kernel until one is over, or makes room. */
static void wait_for_room(struct worker_gate *wg)
{
    wg->half_open.crowded_out = true;
    timer_arm(&wg->worker->loop.timers, &wg->accept_again.timer, wg->worker->loop.now_ns + HALF_OPEN_CROWDED_NS);
}

static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* accept() reports that descriptors are out before it checks whether a connection waits. */
static bool somebody_waits(const struct worker_gate *wg)
{
    struct pollfd p = {.fd = wg->listener.fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

void listener_on_event(struct worker_gate *wg)
{
    struct addr addr;
    for (int i = 0; i < ACCEPTS_A_TURN && wg->listener.fd >= 0; i++) {
        if (give_way_is_crowded(wg)) {
            wait_for_room(wg);
            return;
        }
        int fd = net_accept(wg->listener.fd, wg->gate->listen.endpoint.kind, &addr);
        if (fd == -EAGAIN || (fd == -EMFILE && !somebody_waits(wg)))
            return;
        if (fd == -EMFILE && newcomer_one_gives_way(wg))
            continue;
        if (is_shortage(fd)) {
            accept_later(wg, -fd);
            return;
        }
        /* Any other error concerns one newcomer that is gone already. */
        if (fd >= 0)
            take(wg, fd, &addr);
    }
    /* More may be waiting, and an edge is reported only once: go on after the others' turn. */
    if (wg->listener.fd >= 0)
        timer_arm(&wg->worker->loop.timers, &wg->accept_again.timer, wg->worker->loop.now_ns);
}

void listener_on_alarm(struct alarm *a)
{
    struct worker_gate *wg = (struct worker_gate *)(void *)((char *)a - offsetof(struct worker_gate, accept_again));
    listener_on_event(wg);
}

void listener_stop(struct worker_gate *wg)
{
    if (wg->listener.fd >= 0)
        close(wg->listener.fd);
    wg->listener.fd = -1;
    timer_disarm(&wg->accept_again.timer);
}
