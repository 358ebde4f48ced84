/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/session.h"

#include "relay/ban_enforce.h"
#include "relay/buffer_room.h"
#include "relay/claim.h"
#include "relay/deadlines.h"
#include "relay/end_detail.h"
#include "relay/half_open.h"
#include "relay/handshaking.h"
#include "relay/lane_buffer.h"
#include "relay/linger.h"
#include "relay/request_flow.h"
#include "relay/shared_address.h"
#include "relay/slow_reader.h"
#include "relay/strangers.h"
#include "relay/strike_scoring.h"
#include "relay/topic_room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A session is drained after it has been quiet for this long. */
#define DRAIN_QUIET_NS (200 * NS_PER_MS)

static void session_on_alarm(struct alarm *a);

/* ---- life ---- */

static void init_links(struct session *s)
{
    list_init(&s->in.worker);
    list_init(&s->in.conns);
    list_init(&s->in.waiting);
    list_init(&s->in.run);
    timer_init(&s->alarm.timer);
    s->alarm.ring = session_on_alarm;
    s->front.watch = (struct watch){.kind = WATCH_FRONT, .fd = -1};
    s->back.watch = (struct watch){.kind = WATCH_BACK, .fd = -1};
}

static struct session *session_new(struct worker_gate *wg, const struct addr *addr, struct source *source)
{
    struct worker *w = wg->worker;
    if (!account_charge(w->account, SESSION_BYTES))
        return NULL;
    struct session *s = calloc(1, sizeof(*s));
    if (!s) {
        account_release(w->account, SESSION_BYTES);
        return NULL;
    }
    init_links(s);
    s->wg = wg;
    s->client.addr = *addr;
    s->source = source;
    s->flags.cohort = (uint8_t)gate_cohort(wg->gate, source);
    s->flags.standing = (uint8_t)strangers_judge(wg, source);
    s->flags.class = (uint8_t)classes_find(wg->gate->config->class_table, addr);
    s->client.id = ++w->sessions.next_id << 8 | (w->index + 1);
    s->times.active_ns = s->times.accepted_ns = w->loop.now_ns;
    return s;
}

static void fail_accept(struct worker_gate *wg, int fd, struct source *source)
{
    gate_count_verdict(wg->gate, wg->worker->index, VERDICT_NO_MEMORY, 1);
    source_release(source);
    close(fd);
}

void session_accept(struct worker_gate *wg, int fd, const struct addr *addr, struct source *source, bool of_balancer)
{
    struct worker *w = wg->worker;
    struct source_conns *conns = source_conns_get(wg, source);
    struct session *s = conns ? session_new(wg, addr, source) : NULL;
    if (!s) {
        fail_accept(wg, fd, source);
        source_conns_discard_if_empty(conns);
        return;
    }
    s->front.watch.fd = fd;
    s->flags.of_balancer = of_balancer;
    s->in.swept = w->sweep.round;
    list_push(&w->sessions.all, &s->in.worker);
    source_conns_add(conns, s);
    atomic_fetch_add(&wg->gate->counts.open, 1);
    cell_add(session_cells(s), CELL_OPEN, 1);
    session_count_class(s, CLASS_CONNECTIONS, 1);
    s->handshaking = handshaking_new(s);
    if (!s->handshaking || loop_watch(&w->loop, &s->front.watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP) < 0) {
        session_close(s, VERDICT_NO_MEMORY);
        return;
    }
    s->front.writable = true;
    if (half_open_begin(s))
        handshaking_start(s);
    session_reap(w);
}

static void close_side(struct socket_side *side)
{
    if (side->watch.fd >= 0)
        close(side->watch.fd);
    side->watch.fd = -1;
}

/* An open connection may have a full queue on the application's side, which then learns of the end late. */
static void leave_application(struct session *s)
{
    if (s->back.watch.fd < 0)
        return;
    if (s->state == SESSION_OPEN && !s->down.eof) {
        linger_begin(s);
        return;
    }
    if (s->state == SESSION_OPEN)
        gate_forget_connection(s->wg->gate, s->back.watch.fd);
    close_side(&s->back);
    linger_give_back(s->wg);
}

static void end_lane(struct lane *l, struct session *s, enum metric_cell blocked)
{
    lane_fini(l, s);
    if (l->paused)
        cell_sub(session_cells(s), CELL_PAUSED, 1);
    if (l->blocked)
        cell_sub(session_cells(s), blocked, 1);
}

