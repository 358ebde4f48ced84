/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/strikes.h"

#include "base/clock.h"
#include "base/property.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define TICK_NS (UINT64_C(1) << STRIKES_TICK_LOG2_NS)
#define WRAP_NS (TICK_NS << 32)

static const struct strike_rules usual = {.strikes = 10, .within_ns = 60 * NS_PER_S};

static void ten_within_a_minute_are_too_many(void **state)
{
    strikes_word w = 0;
    uint64_t now = 5 * NS_PER_S;
    for (unsigned i = 1; i <= 9; i++) {
        assert_int_equal(strikes_add(&w, &usual, 1, now), i == 5 ? STRIKES_WARN : STRIKES_QUIET);
        assert_int_equal(strikes_score(&w, &usual, now), i);
    }
    assert_int_equal(strikes_add(&w, &usual, 1, now), STRIKES_FULL);
    assert_int_equal(strikes_score(&w, &usual, now), 0); /* the ban has settled the account */
}

static void one_leaks_in_six_seconds(void **state)
{
    strikes_word w = 0;
    uint64_t now = NS_PER_S;
    assert_int_equal(strikes_add(&w, &usual, 3, now), STRIKES_QUIET);
    assert_int_equal(strikes_score(&w, &usual, now + 6 * NS_PER_S), 2);
    assert_false(strikes_are_drained(&w, now + 17 * NS_PER_S));
    assert_true(strikes_are_drained(&w, now + 19 * NS_PER_S));
    /* At this pace it is never full. */
    for (unsigned i = 0; i < 10000; i++) {
        now += 7 * NS_PER_S;
        assert_int_not_equal(strikes_add(&w, &usual, 1, now), STRIKES_FULL);
    }
}

static void probation_lasts_as_long_as_it_is_asked_for(void **state)
{
    strikes_word w = 0;
    uint64_t now = NS_PER_S;
    assert_false(strikes_on_probation(&w, &usual, now));
    strikes_begin_probation(&w, &usual, 30 * NS_PER_S, now);
    assert_int_equal(strikes_score(&w, &usual, now), 10);
    for (unsigned s = 0; s <= 30; s++)
        assert_true(strikes_on_probation(&w, &usual, now + s * NS_PER_S));
    now += 30 * NS_PER_S + 2 * TICK_NS;
    assert_false(strikes_on_probation(&w, &usual, now));
    /* The score goes down from where it stood. */
    assert_int_equal(strikes_score(&w, &usual, now + 6 * NS_PER_S), 9);
    assert_true(strikes_are_drained(&w, now + 61 * NS_PER_S));
}

static void an_offence_during_probation_is_one_too_many_again(void **state)
{
    strikes_word w = 0;
    uint64_t now = NS_PER_S;
    strikes_begin_probation(&w, &usual, 30 * NS_PER_S, now);
    assert_int_equal(strikes_add(&w, &usual, 1, now + 20 * NS_PER_S), STRIKES_FULL);
    assert_true(strikes_on_probation(&w, &usual, now + 29 * NS_PER_S));
    assert_false(strikes_on_probation(&w, &usual, now + 31 * NS_PER_S));
}

static void probation_is_bounded_and_needs_rules(void **state)
{
    strikes_word w = 0;
    const struct strike_rules off = {.strikes = 0, .within_ns = NS_PER_S};
    strikes_begin_probation(&w, &off, NS_PER_S, NS_PER_S);
    assert_int_equal(w, 0);
    strikes_begin_probation(&w, &usual, UINT64_MAX, NS_PER_S);
    assert_true(strikes_on_probation(&w, &usual, STRIKES_PROBATION_MAX_NS));
    assert_false(strikes_on_probation(&w, &usual, STRIKES_PROBATION_MAX_NS + 20 * NS_PER_S));
    assert_false(strikes_on_probation(&w, &off, NS_PER_S));
}

static void one_heavy_offence_may_be_enough(void **state)
{
    strikes_word w = 0;
    const struct strike_rules strict = {.strikes = 1, .within_ns = 10 * NS_PER_S};
    assert_int_equal(strikes_add(&w, &strict, 5, 1), STRIKES_FULL);
    assert_int_equal(strikes_add(&w, &strict, 1, 1), STRIKES_FULL);
}

static void zero_strikes_count_nothing(void **state)
{
    strikes_word w = 0;
    const struct strike_rules off = {.strikes = 0, .within_ns = NS_PER_S};
    assert_int_equal(strikes_add(&w, &off, UINT32_MAX, NS_PER_S), STRIKES_QUIET);
    assert_int_equal(strikes_add(&w, &usual, 0, NS_PER_S), STRIKES_QUIET);
    assert_int_equal(w, 0);
    assert_int_equal(strikes_score(&w, &off, NS_PER_S), 0);
}

