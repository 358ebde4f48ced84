/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/event_log.h"

#include "base/clock.h"
#include "relay/opening.h"
#include "relay/probation.h"
#include "relay/waker.h"
#include "stats/ring.h"

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

static void count(_Atomic uint64_t *counter, uint64_t n)
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
        count(&log->lost, 1 + e->suppressed);
        return;
    }
    waker_tell(&log->waker);
}

/* The rates in force in this round of the worker; valid until it ends. */
static struct event_rates rates_of(const struct worker *w)
{
    const struct config *c = policy_board_current(w->board)->config;
    return (struct event_rates){.each = c->events.rate, .source = c->events.source_rate};
}

static void tell(struct worker_gate *wg, struct event *e)
{
    struct event_log *log = wg->gate->events;
    const struct event_rates rates = rates_of(wg->worker);
    e->gate = wg->gate->config->name;
    if (event_limit_pass(&log->limit, &rates, e, wg->worker->loop.now_ns))
        queue(log, e);
    else
        count(&log->suppressed, 1);
}

static void add_identity(struct event *e, const struct session *s)
{
    const struct handshake *h = s->opening ? &s->opening->handshake : NULL;
    if (h)
        event_set_text(e, h->routing_id, h->routing_id_len);
}

/* As in the log line, but without its leading colon. */
static void add_misfit(struct event *e, const struct session *s, enum verdict v)
{
    char detail[EVENT_NOTE_MAX + 2];
    if (*opening_detail(detail, sizeof(detail), s, v))
        snprintf(e->note, sizeof(e->note), "%s", detail + 2);
}

static struct event event_of(const struct session *s, enum event_kind k, enum verdict v, enum event_deed done)
{
    return (struct event){.kind = (uint8_t)k, .source = s->addr, .verdict = (uint8_t)v, .done = (uint8_t)done};
}

void event_log_offence(struct session *s, enum event_kind k, enum verdict v, enum event_deed done, uint32_t strikes,
                       uint32_t of)
{
    if (!s->wg->gate->events)
        return;
    struct event e = event_of(s, k, v, done);
    e.strikes = strikes;
    e.standing = probation_knows_good(s) ? EVENT_STANDING_GOOD : EVENT_STANDING_NONE;
    e.of = of;
    add_identity(&e, s);
    tell(s->wg, &e);
}

void event_log_closed(struct session *s, enum verdict v, enum event_deed done)
{
    /* When Weir ends, all connections end. */
    if (!s->wg->gate->events || v == VERDICT_DRAINING)
        return;
    struct event e = event_of(s, EVENT_CLOSED, v, done);
    add_identity(&e, s);
    add_misfit(&e, s, v);
    tell(s->wg, &e);
}

void event_log_ban(struct session *s, const struct ban *b, enum verdict v)
{
    if (!s->wg->gate->events)
        return;
    struct event e = event_of(s, EVENT_BAN, v, EVENT_DEED_BANNED);
    e.network = b->who;
    e.reason = ban_reason_label((enum ban_reason)b->reason);
    e.level = b->level;
    e.for_ns = b->until_ns == BAN_FOR_EVER ? BAN_FOR_EVER : b->until_ns - b->since_ns;
    tell(s->wg, &e);
}

void event_log_probation(struct session *s, enum verdict v, uint64_t for_ns)
{
    if (!s->wg->gate->events)
        return;
    struct event e = event_of(s, EVENT_PROBATION, v, EVENT_DEED_ON_PROBATION);
    e.for_ns = for_ns;
    tell(s->wg, &e);
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
    struct event e = {.kind = (uint8_t)k};
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
    count(&log->written, written);
    count(&log->failed, failed);
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
