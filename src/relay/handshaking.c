/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/handshaking.h"

#include "base/log.h"
#include "loop/net.h"
#include "relay/half_open.h"
#include "relay/health.h"
#include "relay/linger.h"
#include "relay/shadow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* An attempt that finds no place is repeated after 20 ms, doubling up to 500 ms. */
#define RETRY_FIRST_NS (20 * NS_PER_MS)
#define RETRY_MOST_NS  (500 * NS_PER_MS)

/* A client that has to send HELLO does so at once. If it has not after this time, and no connection to the application
 * stands any more, it may be the application's turn to send it. */
#define HELLO_SOON_NS (100 * NS_PER_MS)

/* An application sends READY unasked as soon as it has the client's greeting. An application that waits for the
 * client's READY, or for a ZAP handler, gets it after this time. */
#define READY_SOON_NS (100 * NS_PER_MS)

/* libzmq's ZMQ_HANDSHAKE_IVL. */
#define APP_WITHIN_NS (30 * NS_PER_S)

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
    struct handshaking *o = s->handshaking;
    uint64_t within_ns = session_limits(s)->handshake.within_ns;
    o->turn_ns = session_now_ns(s);
    o->left_ns[false] = within_ns;
    o->left_ns[true] = within_ns > APP_WITHIN_NS ? within_ns : APP_WITHIN_NS;
    o->deadline_ns = o->turn_ns + within_ns;
    o->retry_delay_ns = RETRY_FIRST_NS;
    s->state = SESSION_HANDSHAKING;
    session_arm(s, o->deadline_ns);
    session_wake(s);
}

/* ---- the application's side ---- */

static void retry_later(struct session *s)
{
    struct handshaking *o = s->handshaking;
    o->retry_ns = session_now_ns(s) + o->retry_delay_ns;
    o->retry_delay_ns = o->retry_delay_ns < RETRY_MOST_NS ? 2 * o->retry_delay_ns : RETRY_MOST_NS;
    session_arm(s, o->retry_ns);
}

static void connect_later(struct session *s, int error)
{
    struct handshaking *o = s->handshaking;
    cell_add(session_cells(s), CELL_UPSTREAM_FAILURES, 1);
    o->asked_ns = 0;
    connect_pacer_give_back(s->wg, &o->connect);
    health_give_back(s);
    if (!health_is_absence(error)) {
        retry_later(s);
        return;
    }
    o->retry_ns = session_now_ns(s) + reach_on_failure(s, error);
    session_arm(s, o->retry_ns);
    health_on_failure(s->wg, BREAKER_CONNECT);
    if (health_refuses(s->wg))
        session_end(s, VERDICT_BREAKER_OPEN);
}

static void on_connected(struct session *s)
{
    s->handshaking->connecting = false;
    s->handshaking->connected = true;
    s->back.writable = true;
    cell_add(session_cells(s), CELL_UPSTREAM_CONNECTS, 1);
    handshake_app_connected(&s->handshaking->handshake);
}

/* With upstream.source: client, connects from the client's own address, unless it is one of this machine's. */
static int connect_for(const struct session *s, bool *ret_pending)
{
    const struct gate *g = s->wg->gate;
    if (g->config->upstream_source == UPSTREAM_SOURCE_WEIR || addr_is_own(&s->client.addr))
        return net_connect(&g->forward, ret_pending);
    return net_connect_from(&g->forward, &s->client.addr, ret_pending);
}

