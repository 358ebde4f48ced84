/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/request_costs.h"

#define UNKNOWN_COST_NS (100.0 * NS_PER_US)
#define COST_MOST_NS    (100.0 * NS_PER_S) /* the most that a wrong counter or clock can charge for one message */
#define SETTLE_NS       (2 * NS_PER_MS)
#define BUCKET_NS       ((double)NS_PER_S)
#define HEADROOM        1.5  /* times its claim that an established connection may always use */
#define BURST           4.0  /* buckets of a second that an equal may be short of */
#define LEAST_PART      0.05 /* of the capacity, for connections without claims */
#define STANDS_MOST     64u
#define PAIRED_LEAST    12u
#define PAIRED_MOST     64u
#define SENT_MOST       16384u /* at a time */
#define SILENT_NS       (20 * NS_PER_S)
#define BOUNDED_NS      ((double)NS_PER_S) /* with an operator's limit answers are awaited at least so long */
#define LAZY_FOR_NS     (10 * NS_PER_S)
#define LEFT_MOST       65536
#define PATIENCE_NS     (200 * NS_PER_MS)
#define REVIEW_LEAST    16u
#define REVIEW_MOST     256u

static double reqcost_greater(double a, double b)
{
    return a > b ? a : b;
}

bool reqcost_is_lazy(const struct reqlimit *l, uint64_t now_ns)
{
    return taken_counter_holds(&l->counter) && l->lazy_ns && elapsed_since(l->lazy_ns, now_ns) < LAZY_FOR_NS;
}

double reqcost_expected(const struct reqlimit *l, const struct reqlimit_conn *c)
{
    double ns = c->cost_ns > 0 ? (double)c->cost_ns : c->source->cost_ns > 0 ? (double)c->source->cost_ns : l->cost_ns;
    return ns > 0 ? ns : UNKNOWN_COST_NS;
}

/* Attained work fades, and debt leaks at the share, in steps that a float does not lose. */
static void reqcost_settle(struct reqlimit_conn *c, uint64_t now_ns)
{
    uint64_t elapsed_ns = coarse_elapsed(c->settled_at, now_ns);
    if (elapsed_ns && elapsed_ns < SETTLE_NS)
        return;
    elapsed_ns = coarse_advance(&c->settled_at, now_ns);
    double debt_ns = (double)c->debt_ns - (double)c->share * (double)elapsed_ns;
    c->work_ns = (float)((double)c->work_ns * decay_factor(elapsed_ns, CLAIMS_WORK_NS));
    c->debt_ns = debt_ns > 0 ? (float)debt_ns : 0;
}

/* The part of each active source in the capacity that all claims leave over. */
static double reqcost_surplus(const struct reqlimit *l)
{
    double left = reqcost_greater(LEAST_PART * l->capacity, l->capacity - l->active_rate);
    return left / (l->active_sources ? l->active_sources : 1);
}

static double reqcost_share(const struct reqlimit *l, const struct reqlimit_conn *c)
{
    const struct claims_source *s = c->source;
    double mean = s->live ? s->live_rate / s->live : 0, own = reqcost_greater((double)c->claim.rate, mean);
    own += 2 * square_root(own * reqcost_expected(l, c) / (double)calm_time_ns(&l->calm));
    return HEADROOM * own + c->waiter.weight * reqcost_surplus(l) / (s->busy ? s->busy : 1);
}

/* The debt up to which a connection still passes at once. */
static double reqcost_bucket(const struct reqlimit *l, const struct reqlimit_conn *c)
{
    return HEADROOM * (double)c->claim.rate * BUCKET_NS + 2 * reqcost_expected(l, c);
}

/* Far above what the connection was ever served, in a burst or over seconds. */
static bool reqcost_is_unequal(const struct reqlimit *l, const struct reqlimit_conn *c)
{
    double share = (double)c->share * CLAIMS_WORK_NS;
    return (double)c->debt_ns > BURST * reqcost_bucket(l, c) ||
           fair_level((double)c->work_ns, reqcost_expected(l, c), share, true) > FAIR_EQUAL;
}

static void reqcost_classify(struct reqlimit *l, struct reqlimit_conn *c)
{
    bool established = claim_is_ripe(&c->claim);
    bool over = c->is_active && (!established || (!reqcost_credit(l, c) && reqcost_is_unequal(l, c)));
    l->stats.established += (uint32_t)established - (uint32_t)c->established;
    l->stats.over += (uint32_t)over - (uint32_t)c->over;
    c->established = established;
    c->over = over;
}