static void extremes_do_not_overflow(void **state)
{
    strikes_word w = 0;
    const struct strike_rules longest = {.strikes = 1, .within_ns = STRIKES_WITHIN_MAX_NS};
    const struct strike_rules beyond = {.strikes = UINT32_MAX, .within_ns = UINT64_MAX};
    assert_int_equal(strikes_add(&w, &longest, 1, UINT64_MAX), STRIKES_FULL);
    assert_true(strikes_are_drained(&w, UINT64_MAX));
    strikes_begin_probation(&w, &longest, UINT64_MAX, UINT64_MAX);
    assert_true(strikes_on_probation(&w, &longest, UINT64_MAX));
    w = 0;
    assert_int_equal(strikes_add(&w, &beyond, UINT32_MAX, NS_PER_S), STRIKES_FULL);
    assert_int_equal(strikes_add(&w, &longest, UINT32_MAX, NS_PER_S), STRIKES_FULL);
}

static void a_word_from_long_ago_is_an_empty_bucket(void **state)
{
    strikes_word w = 0;
    uint64_t then = 17 * NS_PER_S;
    assert_int_equal(strikes_add(&w, &usual, 9, then), STRIKES_WARN);
    for (unsigned days = 1; days < 826; days++) /* 834 days are a wrap */
        assert_true(strikes_are_drained(&w, then + days * UINT64_C(86400) * NS_PER_S));
}

/* ---- against an oracle that knows no ticks that wrap ---- */

struct oracle {
    double empty_at; /* in ticks */
};

static enum strikes_tier oracle_add(struct oracle *o, double a_strike, double strikes, unsigned n, double now)
{
    double before = o->empty_at > now ? o->empty_at - now : 0, after = before + n * a_strike;
    double depth = strikes * a_strike;
    o->empty_at = now + after;
    if (after >= depth) {
        o->empty_at = 0;
        return STRIKES_FULL;
    }
    return before < depth / 2 && after >= depth / 2 ? STRIKES_WARN : STRIKES_QUIET;
}

static void it_agrees_with_the_oracle(void **state)
{
    struct property_rng rng = property_rng_new("strikes");
    for (unsigned run = 0; run < 300; run++) {
        struct strike_rules r = {.strikes = (uint32_t)(1 + property_below(&rng, 100)),
                                 .within_ns = (10 + property_below(&rng, 3600)) * NS_PER_S};
        double a_strike = (double)((r.within_ns / r.strikes + TICK_NS / 2) / TICK_NS);
        strikes_word w = 0;
        struct oracle o = {0};
        /* Half of the runs pass the moment at which the ticks wrap. */
        uint64_t tick = run % 2 ? (WRAP_NS / TICK_NS) - property_below(&rng, 2000) : property_magnitude(&rng, 34);
        for (unsigned i = 0; i < 400; i++) {
            unsigned n = (unsigned)property_below(&rng, 6);
            tick += property_magnitude(&rng, 12);
            if (n == 0)
                continue;
            /* A bucket that would be empty at tick 0 is taken to be empty one tick later. */
            bool at_zero = (uint32_t)(w - 1) < 2 || (uint32_t)tick == 0;
            enum strikes_tier is = strikes_add(&w, &r, n, tick * TICK_NS);
            enum strikes_tier should = oracle_add(&o, a_strike, r.strikes, n, (double)tick);
            if (w == 1)
                o.empty_at = (double)((tick & ~(uint64_t)UINT32_MAX) + (UINT64_C(1) << 32) + 1);
            if (!at_zero)
                assert_int_equal(is, should);
        }
    }
}

/* ---- threads ---- */

#define THREADS 4
#define ADDS    50000u

static strikes_word shared;
static atomic_uint bans;

static void *add_many(void *arg)
{
    for (unsigned i = 0; i < ADDS; i++)
        if (strikes_add(&shared, &usual, 1, NS_PER_S) == STRIKES_FULL)
            atomic_fetch_add(&bans, 1);
    return NULL;
}

/* At one instant nothing leaks: each ten strikes are one ban, from any threads. */
static void no_strike_and_no_ban_is_lost_between_threads(void **state)
{
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&bans), THREADS * ADDS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_within_a_minute_are_too_many),
        cmocka_unit_test(one_leaks_in_six_seconds),
        cmocka_unit_test(probation_lasts_as_long_as_it_is_asked_for),
        cmocka_unit_test(an_offence_during_probation_is_one_too_many_again),
        cmocka_unit_test(probation_is_bounded_and_needs_rules),
        cmocka_unit_test(one_heavy_offence_may_be_enough),
        cmocka_unit_test(zero_strikes_count_nothing),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(a_word_from_long_ago_is_an_empty_bucket),
        cmocka_unit_test(it_agrees_with_the_oracle),
        cmocka_unit_test(no_strike_and_no_ban_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
