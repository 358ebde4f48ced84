/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Quantities that fade: a sum that is forgotten with a time constant, and a bucket that leaks at a rate.
 *
 * Both are brought up to date when they are touched; nothing runs in the background. There is no libm: the exponential
 * is replaced by a fraction that is never below it, at most 0.012 above it, never negative and never rising. Up to 1.8
 * time constants the fraction is within 4 % of the exponential.
 *
 * Locks: those of the structure that embeds them.
 * Units: nanoseconds; rates are a nanosecond. A coarse clock counts ticks of 2^18 ns (262 us).
 * Memory: 16 bytes each, owned by the structure that embeds them. Where many are kept, a coarse clock takes 4 bytes.
 */
#ifndef WEIR_FLOW_DECAY_H
#define WEIR_FLOW_DECAY_H

#include <stdint.h>

#define COARSE_SHIFT  18 /* 262 us */
#define COARSE_BEHIND 4096

struct faded_sum {
    double value;
    uint64_t at_ns;
};

/* About exp(-elapsed / constant). */
static inline double decay_factor(uint64_t elapsed_ns, uint64_t constant_ns)
{
    double x = (double)elapsed_ns / (double)constant_ns;
    return 1 / (1 + x + x * x / 2 + x * x * x / 6 + x * x * x * x / 24);
}

/* The clocks of two workers may differ a little: a time in the future counts as no time elapsed. */
static inline uint64_t elapsed_since(uint64_t at_ns, uint64_t now_ns)
{
    return now_ns > at_ns ? now_ns - at_ns : 0;
}

/* A coarse clock wraps in 13 days. A time more than half of that ago is taken for now when it is touched. */
static inline uint32_t coarse_clock(uint64_t now_ns)
{
    return (uint32_t)(now_ns >> COARSE_SHIFT);
}

static inline uint64_t coarse_elapsed(uint32_t at, uint64_t now_ns)
{
    int32_t ticks = (int32_t)(coarse_clock(now_ns) - at);
    return ticks > 0 ? (uint64_t)ticks << COARSE_SHIFT : 0;
}

/* Advances *at to `now_ns` and returns the nanoseconds elapsed. A clock that is a little behind does not set *at back,
 * or the same time would elapse twice. */
static inline uint64_t coarse_advance(uint32_t *at, uint64_t now_ns)
{
    uint32_t now = coarse_clock(now_ns);
    uint64_t ns = coarse_elapsed(*at, now_ns);
    if (ns || *at - now > COARSE_BEHIND)
        *at = now;
    return ns;
}

static inline double faded_sum(const struct faded_sum *s, uint64_t constant_ns, uint64_t now_ns)
{
    return s->value * decay_factor(elapsed_since(s->at_ns, now_ns), constant_ns);
}

static inline void faded_sum_add(struct faded_sum *s, uint64_t constant_ns, double value, uint64_t now_ns)
{
    double sum = faded_sum(s, constant_ns, now_ns) + value;
    *s = (struct faded_sum){sum > 0 ? sum : 0, now_ns > s->at_ns ? now_ns : s->at_ns};
}

/* What is left in a bucket that leaks `rate` a nanosecond. */
static inline double bucket_level(const struct faded_sum *b, double rate, uint64_t now_ns)
{
    double left = b->value - rate * (double)elapsed_since(b->at_ns, now_ns);
    return left > 0 ? left : 0;
}

static inline void bucket_add(struct faded_sum *b, double rate, double value, double most, uint64_t now_ns)
{
    double sum = bucket_level(b, rate, now_ns) + value;
    *b = (struct faded_sum){sum < 0 ? 0 : sum > most ? most : sum, now_ns > b->at_ns ? now_ns : b->at_ns};
}

/* The largest whole n with 2^n <= x, limited to least..most. */
static inline int floor_log2(double x, int least, int most)
{
    int n = 0;
    for (; x >= 2 && n < most; x /= 2)
        n++;
    for (; x < 1 && n > least; x *= 2)
        n--;
    return n;
}

/* Newton's method; x >= 0. */
static inline double square_root(double x)
{
    if (x <= 0)
        return 0;
    double y = x > 1 ? x : 1;
    for (int i = 0; i < 64; i++) {
        double next = (y + x / y) / 2;
        if (next >= y)
            break;
        y = next;
    }
    return y;
}

#endif