void reqcost_update(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    calm_time_advance(&l->calm, now_ns);
    double change = claims_update(c->source, &c->claim, &l->calm, now_ns);
    if (c->source->busy)
        l->active_rate += change;
    reqcost_settle(c, now_ns);
    c->share = (float)reqcost_share(l, c);
    reqcost_classify(l, c);
}

static void reqcost_activate(struct reqlimit *l, struct reqlimit_conn *c)
{
    list_push(&l->active, &c->active);
    c->is_active = true;
    l->active_count++;
    if (c->source->busy++)
        return;
    l->active_sources++;
    l->active_rate += c->source->live_rate;
}

static void reqcost_deactivate(struct reqlimit *l, struct reqlimit_conn *c)
{
    list_del(&c->active);
    c->is_active = false;
    l->active_count--;
    if (--c->source->busy)
        return;
    l->active_sources--;
    l->active_rate = l->active_sources ? reqcost_greater(l->active_rate - c->source->live_rate, 0) : 0;
}

static void reqcost_spend(struct reqlimit *l, struct reqlimit_conn *c, double cost_ns, uint64_t now_ns)
{
    double most_ns = 2 * BUCKET_NS * (double)c->share + 10 * reqcost_expected(l, c);
    reqcost_settle(c, now_ns);
    claim_spend(&c->claim, cost_ns);
    double work_ns = (double)c->work_ns + cost_ns, debt_ns = (double)c->debt_ns + cost_ns;
    c->work_ns = work_ns > 0 ? (float)work_ns : 0;
    c->debt_ns = debt_ns < 0 ? 0 : (float)(debt_ns > most_ns ? most_ns : debt_ns);
    l->charged += cost_ns;
    faded_sum_add(&c->source->served, CLAIMS_WORK_NS, cost_ns, now_ns);
    faded_sum_add(&l->served, CLAIMS_WORK_NS, cost_ns, now_ns);
}

bool reqcost_is_modest(const struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns)
{
    double served = faded_sum(&c->source->served, CLAIMS_WORK_NS, now_ns);
    return 2 * served * l->active_sources < faded_sum(&l->served, CLAIMS_WORK_NS, now_ns);
}

/* Extends the running sum of expected costs. Messages that passed without a lock count as in calm time. */
static void reqcost_write(struct reqlimit *l, double cost_ns, uint32_t n)
{
    uint64_t passed = atomic_load_explicit(&l->passed, memory_order_relaxed);
    if (l->costs_count > passed) /* some were given back */
        l->costs_count = passed;
    if (passed - l->costs_count > REQLIMIT_COSTS)
        l->costs_count = passed - REQLIMIT_COSTS;
    while (l->costs_count < passed) {
        double ns = passed - l->costs_count <= n ? cost_ns : l->calm_cost_ns;
        l->costs[(l->costs_count + 1) % REQLIMIT_COSTS] = l->costs[l->costs_count % REQLIMIT_COSTS] + ns;
        l->costs_count++;
    }
}

double reqcost_untaken(const struct reqlimit *l)
{
    uint64_t untaken = l->counter.untaken < REQLIMIT_COSTS ? l->counter.untaken : REQLIMIT_COSTS - 1;
    if (untaken > l->costs_count)
        return 0;
    double first = l->costs[(l->costs_count - untaken) % REQLIMIT_COSTS];
    double ns = l->costs[l->costs_count % REQLIMIT_COSTS] - first;
    return ns > 0 ? ns : 0;
}

double reqcost_pace(const struct reqlimit *l)
{
    return l->cost_ns > 0 ? l->capacity / l->cost_ns : 1;
}

static void reqcost_charge_left(struct reqlimit *l, uint32_t n, uint64_t now_ns)
{
    bucket_add(&l->left, reqcost_pace(l), n, LEFT_MOST, now_ns);
}

void reqcost_leave_behind(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    reqcost_charge_left(l, reqlimit_end_in_hand(l, c, UINT32_MAX), now_ns);
}

void reqcost_pass_apart(struct reqlimit *l, const struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    if (atomic_load_explicit(&c->in_hand, memory_order_relaxed) & REQLIMIT_APART)
        reqcost_charge_left(l, n, now_ns);
}

