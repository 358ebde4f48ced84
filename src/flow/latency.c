/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/latency.h"

/* Correlation of the latencies of neighbours from which on they queue. */
#define ALIKE 0.6

#define CORRELATED_MOST 0.95

/* A mean that differs by this factor says that the application has changed, and standard errors beyond which a
 * difference is no chance. */
#define CHANGED 1.6
#define CERTAIN 4.0

double latency_mean(const struct latency *t)
{
    return t->sum / t->samples;
}

static double variance(const struct latency *t)
{
    double v = t->squares / t->samples - latency_mean(t) * latency_mean(t);
    return v > 0 ? v : 0;
}

/* Of each latency with the one before. Requests that queue share most of their wait with the one before; those that are
 * worked on side by side do not. */
static double correlation(const struct latency *t)
{
    double v = variance(t);
    return v > 0 ? (t->products / t->samples - latency_mean(t) * latency_mean(t)) / v : 0;
}

static bool is_queue(const struct latency *t)
{
    return correlation(t) > ALIKE;
}

double latency_spread(const struct latency *t)
{
    return variance(t) / (latency_mean(t) * latency_mean(t));
}

/* The square of the relative standard error of the mean. A few cheap requests in a row look as if there were no costly
 * ones, so they are taken to vary as the `other` ones did. */
static double error_2(const struct latency *t, const struct latency *other)
{
    double own = latency_spread(t), others = latency_spread(other);
    return (t->samples < LATENCY_VARIOUS && others > own ? others : own) / t->samples;
}

/* Latencies that resemble the one before tell less than as many that do not: (1 - r) / (1 + r) of it, as in a series
 * that is autoregressive of the first order. */
static double repetition(double r)
{
    r = r < 0 ? 0 : r > CORRELATED_MOST ? CORRELATED_MOST : r;
    return (1 + r) / (1 - r);
}

/* The mean of all that was in hand, and not only of what was answered: Little's law. */
static double mean_of_all(const struct latency *t)
{
    return t->in_hand / t->samples * t->ns / t->replies;
}

/* Replies that come in bursts leave a round up to one window too short or too long, by chance. */
bool latency_starves(const struct latency *t)
{
    if (t->replies <= 0)
        return false;
    double missing = 1 - latency_mean(t) / mean_of_all(t), window = t->in_hand / t->samples / t->replies;
    return missing > 0 && missing * missing > window * window * t->rounds;
}

void latency_add(struct latency *to, const struct latency *t)
{
    to->samples += t->samples;
    to->contended += t->contended;
    to->sum += t->sum;
    to->squares += t->squares;
    to->products += t->products;
    to->in_hand += t->in_hand;
    to->replies += t->replies;
    to->ns += t->ns;
    to->rounds += t->rounds;
}

void latency_halve(struct latency *t)
{
    t->samples /= 2;
    t->contended /= 2;
    t->sum /= 2;
    t->squares /= 2;
    t->products /= 2;
    t->in_hand /= 2;
    t->replies /= 2;
    t->ns /= 2;
    t->rounds /= 2;
}

bool latency_changed(const struct latency *before, const struct latency *now)
{
    double ratio = latency_mean(now) / latency_mean(before), difference = latency_mean(now) - latency_mean(before);
    double chance_2 = (variance(now) / now->samples + variance(before) / before->samples) * CERTAIN * CERTAIN;
    return (ratio >= CHANGED || ratio <= 1 / CHANGED) && difference * difference >= chance_2;
}

/* ---- the same client in both ---- */

/* Straight lines between the powers of two. */
uint16_t latency_scaled(uint64_t latency_ns)
{
    unsigned exponent = 63 - (unsigned)__builtin_clzll(latency_ns | 1);
    uint64_t rest = (latency_ns << (63 - exponent)) << 1 >> 54;
    return (uint16_t)(exponent << 10 | rest);
}

static double latency_of(uint16_t scaled)
{
    return (double)(1ull << (scaled >> 10)) * (1 + (scaled & 1023) / LATENCY_OCTAVE);
}

void latency_pair(struct latency_pairs *p, uint16_t low, uint16_t high)
{
    double before = latency_of(low), more = latency_of(high) - before;
    p->low += before;
    p->products += more * (p->samples ? p->last : more);
    p->last = more;
    p->samples++;
    p->sum += more;
    p->squares += more * more;
}

void latency_halve_pairs(struct latency_pairs *p)
{
    p->samples /= 2;
    p->low /= 2;
    p->sum /= 2;
    p->squares /= 2;
    p->products /= 2;
}

/* ---- conclusions ---- */

struct latency_comparison latency_compare(const struct latency *l, const struct latency *h, bool all)
{
    return (struct latency_comparison){
        .ratio = all ? mean_of_all(h) / mean_of_all(l) : latency_mean(h) / latency_mean(l),
        .error_2 = error_2(l, h) + error_2(h, l),
        .repeated_2 = error_2(l, h) * repetition(correlation(l)) + error_2(h, l) * repetition(correlation(h)),
        .queue = is_queue(l),
    };
}

struct latency_comparison latency_compare_pairs(const struct latency_pairs *p)
{
    double more = p->sum / p->samples, low = p->low / p->samples, v = p->squares / p->samples - more * more;
    double r = v > 0 ? (p->products / p->samples - more * more) / v : 0;
    double error = v > 0 ? v / p->samples / (low * low) : 0;
    return (struct latency_comparison){.ratio = 1 + more / low, .error_2 = error, .repeated_2 = error * repetition(r)};
}
