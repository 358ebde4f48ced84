/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/breaker.h"

/*
 * The word:  time_ms << 19 | trials << 9 | step << 4 | cause << 2 | state
 *
 *   time_ms  open: the end of the open time. Half-open, closed: when the state began. Closed and 0: never was open
 *   trials   places taken, in half-open and in a slow start
 *   step     how often the open time was doubled
 *
 * A place is the word without its trials. So it fits only the state in which it was given.
 */
#define STEP_MAX     31u
#define TRIALS_SHIFT 9
#define TRIALS_MASK  ((UINT64_C(1) << 19) - (UINT64_C(1) << TRIALS_SHIFT))

_Static_assert(BREAKER_TRIALS_MAX <= TRIALS_MASK >> TRIALS_SHIFT && BREAKER_CAUSES <= 4, "they fit the word");

struct view {
    enum breaker_state state;
    enum breaker_cause cause;
    uint32_t step, trials;
    uint64_t time_ms;
};

static struct view breaker_unpack(uint64_t w)
{
    return (struct view){
        .state = (enum breaker_state)(w & 3),
        .cause = (enum breaker_cause)(w >> 2 & 3),
        .step = (uint32_t)(w >> 4 & STEP_MAX),
        .trials = (uint32_t)((w & TRIALS_MASK) >> TRIALS_SHIFT),
        .time_ms = w >> 19,
    };
}

static uint64_t breaker_pack(struct view v)
{
    return v.time_ms << 19 | (uint64_t)v.trials << TRIALS_SHIFT | (uint64_t)v.step << 4 | (uint64_t)v.cause << 2 |
           (uint64_t)v.state;
}

static uint64_t breaker_load(const struct breaker *b)
{
    return atomic_load_explicit(&b->word, memory_order_acquire);
}

/* False: another thread changed the word first; *w is its present value. */
static bool breaker_swap(struct breaker *b, uint64_t *w, struct view to)
{
    return atomic_compare_exchange_strong_explicit(&b->word, w, breaker_pack(to), memory_order_acq_rel,
                                                   memory_order_acquire);
}

/* Never 0, which means "never". */
static uint64_t to_ms(uint64_t ns)
{
    return ns < NS_PER_MS ? 1 : ns / NS_PER_MS;
}

