/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/probe.h"

#include "base/log.h"
#include "relay/health.h"
#include "relay/net.h"
#include "zmtp/greeting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_FIRST_NS    (100 * NS_PER_MS)
#define RETRY_MOST_NS     NS_PER_S
#define ANSWER_WITHIN_NS  (2 * NS_PER_S)
#define ASK_AGAIN_NS      (20 * NS_PER_MS)
#define COMPLAIN_EVERY_NS (30 * NS_PER_S)

/* Descriptors that an application needs for itself and that nobody else may take. */
#define APPLICATION_RESERVE 64u

struct probe {
    struct watch watch;
    struct worker_gate *wg;
    struct alarm alarm;
    struct stall_watch stalls;
    uint64_t retry_ns;
    uint64_t complained_ns;
    uint64_t asked_ns; /* the last attempt */
    bool sent;
    size_t have;
    uint8_t greeting[ZMTP_GREETING_BYTES];
};

static void attempt(struct probe *p);
static void on_alarm(struct alarm *a);

struct probe *probe_new(struct worker_gate *wg)
{
    struct probe *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->watch = (struct watch){.kind = WATCH_PROBE, .fd = -1};
    p->wg = wg;
    p->retry_ns = RETRY_FIRST_NS;
    timer_init(&p->alarm.timer);
    p->alarm.ring = on_alarm;
    stall_watch_start(&p->stalls, wg);
    attempt(p);
    return p;
}

static void hang_up(struct probe *p)
{
    if (p->watch.fd >= 0)
        close(p->watch.fd);
    p->watch.fd = -1;
    p->have = 0;
    p->sent = false;
    timer_disarm(&p->alarm.timer);
}

void probe_free(struct probe *p)
{
    if (!p)
        return;
    hang_up(p);
    stall_watch_stop(&p->stalls);
    free(p);
}

void probe_on_policy(struct probe *p)
{
    stall_watch_on_policy(&p->stalls);
}

static void complain(struct probe *p, const char *why)
{
    struct gate *g = p->wg->gate;
    uint64_t now = p->wg->worker->now_ns;
    if (p->complained_ns != 0 && now - p->complained_ns < COMPLAIN_EVERY_NS)
        return;
    p->complained_ns = now;
    LOG_WARN("gate %s: the application at %s cannot be reached (%s); clients wait, and Weir keeps trying",
             g->config->name, g->config->forward_text, why);
}

static void try_later(struct probe *p, const char *why)
{
    hang_up(p);
    atomic_store(&p->wg->gate->up, false);
    complain(p, why);
    timer_arm(&p->wg->worker->timers, &p->alarm.timer, p->wg->worker->now_ns + p->retry_ns);
    p->retry_ns = p->retry_ns * 2 < RETRY_MOST_NS ? p->retry_ns * 2 : RETRY_MOST_NS;
}

/* Whoever has open connections is there, and a PAIR that has one ends every other. */
static void fail(struct probe *p, const char *why)
{
    if (atomic_load(&p->wg->gate->established) == 0)
        health_on_failure(p->wg, BREAKER_CONNECT);
    try_later(p, why);
}

static void fail_to_connect(struct probe *p, int error)
{
    if (health_is_absence(error))
        fail(p, strerror(-error));
    else
        try_later(p, strerror(-error));
}

/* A Unix socket tells who listens: its descriptor limit is respected, with room for the application's own. */
static void respect_descriptor_limit(struct probe *p)
{
    struct gate *g = p->wg->gate;
    size_t limit = g->forward.kind == ENDPOINT_IPC ? net_peer_descriptor_limit(p->watch.fd) : 0;
    if (limit == 0)
        return;
    size_t usable = limit > 2 * APPLICATION_RESERVE ? limit - APPLICATION_RESERVE : limit / 2;
    const struct limits *l = &p->wg->policy->limits;
    g->app_room = usable < UINT32_MAX ? (uint32_t)usable : UINT32_MAX;
    if (gate_bound_connections(g, l))
        LOG_WARN("gate %s: connections.max lowered from %u to %u: the application may open %zu descriptors (raise its "
                 "limit, LimitNOFILE or ulimit -n)",
                 g->config->name, l->connections.max, g->app_room, limit);
}

