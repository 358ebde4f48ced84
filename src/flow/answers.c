/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/answers.h"

#include <string.h>

/* Samples before it is decided that requests are answered, and in a row before it is decided that they are not. */
#define ENOUGH_COME   4u
#define ENOUGH_BROKEN 32u

/* The window is widened up to so many times those who wait, and some. */
#define WIDEN_TIMES 4u
#define WIDEN_MORE  16u

void answers_init(struct answers *a, uint32_t most)
{
    memset(a, 0, sizeof(*a));
    concurrency_init(&a->concurrency, most);
    laps_init(&a->laps);
    silence_init(&a->silence);
    atomic_store(&a->limit, answers_limit(a));
}

void answers_be_strict(struct answers *a)
{
    a->strict = true;
    atomic_store(&a->mode, ANSWERS_LIMITED);
}

void answers_be_fixed(struct answers *a, uint32_t limit)
{
    a->fixed = limit;
    atomic_store(&a->limit, limit);
    answers_be_strict(a);
}

void answers_be_learning(struct answers *a)
{
    a->fixed = 0;
    a->come = a->broken = 0;
    a->strict = false;
    atomic_store(&a->limit, answers_limit(a));
    atomic_store(&a->mode, ANSWERS_UNDECIDED);
}

uint32_t answers_limit(const struct answers *a)
{
    uint32_t limit = concurrency_limit(&a->concurrency) + a->silence.places;
    return a->fixed ? a->fixed : limit < a->concurrency.most ? limit : a->concurrency.most;
}

void answers_follow(const struct answers *a, struct asked *c, uint64_t now_ns)
{
    if (c->until)
        return;
    c->until = c->in_hand;
    c->at_ns = now_ns;
    c->round = (uint16_t)atomic_load_explicit(&a->round, memory_order_relaxed);
    laps_ask(&a->laps, &c->lap);
}

/* ---- the limit ---- */

static void publish(struct answers *a)
{
    atomic_store(&a->limit, answers_limit(a));
    atomic_store(&a->round, concurrency_round(&a->concurrency));
    atomic_store(&a->mean_ns, a->concurrency.smooth_ns);
    atomic_store(&a->silence_ns, silence_each_ns(&a->silence));
}

/* Places that came from silence, and were worth it, become part of the window. Not without end: who sends what is never
 * answered takes all that there are. */
static void widen(struct answers *a, uint32_t places, struct silence_load load)
{
    uint32_t limit = concurrency_limit(&a->concurrency), most = WIDEN_TIMES * (load.waiting + WIDEN_MORE);
    if (places && limit < most)
        concurrency_raise(&a->concurrency, limit + places < most ? limit + places : most);
}

void answers_look(struct answers *a, const struct asked *c, struct silence_load load, uint64_t now_ns)
{
    if (a->strict)
        return;
    silence_look(&a->silence, atomic_load(&a->count), load, c->at_ns, now_ns);
    publish(a);
}

static bool is_overtaken(const struct answers *a, const struct asked *c)
{
    return laps_since(&a->laps, &c->lap) >= LAPS_OVERTAKEN;
}

static void end(struct answers *a, struct asked *c, bool lost, struct silence_load load)
{
    widen(a, silence_end(&a->silence, c->at_ns, is_overtaken(a, c), lost), load);
    publish(a);
    c->until = 0;
}

void answers_lose(struct answers *a, struct asked *c, struct silence_load load)
{
    end(a, c, true, load);
}

/* ---- what is answered ---- */

/* Where requests are answered one by one none is kept. */
bool answers_are_kept(const struct answers *a, const struct asked *c, uint64_t now_ns)
{
    return !a->strict && now_ns >= c->at_ns + ANSWERS_KEPT_NS && is_overtaken(a, c);
}

bool answers_may_be_kept(const struct answers *a, const struct asked *c)
{
    return laps_since(&a->laps, &c->lap) > 1;
}

/* Whether the application answers at all is judged by samples, so that a flood does not look like silence. One that
 * answers somebody answers: requests that it throws away are their sender's affair. */
static void learn(struct answers *a, bool answered)
{
    a->come = answered ? a->come + 1 : a->come;
    a->broken = answered ? 0 : a->broken + 1;
    if (a->strict)
        return;
    if (answered && a->come >= ENOUGH_COME)
        atomic_store(&a->mode, ANSWERS_LIMITED);
    if (a->broken < (answers_are(a, ANSWERS_LIMITED) ? ENOUGH_BROKEN : ENOUGH_COME))
        return;
    a->come = 0;
    atomic_store(&a->mode, ANSWERS_OPEN);
}

/* How long a request was kept says nothing about how long others take. */
static void learn_latency(struct answers *a, struct asked *c, bool kept, struct silence_load load, uint64_t now_ns)
{
    struct concurrency_reply r = {
        .round = c->round,
        .in_hand = load.in_hand,
        .contended = load.waiting > 0,
        .kept = kept,
        .rivals = load.in_hand + load.waiting,
        .latency_ns = now_ns > c->at_ns ? now_ns - c->at_ns : 1,
        .last = c->last,
        .answered = atomic_load_explicit(&a->count, memory_order_relaxed),
        .now_ns = now_ns,
    };
    c->last = concurrency_sample(&a->concurrency, &r);
    if (!kept)
        widen(a, silence_answer(&a->silence, r.answered, c->at_ns, now_ns), load);
}

void answers_come(struct answers *a, struct asked *c, bool counted, bool kept, struct silence_load load,
                  uint64_t now_ns)
{
    uint64_t asked_ns = c->at_ns;
    if (counted)
        learn_latency(a, c, kept, load, now_ns);
    learn(a, true);
    a->come_ns = now_ns;
    end(a, c, false, load);
    laps_answer(&a->laps, &c->lap, asked_ns, now_ns);
    /* What is left in hand is waited for from now on. */
    c->at_ns = now_ns;
    laps_ask(&a->laps, &c->lap);
}

void answers_keep(struct answers *a, struct asked *c, uint32_t n, struct silence_load load, uint64_t now_ns)
{
    atomic_fetch_add_explicit(&a->count, n, memory_order_relaxed);
    learn_latency(a, c, true, load, now_ns);
}

/* ---- what is not ---- */

uint64_t answers_forget_at(const struct answers *a, const struct asked *c)
{
    return c->at_ns + ANSWERS_FORGET_NS + 8 * atomic_load_explicit(&a->mean_ns, memory_order_relaxed);
}

/* One that answers others answers: what it leaves out is its affair. */
void answers_miss(struct answers *a, const struct asked *c)
{
    if (a->come_ns < c->at_ns)
        learn(a, false);
}
