/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/event_log.h"

#include "base/clock.h"
#include "events/ring.h"
#include "events/waker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct event_log {
    struct ring *ring;
    struct waker waker; /* of the writing thread */
    _Atomic uint64_t written, suppressed, lost, failed;
    struct event_limit limit;
};

struct event_log *event_log_new(void)
{
    struct event_log *log = calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    event_limit_init(&log->limit);
    log->ring = ring_new(EVENT_LOG_QUEUE, sizeof(struct event));
    if (log->ring && waker_init(&log->waker) == 0)
        return log;
    ring_free(log->ring);
    free(log);
    return NULL;
}

void event_log_free(struct event_log *log)
{
    if (!log)
        return;
    waker_fini(&log->waker);
    ring_free(log->ring);
    free(log);
}

/* ---- reporting ---- */

static void event_log_tally(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void event_log_wake(struct event_log *log)
{
    waker_wake(&log->waker);
}

static void queue(struct event_log *log, struct event *e)
{
    e->wall_ns = clock_wall_ns();
    if (!ring_put(log->ring, e, !event_is_limited((enum event_kind)e->kind))) {
        event_log_tally(&log->lost, 1 + e->suppressed);
        return;
    }
    waker_tell(&log->waker);
}

/* The rates in force in this round of the worker; valid until it ends. */
static struct event_rates rates_of(const struct worker *w)
{
    const struct config *c = policy_publisher_current(w->publisher)->config;
    return (struct event_rates){.each = c->events.rate, .source = c->events.source_rate};
}

static void tell(struct worker_gate *wg, struct event *e)
{
    struct event_log *log = wg->gate->events;
    const struct event_rates rates = rates_of(wg->worker);
    e->gate = wg->gate->origin.name;
    if (event_limit_pass(&log->limit, &rates, e, wg->worker->loop.now_ns))
        queue(log, e);
    else
        event_log_tally(&log->suppressed, 1);
}

static struct event event_of(const struct addr *who, enum event_kind k, enum verdict v, enum event_deed done)
{
    return (struct event){.kind = (uint8_t)k, .source = *who, .verdict = (uint8_t)v, .done = (uint8_t)done};
}

void event_log_offence(struct worker_gate *wg, const struct event_peer *who, enum event_kind k, enum verdict v,
                       enum event_deed done, uint32_t strikes, uint32_t of)
{
    if (!wg->gate->events)
        return;
    struct event e = event_of(who->addr, k, v, done);
    e.strikes = strikes;
    e.standing = who->good ? EVENT_STANDING_GOOD : EVENT_STANDING_NONE;
    e.of = of;
    event_set_text(&e, who->routing_id.at, who->routing_id.len);
    tell(wg, &e);
}

void event_log_closed(struct worker_gate *wg, const struct event_peer *who, enum verdict v, enum event_deed done,
                      const char *misfit)
{
    /* When Weir ends, all connections end. */
    if (!wg->gate->events || v == VERDICT_DRAINING)
        return;
    struct event e = event_of(who->addr, EVENT_CLOSED, v, done);
    event_set_text(&e, who->routing_id.at, who->routing_id.len);
    snprintf(e.note, sizeof(e.note), "%s", misfit);
    tell(wg, &e);
}

void event_log_ban(struct worker_gate *wg, const struct addr *who, const struct ban *b, enum verdict v)
{
    if (!wg->gate->events)
        return;
    struct event e = event_of(who, EVENT_BAN, v, EVENT_DEED_BANNED);
    e.network = b->who;
    e.reason = ban_reason_label((enum ban_reason)b->reason);
    e.level = b->level;
    e.for_ns = b->until_ns == BAN_FOR_EVER ? BAN_FOR_EVER : b->until_ns - b->since_ns;
    tell(wg, &e);
}

void event_log_probation(struct worker_gate *wg, const struct addr *who, enum verdict v, uint64_t for_ns)
{
    if (!wg->gate->events)
        return;
    struct event e = event_of(who, EVENT_PROBATION, v, EVENT_DEED_ON_PROBATION);
    e.for_ns = for_ns;
    tell(wg, &e);
}

void event_log_refused(struct worker_gate *wg, const struct addr *addr, enum verdict v, enum event_deed done)
{
    if (!wg->gate->events)
        return;
    struct event e = {.kind = EVENT_REFUSED, .source = *addr, .verdict = (uint8_t)v, .done = (uint8_t)done};
    tell(wg, &e);
}

void event_log_gate(struct worker_gate *wg, enum event_kind k, uint64_t for_ns, const char *detail)
{
    if (!wg->gate->events)
        return;
    struct event e = {.kind = (uint8_t)k, .for_ns = for_ns};
    event_set_text(&e, detail, strlen(detail));
    tell(wg, &e);
}

void event_log_counter(struct worker_gate *wg, const char *detail)
{
    event_log_gate(wg, EVENT_COUNTER, 0, detail);
}

void event_log_note(struct event_log *log, enum event_kind k, const char *detail)
{
    event_log_gates(log, k, NULL, detail);
}

void event_log_gates(struct event_log *log, enum event_kind k, const char *name, const char *detail)
{
    struct event e = {.kind = (uint8_t)k, .gate = name};
    if (!log)
        return;
    event_set_text(&e, detail, strlen(detail));
    queue(log, &e);
}

/* ---- writing ---- */

bool event_log_take(struct event_log *log, struct event *ret)
{
    return ring_take(log->ring, ret);
}

void event_log_wait(struct event_log *log, int most_ms)
{
    waker_wait(&log->waker, log->ring, most_ms);
}

uint64_t event_log_take_suppressed(struct event_log *log, enum event_kind k, enum verdict v)
{
    return event_limit_take(&log->limit, k, v);
}

void event_log_count(struct event_log *log, uint64_t written, uint64_t failed)
{
    event_log_tally(&log->written, written);
    event_log_tally(&log->failed, failed);
}

struct event_log_stats event_log_stats(const struct event_log *log)
{
    if (!log)
        return (struct event_log_stats){0};
    return (struct event_log_stats){
        .written = atomic_load_explicit(&log->written, memory_order_relaxed),
        .suppressed = atomic_load_explicit(&log->suppressed, memory_order_relaxed),
        .lost = atomic_load_explicit(&log->lost, memory_order_relaxed),
        .failed = atomic_load_explicit(&log->failed, memory_order_relaxed),
    };
}
