/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/request_limiter.h"

#include "flow/request_costs.h"

#include <string.h>

#define TICK_HELD_NS  NS_PER_MS
#define TICK_QUIET_NS (50 * NS_PER_MS)
#define CALM_AFTER_NS (100 * NS_PER_MS)
#define LAZY_AFTER_NS (2 * NS_PER_MS)
#define REVIEWED      4u              /* waiters reviewed for each release */
#define RELEASED_MOST 256u            /* grants in one call, so that the lock is not held for long */
#define KNOWN_FOR_NS  (10 * NS_PER_S) /* after a message, the established are there to be protected */
#define ROOM_PART     8u
#define LEASE_MOST    64u
#define PLAIN_PART    16u /* once it is known, one calm stretch of so many is sampled */
#define PLAIN_FROM_NS (300 * NS_PER_MS)

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

static struct taken_facts reqlimit_facts(const struct reqlimit *l)
{
    return (struct taken_facts){
        .passed = atomic_load_explicit(&l->passed, memory_order_relaxed),
        .answered = atomic_load_explicit(&l->answered, memory_order_relaxed),
        .passed_at_ns = atomic_load_explicit(&l->passed_ns, memory_order_relaxed),
        .plain = l->plain.state == PLAIN_YES,
        .passing = &l->passed,
        .frames = l->frames,
    };
}

/* Messages in hand, those of connections that have left included: the application works on them all the same. */
static uint64_t reqlimit_in_hand(const struct reqlimit *l, uint64_t now_ns)
{
    return atomic_load(&l->in_hand) + (uint64_t)bucket_level(&l->left, reqcost_pace(l), now_ns);
}

/* How many messages are untaken, up to the last one of an established connection. */
static uint64_t reqlimit_guarded(const struct reqlimit *l)
{
    uint64_t taken = atomic_load_explicit(&l->passed, memory_order_relaxed) - l->counter.untaken;
    uint64_t guarded = atomic_load_explicit(&l->guarded, memory_order_relaxed);
    return guarded > taken && l->counter.untaken >= l->counter.allowance ? guarded - taken : 0;
}

/* A connection has passed messages within its claim. */
static void reqlimit_guard(struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns)
{
    if (!c->established)
        return;
    atomic_store_explicit(&l->guarded, atomic_load(&l->passed), memory_order_relaxed);
    l->known_ns = now_ns;
}

/* The number of messages that a message of the connection would wait for. libzmq serves connections in turn. So a
 * connection with nothing in hand waits for one message of each that sent many before anything was held. */
static uint64_t reqlimit_ahead(const struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns)
{
    int32_t busy = atomic_load_explicit(&l->busy, memory_order_relaxed);
    uint64_t in_hand = reqlimit_in_hand(l, now_ns), left = in_hand - atomic_load(&l->in_hand);
    if (l->latency.drained || atomic_load(&c->in_hand) || left > in_hand)
        return in_hand;
    return left + (busy > 0 ? (uint64_t)busy : 0);
}

static bool reqlimit_allows(struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns)
{
    l->by_counter = l->by_guard = false;
    if (l->most && reqlimit_in_hand(l, now_ns) >= l->most && !atomic_load(&c->silent))
        return false;
    if (reqlimit_state(l) != LIMIT_ACTIVE)
        return true;
    bool counter = taken_counter_holds(&l->counter);
    if (l->plain.state == PLAIN_YES && !reqcost_is_lazy(l, now_ns) && !atomic_load(&c->silent) &&
        !latency_window_allows(&l->latency, reqlimit_ahead(l, c, now_ns)))
        return false;
    l->by_counter = counter;
    /* The counter stands still: the allowance may lie there, whatever the window is. */
    if (!counter || l->counter.untaken < l->counter.allowance)
        return true;
    l->by_guard = !c->established && reqlimit_guarded(l);
    if (l->by_guard)
        return false;
    return release_window_allows(&l->release, l->counter.untaken - l->counter.allowance, l->counter.idle,
                                 reqcost_untaken(l), reqcost_expected(l, c));
}

/* Whether messages and answers now show what the service is like. */
static bool reqlimit_is_quiet(const struct reqlimit *l, uint64_t now_ns)
{
    return !l->queue.count && now_ns > PLAIN_FROM_NS && !latency_window_is_suspicious(&l->latency);
}