static void learn(struct probe *p, const struct zmtp_greeting *greeting)
{
    struct gate *g = p->wg->gate;
    struct handshake_app app = {
        .mechanism = greeting->mechanism, .minor = greeting->minor, .as_server = greeting->as_server};
    respect_descriptor_limit(p);
    hang_up(p);
    p->retry_ns = RETRY_FIRST_NS;
    p->complained_ns = 0;
    struct handshake_app before = {0};
    bool changed =
        !app_facts_get(&g->app, &before, false, 0) || before.mechanism != app.mechanism || before.minor != app.minor;
    app_facts_learn(&g->app, &app, p->wg->worker->now_ns);
    atomic_store(&g->verified_ns, p->wg->worker->now_ns);
    atomic_store(&g->recheck, false);
    if (!atomic_exchange(&g->up, true) || changed)
        LOG_INFO("gate %s: the application at %s is there (ZMTP 3.%u, %s)", g->config->name, g->config->forward_text,
                 app.minor, zmtp_mechanism_name(app.mechanism));
    health_on_greeting(p->wg);
    worker_tell_all(p->wg->worker);
}

static void on_greeting(struct probe *p)
{
    struct zmtp_greeting greeting;
    size_t used;
    switch (zmtp_greeting_parse(p->greeting, p->have, &greeting, &used)) {
    case GREETING_NEED:
        return;
    case GREETING_BAD:
        fail(p, "what listens there does not speak ZMTP");
        return;
    case GREETING_DONE:
        break;
    }
    if (greeting.major != 3 || greeting.mechanism == MECHANISM_OTHER)
        fail(p, "it speaks a version or mechanism that Weir does not know");
    else
        learn(p, &greeting);
}

/* Only as much of a greeting as makes the application show all of its own; its handshake never begins. */
static void send_start(struct probe *p)
{
    uint8_t bytes[ZMTP_GREETING_BYTES];
    zmtp_greeting_put(bytes, &(struct zmtp_greeting){.major = 3, .minor = 1, .mechanism = MECHANISM_NULL});
    if (send(p->watch.fd, bytes, ZMTP2_GREETING_BYTES, MSG_NOSIGNAL) == (ssize_t)ZMTP2_GREETING_BYTES)
        p->sent = true;
}

static void attempt(struct probe *p)
{
    bool pending;
    struct worker *w = p->wg->worker;
    hang_up(p);
    p->asked_ns = w->now_ns;
    atomic_store(&p->wg->gate->recheck, false);
    int fd = net_connect(&p->wg->gate->forward, &pending);
    if (fd < 0) {
        fail_to_connect(p, fd);
        return;
    }
    p->watch.fd = fd;
    int error = worker_watch(w, &p->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    if (error < 0) {
        try_later(p, strerror(-error));
        return;
    }
    if (!pending)
        send_start(p);
    timer_arm(&w->timers, &p->alarm.timer, w->now_ns + ANSWER_WITHIN_NS);
}

static void read_greeting(struct probe *p)
{
    ssize_t n = recv(p->watch.fd, p->greeting + p->have, sizeof(p->greeting) - p->have, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        fail(p, n < 0 ? strerror(errno) : "it closed the connection");
        return;
    }
    p->have += (size_t)n;
    on_greeting(p);
}

void probe_on_event(struct watch *watch, uint32_t events)
{
    struct probe *p = (struct probe *)(void *)watch;
    if (p->watch.fd < 0)
        return;
    if (!p->sent && (events & EPOLLOUT)) {
        int error = net_connect_result(p->watch.fd);
        if (error < 0) {
            fail_to_connect(p, error);
            return;
        }
        send_start(p);
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        read_greeting(p);
}

static void on_alarm(struct alarm *a)
{
    struct probe *p = (struct probe *)(void *)((char *)a - offsetof(struct probe, alarm));
    if (p->watch.fd >= 0)
        fail(p, "it accepts connections but does not answer");
    else
        attempt(p);
}

void probe_wake(struct probe *p)
{
    struct gate *g = p->wg->gate;
    uint64_t now = p->wg->worker->now_ns;
    bool idle = p->watch.fd < 0 && p->alarm.timer.expires_ns == 0;
    if (!idle || (atomic_load(&g->up) && !atomic_load(&g->recheck)))
        return;
    if (now - p->asked_ns >= ASK_AGAIN_NS)
        attempt(p);
    else
        timer_arm(&p->wg->worker->timers, &p->alarm.timer, p->asked_ns + ASK_AGAIN_NS);
}

void probe_report_failure(struct worker_gate *wg, int error)
{
    struct worker *first = wg->worker->all[0];
    /* Otherwise the session tries again by itself. */
    if (!health_is_absence(error))
        return;
    if (atomic_exchange(&wg->gate->up, false))
        worker_signal(first, &first->news);
}

void probe_request(struct worker_gate *wg)
{
    struct worker *first = wg->worker->all[0];
    if (!atomic_exchange(&wg->gate->recheck, true))
        worker_signal(first, &first->news);
}

void probe_doubt(struct worker_gate *wg)
{
    atomic_store(&wg->gate->verified_ns, 0);
    probe_request(wg);
}