/* Takes what the connection has in hand out of the sums of the gate. */
static void reqcost_set_apart(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    uint32_t had = atomic_load(&c->in_hand);
    do
        if (!had || had & REQLIMIT_APART)
            return;
    while (!atomic_compare_exchange_weak(&c->in_hand, &had, had | REQLIMIT_APART));
    atomic_fetch_sub(&l->in_hand, had);
    atomic_fetch_sub(&l->busy, 1);
    atomic_store(&c->awaited, 0);
    reqcost_charge_left(l, had, now_ns);
}

static void reqcost_put_back(struct reqlimit *l, struct reqlimit_conn *c)
{
    uint32_t had;
    while ((had = atomic_load(&c->in_hand)) & REQLIMIT_APART) {
        uint32_t n = had & ~REQLIMIT_APART;
        atomic_fetch_add(&l->in_hand, n);
        atomic_fetch_add(&l->busy, 1);
        if (atomic_compare_exchange_strong(&c->in_hand, &had, n))
            return;
        atomic_fetch_sub(&l->in_hand, n);
        atomic_fetch_sub(&l->busy, 1);
    }
}

static bool reqcost_is_to_be_set_apart(const struct reqlimit *l, const struct reqlimit_conn *c)
{
    uint32_t in_hand = atomic_load_explicit(&c->in_hand, memory_order_relaxed);
    return !l->most && in_hand && !(in_hand & REQLIMIT_APART) &&
           atomic_load_explicit(&c->unread_at, memory_order_relaxed);
}

/* The client does not take its answers, or takes them again. */
static void reqcost_review_unread(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    uint32_t unread_at = atomic_load_explicit(&c->unread_at, memory_order_relaxed);
    if (!unread_at)
        reqcost_put_back(l, c);
    else if (reqcost_is_to_be_set_apart(l, c) && coarse_elapsed(unread_at, now_ns) > REQLIMIT_UNREAD_NS)
        reqcost_set_apart(l, c, now_ns);
}

static void reqcost_silence(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    atomic_store(&c->silent, true);
    reqlimit_end_in_hand(l, c, UINT32_MAX);
    atomic_store(&c->awaited, 0);
    c->silenced_at = coarse_clock(now_ns);
}

/* A connection of which a good part is not answered is silent: an answer does not tell which message it is for. */
static void reqcost_pair(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    uint32_t got = atomic_load_explicit(&c->got, memory_order_relaxed), sent = c->sent;
    bool judges = reqlimit_state(l) == LIMIT_NONE && !l->most && /* with an operator's limit only time decides */
                  !atomic_load_explicit(&c->unread_at, memory_order_relaxed);
    if (judges && sent >= PAIRED_LEAST && got < sent - sent / 4)
        reqcost_silence(l, c, now_ns);
    if (sent > PAIRED_MOST) {
        c->sent /= 2;
        atomic_store_explicit(&c->got, got / 2, memory_order_relaxed);
    }
    if (judges)
        c->sent = (uint16_t)(c->sent + (n < SENT_MOST ? n : SENT_MOST));
}

void reqcost_charge(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    double expected_ns = reqcost_expected(l, c);
    if (!c->is_active)
        reqcost_activate(l, c);
    c->used_at = coarse_clock(now_ns);
    c->unsampled = (uint8_t)(c->unsampled + n < STANDS_MOST ? c->unsampled + n : STANDS_MOST);
    reqcost_pair(l, c, n, now_ns);
    reqcost_update(l, c, now_ns);
    reqcost_spend(l, c, n * expected_ns, now_ns);
    reqcost_write(l, expected_ns, n);
}

void reqcost_start(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    uint64_t index = atomic_load_explicit(&l->passed, memory_order_relaxed) - 1;
    bool silent = atomic_load_explicit(&c->silent, memory_order_relaxed);
    if (taken_counter_holds(&l->counter) && (silent || !c->replies) && l->probe_count < REQLIMIT_PROBES) {
        l->probes[(l->probe_first + l->probe_count++) % REQLIMIT_PROBES] =
            (struct reqlimit_probe){c, index, reqcost_expected(l, c), c->unsampled};
        c->unsampled = 0;
    }
    if (silent || atomic_load_explicit(&c->awaited, memory_order_relaxed) ||
        atomic_load_explicit(&c->unread_at, memory_order_relaxed))
        return;
    c->sample = (struct reqlimit_sample){now_ns, (uint32_t)index, (float)reqcost_expected(l, c)};
    c->stands_for = c->unsampled;
    c->unsampled = 0;
    atomic_store_explicit(&c->awaited, reqlimit_conn_in_hand(c), memory_order_relaxed);
}

