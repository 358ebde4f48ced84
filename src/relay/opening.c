/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/opening.h"

#include "base/log.h"
#include "relay/entry.h"
#include "relay/farewell.h"
#include "relay/health.h"
#include "relay/net.h"
#include "relay/probe.h"
#include "relay/shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* An application that refuses a connection is asked again after 20 ms, doubling up to 500 ms. */
#define RETRY_FIRST_NS (20 * NS_PER_MS)
#define RETRY_MOST_NS  (500 * NS_PER_MS)

/* How long the greeting of an application without connections is believed. */
#define FRESH_NS (20 * NS_PER_MS)

struct opening *opening_new(struct session *s)
{
    struct worker *w = s->wg->worker;
    char peer[ADDR_TEXT_MAX];
    const struct classes *classes = s->wg->gate->config->class_table;
    if (!account_charge(w->account, sizeof(struct opening)))
        return NULL;
    struct opening *o = calloc(1, sizeof(*o));
    addr_format(peer, sizeof(peer), &s->addr);
    if (o) {
        connect_init(&o->connect, s);
        list_init(&o->in_half_open);
    }
    if (o && handshake_init(&o->handshake, &w->pool, session_limits(s)->handshake.bytes, s->wg->policy->config->zmtp2,
                            peer, classes ? classes->at[s->class].name : NULL))
        return o;
    if (o)
        handshake_fini(&o->handshake);
    free(o);
    account_release(w->account, sizeof(struct opening));
    return NULL;
}

void opening_free(struct opening *o, struct session *s)
{
    if (!o)
        return;
    breaker_leave(&s->wg->gate->breaker, o->place);
    connects_give_back(s->wg, &o->connect);
    claim_end(s, &o->claim);
    handshake_fini(&o->handshake);
    account_release(s->wg->worker->account, sizeof(*o));
    free(o);
}

void opening_start(struct session *s)
{
    s->opening->deadline_ns = s->wg->worker->now_ns + session_limits(s)->handshake.within_ns;
    s->opening->retry_delay_ns = RETRY_FIRST_NS;
    s->state = SESSION_OPENING;
    session_arm(s, s->opening->deadline_ns);
    session_wake(s);
}

/* ---- the application's side ---- */

static void retry_later(struct session *s)
{
    struct opening *o = s->opening;
    o->retry_ns = s->wg->worker->now_ns + o->retry_delay_ns;
    o->retry_delay_ns = o->retry_delay_ns < RETRY_MOST_NS ? 2 * o->retry_delay_ns : RETRY_MOST_NS;
    session_arm(s, o->retry_ns);
}

static void connect_later(struct session *s, int error)
{
    cell_add(session_cells(s), CELL_UPSTREAM_FAILURES, 1);
    s->opening->asked_ns = 0;
    connects_give_back(s->wg, &s->opening->connect);
    health_give_back(s);
    if (health_is_absence(error))
        health_on_failure(s->wg, BREAKER_CONNECT);
    probe_report_failure(s->wg, error);
    retry_later(s);
}

static void on_connected(struct session *s)
{
    s->opening->connecting = false;
    s->opening->connected = true;
    s->back.writable = true;
    cell_add(session_cells(s), CELL_UPSTREAM_CONNECTS, 1);
    handshake_app_connected(&s->opening->handshake);
}

/* With upstream.source: client from the client's own address, if it has one that others could not have. */
static int connect_for(const struct session *s, bool *ret_pending)
{
    const struct gate *g = s->wg->gate;
    if (g->config->upstream_source == UPSTREAM_SOURCE_WEIR || addr_is_own(&s->addr))
        return net_connect(&g->forward, ret_pending);
    return net_connect_from(&g->forward, &s->addr, ret_pending);
}

