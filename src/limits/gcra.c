/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Rounding. The state is in whole nanoseconds while T may be a fraction. The cost of a call is rounded up: the limiter
 * never passes more than the rate allows, and each call costs less than 1 ns too much. The tolerance gives back what
 * burst + 1 single calls lose that way, as far as it stays below T / 2. Then exactly burst + 1 pass at one instant,
 * never one more. Where T is a whole number, everything is exact.
 */
#include "limits/gcra.h"

__extension__ typedef unsigned __int128 wide;

#define NS_MAX ((uint64_t)INT64_MAX)

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t gcra_later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* quantity * T, rounded up. The wide division is many times slower and hardly ever needed. */
static uint64_t cost_ns(const struct rate *r, uint64_t quantity)
{
    uint64_t product;
    if (LIKELY(!__builtin_mul_overflow(quantity, r->period_ns, &product) && product <= NS_MAX))
        return product / r->count + (product % r->count != 0);
    wide cost = ((wide)quantity * r->period_ns + r->count - 1) / r->count;
    return cost > NS_MAX ? NS_MAX : (uint64_t)cost;
}

/* tau: the cost of burst + 1, in one call or, within T / 2, in as many. */
static uint64_t tolerance_ns(const struct rate *r)
{
    uint64_t most = r->burst + 1, at_once = cost_ns(r, most), one_by_one;
    if (r->period_ns % r->count == 0)
        return at_once;
    uint64_t whole = r->period_ns / r->count;
    if (__builtin_mul_overflow(whole + 1, most, &one_by_one))
        one_by_one = UINT64_MAX;
    uint64_t limit = add_saturated(at_once, whole / 2);
    return one_by_one < limit ? one_by_one : limit;
}

/* The wait until a limiter whose arrival time would become `next` conforms. */
static uint64_t gcra_wait_for(const struct rate *r, uint64_t next, uint64_t now_ns)
{
    uint64_t horizon = add_saturated(now_ns, tolerance_ns(r));
    return next > horizon ? next - horizon : 0;
}

static bool never_passes(const struct rate *r, uint64_t quantity)
{
    return quantity > r->burst + 1;
}

uint64_t gcra_admit(gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns)
{
    if (rate_is_unlimited(r))
        return 0;
    if (never_passes(r, quantity))
        return UINT64_MAX;
    uint64_t cost = cost_ns(r, quantity), was = atomic_load_explicit(tat, memory_order_relaxed), next;
    do {
        next = add_saturated(gcra_later(was, now_ns), cost);
        /* A drained limiter passes all that ever passes. This saves the divisions for sources that keep to their
         * rate. */
        uint64_t wait = was <= now_ns ? 0 : gcra_wait_for(r, next, now_ns);
        if (wait)
            return wait;
    } while (!atomic_compare_exchange_weak_explicit(tat, &was, next, memory_order_relaxed, memory_order_relaxed));
    return 0;
}

/* The arrival time may lie in the past by the cost of the quantity: time that went by unused is what is saved. */
uint64_t gcra_admit_saved(gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns)
{
    if (rate_is_unlimited(r))
        return 0;
    uint64_t cost = cost_ns(r, quantity), was = atomic_load_explicit(tat, memory_order_relaxed), next;
    do {
        next = add_saturated(gcra_later(was, now_ns > cost ? now_ns - cost : 0), cost);
        uint64_t wait = gcra_wait_for(r, next, now_ns);
        if (wait)
            return wait;
    } while (!atomic_compare_exchange_weak_explicit(tat, &was, next, memory_order_relaxed, memory_order_relaxed));
    return 0;
}

/* The most that passes at once when the arrival time is `base`, which is not before now. The cost is rounded up and the
 * quantity down, and both agree: n * T <= room exactly when cost_ns(n) <= room. */
static uint64_t passing(const struct rate *r, uint64_t base, uint64_t now_ns)
{
    uint64_t most = r->burst + 1, horizon = add_saturated(now_ns, tolerance_ns(r));
    if (base > horizon)
        return 0;
    if (r->period_ns == 0)
        return most;
    wide n = (wide)(horizon - base) * r->count / r->period_ns;
    return n > most ? most : (uint64_t)n;
}

uint64_t gcra_admit_some(gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns,
                         uint64_t *ret_wait_ns)
{
    *ret_wait_ns = 0;
    if (rate_is_unlimited(r))
        return quantity;
    uint64_t was = atomic_load_explicit(tat, memory_order_relaxed), base, n;
    do {
        base = gcra_later(was, now_ns);
        n = passing(r, base, now_ns);
        if (n >= quantity)
            n = quantity;
        if (n == 0)
            break;
    } while (!atomic_compare_exchange_weak_explicit(tat, &was, add_saturated(base, cost_ns(r, n)), memory_order_relaxed,
                                                    memory_order_relaxed));
    if (n < quantity)
        *ret_wait_ns = gcra_wait_for(r, add_saturated(base, add_saturated(cost_ns(r, n), cost_ns(r, 1))), now_ns);
    return n;
}

uint64_t gcra_charge(gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns)
{
    if (rate_is_unlimited(r))
        return 0;
    uint64_t cost = cost_ns(r, quantity), was = atomic_load_explicit(tat, memory_order_relaxed), next;
    do
        next = add_saturated(gcra_later(was, now_ns), cost);
    while (!atomic_compare_exchange_weak_explicit(tat, &was, next, memory_order_relaxed, memory_order_relaxed));
    return gcra_wait_for(r, next, now_ns);
}

void gcra_refund(gcra_word *tat, const struct rate *r, uint64_t quantity)
{
    if (rate_is_unlimited(r))
        return;
    uint64_t cost = cost_ns(r, quantity), was = atomic_load_explicit(tat, memory_order_relaxed), next;
    do
        next = was > cost ? was - cost : 0;
    while (!atomic_compare_exchange_weak_explicit(tat, &was, next, memory_order_relaxed, memory_order_relaxed));
}

void gcra_forgive(gcra_word *tat, const struct rate *r, uint64_t now_ns)
{
    uint64_t was = atomic_load_explicit(tat, memory_order_relaxed);
    uint64_t most = rate_is_unlimited(r) ? 0 : add_saturated(now_ns, tolerance_ns(r));
    while (was > most &&
           !atomic_compare_exchange_weak_explicit(tat, &was, most, memory_order_relaxed, memory_order_relaxed))
        ;
}

uint64_t gcra_wait_ns(const gcra_word *tat, const struct rate *r, uint64_t quantity, uint64_t now_ns)
{
    if (rate_is_unlimited(r))
        return 0;
    if (never_passes(r, quantity))
        return UINT64_MAX;
    uint64_t was = atomic_load_explicit(tat, memory_order_relaxed);
    return was <= now_ns ? 0 : gcra_wait_for(r, add_saturated(was, cost_ns(r, quantity)), now_ns);
}