static void reqlimit_pass(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
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

/* `n` messages in line pass, or have left. */
static void reqlimit_unhold(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, bool passed)
{
    n = n < c->held ? n : c->held;
    c->held -= n;
    l->stats.waiting -= n;
    l->stats.passed_held[c->proof] += passed ? n : 0;
}

/* The proof of the last refusal. */
static enum hold_proof reqlimit_proof(const struct reqlimit *l, uint64_t now_ns)
{
    if (l->most && reqlimit_in_hand(l, now_ns) >= l->most)
        return PROOF_MAX;
    return l->by_counter ? PROOF_COUNTER : PROOF_LATENCY;
}

/* Counts the messages of the connection that wait now. Each is counted once, by the proof of the first refusal. */
static void reqlimit_hold(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
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

static void reqlimit_tick_by(struct reqlimit *l, uint64_t at_ns)
{
    l->tick_ns = at_ns < l->tick_ns ? at_ns : l->tick_ns;
}

static void reqlimit_line_up(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
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

/* How many messages the connection may pass whatever else is true. */
static uint32_t reqlimit_credit(const struct reqlimit *l, const struct reqlimit_conn *c)
{
    return l->most ? 0 : reqcost_credit(l, c);
}

/* A connection in line is within its claim by now. */
static void reqlimit_go_on(struct reqlimit *l, struct reqlimit_conn *c, uint32_t credit, uint64_t now_ns)
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

static void reqlimit_release(struct reqlimit *l, uint64_t now_ns)
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

/* How many messages the application has to take before it is worth looking at. A wide window has room again long before
 * the application runs dry, so an eighth of it is waited for: a wake-up costs the application time. */
static uint64_t reqlimit_room(const struct reqlimit *l)
{
    uint64_t window = l->release.messages, room = window / ROOM_PART;
    room = room ? room : 1;
    return l->counter.untaken >= window && window ? l->counter.untaken - window + room : room;
}

/* Sets how far messages may pass without the lock, and when the counter is to wake Weir. */
static void reqlimit_settle(struct reqlimit *l)
{
    enum limit_state state = reqlimit_state(l);
    atomic_store_explicit(&l->free_until, l->most || l->queue.count || state == LIMIT_ACTIVE ? 0 : UINT64_MAX,
                          memory_order_relaxed);
    atomic_store_explicit(&l->by_hand, l->queue.count && !l->by_counter, memory_order_relaxed);
    if (!l->page || !taken_counter_holds(&l->counter))
        return;
    uint64_t wanted = l->counter.taken + reqlimit_room(l);
    uint64_t guarded = l->counter.taken + (l->by_guard ? reqlimit_guarded(l) : 0);
    wanted = wanted < guarded ? guarded : wanted;
    taken_page_wish(l->page, l->queue.count ? wanted : UINT64_MAX, l->queue.count || l->refilling);
}

/* Notes whether messages that passed some time ago still lie in the pipes. */
static void reqlimit_look_at_pipes(struct reqlimit *l, uint64_t now_ns)
{
    uint64_t passed = atomic_load_explicit(&l->passed, memory_order_relaxed);
    if (!taken_counter_holds(&l->counter) || passed - l->counter.untaken >= l->kept_index) {
        l->kept_index = passed;
        l->kept_ns = now_ns;
    } else if (elapsed_since(l->kept_ns, now_ns) > LAZY_AFTER_NS) {
        l->lazy_ns = now_ns;
    }
}

static void reqlimit_look_at_window(struct reqlimit *l, uint64_t now_ns)
{
    bool held = l->queue.count != 0, idle = taken_counter_holds(&l->counter) && l->counter.idle;
    bool by_window = held && l->by_counter && !l->by_guard;
    bool starves = idle && (by_window || (l->refilling && l->counter.untaken));
    if (by_window && l->counter.short_batch)
        release_window_grow(&l->release);
    uint64_t taken_ns = 0, asked_ns;
    if (l->release.idle && l->counter.taken != l->idle_taken &&
        !taken_page_entry(l->page, l->idle_taken, &taken_ns, &asked_ns))
        taken_ns = now_ns;
    l->idle_taken = l->counter.taken;
    const struct fair_waiter *first = fair_queue_first(&l->queue);
    bool strangers = first && !LIST_ENTRY(first, struct reqlimit_conn, waiter)->established;
    l->release.patient = strangers && elapsed_since(l->known_ns, now_ns) < KNOWN_FOR_NS;
    release_window_look(&l->release, starves, taken_ns, now_ns);
    l->refilling = starves;
}

static void reqlimit_count_stuck(struct reqlimit *l)
{
    bool stuck =
        l->by_counter && taken_counter_holds(&l->counter) && l->counter.idle && !l->counter.untaken && l->queue.count;
    l->stats.stuck += stuck && !l->was_stuck;
    l->was_stuck = stuck;
}

static void reqlimit_look_once(struct reqlimit *l, uint64_t now_ns)
{
    struct taken_facts facts = reqlimit_facts(l);
    taken_counter_read(&l->counter, l->page, &facts, now_ns);
    reqcost_look(l, now_ns);
    reqlimit_look_at_pipes(l, now_ns);
    reqlimit_look_at_window(l, now_ns);
    reqlimit_release(l, now_ns);
    release_window_shrink(&l->release, l->counter.untaken, reqcost_untaken(l), l->queue.count && l->by_counter, now_ns);
    reqlimit_count_stuck(l);
    reqlimit_settle(l);
}

/* The counter does not report what happened before its wake-up was set. So the page is read once more. */
void reqlimit_look(struct reqlimit *l, uint64_t now_ns)
{
    reqlimit_look_once(l, now_ns);
    if (l->queue.count && taken_counter_is_behind(&l->counter, l->page))
        reqlimit_look_once(l, now_ns);
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

/* Whether messages have to wait. Then service earns no claims, and shows the capacity of the application. */
static bool reqlimit_is_disturbed(const struct reqlimit *l, uint64_t now_ns)
{
    double patience_ns = 2 * l->cost_ns > CALM_AFTER_NS ? 2 * l->cost_ns : CALM_AFTER_NS;
    return latency_window_is_suspicious(&l->latency) || (double)elapsed_since(l->empty_ns, now_ns) > patience_ns ||
           (double)elapsed_since(l->kept_ns, now_ns) > patience_ns;
}

static void reqlimit_tick_capacity(struct reqlimit *l, bool disturbed, uint64_t now_ns)
{
    if (elapsed_since(l->capacity_ns, now_ns) < TICK_QUIET_NS)
        return;
    double rate = l->charged / (double)elapsed_since(l->capacity_ns, now_ns);
    if (disturbed)
        l->capacity += 0.1 * (rate - l->capacity);
    if (l->capacity < 0.05)
        l->capacity = 0.05;
    l->charged = 0;
    l->capacity_ns = now_ns;
}

/* While answers are quick, nothing that connections have left behind is in their way. The estimate of when it is worked
 * off says so much later: it rests on what passes, which is little while messages are held. An operator's limit counts
 * what is in hand, however quick it is. */
static void reqlimit_tick_left(struct reqlimit *l)
{
    if (!l->most && !latency_window_is_suspicious(&l->latency))
        l->left = (struct faded_sum){0};
}

uint64_t reqlimit_tick(struct reqlimit *l, uint64_t now_ns)
{
    reqlimit_tick_left(l);
    struct latency_facts facts = {
        .answered = atomic_load(&l->answered),
        .answered_at_ns = atomic_load(&l->answered_ns),
        .in_hand = reqlimit_in_hand(l, now_ns),
        .held = l->queue.count != 0 && !l->by_counter,
        .plain = l->plain.state == PLAIN_YES,
        .idle = taken_counter_holds(&l->counter) && l->counter.idle && !l->counter.untaken,
    };
    uint64_t stuck = l->latency.stuck;
    calm_time_advance(&l->calm, now_ns);
    bool disturbed = reqlimit_is_disturbed(l, now_ns);
    uint64_t passed = atomic_load(&l->passed); /* less than before if some were given back */
    if (!disturbed && reqlimit_state(l) == LIMIT_NONE)
        plain_service_count(&l->plain, elapsed_since(l->counted_passed, passed), facts.answered - l->counted_answered);
    l->counted_passed = passed;
    l->counted_answered = facts.answered;
    if (disturbed)
        calm_time_disturb(&l->calm);
    reqlimit_tick_capacity(l, disturbed, now_ns);
    reqcost_review(l, now_ns);
    latency_window_look(&l->latency, &facts, now_ns);
    l->stats.stuck += l->latency.stuck - stuck;
    l->tick_ns = UINT64_MAX;
    reqlimit_look(l, now_ns);
    bool unknown = l->plain.state == PLAIN_UNKNOWN && !plain_service_is_overrun(&l->plain);
    atomic_store(&l->sampling, !l->queue.count && (unknown || l->plain.sampling || l->calm.stretch % PLAIN_PART == 0));
    bool held = l->queue.count || l->latency.state == LATENCY_HOLDING;
    reqlimit_tick_by(l, now_ns + (held ? TICK_HELD_NS : TICK_QUIET_NS));
    return l->tick_ns;
}
