/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/worker.h"

#include "loop/net.h"
#include "relay/ban_enforce.h"
#include "relay/blind.h"
#include "relay/buffer_room.h"
#include "relay/connect_pacer.h"
#include "relay/counter.h"
#include "relay/half_open.h"
#include "relay/health.h"
#include "relay/linger.h"
#include "relay/listener.h"
#include "relay/newcomer.h"
#include "relay/proxied.h"
#include "relay/query.h"
#include "relay/request_flow.h"
#include "relay/request_shed.h"
#include "relay/session.h"
#include "relay/source_conns.h"
#include "relay/topic_room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static void init_gate(struct worker_gate *wg, struct worker *w, struct gate *g)
{
    *wg = (struct worker_gate){
        .listener = {.kind = WATCH_LISTENER, .fd = -1}, .worker = w, .gate = g, .cells = &g->cells[w->index]};
    wg->class_cells = g->class_cells ? &g->class_cells[w->index] : NULL;
    list_init(&wg->conns);
    list_init(&wg->proxied);
    list_init(&wg->blind);
    timer_init(&wg->accept_again.timer);
    wg->accept_again.ring = listener_on_alarm;
    half_open_init(&wg->half_open);
    gate_limiter_watch(&wg->limiter);
    connect_pacer_init(&wg->connect_pacer);
    linger_init(&wg->linger);
    stall_watch_init(&wg->stalls);
}

static void take_policy(struct worker_gate *wg, const struct policy_snapshot *p)
{
    wg->policy = &p->gates[wg->gate->origin.pattern];
    request_shed_adopt(wg);
}

static void take_policies(struct worker *w)
{
    const struct policy_snapshot *p = policy_publisher_current(w->publisher);
    for (size_t i = 0; i < w->gate_count; i++)
        take_policy(&w->gates[i], p);
    atomic_store_explicit(&w->adopted, p->generation, memory_order_release);
}

static size_t table_size(size_t sessions)
{
    size_t n = 64;
    while (n < sessions && n < 65536)
        n *= 2;
    return n;
}

static void init_lists(struct worker *w)
{
    run_queues_init(&w->run);
    list_init(&w->sessions.all);
    list_init(&w->sessions.ended);
    list_init(&w->sessions.closed);
    list_init(&w->lingering);
}

int worker_init(struct worker *w, unsigned index, struct account *account, struct pressure *pressure,
                struct gate *gates, struct policy_publisher *publisher, size_t max_sessions)
{
    const struct policy_snapshot *p = policy_publisher_current(publisher);
    size_t gate_count = p->config->patterns ? 0 : p->count;
    memset(w, 0, sizeof(*w));
    int error = loop_init(&w->loop, account);
    w->index = index;
    w->account = account;
    w->pressure = pressure;
    w->receive_buffer_most = net_receive_buffer_most();
    init_lists(w);
    ban_enforce_init(&w->bans, gates[0].bans);
    buffer_room_init(&w->buffer_room);
    w->source_conns.mask = table_size(max_sessions) - 1;
    w->source_conns.at = calloc(w->source_conns.mask + 1, sizeof(struct source_conns *));
    w->gates = calloc(p->config->patterns ? CONFIG_GATES_MAX : gate_count, sizeof(*w->gates));
    sem_init(&w->parking.go, 0, 0);
    if (error || !w->source_conns.at || !w->gates)
        return error ? error : -ENOMEM;
    w->gate_count = gate_count;
    for (size_t i = 0; i < gate_count; i++)
        init_gate(&w->gates[i], w, &gates[i]);
    w->publisher = publisher;
    take_policies(w);
    return 0;
}

static void end_gate(struct worker_gate *wg)
{
    listener_stop(wg);
    counter_close(wg);
}

void worker_fini(struct worker *w)
{
    query_drop(w);
    for (size_t i = 0; i < w->gate_count; i++)
        end_gate(&w->gates[i]);
    loop_fini(&w->loop);
    free(w->source_conns.at);
    free(w->gates);
    sem_destroy(&w->parking.go);
}

/* ---- what wakes a worker ---- */

static void start_draining(struct worker *w)
{
    w->drain_from_ns = w->loop.now_ns;
    for (size_t i = 0; i < w->gate_count; i++)
        listener_stop(&w->gates[i]);
    proxied_drain(w);
    blind_drain(w);
    sweep_begin(w, SWEEP_DRAIN);
}

