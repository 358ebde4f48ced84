/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/strikes.h"

/* The highest level of any word, in ticks: a full bucket, and then probation. */
#define LEVEL_MAX ((uint32_t)((STRIKES_WITHIN_MAX_NS + STRIKES_PROBATION_MAX_NS) >> STRIKES_TICK_LOG2_NS))

_Static_assert(LEVEL_MAX < UINT32_MAX / 8, "differences of ticks tell past from future");

static uint32_t strikes_tick_of(uint64_t now_ns)
{
    return (uint32_t)(now_ns >> STRIKES_TICK_LOG2_NS);
}

/* What one strike adds, to the nearest tick. */
static uint32_t ticks_a_strike(const struct strike_rules *r)
{
    uint64_t within = r->within_ns < STRIKES_WITHIN_MAX_NS ? r->within_ns : STRIKES_WITHIN_MAX_NS;
    uint64_t ns = within / r->strikes + (UINT64_C(1) << (STRIKES_TICK_LOG2_NS - 1));
    uint32_t ticks = (uint32_t)(ns >> STRIKES_TICK_LOG2_NS);
    return ticks ? ticks : 1;
}

/* How full the bucket is, in ticks. */
static uint32_t level_of(uint32_t word, uint32_t now)
{
    uint32_t level = word - now;
    return word == 0 || level > LEVEL_MAX ? 0 : level;
}

/* 0 stands for an empty bucket, so a time that falls on it is put off by a tick. */
static uint32_t strikes_word_of(uint32_t level, uint32_t now)
{
    uint32_t word = now + level;
    return word ? word : 1;
}

static uint64_t strikes_depth_of(const struct strike_rules *r)
{
    uint64_t depth = (uint64_t)r->strikes * ticks_a_strike(r);
    return depth < LEVEL_MAX ? depth : LEVEL_MAX;
}

enum strikes_tier strikes_add(strikes_word *w, const struct strike_rules *r, unsigned n, uint64_t now_ns)
{
    if (r->strikes == 0 || n == 0)
        return STRIKES_QUIET;
    uint32_t now = strikes_tick_of(now_ns), word = atomic_load_explicit(w, memory_order_relaxed), next;
    uint64_t depth = strikes_depth_of(r), before, after;
    do {
        before = level_of(word, now);
        after = before + (uint64_t)n * ticks_a_strike(r);
        next = before > depth ? word : after >= depth ? 0 : strikes_word_of((uint32_t)after, now);
    } while (!atomic_compare_exchange_weak_explicit(w, &word, next, memory_order_relaxed, memory_order_relaxed));
    if (after >= depth)
        return STRIKES_FULL;
    return 2 * before < depth && 2 * after >= depth ? STRIKES_WARN : STRIKES_QUIET;
}

void strikes_begin_probation(strikes_word *w, const struct strike_rules *r, uint64_t for_ns, uint64_t now_ns)
{
    if (r->strikes == 0)
        return;
    uint64_t most_ns = for_ns < STRIKES_PROBATION_MAX_NS ? for_ns : STRIKES_PROBATION_MAX_NS;
    uint64_t level = strikes_depth_of(r) + (most_ns >> STRIKES_TICK_LOG2_NS) + 1;
    uint32_t word = strikes_word_of(level < LEVEL_MAX ? (uint32_t)level : LEVEL_MAX, strikes_tick_of(now_ns));
    atomic_store_explicit(w, word, memory_order_relaxed);
}

bool strikes_on_probation(const strikes_word *w, const struct strike_rules *r, uint64_t now_ns)
{
    return r->strikes != 0 &&
           level_of(atomic_load_explicit(w, memory_order_relaxed), strikes_tick_of(now_ns)) > strikes_depth_of(r);
}

unsigned strikes_score(const strikes_word *w, const struct strike_rules *r, uint64_t now_ns)
{
    if (r->strikes == 0)
        return 0;
    uint32_t a_strike = ticks_a_strike(r);
    uint32_t n =
        (level_of(atomic_load_explicit(w, memory_order_relaxed), strikes_tick_of(now_ns)) + a_strike - 1) / a_strike;
    return n < r->strikes ? n : r->strikes;
}

bool strikes_are_drained(const strikes_word *w, uint64_t now_ns)
{
    return level_of(atomic_load_explicit(w, memory_order_relaxed), strikes_tick_of(now_ns)) == 0;
}