static void release_all(struct session *s)
{
    if (s->state == SESSION_OPEN) {
        atomic_fetch_sub(&s->wg->gate->counts.established, 1);
        request_flow_end(s);
        slow_reader_end(s);
        end_lane(&s->up, s, CELL_BLOCKED_IN);
        end_lane(&s->down, s, CELL_BLOCKED_OUT);
        topic_room_give_back(s->wg, s->source, &s->topics);
    }
    strangers_leave(s);
    half_open_end(s);
    buffer_room_resume(s);
    handshaking_free(s->handshaking, s);
    s->handshaking = NULL;
    if (s->client.routing_id)
        refcount_remove(&s->wg->gate->routing_ids, s->client.routing_id);
    source_conns_remove(s->conns, s);
    source_release(s->source);
}

/* A client that was silent for this long may be a worker that waits for its first job. */
#define STOOD_NS (10 * NS_PER_S)

static bool had_its_chance(const struct session *s, enum verdict v)
{
    uint64_t age_ns = session_now_ns(s) - s->times.opened_ns;
    return age_ns < STOOD_NS && (v == VERDICT_PASS || (v == VERDICT_GIVE_WAY && age_ns >= STRANGERS_SPARED_NS));
}

/* Whether nothing came of the session, and neither the application nor Weir was the cause. */
static bool was_of_no_use(const struct session *s, enum verdict v)
{
    if (s->flags.served || s->topics.count)
        return false;
    if (s->state == SESSION_OPEN)
        return s->up.last_read == 0 && had_its_chance(s, v);
    return s->state == SESSION_HANDSHAKING && !s->handshaking->awaits_app && !s->handshaking->claim.hash &&
           (v == VERDICT_HANDSHAKE_ABANDONED || v == VERDICT_HANDSHAKE_TIMEOUT || v == VERDICT_GIVE_WAY ||
            v == VERDICT_HALF_OPEN_GIVE_WAY || v == VERDICT_TOO_MANY_HALF_OPEN);
}

static void session_note_end(struct session *s, enum verdict v)
{
    char detail[128];
    session_notice_with(s, v, 1, end_detail(detail, sizeof(detail), s, v));
    /* Without the colon and the blank of the log line. */
    strike_ends(s, v, handshaking_clock_is_overdue(s), s->handshaking && detail[0] ? detail + 2 : "");
}

/* The place where the two connections of a session are closed. */
static void tear_down(struct session *s)
{
    struct worker *w = s->wg->worker;
    enum verdict v = (enum verdict)s->flags.verdict;
    if (v != VERDICT_PASS)
        session_note_end(s, v);
    if (was_of_no_use(s, v))
        strangers_note_useless(s);
    if (s->state == SESSION_OPEN && !s->flags.served && !s->topics.count)
        half_open_came_to_nothing(s);
    ban_enforce_before_close(s->wg, s->front.watch.fd, &s->client.addr);
    claim_let_go(s);
    close_side(&s->front);
    leave_application(s);
    timer_disarm(&s->alarm.timer);
    release_all(s);
    atomic_fetch_sub(&s->wg->gate->counts.open, 1);
    cell_sub(session_cells(s), CELL_OPEN, 1);
    session_count_class(s, CLASS_CONNECTIONS, (uint64_t)0 - 1);
    cell_add(session_cells(s), CELL_CLOSED, 1);
    list_del(&s->in.worker);
    list_push(&w->sessions.closed, &s->in.worker);
}

void session_reap(struct worker *w)
{
    for (struct list *n; (n = list_pop(&w->sessions.ended));)
        tear_down(LIST_ENTRY(n, struct session, in.run));
}

void session_close(struct session *s, enum verdict v)
{
    session_end(s, v);
    session_reap(s->wg->worker);
}

void session_free(struct session *s)
{
    account_release(s->wg->worker->account, SESSION_BYTES);
    free(s);
}

/* ---- opening ---- */

static bool subscribes(enum socket_type t)
{
    return t == SOCKET_SUB || t == SOCKET_XSUB;
}

/* An application of these types never waits for a slow receiver (it drops, or answers): a client that does not read
 * costs it memory. Others wait by design. For an application whose type is hidden nothing can be said. */
static bool waits_for_receivers(enum socket_type app)
{
    return app != SOCKET_PUB && app != SOCKET_XPUB && app != SOCKET_ROUTER && app != SOCKET_REP;
}

static bool answers_requests(enum socket_type app)
{
    return app == SOCKET_ROUTER || app == SOCKET_REP || app == SOCKET_AUTO;
}

static bool publishes(enum socket_type app)
{
    return app == SOCKET_PUB || app == SOCKET_XPUB;
}