/* Rises fast and falls slowly: a client that mixes cheap and costly messages is expected to send costly ones. */
static double reqcost_follow(double estimate_ns, double ns)
{
    return estimate_ns <= 0 ? ns : estimate_ns + (ns > estimate_ns ? 0.3 : 0.05) * (ns - estimate_ns);
}

static bool reqcost_is_calm(const struct reqlimit *l)
{
    return !l->queue.count && !l->calm.disturbed && !latency_window_is_suspicious(&l->latency);
}

static void reqcost_learn(struct reqlimit *l, struct reqlimit_conn *c, double ns, double expected_ns,
                          uint32_t stands_for, uint64_t now_ns)
{
    ns = reqcost_greater(ns < COST_MOST_NS ? ns : COST_MOST_NS, NS_PER_US);
    reqcost_spend(l, c, (ns - expected_ns) * (stands_for ? stands_for : 1), now_ns);
    c->cost_ns = (float)reqcost_follow((double)c->cost_ns, ns);
    c->source->cost_ns = (float)reqcost_follow((double)c->source->cost_ns, ns);
    l->cost_ns += (l->cost_ns > 0 ? 0.02 : 1) * (ns - l->cost_ns);
    if (!reqcost_is_calm(l))
        return;
    l->calm_cost_ns += (l->calm_cost_ns > 0 ? 0.02 : 1) * (ns - l->calm_cost_ns);
    release_window_calm(&l->release, l->calm_cost_ns);
}

void reqcost_answered(struct reqlimit *l, struct reqlimit_conn *c, uint64_t before_ns, uint64_t now_ns)
{
    const struct reqlimit_sample *s = &c->sample;
    uint64_t taken_ns = s->passed_ns, asked_ns, from_ns = before_ns > s->passed_ns ? before_ns : s->passed_ns;
    uint64_t passed = atomic_load_explicit(&l->passed, memory_order_relaxed);
    uint64_t index = passed - (uint32_t)((uint32_t)passed - s->index);
    bool known = taken_counter_holds(&l->counter) &&
                 taken_page_entry(l->page, taken_counter_index(&l->counter, index), &taken_ns, &asked_ns);
    if (known && (reqcost_is_lazy(l, now_ns) || !latency_window_is_suspicious(&l->latency)))
        from_ns = taken_ns;
    reqcost_learn(l, c, (double)elapsed_since(from_ns, now_ns), (double)s->expected_ns, c->stands_for, now_ns);
    latency_window_sample(&l->latency, elapsed_since(taken_ns, now_ns), reqlimit_state(l) == LIMIT_NONE);
}

/* How long the application was busy with a message; below 0: not known any more. False: not known yet. */
static bool reqcost_busy(const struct reqlimit *l, uint64_t index, double *ret_ns)
{
    uint64_t at_ns, asked_ns, next_ns, until_ns;
    *ret_ns = -1;
    if (index >= l->counter.taken)
        return index == UINT64_MAX;
    if (!taken_page_entry(l->page, index, &at_ns, &asked_ns))
        return true;
    if (taken_page_entry(l->page, index + 1, &next_ns, &until_ns) && until_ns)
        *ret_ns = until_ns > at_ns ? (double)(until_ns - at_ns) : 0;
    else if (index + 1 < l->counter.taken) /* the application has not noted when it asked for it */
        return true;
    else if (l->counter.idle_since_ns)
        *ret_ns = l->counter.idle_since_ns > at_ns ? (double)(l->counter.idle_since_ns - at_ns) : 0;
    return *ret_ns >= 0;
}

void reqcost_look(struct reqlimit *l, uint64_t now_ns)
{
    if (!taken_counter_holds(&l->counter)) {
        l->probe_count = 0;
        return;
    }
    while (l->probe_count) {
        struct reqlimit_probe *p = &l->probes[l->probe_first];
        double ns;
        if (p->conn && !reqcost_busy(l, taken_counter_index(&l->counter, p->index), &ns))
            return;
        if (p->conn && ns >= 0 && (!p->conn->replies || atomic_load(&p->conn->silent)))
            reqcost_learn(l, p->conn, ns, p->expected_ns, p->stands_for, now_ns);
        l->probe_first = (l->probe_first + 1) % REQLIMIT_PROBES;
        l->probe_count--;
    }
}

uint32_t reqcost_credit(const struct reqlimit *l, const struct reqlimit_conn *c)
{
    double left_ns = reqcost_bucket(l, c) - (double)c->debt_ns;
    if (!c->established || left_ns < 0)
        return 0;
    double n = 1 + left_ns / reqcost_expected(l, c);
    return n < 1e9 ? (uint32_t)n : 1000000000;
}

