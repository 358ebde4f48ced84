/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/gate_limiter.h"

#include "base/log.h"
#include "relay/event_log.h"
#include "relay/record.h"

static struct worker_gate *gate_of(struct reqlimit_conn *c)
{
    return LIST_ENTRY(c, struct request_flow, conn)->session->wg;
}

int gate_limiter_init(struct gate_limiter *g, const struct hash_key *key, uint64_t now_ns)
{
    pthread_mutex_init(&g->lock, NULL);
    g->key = *key;
    return reqlimit_init(&g->limit, GATE_LIMITER_SOURCES, now_ns);
}

void gate_limiter_fini(struct gate_limiter *g)
{
    reqlimit_fini(&g->limit);
    pthread_mutex_destroy(&g->lock);
}

/* A granted session is told by its own worker. A worker that is awake looks before it sleeps. */
static void hand_out(struct gate_limiter *g)
{
    for (struct reqlimit_conn *c; (c = reqlimit_next_woken(&g->limit));) {
        struct worker_gate *wg = gate_of(c);
        list_push(&wg->limiter.woken, &c->woken);
        if (!atomic_exchange(&wg->worker->signals.turns, true) && atomic_load(&wg->worker->loop.asleep))
            loop_signal(&wg->worker->loop, &wg->worker->signals.turns);
    }
}

/* Reports an alarm: such a hold should not happen, and ends by itself. */
static void tell_no_progress(struct worker_gate *wg, uint64_t count)
{
    struct gate_limiter *g = &wg->gate->limiter;
    if (count <= atomic_exchange(&g->told, count))
        return;
    char detail[64];
    snprintf(detail, sizeof(detail), "%llu since the start", (unsigned long long)count);
    event_log_gate(wg, EVENT_HOLD_WITHOUT_PROGRESS, 0, detail);
    LOG_LIMITED(&g->notice, wg->worker->loop.now_ns, LOG_LEVEL_WARN,
                "gate %s: messages were held although the application had nothing to do (%s); such a hold ends by "
                "itself, see weir_holds_without_progress_total",
                wg->gate->config->name, detail);
}

/* While any connection is active, the limiter is looked at from time to time. */
void gate_limiter_unlock(struct gate_limiter *g, struct worker_gate *wg)
{
    uint64_t tick_ns = g->limit.tick_ns, now_ns = wg->worker->loop.now_ns;
    if (now_ns >= tick_ns)
        tick_ns = reqlimit_tick(&g->limit, now_ns);
    hand_out(g);
    atomic_store_explicit(&g->waiting, g->limit.queue.count, memory_order_relaxed);
    bool active = g->limit.active_count || g->limit.queue.count;
    uint64_t no_progress = g->limit.stats.stuck;
    pthread_mutex_unlock(&g->lock);
    if (no_progress != atomic_load_explicit(&g->told, memory_order_relaxed))
        tell_no_progress(wg, no_progress);
    struct timer *t = &wg->limiter.tick.timer;
    if (active && (t->expires_ns == 0 || tick_ns < t->expires_ns))
        timer_arm(&wg->worker->loop.timers, t, tick_ns);
}

void gate_limiter_look(struct worker_gate *wg)
{
    struct gate_limiter *g = &wg->gate->limiter;
    reqlimit_look(gate_limiter_lock(g), wg->worker->loop.now_ns);
    gate_limiter_unlock(g, wg);
}

static void on_tick(struct alarm *a)
{
    struct worker_gate *wg = (struct worker_gate *)(void *)((char *)a - offsetof(struct worker_gate, limiter.tick));
    gate_limiter_lock(&wg->gate->limiter);
    gate_limiter_unlock(&wg->gate->limiter, wg);
}

void gate_limiter_watch(struct limiter_worker *l)
{
    *l = (struct limiter_worker){.tick.ring = on_tick};
    list_init(&l->woken);
    timer_init(&l->tick.timer);
}

void gate_limiter_attach(struct gate_limiter *g, struct taken_page *page)
{
    reqlimit_attach(gate_limiter_lock(g), page);
    hand_out(g);
    pthread_mutex_unlock(&g->lock);
}

void gate_limiter_begin_anew(struct gate_limiter *g, enum socket_type app, uint64_t now_ns)
{
    struct reqlimit *l = gate_limiter_lock(g);
    /* A message that is never answered is never counted as in hand. An operator's limit would let one message pass for
     * each second that it takes to notice that. */
    reqlimit_bound(l, socket_type_answers(app) ? g->most : 0);
    reqlimit_begin_anew(l, app == SOCKET_REP, now_ns);
    hand_out(g);
    pthread_mutex_unlock(&g->lock);
}

void gate_limiter_shed_by(struct gate_limiter *g, const struct codel_params *p)
{
    reqlimit_shed_by(gate_limiter_lock(g), p);
    pthread_mutex_unlock(&g->lock);
}
