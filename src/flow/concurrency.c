/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/concurrency.h"

#include <string.h>

/* What one more request in hand adds to the latency, as a share of what it would add if it only queued: above the first
 * the window shrinks, below the second it grows. */
#define MOSTLY_QUEUES 0.7
#define MOSTLY_WORKED 0.5

/* Samples that make a round: a few when all are alike, at least a quarter of the limit. More when they are not, and
 * twice the limit then: the first that are answered are the cheapest, not the typical. */
#define SAMPLES_ALIKE   4u
#define SAMPLES_VARIOUS 16u

/* What is remembered of a pair: older rounds count half. */
#define SAMPLES_MOST 512u

/* A mean that differs by this factor from what it was under the same limit says that the application has changed. */
#define CHANGED 1.6

/* Standard errors beyond which a difference is no chance: that two values differ, that the application has changed. */
#define LIKELY_ERRORS 1.5
#define CERTAIN       4.0

/* Correlation of the latencies of neighbours from which on they queue. */
#define ALIKE 0.6

#define CORRELATED_MOST 0.95

#define NARROW_MOST 2u

/* Samples of which the least latency is remembered; what the mean is in units of that from which on requests are not of
 * one kind. */
#define LEAST_SAMPLES 32u
#define MIXED         64u

/* The mean latency of all requests, in units of that of the answered ones, beyond which some starve; after how many
 * samples it is known, and how many are remembered. */
#define UNFAIR         1.5
#define UNFAIR_SAMPLES 12
#define UNFAIR_FADES   64

/* An application that takes less than this for a request gets no faster by having more of them in hand than it works
 * off in that time, though larger batches may look as if it did. */
#define CROWDED_WORK_NS (50.0 * NS_PER_US)
#define CROWDED_NS      (3.0 * NS_PER_MS)

/* Samples within the harmless time, one after the other, that double the window. */
#define QUICK_ENOUGH 6u

/* Moves in one direction after which they become larger. */
#define RUN_LONG 3u

enum { SHRINK = -1, GROW = 1 };

/* ---- rounds ---- */

static double mean(const struct concurrency_trial *t)
{
    return t->sum / t->samples;
}

static double variance(const struct concurrency_trial *t)
{
    double v = t->squares / t->samples - mean(t) * mean(t);
    return v > 0 ? v : 0;
}

/* Of each latency with the one before. Requests that queue share most of their wait with the one before; those that are
 * worked on side by side do not. */
static double correlation(const struct concurrency_trial *t)
{
    double v = variance(t);
    return v > 0 ? (t->products / t->samples - mean(t) * mean(t)) / v : 0;
}

static bool is_queue(const struct concurrency_trial *t)
{
    return correlation(t) > ALIKE;
}

/* The variance in units of the squared mean. */
static double spread(const struct concurrency_trial *t)
{
    return variance(t) / (mean(t) * mean(t));
}

/* The square of the relative standard error of the mean. A few cheap requests in a row look as if there were no costly
 * ones, so they are taken to vary as the `other` ones did. */
static double error_2(const struct concurrency_trial *t, const struct concurrency_trial *other)
{
    double own = spread(t), others = spread(other);
    return (t->samples < SAMPLES_VARIOUS && others > own ? others : own) / t->samples;
}

/* Latencies that resemble the one before tell less than as many that do not: (1 - r) / (1 + r) of it, as in a series
 * that is autoregressive of the first order. */
static double repetition(const struct concurrency_trial *t)
{
    double r = correlation(t);
    r = r < 0 ? 0 : r > CORRELATED_MOST ? CORRELATED_MOST : r;
    return (1 + r) / (1 - r);
}

/* Of all that was in hand, and not only of what was answered: Little's law. */
static double mean_of_all(const struct concurrency_trial *t)
{
    return t->in_hand / t->samples * t->ns / t->replies;
}

/* Whether the latencies are of those that did not have to wait while others did. Replies that come in bursts leave a
 * round up to one window too short or too long, by chance. */
static bool starves(const struct concurrency_trial *t)
{
    if (t->replies <= 0)
        return false;
    double missing = 1 - mean(t) / mean_of_all(t), window = t->in_hand / t->samples / t->replies;
    return missing > 0 && missing * missing > window * window * t->rounds;
}