/* Something was learned of an application: sessions that wait for it go on. */
static void spread_news(struct worker *w)
{
    for (size_t i = 0; i < w->gate_count; i++)
        half_open_wake_all(&w->gates[i]);
}

static void follow_bans(struct worker *w)
{
    if (ban_enforce_follow(w))
        sweep_begin(w, SWEEP_BANS);
    session_reap(w);
}

static void on_wake(struct worker *w)
{
    loop_take_signals(&w->loop);
    if (atomic_exchange(&w->signals.news, false))
        spread_news(w);
    if (atomic_exchange(&w->signals.bans_changed, false) && w->bans.table)
        follow_bans(w);
    if (atomic_exchange(&w->signals.give_way, false))
        newcomer_give_way(w);
    if (atomic_exchange(&w->signals.queried, false))
        query_take(w);
    if (atomic_load(&w->signals.drain) && !w->drain_from_ns)
        start_draining(w);
}

static void on_side(struct socket_side *side, struct session *s, uint32_t events)
{
    bool held = session_is_open(s) && side == &s->front && (session_is_held(s) || s->up.awaits_memory);
    socket_side_note(side, s->wg->worker, events, held);
    session_wake(s);
}

static void on_event(struct watch *watch, uint32_t events, struct worker *w)
{
    /* A descriptor closed earlier in this round. */
    if (watch->fd < 0)
        return;
    switch (watch->kind) {
    case WATCH_WAKE:
        on_wake(w);
        break;
    case WATCH_LISTENER:
        listener_on_event((struct worker_gate *)(void *)watch);
        break;
    case WATCH_LINGERING:
        linger_on_event(watch);
        break;
    case WATCH_TARPIT:
        ban_enforce_on_event(watch);
        break;
    case WATCH_PROXIED:
        proxied_on_event(watch, events);
        break;
    case WATCH_BLIND_FRONT:
    case WATCH_BLIND_BACK:
        blind_on_event(watch, events);
        break;
    case WATCH_COUNTER_DOOR:
    case WATCH_COUNTER_LINE:
    case WATCH_COUNTER_WAKE:
        counter_on_event(watch);
        break;
    case WATCH_FRONT: {
        struct session *s = (struct session *)(void *)((char *)watch - offsetof(struct session, front));
        on_side(&s->front, s, events);
        break;
    }
    case WATCH_BACK: {
        struct session *s = (struct session *)(void *)((char *)watch - offsetof(struct session, back));
        on_side(&s->back, s, events);
        break;
    }
    }
}

/* ---- another policy ---- */

/* Worker 0 maintains what the policy implies for the gate as a whole. */
static void worker_settle(struct worker_gate *wg)
{
    if (wg->worker->index != 0)
        return;
    gate_bound_connections(wg->gate, &wg->policy->limits);
    stall_watch_begin(wg);
}

static void adopt(struct worker *w)
{
    if (LIKELY(!atomic_load_explicit(&w->signals.published, memory_order_relaxed)))
        return;
    atomic_store(&w->signals.published, false);
    take_policies(w);
    for (size_t i = 0; i < w->gate_count; i++)
        worker_settle(&w->gates[i]);
    sem_post(&w->publisher->adopted);
}

/* ---- gates that come and go ---- */

void worker_begin_gate(struct worker *w, size_t slot, struct gate *g)
{
    struct worker_gate *wg = &w->gates[slot];
    init_gate(wg, w, g);
    if (slot >= w->gate_count)
        w->gate_count = slot + 1;
    take_policy(wg, policy_publisher_current(w->publisher));
    worker_settle(wg);
}

void worker_stop_listening(struct worker *w, size_t slot)
{
    listener_stop(&w->gates[slot]);
}

bool worker_leave_gate(struct worker *w, size_t slot)
{
    struct worker_gate *wg = &w->gates[slot];
    if (wg->listener.fd >= 0 || !list_empty(&wg->conns) || !list_empty(&wg->proxied) || !list_empty(&wg->blind))
        return false;
    struct alarm *const alarms[] = {&wg->accept_again, &wg->connect_pacer.next, &wg->linger.next, &wg->limiter.tick,
                                    &wg->stalls.alarm};
    for (size_t i = 0; i < ARRAY_LEN(alarms); i++)
        timer_disarm(&alarms[i]->timer);
    return true;
}

static void park(struct worker *w)
{
    if (LIKELY(!atomic_load_explicit(&w->signals.park, memory_order_relaxed)))
        return;
    atomic_store(&w->signals.park, false);
    sem_post(w->parking.parked);
    while (sem_wait(&w->parking.go) < 0)
        ;
}

