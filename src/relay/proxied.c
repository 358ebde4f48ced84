/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/proxied.h"

#include "inspect/proxy_protocol.h"
#include "relay/newcomer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct proxied {
    struct watch watch;
    struct alarm alarm; /* its time is over, or another takes its place */
    struct worker_gate *wg;
    struct list in_gate;
    struct addr balancer;
};

/* The result for a connection, by the bytes that have arrived. */
enum outcome { WAITS, NAMED, WRONG, LEFT };

/* NAMED: the header was taken out of the socket. */
static enum outcome proxied_look(struct worker *w, int fd, struct proxy_protocol *ret)
{
    ssize_t n = recv(fd, w->loop.scratch, PROXY_PROTOCOL_MAX, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return WAITS;
    if (n <= 0)
        return LEFT;
    switch (proxy_protocol_parse((struct bytes){.at = w->loop.scratch, .len = (size_t)n}, ret)) {
    case PROXY_PROTOCOL_NEED:
        return WAITS;
    case PROXY_PROTOCOL_BAD:
        return WRONG;
    case PROXY_PROTOCOL_DONE:
        break;
    }
    return recv(fd, w->loop.scratch, ret->bytes, 0) == (ssize_t)ret->bytes ? NAMED : LEFT;
}

/* Handles a descriptor that is in no list any more. `p` NULL: the time for its header is over. */
static void decide(struct worker_gate *wg, int fd, const struct addr *balancer, enum outcome o,
                   const struct proxy_protocol *p)
{
    bool named = o == NAMED && p->client.kind != ADDR_NONE;
    if (wg->worker->drain_from_ns) {
        close(fd);
        return;
    }
    if (o == NAMED) {
        newcomer_welcome(wg, fd, named ? &p->client : balancer, !named);
        return;
    }
    /* A health check that only connects is not reported, however often it comes. */
    if (o == LEFT)
        gate_count_verdict(wg->gate, wg->worker->index, VERDICT_HANDSHAKE_ABANDONED, 1);
    else
        newcomer_note_refusal(wg, balancer, VERDICT_BAD_PROXY_HEADER, EVENT_DEED_CLOSED,
                              p ? p->wrong : "it did not come in time");
    close(fd);
}

/* ---- those that wait ---- */

static void give_back_place(struct worker_gate *wg)
{
    atomic_fetch_sub(&wg->gate->counts.unnamed, 1);
    account_release(wg->worker->account, sizeof(struct proxied));
}

/* Frees the entry; its descriptor belongs to the caller now. */
static void forget(struct proxied *p)
{
    struct worker_gate *wg = p->wg;
    timer_disarm(&p->alarm.timer);
    list_del(&p->in_gate);
    cell_sub(wg->cells, CELL_UNNAMED, 1);
    give_back_place(wg);
    free(p);
}

static void proxied_end(struct proxied *p, enum outcome o, const struct proxy_protocol *header)
{
    struct worker_gate *wg = p->wg;
    struct addr balancer = p->balancer;
    int fd = p->watch.fd;
    loop_unwatch(&wg->worker->loop, &p->watch);
    forget(p);
    decide(wg, fd, &balancer, o, header);
}

static void proxied_on_alarm(struct alarm *a)
{
    proxied_end((struct proxied *)(void *)((char *)a - offsetof(struct proxied, alarm)), WRONG, NULL);
}

void proxied_on_event(struct watch *watch, uint32_t events)
{
    struct proxied *p = (struct proxied *)(void *)watch;
    struct proxy_protocol header;
    enum outcome o = proxied_look(p->wg->worker, watch->fd, &header);
    if (o == WAITS && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        o = LEFT;
    if (o != WAITS)
        proxied_end(p, o, &header);
}

/* ---- newcomers ---- */

/* Not closed at once: an event of this round may still point to it. */
static void hurry_oldest(struct worker_gate *wg)
{
    if (list_empty(&wg->proxied))
        return;
    struct proxied *oldest = LIST_ENTRY(wg->proxied.next, struct proxied, in_gate);
    timer_arm(&wg->worker->loop.timers, &oldest->alarm.timer, wg->worker->loop.now_ns);
    /* The next newcomer that needs a place takes another one's. */
    list_del(&oldest->in_gate);
    list_push(&wg->proxied, &oldest->in_gate);
}

static struct proxied *proxied_new(struct worker_gate *wg, int fd, const struct addr *balancer)
{
    struct worker *w = wg->worker;
    if (!account_charge(w->account, sizeof(struct proxied)))
        return NULL;
    if (atomic_fetch_add(&wg->gate->counts.unnamed, 1) >= PROXIED_PLACES)
        hurry_oldest(wg);
    struct proxied *p = calloc(1, sizeof(*p));
    if (p)
        p->watch = (struct watch){.kind = WATCH_PROXIED, .fd = fd};
    if (!p || loop_watch(&w->loop, &p->watch, EPOLLIN | EPOLLRDHUP) < 0) {
        free(p);
        give_back_place(wg);
        return NULL;
    }
    p->wg = wg;
    p->balancer = *balancer;
    return p;
}

static bool keep(struct worker_gate *wg, int fd, const struct addr *balancer)
{
    struct worker *w = wg->worker;
    struct proxied *p = proxied_new(wg, fd, balancer);
    if (!p)
        return false;
    p->alarm.ring = proxied_on_alarm;
    timer_init(&p->alarm.timer);
    timer_arm(&w->loop.timers, &p->alarm.timer, w->loop.now_ns + wg->policy->limits.handshake.within_ns);
    list_push(&wg->proxied, &p->in_gate);
    cell_add(wg->cells, CELL_UNNAMED, 1);
    return true;
}

void proxied_take(struct worker_gate *wg, int fd, const struct addr *balancer)
{
    struct proxy_protocol header;
    enum outcome o = proxied_look(wg->worker, fd, &header);
    if (o != WAITS) {
        decide(wg, fd, balancer, o, &header);
        return;
    }
    if (keep(wg, fd, balancer))
        return;
    newcomer_note_refusal(wg, balancer, VERDICT_NO_MEMORY, EVENT_DEED_REFUSED, "");
    close(fd);
}

/* Not closed at once: an event of this round may still point to one. */
void proxied_drain(struct worker *w)
{
    for (size_t i = 0; i < w->gate_count; i++)
        LIST_FOREACH(n, &w->gates[i].proxied)
    timer_arm(&w->loop.timers, &LIST_ENTRY(n, struct proxied, in_gate)->alarm.timer, w->loop.now_ns);
}

void proxied_end_all(struct worker *w)
{
    for (size_t i = 0; i < w->gate_count; i++)
        while (!list_empty(&w->gates[i].proxied)) {
            struct proxied *p = LIST_ENTRY(w->gates[i].proxied.next, struct proxied, in_gate);
            close(p->watch.fd);
            forget(p);
        }
}