/* The clocks of two workers may differ a little. */
static uint64_t since_ms(uint64_t then_ms, uint64_t now_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

static bool is_open(struct view v, uint64_t now_ms)
{
    return v.state == BREAKER_OPEN && now_ms < v.time_ms;
}

static bool is_half_open(struct view v, uint64_t now_ms)
{
    return v.state == BREAKER_HALF_OPEN || (v.state == BREAKER_OPEN && now_ms >= v.time_ms);
}

static bool starts_slowly(struct view v, const struct breaker_params *p, uint64_t now_ms)
{
    return v.state == BREAKER_CLOSED && v.time_ms != 0 && since_ms(v.time_ms, now_ms) < p->slow_start_ns / NS_PER_MS;
}

static void forget_failures(struct breaker *b, enum breaker_cause cause)
{
    /* The load comes first, so that workers do not contend for the cache line while nothing fails. */
    if (atomic_load_explicit(&b->failures[cause], memory_order_relaxed) != 0)
        atomic_store_explicit(&b->failures[cause], 0, memory_order_relaxed);
}

/* ---- opening ---- */

/* Doubled `step` times, capped, less up to a quarter, so that many gates do not all come back at the same time. */
static uint64_t open_ms(const struct breaker_params *p, uint32_t step, uint64_t random)
{
    uint64_t ns = p->for_ns < p->max_ns ? p->for_ns : p->max_ns;
    for (; step > 0 && ns < p->max_ns; step--)
        ns = ns > p->max_ns / 2 ? p->max_ns : 2 * ns;
    return to_ms(ns - (ns / 4 / 1024) * (random >> 54));
}

/* An application that fails again before it has recovered gets a longer open time. */
static uint32_t breaker_next_step(struct view v, const struct breaker_params *p, uint64_t now_ms)
{
    if (v.state == BREAKER_CLOSED && !starts_slowly(v, p, now_ms))
        return 0;
    return v.step < STEP_MAX ? v.step + 1 : STEP_MAX;
}

static enum breaker_change open_for(struct breaker *b, const struct breaker_params *p, enum breaker_cause cause,
                                    uint64_t now_ms, uint64_t random)
{
    uint64_t w = breaker_load(b);
    struct view to;
    do {
        struct view v = breaker_unpack(w);
        if (is_open(v, now_ms))
            return BREAKER_UNCHANGED;
        to = (struct view){.state = BREAKER_OPEN, .cause = cause, .step = breaker_next_step(v, p, now_ms)};
        to.time_ms = now_ms + open_ms(p, to.step, random);
    } while (!breaker_swap(b, &w, to));
    for (unsigned c = 0; c < BREAKER_CAUSES; c++)
        forget_failures(b, (enum breaker_cause)c);
    atomic_fetch_add_explicit(&b->opened, 1, memory_order_relaxed);
    return BREAKER_NOW_OPEN;
}

enum breaker_change breaker_on_failure(struct breaker *b, const struct breaker_params *p, enum breaker_cause cause,
                                       uint64_t now_ns, uint64_t random)
{
    uint64_t now_ms = to_ms(now_ns);
    struct view v = breaker_unpack(breaker_load(b));
    if (p->failures == 0 || is_open(v, now_ms))
        return BREAKER_UNCHANGED;
    if (!is_half_open(v, now_ms) &&
        atomic_fetch_add_explicit(&b->failures[cause], 1, memory_order_relaxed) + 1 < p->failures)
        return BREAKER_UNCHANGED;
    return open_for(b, p, cause, now_ms, random);
}

enum breaker_change breaker_on_stall(struct breaker *b, const struct breaker_params *p, uint64_t now_ns,
                                     uint64_t random)
{
    return open_for(b, p, BREAKER_STALL, to_ms(now_ns), random);
}

/* ---- trying and closing ---- */

/* A state that begins. Its time is never that of the state before it, whose places must not fit. */
static struct view breaker_begin(enum breaker_state state, struct view before, uint64_t now_ms)
{
    bool same = before.state != BREAKER_OPEN && before.time_ms >= now_ms;
    return (struct view){
        .state = state, .cause = before.cause, .step = before.step, .time_ms = same ? before.time_ms + 1 : now_ms};
}

/* What a sign of life is worth. */
enum worth {
    ENDS_OPEN_TIME,  /* open becomes half-open */
    CLOSES_IN_TRIAL, /* and half-open becomes closed */
    CLOSES_AT_ONCE,
};

/* A sign of life that refutes these causes (a set of bits). */
static enum breaker_change live(struct breaker *b, unsigned against, enum worth worth, uint64_t now_ns)
{
    uint64_t now_ms = to_ms(now_ns), w = breaker_load(b);
    struct view v, to;
    do {
        v = breaker_unpack(w);
        if (v.state == BREAKER_CLOSED || !(against >> v.cause & 1) ||
            (v.state == BREAKER_HALF_OPEN && worth == ENDS_OPEN_TIME))
            return BREAKER_UNCHANGED;
        bool closes = v.state == BREAKER_HALF_OPEN || worth == CLOSES_AT_ONCE;
        to = breaker_begin(closes ? BREAKER_CLOSED : BREAKER_HALF_OPEN, v, now_ms);
    } while (!breaker_swap(b, &w, to));
    return to.state == BREAKER_CLOSED ? BREAKER_NOW_CLOSED : BREAKER_NOW_HALF_OPEN;
}

enum breaker_change breaker_on_greeting(struct breaker *b, uint64_t now_ns)
{
    forget_failures(b, BREAKER_CONNECT);
    return live(b, 1u << BREAKER_CONNECT, ENDS_OPEN_TIME, now_ns);
}

enum breaker_change breaker_on_handshake(struct breaker *b, uint64_t now_ns)
{
    forget_failures(b, BREAKER_CONNECT);
    forget_failures(b, BREAKER_HANDSHAKE);
    return live(b, 1u << BREAKER_CONNECT | 1u << BREAKER_HANDSHAKE, CLOSES_IN_TRIAL, now_ns);
}

enum breaker_change breaker_on_taken(struct breaker *b, uint64_t now_ns)
{
    /* The connections that had to wait were the trial. */
    return live(b, 1u << BREAKER_STALL, CLOSES_AT_ONCE, now_ns);
}

/* ---- newcomers ---- */

/* The time until this ticket's turn in a slow start; 0: the turn has come. The share of tickets whose turn has come
 * grows evenly. */
static uint64_t turn_in_ms(struct view v, const struct breaker_params *p, uint32_t ticket, uint64_t now_ms)
{
    uint64_t due_ms = (p->slow_start_ns / NS_PER_MS * (ticket >> 8)) >> 24, gone_ms = since_ms(v.time_ms, now_ms);
    return due_ms > gone_ms ? due_ms - gone_ms : 0;
}

static struct breaker_answer breaker_wait(uint64_t ns)
{
    return (struct breaker_answer){.wait_ns = ns ? ns : NS_PER_MS};
}

/* The answer to a newcomer in this state. *ret_to is the state after it, which the caller stores. */
static struct breaker_answer judge(struct view v, const struct breaker_params *p, uint32_t ticket, uint64_t now_ms,
                                   struct view *ret_to)
{
    struct breaker_answer a = {.go = true};
    uint64_t wait_ns = BREAKER_ASK_AGAIN_NS;
    *ret_to = v;
    if (is_open(v, now_ms))
        return breaker_wait((v.time_ms - now_ms) * NS_PER_MS);
    if (v.state == BREAKER_CLOSED) {
        uint64_t turn_ms = starts_slowly(v, p, now_ms) ? turn_in_ms(v, p, ticket, now_ms) : 0;
        if (turn_ms == 0)
            return a;
        if (turn_ms * NS_PER_MS < wait_ns)
            wait_ns = turn_ms * NS_PER_MS;
    }
    if (v.state == BREAKER_OPEN) {
        *ret_to = breaker_begin(BREAKER_HALF_OPEN, v, now_ms);
        a.change = BREAKER_NOW_HALF_OPEN;
    }
    if (ret_to->trials >= p->trials)
        return breaker_wait(wait_ns);
    a.place = breaker_pack(*ret_to) & ~TRIALS_MASK;
    ret_to->trials++;
    return a;
}

struct breaker_answer breaker_enter(struct breaker *b, const struct breaker_params *p, uint32_t ticket, uint64_t now_ns)
{
    uint64_t w = breaker_load(b);
    struct breaker_answer a;
    struct view to;
    do
        a = judge(breaker_unpack(w), p, ticket, to_ms(now_ns), &to);
    while (breaker_pack(to) != w && !breaker_swap(b, &w, to));
    return a;
}

void breaker_leave(struct breaker *b, uint64_t place)
{
    uint64_t w = breaker_load(b);
    struct view to;
    do {
        to = breaker_unpack(w);
        if (place == 0 || (w & ~TRIALS_MASK) != place || to.trials == 0)
            return;
        to.trials--;
    } while (!breaker_swap(b, &w, to));
}

/* ---- queries ---- */

enum breaker_state breaker_state(const struct breaker *b, uint64_t now_ns)
{
    struct view v = breaker_unpack(breaker_load(b));
    return is_half_open(v, to_ms(now_ns)) ? BREAKER_HALF_OPEN : v.state;
}

enum breaker_cause breaker_cause(const struct breaker *b)
{
    return breaker_unpack(breaker_load(b)).cause;
}

uint64_t breaker_open_until_ns(const struct breaker *b, uint64_t now_ns)
{
    struct view v = breaker_unpack(breaker_load(b));
    return is_open(v, to_ms(now_ns)) ? v.time_ms * NS_PER_MS : 0;
}
