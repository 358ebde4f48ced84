/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/latency_window.h"

#include "flow/decay.h"

#include <string.h>

#define FIRST        64.0
#define LEAST        32.0
#define SAMPLES      20u
#define SUSPECT_NS   (3.0 * NS_PER_MS)
#define RATE_MOST_NS (2 * NS_PER_S)

static double latency_greater(double a, double b)
{
    return a > b ? a : b;
}

void latency_window_init(struct latency_window *w, uint64_t now_ns)
{
    memset(w, 0, sizeof(*w));
    w->window = FIRST;
    w->at_ns = w->peak_at_ns = now_ns;
    w->step = now_ns / LATENCY_STEP_NS;
}

void latency_window_sample(struct latency_window *w, uint64_t latency_ns, bool calm)
{
    double latency = (double)latency_ns, weight = w->samples < SAMPLES ? 1 / (double)++w->samples : 0;
    bool first = weight > 0;
    w->lately_ns += (weight > 0.05 ? weight : 0.05) * (latency - w->lately_ns);
    if (first)
        w->calm_ns = w->least_ns = w->lately_ns;
    if (!calm || w->state != LATENCY_WATCHING || latency_window_is_suspicious(w) || first)
        return;
    w->calm_ns += (w->lately_ns < w->calm_ns ? 0.05 : 0.01) * (w->lately_ns - w->calm_ns);
    w->least_ns = (w->calm_ns < w->least_ns ? w->calm_ns : w->least_ns) * 1.00002;
    if (w->calm_ns > 4 * w->least_ns)
        w->calm_ns = 4 * w->least_ns;
}

bool latency_window_is_suspicious(const struct latency_window *w)
{
    return w->samples >= SAMPLES && w->lately_ns > 2 * w->calm_ns + SUSPECT_NS;
}

bool latency_window_allows(struct latency_window *w, uint64_t in_hand)
{
    double worked_on = latency_greater(0, w->reference * w->least_ns - 1);
    if (w->state != LATENCY_HOLDING || !w->drained)
        w->full = false;
    if (w->full && (double)in_hand > worked_on)
        return false;
    w->full = (double)in_hand >= w->window;
    w->hit |= w->full;
    return !w->full;
}

static void latency_window_note(struct latency_window *w, const struct latency_facts *f, uint64_t now_ns)
{
    uint64_t step = now_ns / LATENCY_STEP_NS;
    if (step > w->step + LATENCY_STEPS)
        w->step = step - LATENCY_STEPS;
    while (w->step < step)
        w->rates[++w->step % LATENCY_STEPS] = f->answered;
    if (f->in_hand && w->last_answer_ns && f->answered_at_ns > w->last_answer_ns) {
        double gap_ns = (double)(f->answered_at_ns - w->last_answer_ns);
        w->gap_ns = latency_greater(w->gap_ns * 0.9995, gap_ns < NS_PER_S ? gap_ns : NS_PER_S);
    }
    w->last_answer_ns = f->answered_at_ns;
}

/* Answers a nanosecond over about the last `over_ns`. */
static double latency_window_rate(const struct latency_window *w, const struct latency_facts *f, double over_ns)
{
    uint64_t steps = (uint64_t)(over_ns / LATENCY_STEP_NS) + 1;
    steps = steps < LATENCY_STEPS - 1 ? steps : LATENCY_STEPS - 1;
    uint64_t then = w->rates[(w->step - steps) % LATENCY_STEPS];
    return (double)(f->answered - then) / (double)(steps * LATENCY_STEP_NS);
}

static double latency_window_stretch(const struct latency_window *w, double rate)
{
    double ns = latency_greater(latency_greater(50.0 * NS_PER_MS, rate > 0 ? 400 / rate : 0), 2 * w->calm_ns);
    return ns < RATE_MOST_NS ? ns : RATE_MOST_NS;
}

static void latency_window_hold(struct latency_window *w, double rate, uint64_t now_ns)
{
    w->state = LATENCY_HOLDING;
    w->reference = latency_greater(rate, w->best);
    w->window = latency_greater(2, 2 + 1.2 * w->reference * w->calm_ns);
    w->drained = w->judged = w->probing = false;
    w->fullest = 0;
    w->stuck_at_ns = w->held_at_ns = now_ns;
}

static void latency_window_watch(struct latency_window *w, const struct latency_facts *f, uint64_t now_ns)
{
    uint64_t answers = f->answered - w->answered_at_step;
    bool suspicious = latency_window_is_suspicious(w);
    bool late = (double)elapsed_since(w->at_ns, now_ns) > latency_greater(100.0 * NS_PER_MS, 10 * w->calm_ns);
    w->peak = latency_greater(w->peak, (double)f->in_hand);
    double rate = latency_window_rate(w, f, latency_greater(100.0 * NS_PER_MS, 2 * w->calm_ns));
    if (!suspicious && rate > w->best)
        w->best = rate;
    if (suspicious && f->plain && rate > 0 && (double)f->in_hand >= latency_greater(8, 2.5 * rate * w->calm_ns)) {
        latency_window_hold(w, latency_window_rate(w, f, latency_window_stretch(w, rate)), now_ns);
        return;
    }
    if (w->hit && ((!suspicious && (double)answers >= w->window / 2) || late)) {
        w->window *= 2;
    } else if (!w->hit && elapsed_since(w->peak_at_ns, now_ns) > 5 * NS_PER_S) {
        w->window = latency_greater(LEAST, w->window < 3 * w->peak ? w->window : 3 * w->peak);
        w->peak = (double)f->in_hand;
        w->peak_at_ns = now_ns;
        w->best *= 0.9;
    } else {
        return;
    }
    w->hit = false;
    w->at_ns = now_ns;
    w->answered_at_step = f->answered;
}

