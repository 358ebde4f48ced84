/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The window of calls decides when the breaker opens; all that follows is flow/breaker.h. There the cause is always
 * BREAKER_HANDSHAKE, which a success in half-open refutes, and one failure opens, since counting is done here.
 */
#include <weir/breaker.h>

#include "flow/breaker.h"
#include "lib/common.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define SLOTS 10u

/* What a tenth of the window saw. */
struct slot {
    uint64_t number; /* of the tenth, counted from time 0 */
    uint64_t calls, failures, slow;
};

struct weir_breaker {
    struct weir_breaker_options options;
    struct breaker_params params;
    struct breaker machine; /* atomic; changed under the lock, except by weir_breaker_enter() */
    pthread_mutex_t lock;   /* guards what follows */
    struct slot slots[SLOTS];
    uint32_t failures_in_row, trials_won;
    uint64_t opened; /* as of `machine`, when trials_won was begun */
    uint64_t calls_in_all;
    _Atomic uint64_t refused, random;
};

void weir_breaker_options_init(struct weir_breaker_options *ret)
{
    *ret = (struct weir_breaker_options){
        .size = sizeof(*ret),
        .failures = 5,
        .failure_percent = 50,
        .slow_percent = 80,
        .calls_min = 20,
        .trials = 1,
        .window_ns = 10 * NS_PER_S,
        .open_ns = 5 * NS_PER_S,
        .open_max_ns = 60 * NS_PER_S,
    };
}

static bool breaker_is_valid(const struct weir_breaker_options *o)
{
    return o->failure_percent <= 100 && o->slow_percent <= 100 && o->calls_min >= 1 && o->trials >= 1 &&
           o->trials <= WEIR_BREAKER_TRIALS_MAX && o->window_ns >= SLOTS && o->open_ns >= 1 &&
           o->open_max_ns >= o->open_ns && o->open_max_ns < UINT64_MAX / 4;
}

struct weir_breaker *weir_breaker_new(const struct weir_breaker_options *options)
{
    struct weir_breaker_options o;
    weir_breaker_options_init(&o);
    if (!common_options(&o, options, sizeof(o), sizeof(o)) || !breaker_is_valid(&o)) {
        errno = EINVAL;
        return NULL;
    }
    struct weir_breaker *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->options = o;
    b->params = (struct breaker_params){.failures = 1,
                                        .trials = o.trials,
                                        .for_ns = o.open_ns,
                                        .max_ns = o.open_max_ns,
                                        .slow_start_ns = o.slow_start_ns};
    b->random = common_now_ns(&(struct weir_clock){0}) ^ (uint64_t)(uintptr_t)b;
    pthread_mutex_init(&b->lock, NULL);
    return b;
}

