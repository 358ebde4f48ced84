/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/request_limiter.h"

#include "flow/reqlimit_proof.h"
#include "flow/reqlimit_queue.h"
#include "flow/request_costs.h"

#include <string.h>

#define LEASE_MOST 64u

int reqlimit_init(struct reqlimit *l, size_t sources, uint64_t now_ns)
{
    memset(l, 0, sizeof(*l));
    release_window_init(&l->release, now_ns);
    latency_window_init(&l->latency, now_ns);
    plain_service_init(&l->plain);
    calm_time_init(&l->calm, now_ns);
    fair_queue_init(&l->queue);
    list_init(&l->active);
    list_init(&l->woken);
    l->capacity = 1;
    l->tick_ns = l->empty_ns = l->kept_ns = l->capacity_ns = now_ns;
    atomic_store(&l->free_until, UINT64_MAX);
    return claims_init(&l->claims, sources);
}

void reqlimit_fini(struct reqlimit *l)
{
    claims_fini(&l->claims);
}

void reqlimit_bound(struct reqlimit *l, uint32_t most)
{
    l->most = most;
    atomic_store(&l->free_until, most ? 0 : UINT64_MAX);
}

void reqlimit_attach(struct reqlimit *l, struct taken_page *page)
{
    l->page = page;
    l->counter = (struct taken_counter){.state = TAKEN_ABSENT};
}

void reqlimit_join(struct reqlimit *l, struct reqlimit_conn *c, uint64_t source_key, uint64_t now_ns)
{
    memset(c, 0, sizeof(*c));
    fair_waiter_init(&c->waiter);
    list_init(&c->active);
    list_init(&c->woken);
    c->settled_at = coarse_clock(now_ns);
    c->folded_at = c->settled_at - (uint32_t)(2 * REQLIMIT_FOLD_NS >> COARSE_SHIFT); /* its first message is offered */
    calm_time_advance(&l->calm, now_ns);
    c->source = claims_acquire(&l->claims, source_key, now_ns);
    l->stats.connections++;
    c->debt_ns = (float)claims_inherit(c->source, &c->claim, &l->calm, now_ns);
    if (c->source->busy)
        l->active_rate += (double)c->claim.rate;
    reqcost_update(l, c, now_ns);
}

void reqlimit_class(struct reqlimit *l, struct reqlimit_conn *c, unsigned weight, unsigned priority)
{
    fair_queue_class(&l->queue, &c->waiter,
                     (uint8_t)(weight < 1           ? 1
                               : weight < UINT8_MAX ? weight
                                                    : UINT8_MAX),
                     (uint8_t)(priority < 1                 ? 0
                               : priority < FAIR_PRIORITIES ? priority - 1
                                                            : FAIR_PRIORITIES - 1));
}

static void reqlimit_fold(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    c->folded_at = coarse_clock(now_ns);
    if (c->passed)
        reqcost_charge(l, c, c->passed, now_ns);
    else
        reqcost_update(l, c, now_ns);
    c->passed = 0;
}

static void reqlimit_lease(struct reqlimit_conn *c, uint32_t n)
{
    c->lease = (uint8_t)(n < LEASE_MOST ? n : LEASE_MOST);
}

void reqlimit_activate(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    reqlimit_fold(l, c, now_ns);
    if (!c->is_active)
        reqcost_charge(l, c, 0, now_ns);
}

void reqlimit_arrive(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    reqlimit_activate(l, c, now_ns);
    c->tells = true;
    reqlimit_lease(c, reqlimit_credit(l, c));
    reqlimit_look(l, now_ns);
}

void reqlimit_passed(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    reqlimit_fold(l, c, now_ns);
    c->tells = false;
    reqlimit_pass(l, c, n, now_ns);
    reqlimit_guard(l, c, now_ns);
    reqlimit_lease(c, c->lease < n ? 0 : c->lease - n);
    reqlimit_look(l, now_ns);
}

uint32_t reqlimit_take(struct reqlimit_conn *c)
{
    uint32_t n = c->granted;
    list_del(&c->woken);
    c->granted = 0;
    return n;
}

static uint32_t reqlimit_offer_anew(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    uint32_t credit = reqlimit_credit(l, c);
    uint32_t at_once = reqlimit_state(l) != LIMIT_ACTIVE && !l->queue.count && !l->most ? n : credit;
    at_once = at_once < n ? at_once : n;
    reqlimit_lease(c, credit > at_once ? credit - at_once : 0);
    if (at_once) {
        reqlimit_unhold(l, c, at_once, true);
        reqlimit_pass(l, c, at_once, now_ns);
        reqlimit_guard(l, c, now_ns);
    }
    return at_once;
}

