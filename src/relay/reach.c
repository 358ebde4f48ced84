/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/reach.h"

#include "base/log.h"
#include "loop/net.h"
#include "relay/handshaking.h"

#include <string.h>

#define RETRY_FIRST_NS (20 * NS_PER_MS)
#define RETRY_MOST_NS  (500 * NS_PER_MS)

/* How long the greeting of an application without connections is believed. */
#define FRESH_NS (20 * NS_PER_MS)

/* Descriptors that an application needs for itself. */
#define APPLICATION_RESERVE 64u

static struct reach_part *part(const struct session *s)
{
    return &s->handshaking->reach;
}

/* ---- facts ---- */

static bool reach_gate_stands(const struct gate *g)
{
    return atomic_load(&g->counts.established) > 0 || atomic_load(&g->reach.greeted) > 0;
}

bool reach_stands(const struct worker_gate *wg)
{
    return reach_gate_stands(wg->gate);
}

bool reach_knows(const struct worker_gate *wg, struct handshake_app *ret)
{
    const struct gate *g = wg->gate;
    uint64_t now_ns = wg->worker->loop.now_ns;
    bool some = reach_gate_stands(g);
    return app_facts_get(&g->app, ret, some, now_ns) &&
           (some || app_facts_told(&g->app) || now_ns < atomic_load(&g->reach.verified_ns) + FRESH_NS);
}

void reach_doubt(struct worker_gate *wg)
{
    atomic_store(&wg->gate->reach.verified_ns, 0);
}

void reach_forget(struct worker_gate *wg)
{
    app_facts_forget(&wg->gate->app, wg->worker->loop.now_ns);
    reach_doubt(wg);
}

/* ---- the turn ---- */

static void stop_waiting(struct session *s)
{
    if (part(s)->waits)
        atomic_fetch_sub(&s->wg->gate->reach.waiting, 1);
    part(s)->waits = false;
}

static void give_turn_back(struct session *s)
{
    struct gate *g = s->wg->gate;
    uint64_t mine = part(s)->turn_ns;
    part(s)->turn_ns = 0;
    if (mine && atomic_compare_exchange_strong(&g->reach.turn_ns, &mine, 0) && atomic_load(&g->reach.waiting))
        worker_tell_all(s->wg->worker);
}

/* The session with the turn starts over, unless it took so long that another has the turn now. */
static bool keep_turn(struct session *s)
{
    uint64_t mine = part(s)->turn_ns, now_ns = session_now_ns(s);
    bool has = mine && atomic_compare_exchange_strong(&s->wg->gate->reach.turn_ns, &mine, now_ns);
    part(s)->turn_ns = has ? now_ns : 0;
    return has;
}

static bool take_turn(struct session *s, uint64_t *ret_until_ns)
{
    struct gate *g = s->wg->gate;
    uint64_t now_ns = session_now_ns(s), since_ns = atomic_load(&g->reach.turn_ns);
    *ret_until_ns = since_ns + REACH_TURN_NS;
    if (since_ns && now_ns < *ret_until_ns)
        return false;
    if (!atomic_compare_exchange_strong(&g->reach.turn_ns, &since_ns, now_ns)) {
        *ret_until_ns = now_ns + REACH_TURN_NS;
        return false;
    }
    part(s)->turn_ns = now_ns;
    return true;
}

static void wait_until(struct session *s, uint64_t at_ns)
{
    if (!part(s)->waits)
        atomic_fetch_add(&s->wg->gate->reach.waiting, 1);
    part(s)->waits = true;
    s->handshaking->upstream.retry_ns = at_ns;
    session_arm(s, at_ns);
}

bool reach_takes_turn(struct session *s)
{
    struct gate *g = s->wg->gate;
    uint64_t until_ns;
    if (s->handshaking->handshake.asks || !atomic_load(&g->reach.up)) {
        if (!keep_turn(s) && !take_turn(s, &until_ns)) {
            wait_until(s, until_ns);
            return false;
        }
        uint64_t again_ns = atomic_load(&g->reach.up) ? 0 : atomic_load(&g->reach.again_ns);
        if (session_now_ns(s) < again_ns) {
            wait_until(s, again_ns);
            return false;
        }
    }
    stop_waiting(s);
    return true;
}

bool reach_is_due(const struct worker_gate *wg)
{
    const struct gate *g = wg->gate;
    uint64_t now_ns = wg->worker->loop.now_ns, turn_ns = atomic_load(&g->reach.turn_ns);
    return (turn_ns == 0 || now_ns >= turn_ns + REACH_TURN_NS) && now_ns >= atomic_load(&g->reach.again_ns);
}

/* ---- it cannot be reached ---- */

static void complain(struct worker_gate *wg, struct log_limit *l, const char *why)
{
    struct gate *g = wg->gate;
    LOG_LIMITED(l, wg->worker->loop.now_ns, LOG_LEVEL_WARN,
                "gate %s: the application at %s cannot be reached (%s); clients wait, and Weir keeps trying",
                g->config->name, g->config->forward_text, why);
}

