/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/health.h"

#include "base/log.h"
#include "relay/event_log.h"
#include "relay/handshaking.h"
#include "relay/reach.h"

#include <errno.h>
#include <stddef.h>

/* Looks per breaker.stall, and the least time between two. */
#define STALL_LOOKS    4
#define STALL_LEAST_NS (100 * NS_PER_MS)

static const struct breaker_params *params(const struct worker_gate *wg)
{
    return &wg->policy->config->breaker;
}

/* ---- changes ---- */

static const char *cause_words(enum breaker_cause c)
{
    static const char *const words[] = {
        [BREAKER_CONNECT] = "it cannot be reached, again and again",
        [BREAKER_HANDSHAKE] = "it ends handshakes, again and again",
        [BREAKER_STALL] = "it takes nothing, though much waits for it",
    };
    return words[c];
}

static void write_change(struct worker_gate *wg, enum breaker_change c, uint64_t now_ns)
{
    struct gate *g = wg->gate;
    struct log_limit *limit = &g->notices.breaker[c];
    const char *name = g->config->name, *app = g->config->forward_text;
    uint64_t until_ns = breaker_open_until_ns(&g->breaker, now_ns);
    if (c == BREAKER_NOW_OPEN)
        LOG_LIMITED(limit, now_ns, LOG_LEVEL_WARN,
                    "gate %s: circuit breaker open for %.1f s: the application at %s: %s; newcomers %s", name,
                    until_ns > now_ns ? (double)(until_ns - now_ns) / (double)NS_PER_S : 0.0, app,
                    cause_words(breaker_cause(&g->breaker)),
                    wg->policy->config->breaker_open == BREAKER_MEETS_REFUSE ? "are refused" : "wait");
    else if (c == BREAKER_NOW_HALF_OPEN)
        LOG_LIMITED(limit, now_ns, LOG_LEVEL_INFO,
                    "gate %s: circuit breaker half-open: newcomers try the application at %s, %u at a time", name, app,
                    params(wg)->trials);
    else
        LOG_LIMITED(limit, now_ns, LOG_LEVEL_INFO, "gate %s: circuit breaker closed: the application at %s works", name,
                    app);
}

static void tell_change(struct worker_gate *wg, enum breaker_change c, uint64_t now_ns)
{
    const struct gate *g = wg->gate;
    uint64_t until_ns = breaker_open_until_ns(&g->breaker, now_ns);
    if (c == BREAKER_NOW_OPEN)
        event_log_gate(wg, EVENT_BREAKER_OPENED, until_ns > now_ns ? until_ns - now_ns : 0,
                       cause_words(breaker_cause(&g->breaker)));
    else
        event_log_gate(wg, c == BREAKER_NOW_HALF_OPEN ? EVENT_BREAKER_HALF_OPEN : EVENT_BREAKER_CLOSED, 0,
                       g->config->forward_text);
}

static void note_change(struct worker_gate *wg, enum breaker_change c)
{
    uint64_t now_ns = wg->worker->loop.now_ns;
    if (c == BREAKER_UNCHANGED)
        return;
    worker_tell_all(wg->worker);
    tell_change(wg, c, now_ns);
    write_change(wg, c, now_ns);
}

/* ---- newcomers ---- */

bool health_refuses(const struct worker_gate *wg)
{
    const struct gate *g = wg->gate;
    if (wg->policy->config->breaker_open != BREAKER_MEETS_REFUSE ||
        breaker_state(&g->breaker, wg->worker->loop.now_ns) != BREAKER_OPEN)
        return false;
    return breaker_cause(&g->breaker) != BREAKER_CONNECT || !reach_is_due(wg);
}

/* While the application cannot be reached, one client at a time probes it. */
static bool finds_out(const struct session *s)
{
    const struct gate *g = s->wg->gate;
    return s->handshaking->reach.turn_ns && breaker_state(&g->breaker, session_now_ns(s)) == BREAKER_OPEN &&
           breaker_cause(&g->breaker) == BREAKER_CONNECT;
}

bool health_admits(struct session *s)
{
    struct gate *g = s->wg->gate;
    uint64_t now_ns = session_now_ns(s);
    if (finds_out(s)) {
        s->handshaking->upstream.held = false;
        return true;
    }
    uint32_t ticket = (uint32_t)hash_bytes(&g->traffic.key, &s->client.id, sizeof(s->client.id));
    struct breaker_answer a = breaker_enter(&g->breaker, params(s->wg), ticket, now_ns);
    note_change(s->wg, a.change);
    s->handshaking->upstream.held = !a.go;
    s->handshaking->place = a.place;
    if (a.go)
        return true;
    s->handshaking->upstream.retry_ns = now_ns + a.wait_ns;
    session_arm(s, s->handshaking->upstream.retry_ns);
    return false;
}

void health_give_back(struct session *s)
{
    breaker_leave(&s->wg->gate->breaker, s->handshaking->place);
    s->handshaking->place = 0;
}

/* ---- observations ---- */

void health_on_greeting(struct worker_gate *wg)
{
    note_change(wg, breaker_on_greeting(&wg->gate->breaker, wg->worker->loop.now_ns));
}

