/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/concurrency.h"

#include <string.h>

/* What one more request in hand adds to the latency, as a share of what it would add if it only queued: above the first
 * the window shrinks, below the second it grows. */
#define MOSTLY_QUEUES 0.7
#define MOSTLY_WORKED 0.5

/* What is remembered of a pair: older rounds count half. */
#define SAMPLES_MOST 512u

/* Standard errors beyond which a difference is no chance. */
#define LIKELY_ERRORS 1.5

#define NARROW_MOST 2u

/* How many samples are remembered to know whether clients differ, and how many pairs of them are enough. */
#define KINDS_FADE   64.0
#define KINDS_ENOUGH 16

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

/* ---- kinds ---- */

static void note_kinds(struct concurrency_kinds *k, uint16_t latency, struct concurrency_last last)
{
    double fade = k->samples < KINDS_FADE ? 1 : 1 - 1 / KINDS_FADE, x = latency / LATENCY_OCTAVE;
    double change = x - last.scaled / LATENCY_OCTAVE;
    k->samples = k->samples * fade + 1;
    k->sum = k->sum * fade + x;
    k->squares = k->squares * fade + x * x;
    k->pairs = k->pairs * fade + (last.scaled != 0);
    k->changes = k->changes * fade + (last.scaled ? change * change : 0);
}

/* Requests of which some are always answered at once, and others kept: they come in the order of their clients, so a
 * round tells nothing before it has heard of all these. Of equal ones that take longer or shorter by chance, two differ
 * by twice the variance, whosever they are. */
static bool is_mixed(const struct concurrency *w)
{
    const struct concurrency_kinds *k = &w->kinds;
    if (k->pairs < KINDS_ENOUGH)
        return false;
    double mean = k->sum / k->samples, variance = k->squares / k->samples - mean * mean;
    return variance > 1 && k->changes / k->pairs < variance;
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

/* Both values were tried: moves the pair, if there is more to the difference than chance. */
static void adapt(struct concurrency *w, bool known)
{
    const struct latency *l = &w->tried[0], *h = &w->tried[1];
    double more = h->in_hand / h->samples / (l->in_hand / l->samples) - 1;
    if (more <= 0)
        return;
    /* Where some are kept, they are not answered in the round in which they are asked: it seems to starve them. */
    bool starves = is_unfair(w) || (latency_starves(h) && !is_mixed(w));
    bool all = starves && l->replies > 0 && h->replies > 0 && h->ns > 0;
    bool crowded = latency_mean(h) > CROWDED_NS && h->in_hand / h->samples * CROWDED_WORK_NS > latency_mean(h);
    struct latency_comparison c = latency_compare(l, h, all);
    if (!all && w->pairs.samples >= LATENCY_PAIRS) {
        struct latency_comparison own = latency_compare_pairs(&w->pairs);
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
    const struct latency *before = &w->tried[w->round % 2];
    if (before->samples == 0 || latency_starves(before) || !latency_changed(before, &w->now))
        return false;
    bool slower = latency_mean(&w->now) > latency_mean(before);
    search(w, slower ? (w->high + 1) / 2 : w->low, 0);
    return true;
}

static void next_round(struct concurrency *w)
{
    memset(&w->now, 0, sizeof(w->now));
    w->began_ns = 0;
    w->round++;
    w->skip = w->round % 2 ? w->high - w->low : 0;
}

/* The next round is high again. */
static void again_high(struct concurrency *w)
{
    w->round++;
    next_round(w);
    w->skip = 0;
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
    rivals = rivals < SAMPLES_MOST / 2 ? rivals : SAMPLES_MOST / 2;
    if (!high && w->now.contended * 2 < w->now.samples) {
        /* It was not the limit that decided. The next round has the same number of tries to show something. */
        memset(&w->tried[0], 0, sizeof(w->tried[0]));
        memset(&w->pairs, 0, sizeof(w->pairs));
        next_round(w);
        return;
    }
    bool known = !is_mixed(w);
    if ((known || w->now.samples >= rivals) && start_over(w)) {
        next_pair(w);
        return;
    }
    latency_add(&w->tried[high], &w->now);
    if (high && w->tried[0].samples)
        adapt(w, known || (w->tried[0].samples >= rivals && w->tried[1].samples >= rivals));
    for (unsigned i = 0; i < 2; i++)
        if (w->tried[i].samples > SAMPLES_MOST)
            latency_halve(&w->tried[i]);
    if (w->pairs.samples > SAMPLES_MOST)
        latency_halve_pairs(&w->pairs);
    next_round(w);
}

static bool is_enough(const struct concurrency *w)
{
    const struct latency *t = &w->now;
    if (t->samples < LATENCY_ALIKE || t->samples < concurrency_limit(w) / 4)
        return false;
    bool various = latency_spread(t) > 1.0 / 64;
    return !various || (t->samples >= LATENCY_VARIOUS && t->samples >= 2 * concurrency_limit(w));
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

/* Under the lower value the higher is the next to be believed in. The search goes on in small steps: that the value is
 * too high is not known. */
void concurrency_raise(struct concurrency *w, uint32_t limit)
{
    bool low = w->round % 2 == 0;
    uint32_t enough = low && limit < w->high ? w->high : limit;
    search(w, low ? enough : enough - enough / 5, NARROW_MOST);
    if (low)
        next_pair(w);
    else
        again_high(w);
}

/* What the client saw last, if it was under the other value of the same pair. */
static void compare(struct concurrency *w, const struct concurrency_reply *r, uint16_t latency)
{
    uint16_t since = (uint16_t)(w->round - r->last.round);
    if (r->last.scaled == 0 || since > w->round - w->since || since % 2 == 0)
        return;
    if (w->round % 2)
        latency_pair(&w->pairs, r->last.scaled, latency);
    else
        latency_pair(&w->pairs, latency, r->last.scaled);
}

static void count(struct concurrency *w, const struct concurrency_reply *r, double latency)
{
    struct latency *t = &w->now;
    if (w->began_ns == 0) {
        w->began_ns = r->now_ns;
        w->answered_then = r->answered;
    }
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

static void learn(struct concurrency *w, const struct concurrency_reply *r, uint64_t latency_ns, uint16_t scaled)
{
    if (!r->kept)
        w->smooth_ns = w->smooth_ns ? w->smooth_ns - w->smooth_ns / 8 + latency_ns / 8 : latency_ns;
    note_order(w, r);
    note_kinds(&w->kinds, scaled, r->last);
    /* Admitted under the other limit. */
    if (r->round != (uint16_t)w->round)
        return;
    if (!r->kept && grow_while_harmless(w, latency_ns, r->contended))
        return;
    if (w->skip) {
        w->skip--;
        return;
    }
    compare(w, r, scaled);
    count(w, r, (double)latency_ns);
    if (is_enough(w))
        end_round(w, r->rivals);
}

struct concurrency_last concurrency_sample(struct concurrency *w, const struct concurrency_reply *r)
{
    uint64_t latency_ns = r->latency_ns ? r->latency_ns : 1;
    struct concurrency_last last = {.round = r->round, .scaled = latency_scaled(latency_ns)};
    learn(w, r, latency_ns, last.scaled);
    return last;
}
