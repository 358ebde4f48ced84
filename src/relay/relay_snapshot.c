/* SPDX-License-Identifier: MPL-2.0 */
#include "base/clock.h"
#include "relay/query.h"
#include "relay/relay_inner.h"

#include <errno.h>

/* So long after its end a gate is still shown: its last numbers are read by whoever reads them every few minutes. */
#define SHOWN_NS (5 * 60 * NS_PER_S)

uint64_t relay_open_connections(const struct relay *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->gate_count; i++)
        n += atomic_load(&r->gates[i].counts.open);
    return n;
}

size_t relay_gate_count(const struct relay *r)
{
    return r->gate_count;
}

size_t relay_gate_room(const struct relay *r)
{
    return r->config->patterns ? CONFIG_GATES_MAX : r->config->gate_count;
}

const char *relay_gate_name(const struct relay *r, size_t gate)
{
    pthread_mutex_lock(relay_reading(r));
    const char *name = r->gates[gate].origin.name;
    pthread_mutex_unlock(relay_reading(r));
    return name;
}

static void sum_cells(const struct relay *r, const struct gate *g, struct gate_snapshot *ret)
{
    for (unsigned w = 0; w < r->worker_count; w++) {
        for (unsigned i = 0; i < CELL_COUNT; i++)
            ret->cells[i] += atomic_load_explicit(&g->cells[w].metric[i], memory_order_relaxed);
        for (unsigned i = 0; i < VERDICT_COUNT; i++)
            ret->verdicts[i] += atomic_load_explicit(&g->cells[w].verdict[i], memory_order_relaxed);
        for (unsigned i = 0; i < VERDICT_COUNT; i++)
            ret->shadow_verdicts[i] += atomic_load_explicit(&g->cells[w].shadow[i], memory_order_relaxed);
    }
    /* Cells of two workers are read at two moments: a gauge may seem to be below zero in between. */
    for (unsigned i = 0; i < CELL_COUNT; i++)
        if (metric_cell_info((enum metric_cell)i)->type == METRIC_GAUGE && (int64_t)ret->cells[i] < 0)
            ret->cells[i] = 0;
}

static void sum_classes(const struct relay *r, const struct gate *g, struct gate_snapshot *ret)
{
    const struct classes *classes = g->config->class_table;
    ret->class_count = classes ? classes->count : 0;
    for (size_t n = 0; n < ret->class_count; n++) {
        struct class_snapshot *c = &ret->classes[n];
        c->name = classes->at[n].name;
        for (unsigned w = 0; w < r->worker_count; w++)
            for (unsigned i = 0; i < CLASS_CELL_COUNT; i++)
                c->cells[i] += atomic_load_explicit(&g->class_cells[w].at[n][i], memory_order_relaxed);
        if ((int64_t)c->cells[CLASS_CONNECTIONS] < 0)
            c->cells[CLASS_CONNECTIONS] = 0; /* as above */
    }
}

static void read_limiter(struct gate *g, struct gate_snapshot *ret)
{
    struct reqlimit_report *r = &ret->limiter;
    uint64_t now_ns = clock_now_ns();
    pthread_mutex_lock(&g->limiter.lock);
    reqlimit_report(&g->limiter.limit, r);
    pthread_mutex_unlock(&g->limiter.lock);
    ret->limiter_off = atomic_load(&g->limiter.off);
    ret->held_ns = r->since_ns && now_ns > r->since_ns ? now_ns - r->since_ns : 0;
    ret->cells[CELL_LIMITER_STATE] = r->state;
    ret->cells[CELL_LIMITER_ESTABLISHED] = r->established;
    ret->cells[CELL_LIMITER_STRANGERS] = r->connections - r->established;
    ret->cells[CELL_LIMITER_OVER] = r->over;
    ret->cells[CELL_IN_LINE] = r->in_line;
    ret->cells[CELL_HELD_MESSAGES] = r->waiting;
    ret->cells[CELL_HELD_BY_COUNTER] = r->held[PROOF_COUNTER];
    ret->cells[CELL_HELD_BY_LATENCY] = r->held[PROOF_LATENCY];
    ret->cells[CELL_PASSED_BY_COUNTER] = r->passed_held[PROOF_COUNTER];
    ret->cells[CELL_PASSED_BY_LATENCY] = r->passed_held[PROOF_LATENCY];
    ret->cells[CELL_HELD_BY_MAX] = r->held[PROOF_MAX];
    ret->cells[CELL_PASSED_BY_MAX] = r->passed_held[PROOF_MAX];
    ret->cells[CELL_NO_PROGRESS] = r->without_progress;
    ret->cells[CELL_WINDOW_UNTAKEN] = r->untaken_window;
    ret->cells[CELL_WINDOW_IN_HAND] = r->in_hand_window;
    ret->cells[CELL_UNTAKEN] = r->untaken;
    ret->cells[CELL_UNTAKEN_PEAK] = r->untaken_most;
    ret->cells[CELL_UNANSWERED] = socket_type_answers(gate_socket(g)) ? r->in_hand : 0;
    ret->cells[CELL_PLAIN_SERVICE] = r->plain;
}

static void read_marks(const struct gate *g, struct gate_snapshot *ret)
{
    const struct socket_options *told = &g->origin.told.options;
    int64_t receive = -1, send = -1;
    ret->marks_known = socket_options_get(told, SOCKET_OPTION_RCVHWM, &receive) &&
                       socket_options_get(told, SOCKET_OPTION_SNDHWM, &send) && receive >= 0 && send >= 0;
    ret->receive_mark = ret->marks_known ? (uint32_t)receive : 0;
    ret->send_mark = ret->marks_known ? (uint32_t)send : 0;
}

