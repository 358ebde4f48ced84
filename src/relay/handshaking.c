/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/handshaking.h"

#include "relay/half_open.h"
#include "relay/health.h"
#include "relay/routing_id.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

struct handshaking *handshaking_new(struct session *s)
{
    struct worker *w = s->wg->worker;
    char peer[ADDR_TEXT_MAX];
    const struct classes *classes = s->wg->gate->config->class_table;
    if (!account_charge(w->account, sizeof(struct handshaking)))
        return NULL;
    struct handshaking *o = calloc(1, sizeof(*o));
    addr_format(peer, sizeof(peer), &s->client.addr);
    if (o) {
        connect_init(&o->connect, s);
        upstream_init(&o->upstream);
        list_init(&o->in_half_open);
    }
    if (o && handshake_init(&o->handshake, &w->loop.pool, session_limits(s)->handshake.bytes,
                            s->wg->policy->config->zmtp2, peer, classes ? classes->at[s->flags.class].name : NULL))
        return o;
    if (o)
        handshake_fini(&o->handshake);
    free(o);
    account_release(w->account, sizeof(struct handshaking));
    return NULL;
}

void handshaking_free(struct handshaking *o, struct session *s)
{
    if (!o)
        return;
    breaker_leave(&s->wg->gate->breaker, o->place);
    if (s->handshaking)
        reach_leave(s);
    connect_pacer_give_back(s->wg, &o->connect);
    claim_end(s, &o->claim);
    handshake_fini(&o->handshake);
    account_release(s->wg->worker->account, sizeof(*o));
    free(o);
}

void handshaking_start(struct session *s)
{
    s->state = SESSION_HANDSHAKING;
    handshaking_clock_start(s);
    session_wake(s);
}

/* ---- bytes ---- */

static void write_waiting(struct socket_side *to, struct bytes (*waiting)(const struct handshake *),
                          void (*sent)(struct handshake *, size_t), struct handshake *h, _Atomic uint64_t *cell)
{
    struct bytes b = waiting(h);
    if (b.len == 0 || !to->writable)
        return;
    ssize_t n = send(to->watch.fd, b.at, b.len, MSG_NOSIGNAL);
    if (n < 0)
        n = 0; /* EAGAIN, or an error that reading will show as well */
    if ((size_t)n < b.len)
        to->writable = false;
    atomic_fetch_add_explicit(cell, (uint64_t)n, memory_order_relaxed);
    sent(h, (size_t)n);
}

static void write_all(struct session *s)
{
    struct handshaking *o = s->handshaking;
    struct cells *c = session_cells(s);
    write_waiting(&s->front, handshake_to_client, handshake_sent_client, &o->handshake, &c->metric[CELL_SENT_OUT]);
    if (!o->upstream.connected || !routing_id_may_pass(s))
        return;
    uint64_t before = atomic_load_explicit(&c->metric[CELL_SENT_IN], memory_order_relaxed);
    write_waiting(&s->back, handshake_to_app, handshake_sent_app, &o->handshake, &c->metric[CELL_SENT_IN]);
    uint64_t sent = atomic_load_explicit(&c->metric[CELL_SENT_IN], memory_order_relaxed) - before;
    if (sent)
        atomic_fetch_add_explicit(&s->wg->gate->handshaking_bytes, sent, memory_order_relaxed);
}

/* -1: the end of the stream; 0: nothing now. */
static ssize_t read_side(struct session *s, struct socket_side *from, size_t room)
{
    if (!from->readable)
        return 0;
    ssize_t n = recv(from->watch.fd, s->wg->worker->loop.scratch, room, 0);
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
    struct handshake *h = &s->handshaking->handshake;
    session_end(s, h->verdict != VERDICT_PASS ? h->verdict : VERDICT_HANDSHAKE_ABANDONED);
}

/* Returns whether anything was read. */
static bool read_client(struct session *s)
{
    struct handshake *h = &s->handshaking->handshake;
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
        handshake_client_input(h, s->wg->worker->loop.scratch, (size_t)n);
    }
    if (n < 0)
        on_client_end(s);
    return n > 0;
}

/* libzmq closes a connection whose type does not fit without a word (PLAIN: and without its READY). The type it has
 * shown before need not be its type now. But it has ended the connection, and the type explains that. */
static enum verdict early_end_verdict(struct session *s)
{
    struct handshake *h = &s->handshaking->handshake;
    enum socket_type seen = gate_socket(s->wg->gate);
    if (!h->app_greeted)
        return VERDICT_APPLICATION_GONE;
    if (socket_types_fit(h->client_socket, seen))
        return VERDICT_APPLICATION_REFUSED;
    h->app.socket = seen;
    return VERDICT_WRONG_SOCKET_TYPE;
}

static void on_app_end(struct session *s)
{
    bool greeted = s->handshaking->handshake.app_greeted;
    health_on_early_end(s);
    if (!greeted)
        reach_on_silence(s, "it closed the connection");
    session_end(s, early_end_verdict(s));
}