static void add(struct concurrency_trial *to, const struct concurrency_trial *t)
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

static void halve(struct concurrency_trial *t)
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

/* ---- the range ---- */

static uint64_t quickest_ns(const struct concurrency_range *r)
{
    return r->least_before_ns && r->least_before_ns < r->least_ns ? r->least_before_ns : r->least_ns;
}

static void note_range(struct concurrency_range *r, uint64_t latency_ns)
{
    if (++r->samples > LEAST_SAMPLES) {
        r->samples = 1;
        r->least_before_ns = r->least_ns;
        r->least_ns = 0;
    }
    if (r->least_ns == 0 || latency_ns < r->least_ns)
        r->least_ns = latency_ns;
    r->mean_ns = r->mean_ns ? r->mean_ns - r->mean_ns / 64 + latency_ns / 64 : latency_ns;
}

/* Requests of which some are answered at once, and others kept: they come in the order of their clients, so a round
 * tells nothing before it has heard of all these. */
static bool is_mixed(const struct concurrency *w)
{
    return w->range.mean_ns > MIXED * quickest_ns(&w->range);
}

/* ---- the same client under both values ---- */

#define SCALE        1024.0
#define LN_2         0.6931
#define PAIRS_ENOUGH 8u

/* Straight lines between the powers of two: off by a twelfth at most, and right for a factor of two. */
static uint16_t scaled(uint64_t latency_ns)
{
    unsigned exponent = 63 - (unsigned)__builtin_clzll(latency_ns | 1);
    uint64_t rest = (latency_ns << (63 - exponent)) << 1 >> 54;
    return (uint16_t)(exponent << 10 | rest);
}

static void compare(struct concurrency *w, const struct concurrency_reply *r)
{
    uint16_t since = (uint16_t)(w->round - r->last.round);
    if (r->last.scaled == 0 || since > w->round - w->since || since % 2 == 0)
        return;
    double more = ((double)scaled(r->latency_ns) - r->last.scaled) / SCALE;
    more = w->round % 2 ? more : -more;
    w->pairs.samples++;
    w->pairs.sum += more;
    w->pairs.squares += more * more;
}

/* ---- the pair ---- */

static void set(struct concurrency *w, uint32_t low)
{
    uint32_t top = w->most > 1 ? w->most - 1 : 1;
    w->low = low < 1 ? 1 : low > top ? top : low;
    uint32_t gap = w->low >> w->narrow;
    w->high = w->low + (gap ? gap : 1);
    if (w->high > w->most)
        w->high = w->most;
    memset(w->tried, 0, sizeof(w->tried));
    memset(&w->pairs, 0, sizeof(w->pairs));
    w->since = w->round + 1;
}

/* Searches from here, with nothing known of where to. */
static void search(struct concurrency *w, uint32_t low, uint8_t narrow)
{
    w->narrow = narrow;
    w->run = 0;
    w->direction = 0;
    set(w, low);
}

void concurrency_init(struct concurrency *w, uint32_t most)
{
    memset(w, 0, sizeof(*w));
    w->most = most;
    set(w, CONCURRENCY_FIRST / 2);
}

uint32_t concurrency_limit(const struct concurrency *w)
{
    return w->round % 2 ? w->high : w->low;
}

uint32_t concurrency_round(const struct concurrency *w)
{
    return w->round;
}

/* Steps become larger on a long way, and smaller when one was too many. */
static void choose_step(struct concurrency *w, int direction)
{
    bool turned = w->direction && w->direction != direction;
    w->run = turned ? 1 : w->run < RUN_LONG ? w->run + 1 : w->run;
    w->direction = (int8_t)direction;
    if (turned && w->narrow < NARROW_MOST)
        w->narrow++;
    else if (w->run == RUN_LONG && w->narrow > 0)
        w->narrow--;
}

static void move(struct concurrency *w, int direction)
{
    uint32_t low = w->low, high = w->high;
    uint32_t less = (uint32_t)(((uint64_t)low * low + high - 1) / high);
    choose_step(w, direction);
    if (direction == GROW)
        set(w, high);
    else
        set(w, less < low ? less : low - 1);
}

/* Another worker's clock may be a little ahead. */
static double elapsed_ns(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) : 0;
}

/* The same of all rounds so far, whatever the pair: how the application serves is its own. Where some starve, nothing
 * is concluded from those who do not. */