static void snapshot_gate(const struct relay *r, struct gate *g, struct gate_snapshot *ret)
{
    struct handshake_app app;
    *ret = (struct gate_snapshot){
        .name = g->origin.name, .upstream_up = atomic_load(&g->reach.up), .socket = socket_type_name(gate_socket(g))};
    if (atomic_load(&g->listen.up))
        snprintf(ret->listen, sizeof(ret->listen), "%s", g->listen.text);
    snprintf(ret->forward, sizeof(ret->forward), "%s", g->config->forward_text);
    if (app_facts_get(&g->app, &app, false, 0)) {
        snprintf(ret->mechanism, sizeof(ret->mechanism), "%s", zmtp_mechanism_name(app.mechanism));
        ret->upstream_minor = app.minor;
    }
    ret->breaker = breaker_state(&g->breaker, clock_now_ns());
    ret->breaker_opened = atomic_load(&g->breaker.opened);
    ret->max_connections = atomic_load(&g->counts.max);
    read_marks(g, ret);
    sum_cells(r, g, ret);
    sum_classes(r, g, ret);
    ret->cells[CELL_COUNTER_STATE] = atomic_load(&g->counter_state);
    read_limiter(g, ret);
    ret->cells[CELL_UNFINISHED] = stream_budget_held(&g->traffic.unfinished);
    ret->cells[CELL_TOPIC_BYTES] = topic_tree_cost(&g->traffic.topics);
}

/* Of a gate that comes and goes. */
static void note_end(const struct gate_slot *slot, struct gate_snapshot *ret)
{
    ret->closed = !slot->open;
    ret->is_past = ret->closed && !ret->cells[CELL_OPEN] && clock_now_ns() > slot->closed_ns + SHOWN_NS;
}

void relay_look_at_traffic(struct relay *r)
{
    pthread_mutex_lock(&r->reading);
    for (size_t i = 0; i < r->gate_count; i++)
        busiest_look(&r->busiest[i], &r->gates[i], r->worker_count, clock_now_ns());
    pthread_mutex_unlock(&r->reading);
}

void relay_gate_snapshot(const struct relay *r, size_t gate, struct gate_snapshot *ret)
{
    pthread_mutex_lock(relay_reading(r));
    snapshot_gate(r, &r->gates[gate], ret);
    busiest_report(&r->busiest[gate], ret->cells);
    if (r->slots)
        note_end(&r->slots[gate], ret);
    pthread_mutex_unlock(relay_reading(r));
}

size_t relay_gate_settings(const struct relay *r, size_t gate, struct gate_setting ret[GATE_SETTINGS_MOST])
{
    pthread_mutex_lock(relay_reading(r));
    const struct gate *g = &r->gates[gate];
    size_t count = gate_settings(g, &policy_publisher_current(&r->publisher)->gates[g->origin.pattern], ret);
    pthread_mutex_unlock(relay_reading(r));
    return count;
}

int relay_query(struct relay *r, const struct query_ask *ask, uint64_t patience_ns, struct query_answer *ret)
{
    struct query *s = query_new(ask, r->worker_count);
    if (!s)
        return -ENOMEM;
    for (unsigned i = 0; i < r->worker_count; i++)
        query_give(s, r->workers[i]);
    query_await(s, clock_now_ns() + patience_ns);
    int error = query_collect(s, ret);
    query_release(s);
    return error;
}

static void read_slots(const struct relay *r, struct source_stats *ret, uint64_t *ret_open)
{
    pthread_mutex_lock(relay_reading(r));
    for (size_t i = 0; i < r->gate_count; i++) {
        struct source_stats s;
        *ret_open += atomic_load(&r->gates[i].listen.up);
        source_table_stats(r->gates[i].sources, &s);
        ret->capacity += s.capacity;
        ret->used += s.used;
        ret->created += s.created;
        ret->evicted += s.evicted;
        ret->fallbacks += s.fallbacks;
        ret->memory_bytes += s.memory_bytes;
    }
    pthread_mutex_unlock(relay_reading(r));
}

void relay_snapshot(const struct relay *r, struct relay_snapshot *ret)
{
    *ret = (struct relay_snapshot){
        .workers = r->worker_count,
        .held_bytes = account_held(&r->account),
        .held_peak_bytes = atomic_load(&r->account.peak_bytes),
        .memory_limit_bytes = r->account.limit_bytes,
        /* Workers that sleep have not updated it for a while. */
        .memory_pressure =
            pressure_step(pressure_level(&r->pressure), account_held(&r->account), r->account.limit_bytes),
        .fd_limit = r->fd_limit,
        .gates_opened = atomic_load(&r->opened),
        .gates_refused = atomic_load(&r->refused),
        .reloads = atomic_load(&r->reloads),
        .refused_reloads = atomic_load(&r->refused_reloads),
        .generation = atomic_load(&r->generation),
        .loaded_ns = atomic_load(&r->loaded_ns),
        .kernel = {.in_force = atomic_load(&r->kernel.in_force),
                   .entries = atomic_load(&r->kernel.entries),
                   .packets = atomic_load(&r->kernel.packets),
                   .bytes = atomic_load(&r->kernel.bytes),
                   .replacements = atomic_load(&r->kernel.replacements),
                   .failures = atomic_load(&r->kernel.failures)},
    };
    bans_stats(r->bans, &ret->bans);
    ret->events = event_log_stats(r->events);
    read_slots(r, &ret->sources, &ret->gates_open);
}