uint64_t reach_on_failure(struct session *s, int error)
{
    struct gate *g = s->wg->gate;
    complain(s->wg, &g->notices.reach, strerror(-error));
    if (atomic_exchange(&g->reach.up, false))
        atomic_store(&g->reach.failures, 0);
    uint32_t n = atomic_fetch_add(&g->reach.failures, 1);
    uint64_t pause_ns = n < 5 && (RETRY_FIRST_NS << n) < RETRY_MOST_NS ? RETRY_FIRST_NS << n : RETRY_MOST_NS;
    atomic_store(&g->reach.again_ns, session_now_ns(s) + pause_ns);
    return pause_ns;
}

void reach_on_silence(struct session *s, const char *why)
{
    if (reach_gate_stands(s->wg->gate))
        return;
    atomic_store(&s->wg->gate->reach.up, false);
    complain(s->wg, &s->wg->gate->notices.silent, why);
}

/* ---- it can be reached ---- */

/* Over a Unix socket the listening process is known: its descriptor limit is respected, with room for its own
 * descriptors. The limit is read from /proc, once for each process that listens there. That file is generated in memory
 * and needs no disk access. */
static void respect_descriptor_limit(struct session *s)
{
    struct gate *g = s->wg->gate;
    int pid = g->forward.kind == ENDPOINT_IPC ? net_peer_process(s->back.watch.fd) : 0;
    if (pid <= 0 || atomic_exchange(&g->reach.process, pid) == pid)
        return;
    size_t limit = net_descriptor_limit(pid);
    if (limit == 0)
        return;
    size_t usable = limit > 2 * APPLICATION_RESERVE ? limit - APPLICATION_RESERVE : limit / 2;
    const struct limits *l = &s->wg->policy->limits;
    uint32_t room = usable < UINT32_MAX ? (uint32_t)usable : UINT32_MAX;
    atomic_store(&g->counts.room, room);
    if (gate_bound_connections(g, l))
        LOG_WARN("gate %s: connections.max lowered from %u to %u: the application may open %zu descriptors (raise its "
                 "limit, LimitNOFILE or ulimit -n)",
                 g->config->name, l->connections.max, room, limit);
}

static void say_that_it_is_there(struct worker_gate *wg, const struct handshake *h)
{
    const struct gate *g = wg->gate;
    const char *mechanism = zmtp_mechanism_name(h->app.mechanism);
    char version[64] = "ZMTP 2.0";
    if (h->app.major == 3 && handshake_is_zmtp2(h))
        snprintf(version, sizeof(version), "ZMTP 3");
    else if (h->app.major == 3)
        snprintf(version, sizeof(version), "ZMTP 3.%u, %s", h->app.minor,
                 mechanism[0] ? mechanism : "a mechanism that Weir does not know");
    LOG_INFO("gate %s: the application at %s is there (%s)", g->config->name, g->config->forward_text, version);
}

/* An application of 3.x does not tell all about itself to a client that speaks 2.0. */
static bool tells_all(const struct handshake *h)
{
    return !h->asks || !handshake_is_zmtp2(h) || h->app.major == 2;
}

/* Returns whether this is news. `alone`: no other connection stands. */
static bool reach_learn(struct worker_gate *wg, const struct handshake *h, bool alone)
{
    struct gate *g = wg->gate;
    struct handshake_app before;
    bool known = app_facts_shown(&g->app, &before);
    if (h->asks && alone)
        app_facts_forget_initiator(&g->app);
    if (!tells_all(h))
        return !known;
    app_facts_learn(&g->app, &h->app, wg->worker->loop.now_ns);
    atomic_store(&g->reach.verified_ns, wg->worker->loop.now_ns);
    return !known || before.mechanism != h->app.mechanism || before.minor != h->app.minor ||
           before.major != h->app.major;
}

void reach_on_greeting(struct session *s)
{
    struct gate *g = s->wg->gate;
    const struct handshake *h = &s->handshaking->handshake;
    bool shown = tells_all(h), alone = !reach_gate_stands(g);
    if (shown && !part(s)->stands)
        atomic_fetch_add(&g->reach.greeted, 1);
    part(s)->stands |= shown;
    bool news = reach_learn(s->wg, h, alone);
    (void)reach_hear(&g->reach, REACH_SPEAKS_ZMTP);
    respect_descriptor_limit(s);
    if (!atomic_exchange(&g->reach.up, true) || news)
        say_that_it_is_there(s->wg, h);
    give_turn_back(s);
}

void reach_on_words(struct session *s)
{
    struct handshaking *o = s->handshaking;
    struct handshake_app app = o->handshake.app;
    app.socket = o->handshake.app_socket;
    app.initiator = handshake_shown_initiator(&o->handshake);
    if (app.socket == o->shown_socket && app.initiator == o->shown_initiator)
        return;
    o->shown_socket = app.socket;
    o->shown_initiator = app.initiator;
    if (part(s)->stands)
        app_facts_learn(&s->wg->gate->app, &app, session_now_ns(s));
}

void reach_leave(struct session *s)
{
    stop_waiting(s);
    give_turn_back(s);
    if (part(s)->stands)
        atomic_fetch_sub(&s->wg->gate->reach.greeted, 1);
    part(s)->stands = false;
}
