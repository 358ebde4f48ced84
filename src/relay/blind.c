/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/blind.h"

#include "loop/net.h"
#include "relay/client_book.h"
#include "relay/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes that one connection may move before others have their turn, and in one read. */
#define TURN_BYTES (256u * 1024u)
#define READ_BYTES (64u * 1024u)

#define SIGNATURE_BYTES 10u

enum blind_state { BLIND_CLIENT, BLIND_APP, BLIND_PASSES, BLIND_OVER };

struct blind {
    struct watch front, back;
    struct alarm alarm; /* a silence may be over; its next turn; it is over and to be freed */
    struct worker_gate *wg;
    struct list in_gate;
    struct source *source;
    struct addr addr;
    enum blind_state state;
    uint64_t since_ns; /* when the side that is waited for could have begun */
    bool of_balancer;
    bool connected;
    bool client_began, app_began; /* otherwise than a ZMTP peer */
    bool client_ended, app_ended;
};

/* ---- what a side says first ---- */

enum beginning { SAYS_NOTHING, SAYS_ZMTP, SAYS_OTHER, HAS_LEFT };

/* ZMTP 3, 2 and the first octets of 1.0 as libzmq sends them: 0xff, a length of eight octets, a flag (RFC 23:
 * "signature = %xFF padding %x7F"). Telnet servers begin with 0xff as well, and never with a zero after it. */
