/* SPDX-License-Identifier: MPL-2.0 */
/* The gate: one of the contenders, and what it sees. */
#include "state.h"

enum counted { COUNTED_TAKE, COUNTED_EMPTY, COUNTED_WAITS };

static bool gate_limits(const struct world *w)
{
    return w->contender == OUTSIDE || w->contender == COUNTER;
}

static uint32_t gate_room(const struct conn *c)
{
    return c->under_way < WORLD_PIPE ? WORLD_PIPE - c->under_way : 0;
}

static void gate_pass(struct world *w, uint32_t i, uint32_t n)
{
    struct conn *c = &w->conns[i];
    for (; n && c->gate.count; n--) {
        uint32_t m = fifo_pop(w, &c->gate);
        uint64_t at_ns = w->now_ns + GATE_NS + WIRE_NS + (uint64_t)(c->honest ? w->s->large_ns : 0);
        c->ready_ns = at_ns > c->ready_ns ? at_ns : c->ready_ns;
        c->under_way++;
        w->under_way++;
        sim_schedule(w, c->ready_ns, EVENT_AT_APP, i, m);
    }
    if (c->kind == CLIENT_GREEDY)
        client_refill(w, i);
    w->holding -= c->in_line && !c->gate.count;
    c->in_line = c->gate.count != 0;
}

static void gate_drain(struct world *w)
{
    struct reqlimit_conn *r;
    if (w->in_gate)
        return;
    w->in_gate = true;
    while ((r = reqlimit_next_woken(w->limit))) {
        struct conn *c = LIST_ENTRY(r, struct conn, limit);
        gate_pass(w, (uint32_t)(c - w->conns), reqlimit_take(r));
        uint32_t left = c->gate.count < gate_room(c) ? c->gate.count : gate_room(c);
        if (left != r->waiter.messages) {
            uint32_t more = left ? reqlimit_offer(w->limit, r, left, w->now_ns) : 0;
            if (!left)
                reqlimit_rest(w->limit, r, w->now_ns);
            gate_pass(w, (uint32_t)(c - w->conns), more);
        }
    }
    w->in_gate = false;
}

/* Strangers only into idle capacity; it knows who is honest and what the application does. */
static bool gate_oracle_allows(const struct world *w, const struct conn *c)
{
    if (c->honest)
        return true;
    if (w->under_way || !app_free(w))
        return false;
    return w->s->app == APP_BROKER ? !w->app.jobs.count && w->app.workers.count : !w->app.queue.count;
}

/* As request_flow_allows() and request_flow_passed() do it. */
static bool gate_passes_unasked(struct world *w, struct conn *c, uint32_t n)
{
    if (reqlimit_is_due(&c->limit, w->now_ns))
        reqlimit_arrive(w->limit, &c->limit, w->now_ns);
    if (!reqlimit_is_free(w->limit) && c->limit.lease < n)
        return false;
    if (!reqlimit_quick(w->limit, &c->limit, n, w->now_ns))
        reqlimit_passed(w->limit, &c->limit, n, w->now_ns);
    return true;
}

void gate_offer(struct world *w, uint32_t i)
{
    struct conn *c = &w->conns[i];
    uint32_t n = c->gate.count < gate_room(c) ? c->gate.count : gate_room(c);
    w->holding += !c->in_line && c->gate.count;
    c->in_line = c->gate.count != 0;
    if (!n)
        return;
    if (w->contender == PASS_ALL || (w->contender == ORACLE && gate_oracle_allows(w, c))) {
        gate_pass(w, i, w->contender == ORACLE && !c->honest ? 1 : n);
        return;
    }
    if (w->contender == ORACLE)
        return;
    if (!c->limit.waiter.messages && gate_passes_unasked(w, c, n)) {
        gate_pass(w, i, n);
        gate_drain(w);
        return;
    }
    gate_pass(w, i, reqlimit_offer(w->limit, &c->limit, n, w->now_ns));
    gate_drain(w);
}

static void gate_oracle_look(struct world *w)
{
    if (w->contender != ORACLE || !w->holding || w->under_way)
        return;
    uint32_t from = (uint32_t)property_below(&w->rng, w->conn_count);
    for (uint32_t k = 0; k < w->conn_count; k++) {
        uint32_t i = (from + k) % w->conn_count;
        if (w->conns[i].gate.count)
            gate_offer(w, i);
        if (w->under_way)
            return;
    }
}

void gate_arrive(struct world *w, uint32_t i, uint32_t m)
{
    fifo_push(w, &w->conns[i].gate, m);
    gate_offer(w, i);
}

void gate_answer(struct world *w, uint32_t m)
{
    struct conn *c = &w->conns[w->messages[m].conn];
    if (gate_limits(w)) {
        bool locked = reqlimit_answer_needs_lock(w->limit, &c->limit, 1);
        reqlimit_answered(w->limit, &c->limit, 1, locked, w->now_ns);
        gate_drain(w);
    }
    gate_oracle_look(w);
    sim_schedule(w, w->now_ns + GATE_NS + WIRE_NS, EVENT_ANSWER_AT_CLIENT, m, 0);
}