void weir_breaker_free(struct weir_breaker *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* SplitMix64 (Steele, Lea and Flood, 2014). It spreads open times and turns; nobody has to be kept from guessing. */
static uint64_t breaker_random(struct weir_breaker *b)
{
    uint64_t z = atomic_fetch_add_explicit(&b->random, UINT64_C(0x9e3779b97f4a7c15), memory_order_relaxed);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void breaker_tell(const struct weir_breaker *b, enum breaker_change change)
{
    static const enum weir_breaker_state states[] = {[BREAKER_NOW_OPEN] = WEIR_BREAKER_OPEN,
                                                     [BREAKER_NOW_HALF_OPEN] = WEIR_BREAKER_HALF_OPEN,
                                                     [BREAKER_NOW_CLOSED] = WEIR_BREAKER_CLOSED};
    if (change != BREAKER_UNCHANGED && b->options.changed)
        b->options.changed(states[change], b->options.changed_arg);
}

static uint64_t breaker_opened(const struct weir_breaker *b)
{
    return atomic_load_explicit(&b->machine.opened, memory_order_relaxed);
}

int weir_breaker_enter(struct weir_breaker *b, struct weir_breaker_call *ret_call)
{
    uint64_t now_ns = common_now_ns(&b->options.clock), opened = breaker_opened(b);
    struct breaker_answer a = breaker_enter(&b->machine, &b->params, (uint32_t)(breaker_random(b) >> 32), now_ns);
    *ret_call =
        (struct weir_breaker_call){.wait_ns = a.wait_ns, .began_ns = now_ns, .place = a.place, .opened = opened};
    if (!a.go)
        atomic_fetch_add_explicit(&b->refused, 1, memory_order_relaxed);
    breaker_tell(b, a.change);
    return a.go ? 0 : -EAGAIN;
}

/* ---- the window ---- */

static struct slot *slot_now(struct weir_breaker *b, uint64_t now_ns)
{
    uint64_t number = now_ns / (b->options.window_ns / SLOTS);
    struct slot *s = &b->slots[number % SLOTS];
    if (s->number != number)
        *s = (struct slot){.number = number};
    return s;
}

static struct slot window_sum(const struct weir_breaker *b, uint64_t now_ns)
{
    uint64_t number = now_ns / (b->options.window_ns / SLOTS);
    struct slot sum = {0};
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct slot *s = &b->slots[i];
        if (s->number + SLOTS <= number || s->number > number)
            continue;
        sum.calls += s->calls;
        sum.failures += s->failures;
        sum.slow += s->slow;
    }
    return sum;
}

static void window_forget(struct weir_breaker *b)
{
    for (unsigned i = 0; i < SLOTS; i++)
        b->slots[i] = (struct slot){0};
    b->failures_in_row = b->trials_won = 0;
    b->opened = breaker_opened(b);
}

static bool is_share(uint64_t part, uint64_t all, uint32_t percent)
{
    return percent && part * 100 >= all * percent;
}

static bool is_too_much(const struct weir_breaker *b, uint64_t now_ns)
{
    const struct weir_breaker_options *o = &b->options;
    if (o->failures && b->failures_in_row >= o->failures)
        return true;
    struct slot sum = window_sum(b, now_ns);
    return sum.calls >= o->calls_min && (is_share(sum.failures, sum.calls, o->failure_percent) ||
                                         (o->slow_ns && is_share(sum.slow, sum.calls, o->slow_percent)));
}

/* ---- the end of a call ---- */

static enum breaker_change breaker_open(struct weir_breaker *b, uint64_t now_ns)
{
    enum breaker_change change =
        breaker_on_failure(&b->machine, &b->params, BREAKER_HANDSHAKE, now_ns, breaker_random(b));
    window_forget(b);
    return change;
}

static enum breaker_change end_of_trial(struct weir_breaker *b, bool bad, uint64_t now_ns)
{
    if (bad)
        return breaker_open(b, now_ns);
    if (++b->trials_won < b->options.trials)
        return BREAKER_UNCHANGED;
    window_forget(b);
    return breaker_on_handshake(&b->machine, now_ns);
}

static enum breaker_change end_of_call(struct weir_breaker *b, bool failed, bool slow, uint64_t now_ns)
{
    struct slot *s = slot_now(b, now_ns);
    s->calls++;
    s->failures += failed;
    s->slow += slow;
    b->failures_in_row = failed ? b->failures_in_row + 1 : 0;
    return is_too_much(b, now_ns) ? breaker_open(b, now_ns) : BREAKER_UNCHANGED;
}

static enum breaker_change judge_call(struct weir_breaker *b, const struct weir_breaker_call *call, bool failed,
                                      uint64_t now_ns)
{
    bool slow = b->options.slow_ns && now_ns - call->began_ns > b->options.slow_ns;
    b->calls_in_all++;
    if (call->opened != breaker_opened(b)) /* it has opened since: what began before is of no interest */
        return BREAKER_UNCHANGED;
    switch (breaker_state(&b->machine, now_ns)) {
    case BREAKER_HALF_OPEN:
        return call->place ? end_of_trial(b, failed || slow, now_ns) : BREAKER_UNCHANGED;
    case BREAKER_CLOSED:
        return end_of_call(b, failed, slow, now_ns);
    default:
        return BREAKER_UNCHANGED;
    }
}

void weir_breaker_leave(struct weir_breaker *b, const struct weir_breaker_call *call, enum weir_outcome outcome)
{
    uint64_t now_ns = common_now_ns(&b->options.clock);
    enum breaker_change change = BREAKER_UNCHANGED;
    pthread_mutex_lock(&b->lock);
    breaker_leave(&b->machine, call->place);
    if (outcome != WEIR_IGNORED)
        change = judge_call(b, call, outcome == WEIR_FAILED, now_ns);
    pthread_mutex_unlock(&b->lock);
    breaker_tell(b, change);
}

/* ---- queries ---- */

enum weir_breaker_state weir_breaker_state(const struct weir_breaker *b)
{
    return (enum weir_breaker_state)breaker_state(&b->machine, common_now_ns(&b->options.clock));
}

int weir_breaker_read(struct weir_breaker *b, struct weir_breaker_stats *ret)
{
    uint64_t now_ns = common_now_ns(&b->options.clock);
    pthread_mutex_lock(&b->lock);
    struct slot sum = window_sum(b, now_ns);
    struct weir_breaker_stats s = {
        .state = (uint32_t)breaker_state(&b->machine, now_ns),
        .failures_in_row = b->failures_in_row,
        .calls = sum.calls,
        .failures = sum.failures,
        .slow = sum.slow,
        .opened = breaker_opened(b),
        .refused = atomic_load_explicit(&b->refused, memory_order_relaxed),
        .calls_in_all = b->calls_in_all,
        .open_until_ns = breaker_open_until_ns(&b->machine, now_ns),
    };
    pthread_mutex_unlock(&b->lock);
    return common_stats(ret, &s, sizeof(s));
}
