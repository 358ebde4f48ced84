/* SPDX-License-Identifier: MPL-2.0 */
/* The application. */
#include "state.h"

#include <stdlib.h>

#define BATCH         32u
#define BATCH_WAIT_NS (5 * NS_PER_MS)

static void app_run(struct world *w);

static bool app_is_batch(const struct world *w)
{
    return w->s->app == APP_BATCH_WAIT || w->s->app == APP_BATCH_GREEDY;
}

static bool app_is_eager(const struct world *w)
{
    return w->s->app == APP_EAGER_CPU || w->s->app == APP_EAGER_SLEEP;
}

bool app_free(const struct world *w)
{
    return !w->app.paused && (app_is_batch(w) ? !w->app.batch_busy : w->app.busy < w->s->slots);
}

bool app_idle(const struct world *w)
{
    if (w->app.paused || w->app.ring_count)
        return false;
    return app_is_batch(w) ? !w->app.batch_busy && !w->app.batch.count : !w->app.busy && !w->app.queue.count;
}

static void app_ring_push(struct world *w, uint32_t i)
{
    struct application *a = &w->app;
    a->ring_count++;
    if (w->conns[i].in_ring)
        return;
    w->conns[i].in_ring = true;
    a->ring[a->ring_active++] = i;
}

static void app_ring_drop(struct world *w)
{
    struct application *a = &w->app;
    uint32_t i = a->ring[a->ring_at];
    w->conns[i].in_ring = false;
    a->ring[a->ring_at] = a->ring[--a->ring_active];
    if (a->ring_at == a->ring_active)
        a->ring_at = 0;
}

static uint32_t app_take(struct world *w)
{
    struct application *a = &w->app;
    while (!w->conns[a->ring[a->ring_at]].pipe.count)
        app_ring_drop(w);
    uint32_t i = a->ring[a->ring_at];
    struct conn *c = &w->conns[i];
    uint32_t m = fifo_pop(w, &c->pipe);
    a->ring_count -= !c->pipe.count;
    a->ring_at = (a->ring_at + 1) % a->ring_active;
    gate_taken(w, i, a->asked_ns ? a->asked_ns : w->now_ns);
    a->asked_ns = 0;
    return m;
}

static void app_asks_in_vain(struct world *w, bool waits)
{
    while (w->app.ring_active)
        app_ring_drop(w);
    if (waits && !w->app.asked_ns)
        w->app.asked_ns = w->now_ns;
    gate_empty(w, waits);
}

void app_arrive(struct world *w, uint32_t i, uint32_t m)
{
    struct conn *c = &w->conns[i];
    fifo_push(w, &c->pipe, m);
    if (c->pipe.count == 1)
        app_ring_push(w, i);
    app_run(w);
}

static void app_start(struct world *w, uint32_t m)
{
    bool dispatches = w->s->app == APP_BROKER || w->s->app == APP_LONG_POLL;
    w->app.busy++;
    sim_schedule(w, w->now_ns + (uint64_t)(dispatches ? w->s->service_ns : w->messages[m].cost_ns), EVENT_DONE, m, 0);
}

static void app_start_batch(struct world *w)
{
    struct application *a = &w->app;
    a->batch_busy = true;
    a->batch_waits = false;
    a->batch_number++;
    sim_schedule(w, w->now_ns + (uint64_t)(w->s->batch_ns + w->s->item_ns * a->batch.count), EVENT_BATCH_DONE, 0, 0);
}

static void app_run_batch(struct world *w)
{
    struct application *a = &w->app;
    if (a->batch_busy)
        return;
    while (a->ring_count && a->batch.count < BATCH)
        fifo_push(w, &a->batch, app_take(w));
    bool greedy = w->s->app == APP_BATCH_GREEDY;
    if (a->batch.count < BATCH)
        app_asks_in_vain(w, !greedy || !a->batch.count);
    if (a->batch.count >= BATCH || (greedy && a->batch.count)) {
        app_start_batch(w);
    } else if (a->batch.count && !a->batch_waits) {
        a->batch_waits = true;
        sim_schedule(w, w->now_ns + BATCH_WAIT_NS, EVENT_BATCH_WAITED, a->batch_number, 0);
    }
}

