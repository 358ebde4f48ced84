/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/listener.h"

#include "base/log.h"
#include "relay/banned.h"
#include "relay/entry.h"
#include "relay/event_log.h"
#include "relay/health.h"
#include "relay/memory.h"
#include "relay/net.h"
#include "relay/proxied.h"
#include "relay/session.h"
#include "relay/shadow.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Accepted in one turn, so that a storm of newcomers does not keep the others waiting. */
#define ACCEPTS_A_TURN 8

/* When the system has no descriptor or memory for a newcomer, the next try. */
#define ACCEPT_AGAIN_NS (100 * NS_PER_MS)

void listener_note_refusal(struct worker_gate *wg, const struct addr *addr, enum verdict v, enum event_deed done)
{
    char who[ADDR_TEXT_MAX];
    gate_count_verdict(wg->gate, wg->worker->index, v, 1);
    event_log_refused(wg, addr, v, done);
    LOG_LIMITED(&wg->gate->notices[v], wg->worker->now_ns, LOG_LEVEL_INFO, "gate %s: newcomer %s refused: %s (%s)",
                wg->gate->config->name, addr_format(who, sizeof(who), addr), verdict_info(v)->sentence,
                verdict_info(v)->label);
}

/* Makes room when the gate is full: the source that holds most gives way, unless that is the newcomer's own, or holds
 * no more than it would. False: refuse the newcomer. */
static bool make_room(struct worker_gate *wg, const struct source *source)
{
    if (atomic_load(&wg->gate->open) < atomic_load(&wg->gate->max_connections))
        return true;
    struct peer *heaviest = peer_heaviest(wg);
    uint32_t mine = atomic_load(&source->refs); /* the newcomer's reference included */
    if (!heaviest || heaviest->source == source || atomic_load(&heaviest->source->refs) <= mine)
        return false;
    session_close(LIST_ENTRY(heaviest->sessions.prev, struct session, in_peer), VERDICT_GIVE_WAY);
    return true;
}

static enum verdict admit(struct worker_gate *wg, const struct source *source)
{
    const struct limits *l = wg->policy->for_lot[gate_lot(wg->gate, source)];
    if (health_refuses(wg))
        return VERDICT_BREAKER_OPEN;
    if (l->source.connections != 0 && atomic_load(&source->refs) > l->source.connections)
        return VERDICT_TOO_MANY_CONNECTIONS;
    if (entry_is_full(wg, source))
        return VERDICT_OVER_CONNECTION_RATE;
    if (!memory_admits(wg, source))
        return VERDICT_MEMORY_PRESSURE;
    return make_room(wg, source) ? VERDICT_PASS : VERDICT_TABLE_FULL;
}

void listener_welcome(struct worker_gate *wg, int fd, const struct addr *addr, bool of_balancer)
{
    struct gate *g = wg->gate;
    uint64_t until_ns;
    if (!of_balancer && banned_is(wg, addr, &until_ns)) {
        bool kept = banned_receive(wg, fd, addr, until_ns);
        listener_note_refusal(wg, addr, VERDICT_BANNED, kept ? EVENT_DEED_TARPITTED : EVENT_DEED_CLOSED);
        return;
    }
    shadow_banned(wg, addr);
    struct source *source = source_acquire(g->sources, source_key_of(addr), wg->worker->now_ns);
    enum verdict v = admit(wg, source);
    if (v == VERDICT_PASS) {
        session_accept(wg, fd, addr, source, of_balancer);
        return;
    }
    listener_note_refusal(wg, addr, v, EVENT_DEED_REFUSED);
    source_release(source);
    close(fd);
}

static void take(struct worker_gate *wg, int fd, const struct addr *addr)
{
    cell_add(wg->cells, CELL_ACCEPTED, 1);
    if (UNLIKELY(networks_contain(&wg->policy->config->balancers, addr)))
        proxied_take(wg, fd, addr);
    else
        listener_welcome(wg, fd, addr, false);
}

static void accept_later(struct worker_gate *wg, int error)
{
    gate_count_verdict(wg->gate, wg->worker->index, VERDICT_NO_DESCRIPTORS, 1);
    LOG_LIMITED(&wg->gate->notices[VERDICT_NO_DESCRIPTORS], wg->worker->now_ns, LOG_LEVEL_WARN,
                "gate %s: cannot accept now (%s); newcomers wait in the kernel's queue", wg->gate->config->name,
                strerror(error));
    timer_arm(&wg->worker->timers, &wg->accept_again.timer, wg->worker->now_ns + ACCEPT_AGAIN_NS);
}

static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

void listener_on_event(struct worker_gate *wg)
{
    struct addr addr;
    for (int i = 0; i < ACCEPTS_A_TURN && wg->listener.fd >= 0; i++) {
        int fd = net_accept(wg->listener.fd, wg->gate->listen.kind, &addr);
        if (fd == -EAGAIN)
            return;
        if (is_shortage(fd)) {
            accept_later(wg, -fd);
            return;
        }
        /* Anything else concerns one newcomer that is gone already. */
        if (fd >= 0)
            take(wg, fd, &addr);
    }
    /* More may be waiting, and an edge is told only once: go on after the others' turn. */
    if (wg->listener.fd >= 0)
        timer_arm(&wg->worker->timers, &wg->accept_again.timer, wg->worker->now_ns);
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