static void connect_now(struct session *s)
{
    struct handshaking *o = s->handshaking;
    bool pending;
    o->retry_ns = 0;
    if (!reach_takes_turn(s) || !connect_pacer_take(s->wg, &o->connect))
        return;
    o->no_place = !linger_take_place(s);
    if (o->no_place) {
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
    o->asked_ns = session_now_ns(s);
    half_open_note_asked(s);
    int error = loop_watch(&s->wg->worker->loop, &s->back.watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    if (error < 0) {
        session_end(s, VERDICT_NO_DESCRIPTORS);
        return;
    }
    o->connecting = pending;
    session_arm(s, o->asked_ns + session_limits(s)->handshake.within_ns);
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
    s->handshaking->connecting = false;
    connect_later(s, error);
}

/* The session waits until it is known whether the holder of its id is alive. */
static void claim_later(struct session *s)
{
    s->handshaking->checked = false;
    s->handshaking->retry_ns = session_now_ns(s) + CLAIM_AGAIN_NS;
    session_arm(s, s->handshaking->retry_ns);
}

/* ROUTER and REP applications tell their clients apart by routing id. An id in use belongs to the client that came
 * first: libzmq would park the newcomer without a word, or let it replace the other. False: the session has ended. */
static bool enter_routing_id(struct session *s)
{
    const struct handshake *h = &s->handshaking->handshake;
    struct gate *g = s->wg->gate;
    enum socket_type app = gate_socket(g);
    s->handshaking->checked = true;
    bool matters = app == SOCKET_ROUTER || app == SOCKET_REP || app == SOCKET_AUTO;
    bool refuses = session_limits(s)->duplicate_ids == DUPLICATE_IDS_REFUSE;
    if (h->routing_id_len == 0 || !matters || !(refuses || shadow_refuses_duplicates(s)))
        return true;
    uint64_t hash = hash_bytes(&g->traffic.key, h->routing_id, h->routing_id_len);
    hash = hash ? hash : 1;
    enum claim_result r = claim_routing_id(s, &s->handshaking->claim, hash, refuses);
    if (r == CLAIM_WAITS)
        claim_later(s);
    if (r == CLAIM_REFUSED && !refuses)
        shadow_note(s, VERDICT_DUPLICATE_ROUTING_ID, 1);
    if (r == CLAIM_MINE || r == CLAIM_WAITS || !refuses)
        return true;
    session_end(s, r == CLAIM_REFUSED ? VERDICT_DUPLICATE_ROUTING_ID : VERDICT_NO_MEMORY);
    return false;
}

/* Enters the routing id as soon as the client has sent it. False: the session has ended. */
static bool check_name(struct session *s)
{
    const struct handshaking *o = s->handshaking;
    return o->checked || !o->handshake.named || o->retry_ns != 0 || enter_routing_id(s);
}

/* The application does not see an id before it was entered. */
static bool may_be_named(const struct session *s)
{
    return s->handshaking->checked || !s->handshaking->handshake.named;
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
    if (!o->connected || !may_be_named(s))
        return;
    uint64_t before = atomic_load_explicit(&c->metric[CELL_SENT_IN], memory_order_relaxed);
    write_waiting(&s->back, handshake_to_app, handshake_sent_app, &o->handshake, &c->metric[CELL_SENT_IN]);
    uint64_t sent = atomic_load_explicit(&c->metric[CELL_SENT_IN], memory_order_relaxed) - before;
    if (sent)
        atomic_fetch_add_explicit(&s->wg->gate->opening_bytes, sent, memory_order_relaxed);
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
    if (!o->connected || room == 0)
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

static bool reach_application(struct session *s)
{
    struct handshaking *o = s->handshaking;
    if (o->connecting && s->back.writable)
        finish_connect(s);
    if (s->flags.ended)
        return false;
    if (!o->handshake.wants_app || o->handshake.verdict != VERDICT_PASS || s->back.watch.fd >= 0)
        return true;
    if (!may_be_named(s))
        return true;
    if (o->retry_ns == 0 || o->held || o->reach.waits)
        connect_now(s);
    return !s->flags.ended;
}

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
    if (handshake_trusts_initiator(h) && !reach_stands(s->wg))
        handshake_doubt_initiator(h);
    if (h->app_known || s->back.watch.fd >= 0)
        return;
    if (reach_knows(s->wg, &app)) {
        if (h->asks)
            handshake_ask_no_more(h);
        reach_leave(s);
        s->handshaking->retry_ns = 0;
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

static void switch_turn(struct session *s, bool apps_turn)
{
    struct handshaking *o = s->handshaking;
    uint64_t now_ns = session_now_ns(s), used_ns = now_ns - o->turn_ns, *left_ns = &o->left_ns[o->apps_turn];
    *left_ns = *left_ns > used_ns ? *left_ns - used_ns : 0;
    o->apps_turn = apps_turn;
    o->turn_ns = now_ns;
    o->deadline_ns = now_ns + o->left_ns[apps_turn];
    session_arm(s, handshake_trusts_initiator(&o->handshake) ? now_ns + HELLO_SOON_NS : o->deadline_ns);
}

/* The client's READY waits for the application's, but not for long. */
static void hold_ready(struct session *s)
{
    struct handshaking *o = s->handshaking;
    uint64_t now_ns = session_now_ns(s);
    if (!o->handshake.app_greeted || !handshake_holds_ready(&o->handshake))
        return;
    if (o->held_ns == 0)
        o->held_ns = now_ns;
    session_arm(s, o->held_ns + READY_SOON_NS);
    if (now_ns < o->held_ns + READY_SOON_NS)
        return;
    handshake_hold_no_more(&o->handshake);
    session_wake(s);
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
    if (steps != o->steps || apps_turn != o->apps_turn)
        half_open_note_move(s);
    o->steps = (uint8_t)steps;
    if (apps_turn != o->apps_turn)
        switch_turn(s, apps_turn);
    hold_ready(s);
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
    if (!reach_application(s))
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
    if (!check_name(s))
        return false;
    bool waited = handshake_to_app(h).len != 0;
    write_all(s);
    return moved || (waited && handshake_to_app(h).len == 0) || handshake_may_ask(h) ||
           (h->wants_app && s->back.watch.fd < 0 && o->retry_ns == 0 && o->connect.turn != CONNECT_WAITS);
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

/* The name in capitals, as usually written: "SUB". */
static const char *capitals(char dst[static 16], enum socket_type t)
{
    const char *name = socket_type_name(t);
    size_t i = 0;
    for (; i < 15 && name[i]; i++)
        dst[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
    dst[i] = 0;
    return dst;
}

/* The application's type that the client does not fit: the one it has sent in this handshake, or the one it is believed
 * to have. */
static enum socket_type misfit_type(const struct handshake *h)
{
    bool said = h->app_socket != SOCKET_AUTO && !socket_types_fit(h->client_socket, h->app_socket);
    return said ? h->app_socket : h->app.socket;
}

const char *handshaking_detail(char *dst, size_t size, const struct session *s, enum verdict v)
{
    const struct handshake *h = s->handshaking ? &s->handshaking->handshake : NULL;
    char its[16], apps[16];
    dst[0] = 0;
    if (!h)
        return dst;
    enum socket_type app = misfit_type(h);
    if (v == VERDICT_WRONG_SOCKET_TYPE && h->client_socket != SOCKET_AUTO && app != SOCKET_AUTO)
        snprintf(dst, size, ": it is a %s, the application a %s", capitals(its, h->client_socket), capitals(apps, app));
    if (v == VERDICT_WRONG_MECHANISM && h->client.mechanism != MECHANISM_OTHER && h->app.mechanism != MECHANISM_OTHER)
        snprintf(dst, size, ": it speaks %s, the application %s", zmtp_mechanism_name(h->client.mechanism),
                 zmtp_mechanism_name(h->app.mechanism));
    if (v == VERDICT_OLD_VERSION)
        snprintf(dst, size, ": it speaks ZMTP %u.0", h->client.major);
    return dst;
}

bool handshaking_is_overdue(const struct session *s)
{
    const struct handshaking *o = s->handshaking;
    if (!o || s->state != SESSION_HANDSHAKING || o->apps_turn)
        return false;
    uint64_t left_ns = o->left_ns[false] + o->turn_ns, now_ns = session_now_ns(s);
    return now_ns + session_limits(s)->handshake.within_ns >= left_ns + NS_PER_S;
}

/* Why the client could not finish. */
static enum verdict timeout_verdict(const struct session *s)
{
    const struct handshaking *o = s->handshaking;
    if (o->no_place)
        return VERDICT_TABLE_FULL;
    if (o->held)
        return VERDICT_BREAKER_OPEN;
    if (!o->apps_turn)
        return VERDICT_HANDSHAKE_TIMEOUT;
    return o->handshake.app_greeted ? VERDICT_APPLICATION_TIMEOUT : VERDICT_APPLICATION_ABSENT;
}

/* Notices an application that has accepted the connection and stays silent. */
static void note_silence(struct session *s)
{
    struct handshaking *o = s->handshaking;
    if (o->late || o->asked_ns == 0 || o->handshake.app_greeted)
        return;
    uint64_t late_ns = o->asked_ns + session_limits(s)->handshake.within_ns;
    if (session_now_ns(s) < late_ns) {
        session_arm(s, late_ns);
        return;
    }
    o->late = true;
    health_on_late_handshake(s);
    if (o->connected)
        reach_on_silence(s, "it accepts connections but does not answer");
}

void handshaking_on_timer(struct session *s)
{
    struct handshaking *o = s->handshaking;
    note_silence(s);
    if (session_now_ns(s) >= o->deadline_ns) {
        session_end(s, timeout_verdict(s));
        return;
    }
    session_arm(s, o->deadline_ns);
    if (o->retry_ns && session_now_ns(s) >= o->retry_ns)
        o->retry_ns = 0;
    if (o->retry_ns)
        session_arm(s, o->retry_ns);
    session_wake(s);
}
