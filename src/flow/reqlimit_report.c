/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/reqlimit_report.h"

static enum hold_proof reqlimit_report_proof(const struct reqlimit *l)
{
    bool counter = taken_counter_holds(&l->counter);
    if (l->queue.count)
        return (enum hold_proof)LIST_ENTRY(l->queue.review.next, struct reqlimit_conn, waiter.review)->proof;
    if (l->most)
        return PROOF_MAX;
    return counter ? PROOF_COUNTER : l->plain.state == PLAIN_YES ? PROOF_LATENCY : PROOF_NONE;
}

void reqlimit_report(const struct reqlimit *l, struct reqlimit_report *ret)
{
    bool counter = taken_counter_holds(&l->counter);
    bool latency =
        reqlimit_state(l) == LIMIT_ACTIVE && l->plain.state == PLAIN_YES && l->latency.state == LATENCY_HOLDING;
    *ret = (struct reqlimit_report){
        .state = reqlimit_state(l),
        .proof = reqlimit_report_proof(l),
        .counter = l->counter.state,
        .plain = l->plain.state,
        .connections = l->stats.connections,
        .established = l->stats.established,
        .over = l->stats.over,
        .in_line = l->queue.count,
        .waiting = l->stats.waiting,
        .since_ns = l->queue.count ? l->empty_ns : 0,
        .untaken = counter ? l->counter.untaken : 0,
        .untaken_most = l->stats.untaken_most,
        .in_hand = atomic_load_explicit(&l->in_hand, memory_order_relaxed),
        .untaken_window = counter ? l->release.messages : 0,
        .in_hand_window = latency && l->latency.window < 1e9 ? (uint64_t)l->latency.window : 0,
        .most = l->most,
        .without_progress = l->stats.stuck,
    };
    for (unsigned p = 0; p < PROOF_COUNT; p++) {
        ret->held[p] = l->stats.held[p];
        ret->passed_held[p] = l->stats.passed_held[p];
    }
}

void reqlimit_hold_of(const struct reqlimit_conn *c, uint64_t now_ns, struct reqlimit_hold *ret)
{
    *ret = (struct reqlimit_hold){.proof = PROOF_NONE};
    if (!c->waiter.messages)
        return;
    ret->proof = (enum hold_proof)c->proof;
    ret->waited_ns = coarse_elapsed(c->waiter.since, now_ns);
    ret->messages = c->waiter.messages;
    ret->established = c->established;
}

const char *limit_state_word(enum limit_state s)
{
    return s == LIMIT_ACTIVE ? "active" : s == LIMIT_PROBING ? "probing" : "none";
}

const char *hold_proof_word(enum hold_proof p)
{
    static const char *const words[PROOF_COUNT] = {"none", "counter", "latency", "max"};
    return words[p];
}

const char *reqlimit_report_why_not(const struct reqlimit_report *r)
{
    if (r->proof != PROOF_NONE)
        return NULL;
    if (r->counter == TAKEN_DOUBTED)
        return "its counter contradicts what passes, and it is not known to be a plain request/reply service";
    return r->plain == PLAIN_NO ? "no counter, and it was seen not to be a plain request/reply service"
                                : "no counter, and it is not known to be a plain request/reply service";
}