/* Messages that passed before anything was held may still be in hand. Until they are worked off, a connection that has
 * some of them waits for its own messages, and no other connection has to wait with it. */
static bool reqcost_waits_for_itself(const struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns)
{
    return l->latency.state == LATENCY_HOLDING && !l->latency.drained && atomic_load(&c->in_hand) &&
           !reqcost_is_lazy(l, now_ns);
}

int reqcost_level(const struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns)
{
    if (reqcost_waits_for_itself(l, c, now_ns))
        return FAIR_LAST;
    double expected_ns = reqcost_expected(l, c), share = (double)c->share * CLAIMS_WORK_NS;
    double work = (double)c->work_ns * decay_factor(coarse_elapsed(c->settled_at, now_ns), CLAIMS_WORK_NS);
    if (!c->established)
        work += faded_sum(&c->source->work, CLAIMS_WORK_NS, now_ns) / (c->source->busy ? c->source->busy : 1);
    int level = fair_level(work, expected_ns, share, c->established);
    double patience_ns = PATIENCE_NS + 2 * expected_ns / reqcost_greater((double)c->share, 1e-6);
    if (!c->waiter.messages)
        return level;
    return fair_level_after(level, coarse_elapsed(c->waiter.since, now_ns), (uint64_t)patience_ns);
}

/* How long ago a connection got an answer, or sent the message that `sent_ns` ago tells of. */
static uint64_t reqcost_quiet_ns(const struct reqlimit_conn *c, uint64_t sent_ns, uint64_t now_ns)
{
    uint64_t ns = coarse_elapsed(atomic_load_explicit(&c->answered_at, memory_order_relaxed), now_ns);
    return ns < sent_ns ? ns : sent_ns;
}

/* A connection whose messages are not answered for long is silent: nothing waits for these answers. If its sample was
 * answered, it does get answers, but not to all of its messages, and an answer does not tell which message it is for.
 * What is left in hand then will never be answered. */
static void reqcost_review_answers(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns)
{
    bool silent = atomic_load_explicit(&c->silent, memory_order_relaxed);
    double patience_ns = reqcost_greater(l->most ? BOUNDED_NS : 100.0 * NS_PER_MS, 10 * l->latency.lately_ns);
    if (silent && coarse_elapsed(c->silenced_at, now_ns) > SILENT_NS)
        atomic_store_explicit(&c->silent, false, memory_order_relaxed);
    if (silent || (l->latency.lately_ns <= 0 && !l->most))
        return;
    if (atomic_load(&c->awaited)) {
        if ((double)reqcost_quiet_ns(c, elapsed_since(c->sample.passed_ns, now_ns), now_ns) > patience_ns)
            reqcost_silence(l, c, now_ns);
    } else if (!atomic_load_explicit(&c->unread_at, memory_order_relaxed) &&
               (double)reqcost_quiet_ns(c, coarse_elapsed(c->used_at, now_ns), now_ns) > patience_ns) {
        reqlimit_end_in_hand(l, c, UINT32_MAX);
    }
}

void reqcost_review(struct reqlimit *l, uint64_t now_ns)
{
    uint32_t n = REVIEW_LEAST + l->active_count / 20;
    n = n < REVIEW_MOST ? n : REVIEW_MOST;
    for (n = n < l->active_count ? n : l->active_count; n; n--) {
        struct list *node = list_pop(&l->active);
        struct reqlimit_conn *c = LIST_ENTRY(node, struct reqlimit_conn, active);
        list_push(&l->active, node);
        reqcost_review_unread(l, c, now_ns);
        reqcost_review_answers(l, c, now_ns);
        if (!c->waiter.messages && !reqcost_is_to_be_set_apart(l, c) &&
            coarse_elapsed(c->used_at, now_ns) > REQLIMIT_ACTIVE_NS)
            reqcost_deactivate(l, c);
        reqcost_update(l, c, now_ns);
    }
}

void reqcost_forget(struct reqlimit *l, struct reqlimit_conn *c)
{
    for (uint32_t i = 0; i < l->probe_count; i++)
        if (l->probes[(l->probe_first + i) % REQLIMIT_PROBES].conn == c)
            l->probes[(l->probe_first + i) % REQLIMIT_PROBES].conn = NULL;
    l->stats.established -= c->established;
    l->stats.over -= c->over;
    c->established = c->over = false;
    if (c->is_active)
        reqcost_deactivate(l, c);
}
