/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/reqlimit_queue.h"

#include "flow/reqlimit_proof.h"
#include "flow/request_costs.h"

#define REVIEWED      4u   /* waiters reviewed for each release */
#define RELEASED_MOST 256u /* grants in one call, so that the lock is not held for long */
#define PLAIN_FROM_NS (300 * NS_PER_MS)

bool reqlimit_is_quiet(const struct reqlimit *l, uint64_t now_ns)
{
    return !l->queue.count && now_ns > PLAIN_FROM_NS && !latency_window_is_suspicious(&l->latency);
}

void reqlimit_pass(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    bool quiet = reqlimit_is_quiet(l, now_ns);
    reqlimit_count_passed(l, c, n, now_ns);
    reqcost_pass_apart(l, c, n, now_ns);
    l->counter.untaken += n;
    reqcost_charge(l, c, n, now_ns);
    reqcost_start(l, c, now_ns);
    if (atomic_load_explicit(&l->sampling, memory_order_relaxed))
        plain_service_passed(&l->plain, c, quiet, now_ns);
}

void reqlimit_unhold(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, bool passed)
{
    n = n < c->held ? n : c->held;
    c->held -= n;
    l->stats.waiting -= n;
    l->stats.passed_held[c->proof] += passed ? n : 0;
}

void reqlimit_hold(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    uint32_t waits = c->waiter.messages;
    if (waits < c->held)
        reqlimit_unhold(l, c, c->held - waits, false);
    if (!c->held)
        c->proof = (uint8_t)reqlimit_proof(l, now_ns);
    l->stats.held[c->proof] += waits - c->held;
    l->stats.waiting += waits - c->held;
    c->held = waits;
}

void reqlimit_tick_by(struct reqlimit *l, uint64_t at_ns)
{
    l->tick_ns = at_ns < l->tick_ns ? at_ns : l->tick_ns;
}

void reqlimit_line_up(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    bool begins = n && !c->waiter.messages;
    fair_queue_push(&l->queue, &c->waiter, n, reqcost_level(l, c, now_ns), now_ns);
    if (!begins)
        return;
    codel_waits(&c->source->codel, &l->shed, now_ns);
    reqlimit_tick_by(l, now_ns + TICK_HELD_NS);
}

/* `in_turn`: the connection is first in line; otherwise it is within its claim. */
static void reqlimit_grant(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, bool in_turn, uint64_t now_ns)
{
    uint32_t left = c->waiter.messages - n;
    codel_served(&c->source->codel, &l->shed, coarse_elapsed(c->waiter.since, now_ns), now_ns);
    if (in_turn)
        fair_queue_serve(&l->queue, &c->waiter, n);
    else
        fair_queue_remove(&l->queue, &c->waiter);
    reqlimit_pass(l, c, n, now_ns);
    c->granted += n;
    reqlimit_unhold(l, c, n, true);
    if (list_empty(&c->woken))
        list_push(&l->woken, &c->woken);
    reqlimit_line_up(l, c, left, now_ns);
}

uint32_t reqlimit_credit(const struct reqlimit *l, const struct reqlimit_conn *c)
{
    return l->most ? 0 : reqcost_credit(l, c);
}

void reqlimit_go_on(struct reqlimit *l, struct reqlimit_conn *c, uint32_t credit, uint64_t now_ns)
{
    reqlimit_grant(l, c, credit < c->waiter.messages ? credit : c->waiter.messages, false, now_ns);
    reqlimit_guard(l, c, now_ns);
}

static void reqlimit_review(struct reqlimit *l, uint64_t now_ns)
{
    for (unsigned i = l->queue.count < REVIEWED ? l->queue.count : REVIEWED; i && l->queue.count; i--) {
        struct fair_waiter *w = fair_queue_review(&l->queue);
        struct reqlimit_conn *c = LIST_ENTRY(w, struct reqlimit_conn, waiter);
        reqcost_update(l, c, now_ns);
        uint32_t credit = reqlimit_credit(l, c);
        if (credit)
            reqlimit_go_on(l, c, credit, now_ns);
        else
            fair_queue_move(&l->queue, w, reqcost_level(l, c, now_ns));
    }
}

/* How many of the first in line may go on together, after reqlimit_allows(): one, since others take turns with it. If
 * it waits alone on the counter's proof, as many as the window has room for. */
static uint32_t reqlimit_batch(const struct reqlimit *l, const struct reqlimit_conn *c)
{
    const struct release_window *w = &l->release;
    if (l->most || l->queue.count > 1 || !l->by_counter || l->plain.state == PLAIN_YES)
        return 1;
    uint64_t most = c->waiter.messages < RELEASED_MOST ? c->waiter.messages : RELEASED_MOST;
    uint64_t untaken = l->counter.untaken > l->counter.allowance ? l->counter.untaken - l->counter.allowance : 0;
    uint64_t room = w->messages > untaken ? w->messages - untaken : 1;
    double by_cost = (w->cost_ns - reqcost_untaken(l)) / reqcost_expected(l, c);
    most = room < most ? room : most;
    return by_cost < 1 ? 1 : by_cost < (double)most ? (uint32_t)by_cost : (uint32_t)most;
}

void reqlimit_release(struct reqlimit *l, uint64_t now_ns)
{
    struct fair_waiter *w;
    unsigned n = 0;
    reqlimit_review(l, now_ns);
    for (; n < RELEASED_MOST && (w = fair_queue_first(&l->queue)); n++) {
        struct reqlimit_conn *c = LIST_ENTRY(w, struct reqlimit_conn, waiter);
        if (!reqlimit_allows(l, c, now_ns))
            break;
        reqlimit_grant(l, c, reqlimit_state(l) == LIMIT_ACTIVE || l->most ? reqlimit_batch(l, c) : w->messages, true,
                       now_ns);
    }
    if (n == RELEASED_MOST)
        reqlimit_tick_by(l, now_ns);
    if (!l->queue.count)
        l->empty_ns = now_ns;
}