static void init_lanes(struct session *s, const struct handshake *h)
{
    bool zmtp2 = h->client.major == 2, curve = h->app.mechanism == MECHANISM_CURVE;
    lane_init(&s->up, true, zmtp2, curve, subscribes(h->client_socket));
    lane_init(&s->down, false, zmtp2, curve, false);
    s->up.traffic.wants_delimiter = !curve && gate_socket(s->wg->gate) == SOCKET_REP;
    s->flags.can_pong = !zmtp2 && !curve && h->client.minor >= 1 && h->app.minor >= 1;
    s->flags.client_socket = (uint8_t)h->client_socket;
    s->flags.awaits_reply = h->client_socket == SOCKET_REQ || h->app_socket == SOCKET_REP;
    s->flags.answers = answers_requests(gate_socket(s->wg->gate));
    s->flags.broadcast = publishes(gate_socket(s->wg->gate));
    s->flags.pushes_back = waits_for_receivers(gate_socket(s->wg->gate));
    request_flow_begin(s);
}

static void open_session(struct session *s)
{
    struct handshaking *o = s->handshaking;
    const struct handshake *h = &o->handshake;
    init_lanes(s, h);
    half_open_done(s);
    half_open_end(s);
    s->state = SESSION_OPEN;
    atomic_fetch_add(&s->wg->gate->counts.established, 1);
    reach_leave(s);
    s->handshaking = NULL;
    bool loaded = lane_buffer_append(&s->up, s, handshake_rest_of_client(h)) &&
                  lane_buffer_append(&s->down, s, handshake_rest_of_app(h));
    handshaking_free(o, s);
    strangers_enter(s);
    if (!loaded) {
        session_end(s, VERDICT_NO_MEMORY);
        return;
    }
    timer_disarm(&s->alarm.timer);
    s->times.active_ns = s->times.opened_ns = session_now_ns(s);
    cell_add(session_cells(s), CELL_ESTABLISHED, 1);
    shared_address_look(s);
    session_wake(s);
}

/* ---- turns ---- */

static bool may_drain(const struct session *s)
{
    uint64_t now = session_now_ns(s);
    if (!lane_is_quiet(&s->up) || !lane_is_quiet(&s->down) || now - s->times.active_ns < DRAIN_QUIET_NS)
        return false;
    return !s->flags.awaits_reply || s->down.messages >= s->up.messages;
}

static void drain(struct session *s)
{
    if (s->state != SESSION_OPEN || may_drain(s))
        session_end(s, VERDICT_DRAINING);
    else
        session_arm(s, session_now_ns(s) + DRAIN_QUIET_NS / 2);
}

/* Whether nobody waits for the answer to the request in line any more. A REQ that has closed takes no answer, and
 * neither does a connection that was reset. Any other client may have sent a message that needs no answer, and
 * closed. */
static bool asker_has_left(const struct session *s)
{
    bool gone = s->front.reset || (s->front.hup && s->flags.client_socket == SOCKET_REQ);
    return gone && s->flags.answers && s->flags.in_line;
}

void session_run(struct session *s)
{
    /* A client that leaves the line takes no turn. */
    if (s->state == SESSION_WAITING && s->front.hup)
        session_end(s, VERDICT_HANDSHAKE_ABANDONED);
    if (s->state == SESSION_HANDSHAKING && handshaking_run(s))
        open_session(s);
    if (session_is_open(s)) {
        buffer_room_resume(s);
        s->progress.turn_bytes = 0;
        bool more = lane_run(&s->up, s);
        more |= lane_run(&s->down, s);
        s->flags.heavy = s->progress.turn_bytes >= SESSION_HEAVY_BYTES;
        if (more)
            session_wake(s);
    }
    if (session_is_open(s) && asker_has_left(s))
        session_end(s, VERDICT_ASKER_LEFT);
    if (s->wg->worker->drain_from_ns && !s->flags.ended)
        drain(s);
    session_reap(s->wg->worker);
}

/* ---- time ---- */

void session_reconsider(struct session *s)
{
    if (s->state == SESSION_OPEN)
        deadlines_reconsider(s);
    else
        session_arm(s, session_now_ns(s));
}

static void let_next_in(struct source_conns *p)
{
    for (struct session *s; (s = half_open_next(p));)
        handshaking_start(s);
}

static void session_on_alarm(struct alarm *a)
{
    struct session *s = (struct session *)(void *)((char *)a - offsetof(struct session, alarm));
    struct worker *w = s->wg->worker;
    switch (s->state) {
    case SESSION_WAITING:
        let_next_in(s->conns);
        break;
    case SESSION_HANDSHAKING:
        handshaking_clock_on_alarm(s);
        break;
    case SESSION_OPEN:
        deadlines_on_alarm(s);
        break;
    default:
        break;
    }
    session_reap(w);
}