/* The connection leaves and another of its source comes; what was not passed is dropped. */
void gate_leave(struct world *w, uint32_t i)
{
    struct conn *c = &w->conns[i];
    if (!gate_limits(w))
        return;
    while (c->gate.count)
        message_free(w, fifo_pop(w, &c->gate));
    w->holding -= c->in_line;
    c->in_line = false;
    reqlimit_leave(w->limit, &c->limit, w->now_ns);
    reqlimit_join(w->limit, &c->limit, (uint64_t)c->source * 0x9e3779b97f4a7c15 + 1, w->now_ns);
    gate_drain(w);
}

/* ---- the counter ---- */

static void gate_wake(struct world *w)
{
    if (w->wake_pending)
        return;
    w->wake_pending = true;
    sim_schedule(w, w->now_ns + WAKE_NS, EVENT_WOKEN, 0, 0);
}

static void gate_count(struct world *w, enum counted what, uint64_t asked_ns, uint64_t now_ns)
{
    bool wake = what == COUNTED_TAKE ? taken_page_took(&w->page, asked_ns, now_ns)
                                     : taken_page_found_nothing(&w->page, what == COUNTED_WAITS, now_ns);
    if (wake)
        gate_wake(w);
}

/* A wrong counter begins to be wrong in the middle of the warm time. */
static void gate_tell(struct world *w, enum counted what, uint64_t asked_ns)
{
    enum counter_kind kind = w->now_ns > w->s->warm_ns / 2 ? w->s->counter : COUNTER_EXACT;
    if (w->contender != COUNTER)
        return;
    taken_page_beat(&w->page, w->now_ns);
    if (w->s->counter == COUNTER_LATE) {
        sim_schedule(w, w->now_ns + 100 * NS_PER_US, EVENT_COUNTED, what, (uint32_t)(w->now_ns - asked_ns));
        return;
    }
    if (kind == COUNTER_STUCK || (kind == COUNTER_LOW && what == COUNTED_TAKE && ++w->counted % 10 == 0))
        return;
    gate_count(w, what, asked_ns, w->now_ns);
    if (kind == COUNTER_HIGH && what == COUNTED_TAKE && ++w->counted % 10 == 0)
        gate_count(w, what, asked_ns, w->now_ns);
}

void gate_counted(struct world *w, uint32_t what, uint32_t asked_ago_ns)
{
    uint64_t then_ns = w->now_ns - 100 * NS_PER_US;
    gate_count(w, (enum counted)what, then_ns - (then_ns > asked_ago_ns ? asked_ago_ns : 0), then_ns);
}

void gate_taken(struct world *w, uint32_t i, uint64_t asked_ns)
{
    struct conn *c = &w->conns[i];
    bool was_full = !gate_room(c);
    c->under_way--;
    w->under_way--;
    gate_tell(w, COUNTED_TAKE, asked_ns);
    if (c->gate.count && (w->contender == PASS_ALL || was_full))
        sim_schedule(w, w->now_ns, EVENT_WOKEN, 1 + i, 0);
    if (w->contender == ORACLE && w->holding)
        sim_schedule(w, w->now_ns, EVENT_WOKEN, 0, 0);
}

void gate_empty(struct world *w, bool waits)
{
    gate_tell(w, waits ? COUNTED_WAITS : COUNTED_EMPTY, w->now_ns);
    if (w->contender == ORACLE && w->holding)
        sim_schedule(w, w->now_ns, EVENT_WOKEN, 0, 0);
}

void gate_woken(struct world *w)
{
    w->wake_pending = false;
    gate_oracle_look(w);
    if (!gate_limits(w))
        return;
    reqlimit_look(w->limit, w->now_ns);
    gate_drain(w);
}

void gate_tick(struct world *w)
{
    w->looks++;
    gate_oracle_look(w);
    if (gate_limits(w)) {
        taken_page_beat(&w->page, w->now_ns);
        if (w->now_ns >= w->tick_ns || w->limit->queue.count)
            w->tick_ns = reqlimit_tick(w->limit, w->now_ns);
        gate_drain(w);
        w->held += w->limit->queue.count;
    }
    bool stuck = gate_limits(w) && w->limit->queue.count && !w->under_way && app_idle(w);
    w->idle_held_ns = !stuck ? 0 : w->idle_held_ns ? w->idle_held_ns : w->now_ns;
    if (stuck && w->now_ns + 1 - w->idle_held_ns > w->result->stuck_ns)
        w->result->stuck_ns = w->now_ns + 1 - w->idle_held_ns;
    sim_schedule(w, w->now_ns + NS_PER_MS, EVENT_TICK, 0, 0);
}