static bool is_unfair(const struct concurrency *w)
{
    const struct concurrency_order *o = &w->order;
    return o->samples >= UNFAIR_SAMPLES && o->area * o->samples > UNFAIR * o->latencies * o->replies;
}

static void note_order(struct concurrency *w, const struct concurrency_reply *r)
{
    struct concurrency_order *o = &w->order;
    double fade = o->samples < UNFAIR_FADES ? 1 : 1 - 1.0 / UNFAIR_FADES;
    if (o->at_ns) {
        o->area = o->area * fade + (double)r->in_hand * elapsed_ns(o->at_ns, r->now_ns);
        o->replies = o->replies * fade + (double)(r->answered - o->answered);
        o->latencies = o->latencies * fade + (double)r->latency_ns;
        o->samples = o->samples * fade + 1;
    }
    o->at_ns = r->now_ns;
    o->answered = r->answered;
}

/* How latencies under the higher value compare with those under the lower, and the square of the relative standard
 * error of that, for a conclusion that they are higher, and that they are not. */
struct comparison {
    double ratio, error_2, repeated_2;
    bool queue; /* they are alike as in a queue */
};

static struct comparison of_means(const struct concurrency_trial *l, const struct concurrency_trial *h, bool all)
{
    return (struct comparison){
        .ratio = all ? mean_of_all(h) / mean_of_all(l) : mean(h) / mean(l),
        .error_2 = error_2(l, h) + error_2(h, l),
        .repeated_2 = error_2(l, h) * repetition(l) + error_2(h, l) * repetition(h),
        .queue = is_queue(l),
    };
}

static struct comparison of_pairs(const struct concurrency_pairs *p, double repeated)
{
    double more = p->sum / p->samples, variance_2 = p->squares / p->samples - more * more;
    double whole = more < 0 ? (int)more - 1 : (int)more, ratio = 1 + (more - whole);
    for (; whole >= 1; whole--)
        ratio *= 2;
    for (; whole < 0; whole++)
        ratio /= 2;
    double error = LN_2 * LN_2 * (variance_2 > 0 ? variance_2 : 0) / p->samples;
    return (struct comparison){.ratio = ratio, .error_2 = error, .repeated_2 = error * repeated};
}

/* Both values were tried: moves the pair, if there is more to the difference than chance. */
static void adapt(struct concurrency *w, bool known)
{
    const struct concurrency_trial *l = &w->tried[0], *h = &w->tried[1];
    double more = h->in_hand / h->samples / (l->in_hand / l->samples) - 1;
    if (more <= 0)
        return;
    bool all = (starves(h) || is_unfair(w)) && l->replies > 0 && h->replies > 0;
    bool crowded = mean(h) > CROWDED_NS && h->in_hand / h->samples * CROWDED_WORK_NS > mean(h);
    struct comparison c = of_means(l, h, all);
    if (!all && w->pairs.samples >= PAIRS_ENOUGH) {
        struct comparison own = of_pairs(&w->pairs, (repetition(l) + repetition(h)) / 2);
        c = !known || own.error_2 < c.error_2 ? own : c;
    } else if (!known && !crowded) {
        return;
    }
    double scale = LIKELY_ERRORS * c.ratio / more, scale_2 = scale * scale;
    double queued = (c.ratio - 1) / more, over = queued - MOSTLY_QUEUES, under = MOSTLY_WORKED - queued;
    if (crowded || (over > 0 && over * over > scale_2 * c.error_2))
        move(w, SHRINK);
    else if (under > 0 && under * under > scale_2 * c.repeated_2 && !c.queue && (all || !is_unfair(w)))
        move(w, GROW);
}

/* What was learned of the application before is of no use: searches with large steps again. */
static bool start_over(struct concurrency *w)
{
    const struct concurrency_trial *before = &w->tried[w->round % 2];
    if (before->samples == 0 || starves(before))
        return false;
    double ratio = mean(&w->now) / mean(before), difference = mean(&w->now) - mean(before);
    double chance_2 = (variance(&w->now) / w->now.samples + variance(before) / before->samples) * CERTAIN * CERTAIN;
    if ((ratio < CHANGED && ratio > 1 / CHANGED) || difference * difference < chance_2)
        return false;
    search(w, ratio > 1 ? (w->high + 1) / 2 : w->low, 0);
    return true;
}