static void app_run(struct world *w)
{
    struct application *a = &w->app;
    if (a->paused)
        return;
    if (app_is_batch(w)) {
        app_run_batch(w);
        return;
    }
    if (app_is_eager(w)) {
        while (a->ring_count)
            fifo_push(w, &a->queue, app_take(w));
        app_asks_in_vain(w, true);
        while (a->busy < w->s->slots && a->queue.count)
            app_start(w, fifo_pop(w, &a->queue));
        return;
    }
    while (a->busy < w->s->slots && a->ring_count)
        app_start(w, app_take(w));
    if (a->busy < w->s->slots)
        app_asks_in_vain(w, true);
}

static void app_reply(struct world *w, uint32_t m)
{
    const struct conn *c = &w->conns[w->messages[m].conn];
    sim_schedule(w, w->now_ns + WIRE_NS + (uint64_t)(c->slow ? w->s->slow_ns : 0), EVENT_ANSWER_AT_GATE, m, 0);
}

/* Jobs go to free workers: the message that said so carries the job back. */
static void app_match_workers(struct world *w)
{
    struct application *a = &w->app;
    while (a->workers.count && a->jobs.count) {
        uint32_t worker = fifo_pop(w, &a->workers), job = fifo_pop(w, &a->jobs);
        w->messages[worker].kind = MESSAGE_READY;
        w->messages[worker].cost_ns = w->messages[job].cost_ns;
        w->messages[worker].peer = job;
        app_reply(w, worker);
    }
}

static void app_finish_broker(struct world *w, uint32_t m)
{
    enum message_kind kind = w->messages[m].kind;
    if (kind == MESSAGE_RESULT)
        app_reply(w, w->messages[m].peer);
    if (kind == MESSAGE_RESULT || kind == MESSAGE_READY) {
        fifo_push(w, &w->app.workers, m);
    } else if (kind == MESSAGE_CALL) {
        fifo_push(w, &w->app.jobs, m);
    } else {
        if (kind == MESSAGE_NOTE)
            client_done(w, &w->messages[m]);
        message_free(w, m);
    }
    app_match_workers(w);
}

static void app_finish(struct world *w, uint32_t m)
{
    enum message_kind kind = w->messages[m].kind;
    if (w->s->app == APP_BROKER) {
        app_finish_broker(w, m);
        return;
    }
    if (kind == MESSAGE_POLL) {
        fifo_push(w, &w->app.polls, m);
        return;
    }
    if (w->s->app == APP_LONG_POLL && w->conns[w->messages[m].conn].kind == CLIENT_PUBLISHER)
        while (w->app.polls.count)
            app_reply(w, fifo_pop(w, &w->app.polls));
    if (kind != MESSAGE_NOTE) {
        app_reply(w, m);
        return;
    }
    client_done(w, &w->messages[m]);
    message_free(w, m);
}

static bool app_defers(struct world *w, enum event_kind kind, uint32_t a)
{
    struct application *app = &w->app;
    if (!app->paused)
        return false;
    if (app->deferred_count == app->deferred_room) {
        app->deferred_room = app->deferred_room ? 2 * app->deferred_room : 64;
        app->deferred = sim_must(realloc(app->deferred, app->deferred_room * sizeof(*app->deferred)));
    }
    app->deferred[app->deferred_count++] = (struct event){.kind = kind, .a = a};
    return true;
}

void app_done(struct world *w, uint32_t m)
{
    if (app_defers(w, EVENT_DONE, m))
        return;
    w->app.busy--;
    app_finish(w, m);
    app_run(w);
}

void app_batch_done(struct world *w)
{
    if (app_defers(w, EVENT_BATCH_DONE, 0))
        return;
    w->app.batch_busy = false;
    while (w->app.batch.count)
        app_finish(w, fifo_pop(w, &w->app.batch));
    app_run(w);
}

void app_batch_waited(struct world *w, uint32_t number)
{
    if (number != w->app.batch_number || !w->app.batch_waits || w->app.batch_busy)
        return;
    if (!app_defers(w, EVENT_BATCH_WAITED, number))
        app_start_batch(w);
}

void app_pause(struct world *w, bool pause)
{
    w->app.paused = pause;
    if (pause)
        return;
    for (uint32_t i = 0; i < w->app.deferred_count; i++)
        sim_schedule(w, w->now_ns + i, w->app.deferred[i].kind, w->app.deferred[i].a, 0);
    w->app.deferred_count = 0;
    app_run(w);
}
