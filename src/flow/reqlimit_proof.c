/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/reqlimit_proof.h"

#include "flow/request_costs.h"

uint64_t reqlimit_in_hand(const struct reqlimit *l, uint64_t now_ns)
{
    return atomic_load(&l->in_hand) + (uint64_t)bucket_level(&l->left, reqcost_pace(l), now_ns);
}

uint64_t reqlimit_guarded(const struct reqlimit *l)
{
    uint64_t taken = atomic_load_explicit(&l->passed, memory_order_relaxed) - l->counter.untaken;
    uint64_t guarded = atomic_load_explicit(&l->guarded, memory_order_relaxed);
    return guarded > taken && l->counter.untaken >= l->counter.allowance ? guarded - taken : 0;
}

void reqlimit_guard(struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns)
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

bool reqlimit_allows(struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns)
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

enum hold_proof reqlimit_proof(const struct reqlimit *l, uint64_t now_ns)
{
    if (l->most && reqlimit_in_hand(l, now_ns) >= l->most)
        return PROOF_MAX;
    return l->by_counter ? PROOF_COUNTER : PROOF_LATENCY;
}