/* Sessions that wait under the old policy, an hour perhaps, are judged under the new one. */
static void reconsider(struct worker *w)
{
    if (LIKELY(!atomic_load_explicit(&w->signals.reconsider, memory_order_relaxed)))
        return;
    atomic_store(&w->signals.reconsider, false);
    sweep_begin(w, SWEEP_POLICY);
    for (size_t i = 0; i < w->gate_count; i++)
        linger_reconsider(&w->gates[i]);
    if (w->bans.table) /* ban.exempt may have changed */
        sweep_begin(w, SWEEP_BANS);
}

/* ---- sessions that give way ---- */

/* Those that have left go first; then the subscriber that holds most. */
static void make_room_for_topics(struct worker *w)
{
    struct session *most;
    if (LIKELY(!atomic_exchange(&w->signals.crowded, false)))
        return;
    for (size_t i = 0; i < w->gate_count; i++) {
        struct worker_gate *wg = &w->gates[i];
        if (!topic_room_must_make_room(wg, &most))
            continue;
        if (most)
            session_close(most, VERDICT_TOPICS_GIVE_WAY);
        linger_hasten(wg);
    }
}

static void relieve_memory(struct worker *w)
{
    struct session *s;
    for (unsigned cut = 0; (s = buffer_room_to_cut(w, cut)); cut++)
        session_close(s, VERDICT_MEMORY_GIVE_WAY);
}

/* ---- the loop ---- */

/* What is looked at before the events of a round may have been asked for after that, and its wake-up been taken by
 * on_wake(). */
static bool was_called(const struct worker *w)
{
    const struct worker_signals *s = &w->signals;
    return atomic_load_explicit(&s->park, memory_order_relaxed) ||
           atomic_load_explicit(&s->published, memory_order_relaxed) ||
           atomic_load_explicit(&s->reconsider, memory_order_relaxed);
}

static int wait_ms(const struct worker *w)
{
    if (was_called(w))
        return 0;
    if (w->query.current || w->sweep.reasons || !list_empty(&w->run.light) || !list_empty(&w->run.heavy))
        return 0;
    uint64_t next = timers_next_ns(&w->loop.timers);
    if (!list_empty(&w->run.fresh) && w->run.fresh_at_ns < next)
        next = w->run.fresh_at_ns;
    if (next == UINT64_MAX)
        return -1;
    if (next <= w->loop.now_ns)
        return 0;
    uint64_t ms = (next - w->loop.now_ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms < 60000 ? (int)ms : 60000;
}

static void worker_reclaim(struct worker *w)
{
    for (struct list *n; (n = list_pop(&w->sessions.closed));)
        session_free(LIST_ENTRY(n, struct session, in.worker));
}

void worker_close_all(struct worker *w)
{
    while (!list_empty(&w->sessions.all))
        session_close(LIST_ENTRY(w->sessions.all.next, struct session, in.worker), VERDICT_DRAINING);
    linger_end_all(w);
    ban_enforce_end_all(w);
    proxied_end_all(w);
    blind_end_all(w);
    worker_reclaim(w);
}

void worker_round(struct worker *w, int most_ms)
{
    struct epoll_event events[LOOP_EVENTS];
    int ms = wait_ms(w);
    if (most_ms >= 0 && (ms < 0 || ms > most_ms))
        ms = most_ms;
    int n = loop_wait(&w->loop, events, ms, &w->signals.turns);
    park(w);
    adopt(w);
    reconsider(w);
    request_flow_wake_all(w);
    make_room_for_topics(w);
    relieve_memory(w);
    for (int i = 0; i < n; i++)
        on_event(events[i].data.ptr, events[i].events, w);
    loop_run_timers(&w->loop);
    run_queues_serve(w);
    if (UNLIKELY(w->query.current != NULL))
        query_step(w);
    sweep_step(w);
    worker_reclaim(w);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    while (!atomic_load(&w->signals.stop))
        worker_round(w, -1);
    worker_close_all(w);
    return NULL;
}

int worker_start(struct worker *w)
{
    char name[16];
    int error = pthread_create(&w->thread, NULL, worker_main, w);
    if (error)
        return -error;
    w->started = true;
    snprintf(name, sizeof(name), "weir-worker-%u", w->index);
    pthread_setname_np(w->thread, name);
    return 0;
}
