/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/upstream.h"

#include "loop/net.h"
#include "relay/client_book.h"
#include "relay/half_open.h"
#include "relay/handshaking.h"
#include "relay/health.h"
#include "relay/linger.h"
#include "relay/routing_id.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* An attempt that finds no place is repeated after 20 ms, doubling up to 500 ms. */
#define RETRY_FIRST_NS (20 * NS_PER_MS)
#define RETRY_MOST_NS  (500 * NS_PER_MS)

void upstream_init(struct upstream *u)
{
    *u = (struct upstream){.retry_delay_ns = RETRY_FIRST_NS};
}

static void retry_later(struct session *s)
{
    struct upstream *u = &s->handshaking->upstream;
    u->retry_ns = session_now_ns(s) + u->retry_delay_ns;
    u->retry_delay_ns = u->retry_delay_ns < RETRY_MOST_NS ? 2 * u->retry_delay_ns : RETRY_MOST_NS;
    session_arm(s, u->retry_ns);
}

static void connect_later(struct session *s, int error)
{
    struct handshaking *o = s->handshaking;
    cell_add(session_cells(s), CELL_UPSTREAM_FAILURES, 1);
    o->upstream.asked_ns = 0;
    connect_pacer_give_back(s->wg, &o->connect);
    health_give_back(s);
    if (!health_is_absence(error)) {
        retry_later(s);
        return;
    }
    o->upstream.retry_ns = session_now_ns(s) + reach_on_failure(s, error);
    session_arm(s, o->upstream.retry_ns);
    health_on_failure(s->wg, BREAKER_CONNECT);
    if (health_refuses(s->wg))
        session_end(s, VERDICT_BREAKER_OPEN);
}

static void on_connected(struct session *s)
{
    s->handshaking->upstream.connecting = false;
    s->handshaking->upstream.connected = true;
    s->back.writable = true;
    cell_add(session_cells(s), CELL_UPSTREAM_CONNECTS, 1);
    handshake_app_connected(&s->handshaking->handshake);
}

/* With upstream.source: client, connects from the client's own address, unless it is one of this machine's. */
static int connect_for(const struct session *s, bool *ret_pending)
{
    const struct gate *g = s->wg->gate;
    if (g->origin.book)
        return client_book_connect(g->origin.book, &g->forward, &s->client.addr, s->front.watch.fd, ret_pending);
    if (g->config->upstream_source == UPSTREAM_SOURCE_WEIR || addr_is_own(&s->client.addr))
        return net_connect(&g->forward, ret_pending);
    return net_connect_from(&g->forward, &s->client.addr, ret_pending);
}

static void connect_now(struct session *s)
{
    struct handshaking *o = s->handshaking;
    bool pending;
    o->upstream.retry_ns = 0;
    /* Nobody listens there any more, or another application does. */
    if (s->wg->gate->origin.book && !atomic_load(&s->wg->gate->listen.up)) {
        session_end(s, VERDICT_APPLICATION_GONE);
        return;
    }
    if (!reach_takes_turn(s) || !connect_pacer_take(s->wg, &o->connect))
        return;
    o->upstream.no_place = !linger_take_place(s);
    if (o->upstream.no_place) {
        connect_pacer_give_back(s->wg, &o->connect);
        retry_later(s);
        return;
    }
    if (!health_admits(s)) {
        connect_pacer_give_back(s->wg, &o->connect);
        linger_give_back(s->wg);
        return;
    }
    int fd = connect_for(s, &pending);
    if (fd < 0) {
        linger_give_back(s->wg);
        if (fd == -EADDRNOTAVAIL && s->wg->gate->config->upstream_source == UPSTREAM_SOURCE_CLIENT) {
            session_end(s, VERDICT_NO_UPSTREAM_SOURCE);
            return;
        }
        connect_later(s, fd);
        return;
    }
    s->back.watch.fd = fd;
    o->upstream.asked_ns = session_now_ns(s);
    half_open_note_asked(s);
    int error = loop_watch(&s->wg->worker->loop, &s->back.watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    if (error < 0) {
        session_end(s, VERDICT_NO_DESCRIPTORS);
        return;
    }
    o->upstream.connecting = pending;
    session_arm(s, o->upstream.asked_ns + session_limits(s)->handshake.within_ns);
    if (!pending)
        on_connected(s);
}

static void finish_connect(struct session *s)
{
    int error = net_connect_result(s->back.watch.fd);
    if (error == 0) {
        on_connected(s);
        return;
    }
    close(s->back.watch.fd);
    s->back.watch.fd = -1;
    linger_give_back(s->wg);
    s->back.readable = s->back.writable = s->back.hup = false;
    s->handshaking->upstream.connecting = false;
    connect_later(s, error);
}

bool upstream_reach(struct session *s)
{
    struct handshaking *o = s->handshaking;
    if (o->upstream.connecting && s->back.writable)
        finish_connect(s);
    if (s->flags.ended)
        return false;
    if (!o->handshake.wants_app || o->handshake.verdict != VERDICT_PASS || s->back.watch.fd >= 0)
        return true;
    if (!routing_id_may_pass(s))
        return true;
    if (o->upstream.retry_ns == 0 || o->upstream.held || o->reach.waits)
        connect_now(s);
    return !s->flags.ended;
}