uint32_t reqlimit_offer(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    uint32_t granted = reqlimit_take(c), at_once = 0, credit; /* of these `n`, by any worker */
    reqlimit_activate(l, c, now_ns);
    c->tells = false;
    n -= granted < n ? granted : n;
    if (c->waiter.messages && (!n || reqlimit_credit(l, c)))
        fair_queue_remove(&l->queue, &c->waiter);
    if (n)
        at_once = reqlimit_offer_anew(l, c, n, now_ns);
    reqlimit_line_up(l, c, n - at_once, now_ns);
    reqlimit_look(l, now_ns);
    if (c->waiter.messages && (credit = reqlimit_credit(l, c)) != 0) /* a measurement meanwhile has lowered its cost */
        reqlimit_go_on(l, c, credit, now_ns);
    reqlimit_hold(l, c, now_ns);
    return granted + at_once + reqlimit_take(c);
}

void reqlimit_rest(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    if (!c->waiter.messages)
        return;
    fair_queue_remove(&l->queue, &c->waiter);
    reqlimit_unhold(l, c, c->held, false);
    reqlimit_look(l, now_ns);
}

void reqlimit_shed_by(struct reqlimit *l, const struct codel_params *p)
{
    l->shed = *p;
}

bool reqlimit_sheds(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns, uint64_t *ret_again_ns)
{
    const struct fair_waiter *w = &c->waiter;
    *ret_again_ns = UINT64_MAX;
    if (!w->messages)
        return false;
    uint64_t since_ns = now_ns - coarse_elapsed(w->since, now_ns);
    if (!codel_sheds(&c->source->codel, &l->shed, since_ns, fair_queue_below(&l->queue, w), now_ns, ret_again_ns))
        return false;
    *ret_again_ns = now_ns + l->shed.target_ns;
    if (!fair_queue_stands_back(&l->queue, w) && reqcost_is_modest(l, c, now_ns))
        return false;
    reqlimit_rest(l, c, now_ns);
    return true;
}

struct reqlimit_conn *reqlimit_next_woken(struct reqlimit *l)
{
    struct list *node = list_pop(&l->woken);
    return node ? LIST_ENTRY(node, struct reqlimit_conn, woken) : NULL;
}

/* Takes back the count of messages that were never sent. */
static void reqlimit_uncount(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n)
{
    uint64_t passed = atomic_fetch_sub(&l->passed, n) - n;
    if (l->costs_count > passed)
        l->costs_count = passed;
    if (l->kept_index > passed)
        l->kept_index = passed;
    reqlimit_end_in_hand(l, c, n);
    l->counter.untaken -= l->counter.untaken < n ? l->counter.untaken : n;
}

void reqlimit_give_back(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    if (!n)
        return;
    reqlimit_uncount(l, c, n);
    atomic_store(&c->awaited, 0); /* the sample may have been one of them */
    reqlimit_look(l, now_ns);
}

void reqlimit_count_frames(struct reqlimit *l)
{
    l->frames = true;
}

void reqlimit_begin_anew(struct reqlimit *l, bool plain, uint64_t now_ns)
{
    release_window_init(&l->release, now_ns);
    latency_window_init(&l->latency, now_ns);
    plain_service_init(&l->plain);
    if (plain)
        plain_service_is(&l->plain, true);
    l->lazy_ns = 0;
    l->frames = false;
    reqlimit_look(l, now_ns);
}

void reqlimit_leave(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    reqlimit_fold(l, c, now_ns);
    list_del(&c->woken);
    reqlimit_uncount(l, c, c->granted);
    fair_queue_remove(&l->queue, &c->waiter);
    reqlimit_unhold(l, c, c->held, false);
    l->stats.connections--;
    reqcost_leave_behind(l, c, now_ns);
    plain_service_forget(&l->plain, c);
    reqcost_forget(l, c);
    claims_release(c->source, &c->claim, (double)c->debt_ns, (double)c->work_ns, &l->calm, now_ns);
    reqlimit_look(l, now_ns);
}

void reqlimit_answered(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, bool locked, uint64_t now_ns)
{
    uint32_t in_hand = reqlimit_conn_in_hand(c);
    uint64_t before_ns = atomic_exchange_explicit(&l->answered_ns, now_ns, memory_order_relaxed);
    uint32_t awaited = atomic_load_explicit(&c->awaited, memory_order_relaxed);
    if (in_hand && awaited > in_hand)
        awaited = in_hand; /* some were answered, or forgotten, before the sample was taken */
    reqlimit_end_in_hand(l, c, n);
    atomic_fetch_add_explicit(&l->answered, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->got, n, memory_order_relaxed);
    atomic_store_explicit(&c->answered_at, coarse_clock(now_ns), memory_order_relaxed);
    atomic_store_explicit(&c->awaited, awaited > n ? awaited - n : 0, memory_order_relaxed);
    if (!locked)
        return;
    c->replies = true;
    if (awaited && awaited <= n)
        reqcost_answered(l, c, before_ns, now_ns);
    if (atomic_load_explicit(&l->sampling, memory_order_relaxed))
        plain_service_answered(&l->plain, c, n, reqlimit_is_quiet(l, now_ns), now_ns);
    if (l->queue.count)
        reqlimit_look(l, now_ns);
}