static enum beginning beginning_of(int fd)
{
    uint8_t b[SIGNATURE_BYTES];
    ssize_t n = recv(fd, b, sizeof(b), MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return SAYS_NOTHING;
    if (n <= 0)
        return HAS_LEFT;
    if (b[0] != 0xff || (n > 1 && b[1] != 0) || (n == SIGNATURE_BYTES && !(b[9] & 1)))
        return SAYS_OTHER;
    return n > 1 ? SAYS_ZMTP : SAYS_NOTHING;
}

static enum reach_speech speech_of(const struct blind *b)
{
    return reach_speech(&b->wg->gate->reach);
}

static void believe_other(struct blind *b)
{
    struct gate *g = b->wg->gate;
    if (reach_hear(&g->reach, REACH_SPEAKS_OTHER))
        LOG_WARN("gate %s: the application at %s does not begin as ZMTP peers do: what its clients send is passed on "
                 "without judging it; weir run --leave leaves a port as it is",
                 g->config->name, g->config->forward_text);
}

static void believe_zmtp(struct blind *b)
{
    struct gate *g = b->wg->gate;
    if (reach_hear(&g->reach, REACH_SPEAKS_ZMTP))
        LOG_INFO("gate %s: the application at %s speaks ZMTP after all", g->config->name, g->config->forward_text);
}

/* ---- the end ---- */

static void close_watch(struct watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

static void close_app(struct blind *b)
{
    if (b->back.fd < 0)
        return;
    if (b->app_ended)
        gate_forget_connection(b->wg->gate, b->back.fd);
    close_watch(&b->back);
    atomic_fetch_sub(&b->wg->gate->counts.upstream, 1);
}

/* Freed when the events of this round are done: one may still point to it. */
static void end_soon(struct blind *b)
{
    struct worker_gate *wg = b->wg;
    close_app(b);
    close_watch(&b->front);
    if (b->state == BLIND_PASSES)
        cell_sub(wg->cells, CELL_UNJUDGED, 1);
    b->state = BLIND_OVER;
    atomic_fetch_sub(&wg->gate->counts.open, 1);
    cell_sub(wg->cells, CELL_OPEN, 1);
    timer_arm(&wg->worker->loop.timers, &b->alarm.timer, wg->worker->loop.now_ns);
}

static void blind_end(struct blind *b)
{
    if (b->source)
        source_release(b->source);
    b->source = NULL;
    end_soon(b);
}

static void blind_free(struct blind *b)
{
    timer_disarm(&b->alarm.timer);
    list_del(&b->in_gate);
    account_release(b->wg->worker->account, sizeof(*b));
    free(b);
}

/* Everything that the client has said is still there for the session. */
static void become_session(struct blind *b)
{
    struct worker_gate *wg = b->wg;
    int fd = b->front.fd;
    if (wg->worker->drain_from_ns) {
        blind_end(b);
        return;
    }
    loop_unwatch(&wg->worker->loop, &b->front);
    b->front.fd = -1;
    struct source *source = b->source;
    b->source = NULL;
    end_soon(b);
    session_accept(wg, fd, &b->addr, source, b->of_balancer);
}

/* ---- passing on ---- */

/* False: nothing more can move now, or it is over. */
static bool pass_some(struct blind *b, bool inbound, uint32_t *moved)
{
    struct worker *w = b->wg->worker;
    int from = inbound ? b->front.fd : b->back.fd, to = inbound ? b->back.fd : b->front.fd;
    ssize_t n = recv(from, w->loop.scratch, READ_BYTES, MSG_PEEK);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            blind_end(b);
        return false;
    }
    if (n == 0) {
        *(inbound ? &b->client_ended : &b->app_ended) = true;
        shutdown(to, SHUT_WR);
        return false;
    }
    ssize_t sent = send(to, w->loop.scratch, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            blind_end(b);
        return false;
    }
    (void)recv(from, w->loop.scratch, (size_t)sent, 0);
    cell_add(b->wg->cells, inbound ? CELL_RECEIVED_IN : CELL_RECEIVED_OUT, (uint64_t)sent);
    cell_add(b->wg->cells, inbound ? CELL_SENT_IN : CELL_SENT_OUT, (uint64_t)sent);
    *moved += (uint32_t)sent;
    return true;
}

static void pass_way(struct blind *b, bool inbound)
{
    uint32_t moved = 0;
    while (b->state == BLIND_PASSES && !(inbound ? b->client_ended : b->app_ended)) {
        if (!pass_some(b, inbound, &moved))
            return;
        if (moved < TURN_BYTES)
            continue;
        timer_arm(&b->wg->worker->loop.timers, &b->alarm.timer, b->wg->worker->loop.now_ns);
        return;
    }
}

/* False: the application has greeted, or may be about to. */
static bool app_may_speak(struct blind *b)
{
    if (b->app_began)
        return true;
    switch (beginning_of(b->back.fd)) {
    case SAYS_ZMTP:
        believe_zmtp(b);
        blind_end(b);
        return false;
    case SAYS_NOTHING:
        return false;
    case SAYS_OTHER:
    case HAS_LEFT:
        break;
    }
    return b->app_began = true;
}

static void blind_pass(struct blind *b)
{
    pass_way(b, true);
    if (b->state == BLIND_PASSES && app_may_speak(b))
        pass_way(b, false);
    /* A client that keeps its side open does not hold up the end of Weir. */
    bool both = b->app_ended && (b->client_ended || b->wg->worker->drain_from_ns);
    if (b->state == BLIND_PASSES && both)
        blind_end(b);
}

static void begin_to_pass(struct blind *b)
{
    believe_other(b);
    b->state = BLIND_PASSES;
    cell_add(b->wg->cells, CELL_UNJUDGED, 1);
    timer_disarm(&b->alarm.timer);
    blind_pass(b);
}

/* ---- finding out ---- */

static bool is_silent_for_long(const struct blind *b)
{
    return b->wg->worker->loop.now_ns >= b->since_ns + BLIND_SILENCE_NS;
}

static void wait_for_silence(struct blind *b)
{
    struct worker *w = b->wg->worker;
    b->since_ns = w->loop.now_ns;
    timer_arm(&w->loop.timers, &b->alarm.timer, b->since_ns + BLIND_SILENCE_NS);
}

/* The application cannot be had. A session would wait for it, as ZMTP clients do; others expect to be told. */
static void do_without_app(struct blind *b)
{
    if (speech_of(b) == REACH_SPEAKS_OTHER)
        blind_end(b);
    else
        become_session(b);
}

static int connect_for_blind(const struct blind *b, bool *ret_pending)
{
    struct gate *g = b->wg->gate;
    if (!g->origin.book)
        return net_connect(&g->forward, ret_pending);
    /* Nobody listens there any more, or another application does. */
    if (!atomic_load(&g->listen.up))
        return -ECONNREFUSED;
    return client_book_connect(g->origin.book, &g->forward, &b->addr, b->front.fd, ret_pending);
}

static void connect_app(struct blind *b)
{
    bool pending;
    int fd = connect_for_blind(b, &pending);
    if (fd < 0) {
        do_without_app(b);
        return;
    }
    b->back.fd = fd;
    b->connected = !pending;
    b->state = BLIND_APP;
    atomic_fetch_add(&b->wg->gate->counts.upstream, 1);
    cell_add(b->wg->cells, CELL_UPSTREAM_CONNECTS, 1);
    wait_for_silence(b);
    if (loop_watch(&b->wg->worker->loop, &b->back, EPOLLIN | EPOLLOUT | EPOLLRDHUP) < 0)
        blind_end(b);
}

/* The application is connected, or about to be. */
static void look_at_app(struct blind *b)
{
    bool known = speech_of(b) == REACH_SPEAKS_OTHER;
    if (!b->connected)
        return;
    switch (beginning_of(b->back.fd)) {
    case SAYS_ZMTP:
        believe_zmtp(b);
        become_session(b);
        return;
    case SAYS_OTHER:
        begin_to_pass(b);
        return;
    case HAS_LEFT:
        b->app_ended = true;
        do_without_app(b);
        return;
    case SAYS_NOTHING:
        break;
    }
    if (b->client_began && (known || is_silent_for_long(b)))
        begin_to_pass(b);
}

static void look_at_client(struct blind *b)
{
    enum beginning says = b->client_began ? SAYS_OTHER : beginning_of(b->front.fd);
    if (says == SAYS_ZMTP || says == HAS_LEFT || speech_of(b) == REACH_SPEAKS_ZMTP) {
        become_session(b);
        return;
    }
    b->client_began = says == SAYS_OTHER;
    if (b->state == BLIND_CLIENT && (b->client_began || speech_of(b) == REACH_SPEAKS_OTHER || is_silent_for_long(b)))
        connect_app(b);
    if (b->state == BLIND_APP)
        look_at_app(b);
}

static void blind_go_on(struct blind *b)
{
    if (b->state == BLIND_PASSES)
        blind_pass(b);
    else if (b->wg->worker->drain_from_ns)
        blind_end(b);
    else
        look_at_client(b);
}

static void blind_on_alarm(struct alarm *a)
{
    struct blind *b = (struct blind *)(void *)((char *)a - offsetof(struct blind, alarm));
    struct worker *w = b->wg->worker;
    if (b->state != BLIND_OVER)
        blind_go_on(b);
    if (b->state == BLIND_OVER) {
        blind_free(b); /* the events of this round are done */
        return;
    }
    /* Both sides are silent: whether the application was heard elsewhere is asked again and again. */
    if (b->state != BLIND_PASSES)
        timer_arm(&w->loop.timers, &b->alarm.timer, w->loop.now_ns + BLIND_SILENCE_NS);
}

/* The kernel says that a connect is over by an event. */
static void finish_connect_of(struct blind *b)
{
    int error = net_connect_result(b->back.fd);
    b->connected = error == 0;
    if (error < 0)
        do_without_app(b);
    else
        wait_for_silence(b);
}

void blind_on_event(struct watch *watch, uint32_t events)
{
    struct blind *b = watch->kind == WATCH_BLIND_FRONT
                          ? (struct blind *)(void *)((char *)watch - offsetof(struct blind, front))
                          : (struct blind *)(void *)((char *)watch - offsetof(struct blind, back));
    if (watch == &b->back && !b->connected)
        finish_connect_of(b);
    /* A reset: the other side has nothing to wait for. */
    if (b->state == BLIND_PASSES && events & EPOLLERR)
        blind_end(b);
    if (b->state != BLIND_OVER)
        blind_go_on(b);
}

/* ---- newcomers ---- */

static struct blind *blind_new(struct worker_gate *wg, int fd)
{
    struct worker *w = wg->worker;
    if (!account_charge(w->account, sizeof(struct blind)))
        return NULL;
    struct blind *b = calloc(1, sizeof(*b));
    if (b) {
        b->front = (struct watch){.kind = WATCH_BLIND_FRONT, .fd = fd};
        b->back = (struct watch){.kind = WATCH_BLIND_BACK, .fd = -1};
    }
    if (b && loop_watch(&w->loop, &b->front, EPOLLIN | EPOLLOUT | EPOLLRDHUP) == 0)
        return b;
    free(b);
    account_release(w->account, sizeof(struct blind));
    return NULL;
}

bool blind_takes(struct worker_gate *wg, int fd, const struct addr *addr, struct source *source, bool of_balancer)
{
    enum beginning says;
    if (LIKELY(reach_speech(&wg->gate->reach) == REACH_SPEAKS_ZMTP))
        return false;
    says = beginning_of(fd);
    struct blind *b = says == SAYS_ZMTP || says == HAS_LEFT ? NULL : blind_new(wg, fd);
    if (!b)
        return false;
    b->wg = wg;
    b->addr = *addr;
    b->source = source;
    b->of_balancer = of_balancer;
    b->alarm.ring = blind_on_alarm;
    timer_init(&b->alarm.timer);
    list_push(&wg->blind, &b->in_gate);
    atomic_fetch_add(&wg->gate->counts.open, 1);
    cell_add(wg->cells, CELL_OPEN, 1);
    wait_for_silence(b);
    blind_go_on(b);
    return true;
}

void blind_drain(struct worker *w)
{
    for (size_t i = 0; i < w->gate_count; i++)
        LIST_FOREACH(n, &w->gates[i].blind)
    timer_arm(&w->loop.timers, &LIST_ENTRY(n, struct blind, in_gate)->alarm.timer, w->loop.now_ns);
}

void blind_end_all(struct worker *w)
{
    for (size_t i = 0; i < w->gate_count; i++)
        while (!list_empty(&w->gates[i].blind)) {
            struct blind *b = LIST_ENTRY(w->gates[i].blind.next, struct blind, in_gate);
            if (b->state != BLIND_OVER)
                blind_end(b);
            blind_free(b);
        }
}