void health_on_handshake(struct session *s)
{
    health_give_back(s);
    note_change(s->wg, breaker_on_handshake(&s->wg->gate->breaker, session_now_ns(s)));
}

/* For the jitter of the open time. */
static uint64_t dice(const struct gate *g, uint64_t now_ns)
{
    return hash_bytes(&g->traffic.key, &now_ns, sizeof(now_ns));
}

void health_on_failure(struct worker_gate *wg, enum breaker_cause cause)
{
    struct gate *g = wg->gate;
    uint64_t now_ns = wg->worker->loop.now_ns;
    note_change(wg, breaker_on_failure(&g->breaker, params(wg), cause, now_ns, dice(g, now_ns)));
}

/* How the application reacts to a ZMTP 2.0 greeting, which Weir passes on, is the client's responsibility. */
static bool was_asked_in_3(const struct session *s)
{
    return s->handshaking->handshake.client.major != 2;
}

/* libzmq also ends a handshake for something the client has said: a password, a key, a socket type that Weir does not
 * see. A PAIR ends every connection but the first. With NULL, and a socket type that Weir has checked, no such reason
 * is left: an unwelcome client gets an ERROR. */
void health_on_early_end(struct session *s)
{
    /* An application that sees clients' addresses may end connections because of them, at any point. */
    if (s->wg->gate->config->upstream_source == UPSTREAM_SOURCE_CLIENT)
        return;
    const struct handshake *h = &s->handshaking->handshake;
    /* After its greeting: the type that the client was judged by. Before: any type that it had. */
    enum socket_type app = h->app_greeted ? h->app.socket : gate_socket(s->wg->gate);
    /* A connection that asks has said nothing of its client yet. */
    bool asked = h->asks && !h->app_greeted;
    bool has_no_excuse =
        app != SOCKET_AUTO && app != SOCKET_PAIR && (!h->app_greeted || h->app.mechanism == MECHANISM_NULL);
    if (was_asked_in_3(s) && ((asked && app != SOCKET_PAIR) || has_no_excuse))
        health_on_failure(s->wg, h->app_greeted ? BREAKER_HANDSHAKE : BREAKER_CONNECT);
}

void health_on_wrong_words(struct session *s)
{
    if (was_asked_in_3(s))
        health_on_failure(s->wg, BREAKER_HANDSHAKE);
}

/* The application's greeting depends on nothing that a client says. */
void health_on_late_handshake(struct session *s)
{
    if (was_asked_in_3(s))
        health_on_failure(s->wg, BREAKER_CONNECT);
}

bool health_is_absence(int error)
{
    static const int others[] = {-EAGAIN, -EADDRNOTAVAIL, -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (error == others[i])
            return false;
    return true;
}

/* ---- stalls ---- */

static uint64_t sum(const struct worker *w, const struct gate *g, enum metric_cell c)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < w->all_count; i++)
        n += atomic_load_explicit(&g->cells[i].metric[c], memory_order_relaxed);
    return n;
}

/* Grows whenever the application takes a byte of an open connection, or sends a message. */
static uint64_t taken_by(const struct worker *w, const struct gate *g)
{
    uint64_t handshaking = atomic_load_explicit(&g->handshaking_bytes, memory_order_relaxed);
    return sum(w, g, CELL_SENT_IN) - handshaking + sum(w, g, CELL_MESSAGES_OUT);
}

static void health_look(struct worker_gate *wg)
{
    struct stall_watch *w = &wg->stalls;
    struct worker *worker = wg->worker;
    struct gate *g = wg->gate;
    uint64_t now_ns = worker->loop.now_ns, taken = taken_by(worker, g);
    bool moved = taken != w->taken;
    w->taken = taken;
    if (moved)
        note_change(wg, breaker_on_taken(&g->breaker, now_ns));
    if (moved || sum(worker, g, CELL_BLOCKED_IN) == 0)
        w->since_ns = now_ns;
    else if (now_ns - w->since_ns >= wg->policy->config->breaker_stall_ns)
        note_change(wg, breaker_on_stall(&g->breaker, params(wg), now_ns, dice(g, now_ns)));
}

static void look_again_later(struct worker_gate *wg)
{
    uint64_t pause_ns = wg->policy->config->breaker_stall_ns / STALL_LOOKS;
    pause_ns = pause_ns < STALL_LEAST_NS ? STALL_LEAST_NS : pause_ns;
    timer_arm(&wg->worker->loop.timers, &wg->stalls.alarm.timer, wg->worker->loop.now_ns + pause_ns);
}

static void health_on_alarm(struct alarm *a)
{
    struct worker_gate *wg = (struct worker_gate *)(void *)((char *)a - offsetof(struct worker_gate, stalls.alarm));
    health_look(wg);
    look_again_later(wg);
}

void stall_watch_init(struct stall_watch *w)
{
    *w = (struct stall_watch){.alarm.ring = health_on_alarm};
    timer_init(&w->alarm.timer);
}

void stall_watch_begin(struct worker_gate *wg)
{
    struct stall_watch *w = &wg->stalls;
    if (w->alarm.timer.expires_ns == 0)
        w->since_ns = wg->worker->loop.now_ns;
    timer_disarm(&w->alarm.timer);
    if (wg->policy->config->breaker_stall_ns != 0)
        look_again_later(wg);
}