static void next_round(struct concurrency *w)
{
    memset(&w->now, 0, sizeof(w->now));
    w->began_ns = 0;
    w->round++;
    w->skip = w->round % 2 ? w->high - w->low : 0;
}

/* The next round is low, whatever this one was. */
static void next_pair(struct concurrency *w)
{
    w->round |= 1;
    next_round(w);
}

static void end_round(struct concurrency *w, uint32_t rivals)
{
    bool high = w->round % 2;
    if (!high && w->now.contended * 2 < w->now.samples) {
        /* It was not the limit that decided. The next round has the same number of tries to show something. */
        w->tried[0].samples = 0;
        next_round(w);
        return;
    }
    bool known = !is_mixed(w);
    if ((known || w->now.samples >= rivals) && start_over(w)) {
        next_pair(w);
        return;
    }
    add(&w->tried[high], &w->now);
    if (high && w->tried[0].samples)
        adapt(w, known || (w->tried[0].samples >= rivals && w->tried[1].samples >= rivals));
    for (unsigned i = 0; i < 2; i++)
        if (w->tried[i].samples > SAMPLES_MOST)
            halve(&w->tried[i]);
    next_round(w);
}

static bool is_enough(const struct concurrency *w)
{
    const struct concurrency_trial *t = &w->now;
    if (t->samples < SAMPLES_ALIKE || t->samples < concurrency_limit(w) / 4)
        return false;
    bool various = spread(t) > 1.0 / 64;
    return !various || (t->samples >= SAMPLES_VARIOUS && t->samples >= 2 * concurrency_limit(w));
}

/* Nobody notices a queue that is gone after a moment: no search is needed while nearly all samples say so. */
static bool grow_while_harmless(struct concurrency *w, uint64_t latency_ns, bool contended)
{
    bool quick = latency_ns <= CONCURRENCY_HARMLESS_NS && w->smooth_ns <= CONCURRENCY_HARMLESS_NS;
    w->quick = quick ? w->quick + contended : 0;
    if (w->quick < QUICK_ENOUGH)
        return false;
    w->quick = 0;
    /* Doubling is the search; a wide pair would put twice as much in hand again, and that may be noticed. */
    search(w, w->high < w->most / 2 ? 2 * w->low : w->most, NARROW_MOST);
    next_pair(w);
    return true;
}

void concurrency_raise(struct concurrency *w, uint32_t limit)
{
    search(w, (limit + 1) / 2, 0);
    w->high = limit < w->most ? limit : w->most;
    w->round &= ~1u;
    next_round(w); /* high */
    w->skip = 0;
}

static void count(struct concurrency *w, const struct concurrency_reply *r, double latency)
{
    struct concurrency_trial *t = &w->now;
    if (w->began_ns == 0) {
        w->began_ns = r->now_ns;
        w->answered_then = r->answered;
    }
    compare(w, r);
    t->products += latency * (t->samples ? w->last_ns : latency);
    w->last_ns = latency;
    t->samples++;
    t->contended += r->contended;
    t->sum += latency;
    t->squares += latency * latency;
    t->in_hand += r->in_hand ? r->in_hand : 1;
    t->replies = (double)(r->answered - w->answered_then);
    t->ns = elapsed_ns(w->began_ns, r->now_ns);
    t->rounds = 1;
}

static void learn(struct concurrency *w, const struct concurrency_reply *r, uint64_t latency_ns)
{
    w->smooth_ns = w->smooth_ns ? w->smooth_ns - w->smooth_ns / 8 + latency_ns / 8 : latency_ns;
    note_range(&w->range, latency_ns);
    note_order(w, r);
    /* Admitted under the other limit. */
    if (r->round != (uint16_t)w->round || grow_while_harmless(w, latency_ns, r->contended))
        return;
    if (w->skip) {
        w->skip--;
        return;
    }
    count(w, r, (double)latency_ns);
    if (is_enough(w))
        end_round(w, r->rivals);
}

struct concurrency_last concurrency_sample(struct concurrency *w, const struct concurrency_reply *r)
{
    uint64_t latency_ns = r->latency_ns ? r->latency_ns : 1;
    learn(w, r, latency_ns);
    return (struct concurrency_last){.round = r->round, .scaled = scaled(latency_ns)};
}