static void connect_now(struct session *s)
{
    struct opening *o = s->opening;
    bool pending;
    o->retry_ns = 0;
    if (!connects_take(s->wg, &o->connect))
        return;
    o->no_place = !farewell_take_place(s);
    if (o->no_place) {
        connects_give_back(s->wg, &o->connect);
        retry_later(s);
        return;
    }
    if (!health_admits(s)) {
        connects_give_back(s->wg, &o->connect);
        farewell_give_back(s->wg);
        return;
    }
    int fd = connect_for(s, &pending);
    if (fd < 0) {
        farewell_give_back(s->wg);
        if (fd == -EADDRNOTAVAIL && s->wg->gate->config->upstream_source == UPSTREAM_SOURCE_CLIENT) {
            session_close(s, VERDICT_NO_UPSTREAM_SOURCE);
            return;
        }
        connect_later(s, fd);
        return;
    }
    s->back.watch.fd = fd;
    o->asked_ns = s->wg->worker->now_ns;
    int error = worker_watch(s->wg->worker, &s->back.watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    if (error < 0) {
        session_close(s, VERDICT_NO_DESCRIPTORS);
        return;
    }
    o->connecting = pending;
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
    farewell_give_back(s->wg);
    s->back.readable = s->back.writable = s->back.hup = false;
    s->opening->connecting = false;
    connect_later(s, error);
}

/* It waits until it is known whether the holder of its id is alive. */
static void claim_later(struct session *s)
{
    s->opening->checked = false;
    s->opening->retry_ns = s->wg->worker->now_ns + CLAIM_AGAIN_NS;
    session_arm(s, s->opening->retry_ns);
}

/* ROUTER and REP applications tell their clients apart by routing id. One that is in use belongs to whoever came first:
 * libzmq would park the newcomer without a word, or let it take the other's place. False: it is closed. */
static bool enter_routing_id(struct session *s)
{
    const struct handshake *h = &s->opening->handshake;
    struct gate *g = s->wg->gate;
    enum socket_type app = gate_socket(g);
    s->opening->checked = true;
    bool matters = app == SOCKET_ROUTER || app == SOCKET_REP || app == SOCKET_AUTO;
    bool refuses = session_limits(s)->duplicate_ids == DUPLICATE_IDS_REFUSE;
    if (h->routing_id_len == 0 || !matters || !(refuses || shadow_refuses_duplicates(s)))
        return true;
    uint64_t hash = hash_bytes(&g->traffic.key, h->routing_id, h->routing_id_len);
    hash = hash ? hash : 1;
    enum claim_result r = claim_routing_id(s, &s->opening->claim, hash, refuses);
    if (r == CLAIM_WAITS)
        claim_later(s);
    if (r == CLAIM_REFUSED && !refuses)
        shadow_note(s, VERDICT_DUPLICATE_ROUTING_ID, 1);
    if (r == CLAIM_MINE || r == CLAIM_WAITS || !refuses)
        return true;
    session_close(s, r == CLAIM_REFUSED ? VERDICT_DUPLICATE_ROUTING_ID : VERDICT_NO_MEMORY);
    return false;
}

/* ---- bytes ---- */

static void write_waiting(struct side *to, struct bytes (*waiting)(const struct handshake *),
                          void (*sent)(struct handshake *, size_t), struct handshake *h, _Atomic uint64_t *cell)
{
    struct bytes b = waiting(h);
    if (b.len == 0 || !to->writable)
        return;
    ssize_t n = send(to->watch.fd, b.at, b.len, MSG_NOSIGNAL);
    if (n < 0)
        n = 0; /* EAGAIN, or an error that reading will show too */
    if ((size_t)n < b.len)
        to->writable = false;
    atomic_fetch_add_explicit(cell, (uint64_t)n, memory_order_relaxed);
    sent(h, (size_t)n);
}

static void write_all(struct session *s)
{
    struct opening *o = s->opening;
    struct cells *c = session_cells(s);
    write_waiting(&s->front, handshake_to_client, handshake_sent_client, &o->handshake, &c->metric[CELL_SENT_OUT]);
    if (!o->connected)
        return;
    uint64_t before = atomic_load_explicit(&c->metric[CELL_SENT_IN], memory_order_relaxed);
    write_waiting(&s->back, handshake_to_app, handshake_sent_app, &o->handshake, &c->metric[CELL_SENT_IN]);
    uint64_t sent = atomic_load_explicit(&c->metric[CELL_SENT_IN], memory_order_relaxed) - before;
    if (sent)
        atomic_fetch_add_explicit(&s->wg->gate->opening_bytes, sent, memory_order_relaxed);
}

/* -1: the end of the stream; 0: nothing now. */
static ssize_t read_side(struct session *s, struct side *from, size_t room)
{
    if (!from->readable)
        return 0;
    ssize_t n = recv(from->watch.fd, s->wg->worker->scratch, room, 0);
    if (n > 0) {
        if ((size_t)n < room && !from->hup)
            from->readable = false;
        return n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        from->readable = errno == EINTR;
        return 0;
    }
    return -1;
}

static void on_client_end(struct session *s)
{
    struct handshake *h = &s->opening->handshake;
    session_close(s, h->verdict != VERDICT_PASS ? h->verdict : VERDICT_HANDSHAKE_ABANDONED);
}

/* Returns whether anything was read. */
static bool read_client(struct session *s)
{
    struct handshake *h = &s->opening->handshake;
    uint32_t room = handshake_client_room(h);
    if (room == 0) {
        /* It is the application's turn; a client that has left already needs no answer. */
        if (s->front.hup && !handshake_done(h) && h->verdict == VERDICT_PASS)
            on_client_end(s);
        return false;
    }
    ssize_t n = read_side(s, &s->front, room);
    if (n > 0) {
        cell_add(session_cells(s), CELL_RECEIVED_IN, (uint64_t)n);
        handshake_client_input(h, s->wg->worker->scratch, (size_t)n);
    }
    if (n < 0)
        on_client_end(s);
    return n > 0;
}

/* No further than to the end of its handshake: what stands behind may be the backlog of days, and goes where there is
 * room for it. An end of the stream behind it is the lane's affair too. */
static bool read_app(struct session *s)
{
    struct opening *o = s->opening;
    uint32_t room = handshake_app_room(&o->handshake);
    if (!o->connected || room == 0)
        return false;
    ssize_t n = read_side(s, &s->back, room);
    if (n > 0) {
        cell_add(session_cells(s), CELL_RECEIVED_OUT, (uint64_t)n);
        handshake_app_input(&o->handshake, s->wg->worker->scratch, (size_t)n);
    }
    if (n < 0)
        health_on_early_end(s);
    if (n < 0)
        session_close(s, o->handshake.app_greeted ? VERDICT_APPLICATION_REFUSED : VERDICT_APPLICATION_GONE);
    return n > 0;
}

/* ---- the turn ---- */

static bool reach_application(struct session *s)
{
    struct opening *o = s->opening;
    if (o->connecting && s->back.writable)
        finish_connect(s);
    if (!o->handshake.wants_app || o->handshake.verdict != VERDICT_PASS || s->back.watch.fd >= 0)
        return true;
    if (!o->checked && o->retry_ns == 0 && !enter_routing_id(s))
        return false;
    if (!o->checked)
        return true;
    if (o->retry_ns == 0 || o->held)
        connect_now(s);
    return s->state != SESSION_CLOSED;
}

static void refuse(struct session *s)
{
    struct gate *g = s->wg->gate;
    enum verdict v = s->opening->handshake.verdict;
    if (v == VERDICT_WRONG_MECHANISM)
        probe_request(s->wg);
    if (v == VERDICT_APPLICATION_PROTOCOL)
        health_on_wrong_words(s);
    if (v == VERDICT_APPLICATION_CHANGED) {
        app_facts_forget(&g->app, s->wg->worker->now_ns);
        probe_report_failure(s->wg, 0);
    }
    write_all(s);
    session_close(s, v);
}

/* libzmq clients that are answered with another mechanism than their own give up for good. So a client is answered only
 * while the application is known to be what it was: some connection to it stands, or it has just shown its greeting.
 * Otherwise it is asked first. */
static bool know_application(struct session *s, struct handshake_app *ret)
{
    struct gate *g = s->wg->gate;
    bool stands = atomic_load(&g->established) > 0;
    if (app_facts_get(&g->app, ret, stands, s->wg->worker->now_ns) &&
        (stands || s->wg->worker->now_ns < atomic_load(&g->verified_ns) + FRESH_NS))
        return true;
    probe_request(s->wg);
    return false;
}

/* A slow application, or whoever it asks for permission, is not the client's fault. */
static bool is_clients_turn(const struct handshake *h)
{
    return h->app_known && handshake_client_room(h) > 0;
}

/* What the application has shown to this session; in time for a client that does not fit it. */
static void learn(struct session *s)
{
    struct opening *o = s->opening;
    struct handshake_app app = o->handshake.app;
    if (o->learned || o->handshake.app_socket == SOCKET_AUTO)
        return;
    o->learned = true;
    app.socket = o->handshake.app_socket;
    app_facts_learn(&s->wg->gate->app, &app, s->wg->worker->now_ns);
}

/* Where the handshake stands when nothing moves any more. Who has the next move takes nobody's turn to connect. */
static void note_turn(struct session *s)
{
    const struct handshake *h = &s->opening->handshake;
    bool clients = is_clients_turn(h);
    if (clients && h->app_greeted) {
        health_give_back(s);
        if (handshake_to_app(h).len == 0)
            connects_give_back(s->wg, &s->opening->connect);
    }
    entry_note_turn(s, !clients);
}

void opening_run(struct session *s)
{
    struct handshake *h = &s->opening->handshake;
    struct handshake_app app;
    if (s->back.watch.fd < 0 && health_refuses(s->wg)) {
        session_close(s, VERDICT_BREAKER_OPEN);
        return;
    }
    if (!h->app_known && know_application(s, &app))
        handshake_set_app(h, &app);
    for (bool moved = true; moved;) {
        if (!reach_application(s))
            return;
        moved = read_client(s);
        if (s->state == SESSION_CLOSED)
            return;
        moved |= read_app(s);
        if (s->state == SESSION_CLOSED)
            return;
        learn(s);
        if (h->verdict != VERDICT_PASS) {
            refuse(s);
            return;
        }
        bool waited = handshake_to_app(h).len != 0;
        write_all(s);
        moved |= (waited && handshake_to_app(h).len == 0) ||
                 (h->wants_app && s->back.watch.fd < 0 && s->opening->retry_ns == 0 &&
                  s->opening->connect.turn != CONNECT_WAITS);
    }
    if (!handshake_done(h)) {
        note_turn(s);
        return;
    }
    health_on_handshake(s);
    session_open(s);
}

bool opening_awaits_client(const struct session *s)
{
    return s->state == SESSION_OPENING && is_clients_turn(&s->opening->handshake) && !s->front.readable;
}

bool opening_is_silent(const struct session *s)
{
    return handshake_is_silent(&s->opening->handshake);
}

bool opening_is_overdue(const struct session *s)
{
    const struct opening *o = s->opening;
    uint64_t within_ns = session_limits(s)->handshake.within_ns;
    return o && s->state == SESSION_OPENING && is_clients_turn(&o->handshake) &&
           s->wg->worker->now_ns + within_ns >= o->deadline_ns + NS_PER_S;
}

/* What kept the client from finishing: the application, if it could not be reached or has not answered. */
static enum verdict timeout_verdict(const struct session *s)
{
    const struct handshake *h = &s->opening->handshake;
    if (s->opening->no_place)
        return VERDICT_TABLE_FULL;
    if (s->opening->held)
        return VERDICT_BREAKER_OPEN;
    if (!h->app_known || (h->wants_app && !h->app_greeted) || !is_clients_turn(h))
        return VERDICT_APPLICATION_ABSENT;
    return VERDICT_HANDSHAKE_TIMEOUT;
}

void opening_on_timer(struct session *s)
{
    struct opening *o = s->opening;
    if (s->wg->worker->now_ns >= o->deadline_ns) {
        health_on_late_handshake(s);
        session_close(s, timeout_verdict(s));
        return;
    }
    session_arm(s, o->deadline_ns);
    if (o->retry_ns && s->wg->worker->now_ns >= o->retry_ns)
        o->retry_ns = 0;
    if (o->retry_ns)
        session_arm(s, o->retry_ns);
    session_wake(s);
}