/* Reads no further than the end of the handshake. Behind it may be a backlog of days, which is read where there is room
 * for it. An end of the stream behind it is the lane's concern too. */
static bool read_app(struct session *s)
{
    struct handshaking *o = s->handshaking;
    uint32_t room = handshake_app_room(&o->handshake);
    if (!o->upstream.connected || room == 0)
        return false;
    ssize_t n = read_side(s, &s->back, room);
    if (n > 0) {
        cell_add(session_cells(s), CELL_RECEIVED_OUT, (uint64_t)n);
        handshake_app_input(&o->handshake, s->wg->worker->loop.scratch, (size_t)n);
    }
    if (n < 0)
        on_app_end(s);
    return n > 0;
}

/* ---- the turn ---- */

static void refuse(struct session *s)
{
    enum verdict v = s->handshaking->handshake.verdict;
    if (v == VERDICT_APPLICATION_PROTOCOL)
        health_on_wrong_words(s);
    if (v == VERDICT_APPLICATION_CHANGED)
        reach_forget(s->wg);
    write_all(s);
    session_end(s, v);
}

/* A libzmq client that is answered with another mechanism than its own gives up for good. A client is therefore
 * answered only while the application is known to be the same. Otherwise one of the waiting clients asks it. */
static void know_application(struct session *s)
{
    struct handshake *h = &s->handshaking->handshake;
    struct handshake_app app;
    if (handshake_trusts_initiator(h) && !reach_stands(s->wg) && !app_facts_told(&s->wg->gate->app))
        handshake_doubt_initiator(h);
    if (h->app_known || s->back.watch.fd >= 0)
        return;
    if (reach_knows(s->wg, &app)) {
        if (h->asks)
            handshake_ask_no_more(h);
        reach_leave(s);
        s->handshaking->upstream.retry_ns = 0;
        handshake_set_app(h, &app);
    } else if (handshake_may_ask(h)) {
        handshake_ask(h, s->wg->gate->app.configured);
    }
}

/* Learns what the application has shown to this session; in time for a client that does not fit it. */
static void handshaking_learn(struct session *s)
{
    struct handshaking *o = s->handshaking;
    if (!o->handshake.app_greeted)
        return;
    if (!o->met) {
        reach_on_greeting(s);
        health_on_greeting(s->wg);
    }
    o->met = true;
    reach_on_words(s);
}

/* Notes where the handshake stands when nothing moves any more. If bytes for the client wait because it does not take
 * them, it is the client's turn. A session whose client has the next move holds no turn to connect. */
static void note_turn(struct session *s)
{
    struct handshaking *o = s->handshaking;
    const struct handshake *h = &o->handshake;
    bool apps_turn = !handshake_is_clients_turn(h) && handshake_to_client(h).len == 0;
    if (h->app_greeted && !apps_turn) {
        health_give_back(s);
        if (handshake_to_app(h).len == 0)
            connect_pacer_give_back(s->wg, &o->connect);
    }
    unsigned steps = handshake_client_steps(h);
    if (steps != o->steps || apps_turn != o->clock.apps_turn)
        half_open_note_move(s);
    o->steps = (uint8_t)steps;
    if (apps_turn != o->clock.apps_turn)
        handshaking_clock_switch(s, apps_turn);
    handshaking_clock_hold_ready(s);
    /* A session that waits for the holder of its id does not wait for the application: others need not wait for
     * that. */
    half_open_note_turn(s, apps_turn && !o->claim.hash);
}

/* One step of everything that can move. Returns whether another may follow; false as well when the session has
 * ended. */
static bool move(struct session *s)
{
    struct handshaking *o = s->handshaking;
    struct handshake *h = &o->handshake;
    know_application(s);
    if (!upstream_reach(s))
        return false;
    bool moved = read_client(s);
    if (s->flags.ended)
        return false;
    moved |= read_app(s);
    if (s->flags.ended)
        return false;
    handshaking_learn(s);
    if (h->verdict != VERDICT_PASS) {
        refuse(s);
        return false;
    }
    if (!routing_id_enter(s))
        return false;
    bool waited = handshake_to_app(h).len != 0;
    write_all(s);
    return moved || (waited && handshake_to_app(h).len == 0) || handshake_may_ask(h) ||
           (h->wants_app && s->back.watch.fd < 0 && o->upstream.retry_ns == 0 && o->connect.turn != CONNECT_WAITS);
}

bool handshaking_run(struct session *s)
{
    if (s->back.watch.fd < 0 && health_refuses(s->wg)) {
        session_end(s, VERDICT_BREAKER_OPEN);
        return false;
    }
    while (move(s))
        ;
    if (s->flags.ended)
        return false;
    if (!handshake_done(&s->handshaking->handshake)) {
        note_turn(s);
        return false;
    }
    health_on_handshake(s);
    return true;
}
