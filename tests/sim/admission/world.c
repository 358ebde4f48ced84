/* SPDX-License-Identifier: MPL-2.0 */
#include "world.h"

#include "state.h"

#include <stdlib.h>
#include <string.h>

static void world_event(struct world *w, const struct event *e)
{
    switch (e->kind) {
    case EVENT_SEND:
        client_send(w, e->a);
        break;
    case EVENT_AT_GATE:
        gate_arrive(w, e->a, e->b);
        break;
    case EVENT_AT_APP:
        app_arrive(w, e->a, e->b);
        break;
    case EVENT_DONE:
        app_done(w, e->a);
        break;
    case EVENT_BATCH_DONE:
        app_batch_done(w);
        break;
    case EVENT_BATCH_WAITED:
        app_batch_waited(w, e->a);
        break;
    case EVENT_ANSWER_AT_GATE:
        gate_answer(w, e->a);
        break;
    case EVENT_ANSWER_AT_CLIENT:
        client_answered(w, e->a);
        break;
    case EVENT_WORKED:
        client_worked(w, e->a);
        break;
    case EVENT_BEAT:
        client_beat(w, e->a);
        break;
    case EVENT_BURST:
        client_burst(w);
        break;
    case EVENT_PAUSE:
        app_pause(w, e->a);
        break;
    case EVENT_TICK:
        gate_tick(w);
        break;
    case EVENT_COUNTED:
        gate_counted(w, e->a, e->b);
        break;
    case EVENT_WOKEN:
        if (e->a)
            gate_offer(w, e->a - 1);
        else
            gate_woken(w);
        break;
    }
}

static int world_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double world_p99(double *ns, size_t count)
{
    if (count)
        qsort(ns, count, sizeof(*ns), world_compare);
    return count ? ns[(size_t)(0.99 * (double)(count - 1) + 0.5)] : 0;
}

static void world_conclude(struct world *w, struct world_result *r)
{
    double seconds = (double)(w->s->to_ns - w->s->from_ns) / NS_PER_S;
    client_leftover(w);
    r->rate = (double)w->done / seconds;
    r->old_rate = (double)w->done_old / seconds;
    r->p99_ns = world_p99(w->latencies, w->latency_count);
    for (size_t i = 0; i < w->latency_count; i++)
        r->mean_ns += w->latencies[i] / (double)w->latency_count;
    size_t all = w->latency_count + w->newcomer_count;
    w->latencies = sim_must(realloc(w->latencies, (all + 1) * sizeof(double)));
    if (w->newcomer_count)
        memcpy(w->latencies + w->latency_count, w->newcomers, w->newcomer_count * sizeof(double));
    r->all_p99_ns = world_p99(w->latencies, all);
    r->count = w->honest_count;
    r->done = sim_must(calloc(r->count + 1, sizeof(*r->done)));
    for (uint32_t i = 0; i < r->count; i++)
        r->done[i] = w->conns[i].done;
    r->held = w->looks ? w->held / (double)w->looks : 0;
    r->stuck_counted = w->limit->stats.stuck;
}

static void world_begin(struct world *w)
{
    w->rng.state = w->s->seed * 77 + 5;
    w->free_message = NOBODY;
    w->conns = sim_must(calloc(CONNS_MOST, sizeof(*w->conns)));
    w->limit = sim_must(calloc(1, sizeof(*w->limit)));
    if (reqlimit_init(w->limit, 2048, 0) != 0)
        sim_must(NULL);
    if (w->contender == COUNTER) {
        taken_page_begin(&w->page, 0);
        reqlimit_attach(w->limit, &w->page);
    }
    client_build(w);
    for (uint32_t i = 0; i < w->conn_count; i++)
        reqlimit_join(w->limit, &w->conns[i].limit, (uint64_t)w->conns[i].source * 0x9e3779b97f4a7c15 + 1, 0);
    sim_schedule(w, NS_PER_MS, EVENT_TICK, 0, 0);
    if (w->s->pause_ns) {
        sim_schedule(w, w->s->pause_at_ns, EVENT_PAUSE, 1, 0);
        sim_schedule(w, w->s->pause_at_ns + w->s->pause_ns, EVENT_PAUSE, 0, 0);
    }
}

void world_run(const struct scenario *s, enum contender contender, bool flood, struct world_result *ret)
{
    struct world *w = sim_must(calloc(1, sizeof(*w)));
    struct event e;
    memset(ret, 0, sizeof(*ret));
    w->s = s;
    w->contender = contender;
    w->flood = flood && s->flood != FLOOD_NONE;
    w->result = ret;
    world_begin(w);
    while (sim_next(w, &e) && e.at_ns <= s->to_ns) {
        w->now_ns = e.at_ns;
        world_event(w, &e);
    }
    w->now_ns = s->to_ns;
    world_conclude(w, ret);
    reqlimit_fini(w->limit);
    free(w->limit);
    free(w->conns);
    free(w->events);
    free(w->messages);
    free(w->app.deferred);
    free(w->latencies);
    free(w->newcomers);
    free(w);
}

void world_result_free(struct world_result *r)
{
    free(r->done);
    r->done = NULL;
}