static void latency_window_widen(struct latency_window *w, uint64_t now_ns)
{
    w->window *= 2;
    w->stuck_at_ns = now_ns;
    w->drained = w->probing = false;
}

static bool latency_window_is_stuck(const struct latency_window *w, const struct latency_facts *f, uint64_t now_ns)
{
    uint64_t last_ns = w->drained_at_ns > w->stuck_at_ns ? w->drained_at_ns : w->stuck_at_ns;
    last_ns = last_ns > f->answered_at_ns ? last_ns : f->answered_at_ns;
    double patience_ns = w->reference > 0 ? 6 / w->reference + w->calm_ns : 0;
    patience_ns = latency_greater(latency_greater(5.0 * NS_PER_MS, patience_ns), f->idle ? 0 : 3 * w->gap_ns);
    return w->drained && f->held && now_ns > last_ns && (double)(now_ns - last_ns) > patience_ns;
}

/* Whether the hold has cost throughput: once, after its first stretch. */
static void latency_window_judge(struct latency_window *w, double rate, double stretch_ns, uint64_t now_ns)
{
    double answers = w->reference * stretch_ns, error = answers > 1 ? 2 / square_root(answers) : 1;
    w->judged = true;
    w->probe_at_ns = now_ns + NS_PER_S;
    if (rate < w->reference * (1 - latency_greater(0.02, error)))
        latency_window_widen(w, now_ns);
}

/* A wider window has to bring more answers. A narrower one is kept if it does not bring fewer. */
static bool latency_window_is_better(struct latency_window *w, double rate, double stretch_ns)
{
    double answers = w->reference * stretch_ns, error = answers > 1 ? 1 / square_root(answers) : 1;
    if (w->window > w->before_probe)
        return rate > (1 + latency_greater(0.03, 2 * error)) * w->reference;
    return rate >= (1 - latency_greater(0.02, error)) * w->fullest;
}

static void latency_window_probe(struct latency_window *w, double rate, double stretch_ns, uint64_t now_ns)
{
    w->fullest = latency_greater(0.995 * w->fullest, rate);
    if (!w->probing) {
        double least = 2 + 1.2 * rate * w->calm_ns, less = latency_greater(least, w->window / 1.5);
        w->probing = true;
        w->before_probe = w->window;
        w->reference = rate;
        w->window = latency_window_is_suspicious(w) && less < w->window ? less : w->window * 1.5 + 1;
        w->probe_at_ns = now_ns + (uint64_t)(stretch_ns + w->calm_ns);
        return;
    }
    w->probing = false;
    bool better = latency_window_is_better(w, rate, stretch_ns);
    if (!better)
        w->window = w->before_probe;
    w->probe_at_ns = now_ns + (better ? (uint64_t)stretch_ns : NS_PER_S);
}

static void latency_window_experiment(struct latency_window *w, const struct latency_facts *f, uint64_t now_ns)
{
    if (f->held)
        w->held_at_ns = now_ns;
    if (!f->plain || elapsed_since(w->held_at_ns, now_ns) > NS_PER_S) {
        w->state = LATENCY_WATCHING;
        w->window = latency_greater(FIRST, 2 * w->window);
        w->at_ns = w->peak_at_ns = now_ns;
        w->lately_ns = f->held ? w->lately_ns : 0;
        return;
    }
    if (latency_window_is_stuck(w, f, now_ns)) {
        w->stuck++;
        latency_window_widen(w, now_ns);
        return;
    }
    if (!w->drained && (double)f->in_hand <= w->window + 1) {
        w->drained = true;
        w->drained_at_ns = now_ns;
    }
    double stretch_ns = latency_window_stretch(w, w->reference);
    if (!w->drained || (double)elapsed_since(w->drained_at_ns, now_ns) <= stretch_ns)
        return;
    double rate = latency_window_rate(w, f, stretch_ns);
    if (!w->judged)
        latency_window_judge(w, rate, stretch_ns, now_ns);
    else if (now_ns > w->probe_at_ns)
        latency_window_probe(w, rate, stretch_ns, now_ns);
}

void latency_window_look(struct latency_window *w, const struct latency_facts *f, uint64_t now_ns)
{
    latency_window_note(w, f, now_ns);
    if (w->state == LATENCY_WATCHING)
        latency_window_watch(w, f, now_ns);
    else
        latency_window_experiment(w, f, now_ns);
}
