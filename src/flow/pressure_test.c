/* SPDX-License-Identifier: MPL-2.0 */
/* Levels at their bounds and on random walks, shares against their sum, and a flood of one source played out. */
#include "flow/pressure.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MIB   (1024u * 1024u)
#define LIMIT (16u * (uint64_t)MIB)

static uint64_t percent(uint64_t limit, unsigned n)
{
    return (uint64_t)((double)limit * n / 100);
}

static void levels_begin_where_they_are_said_to(void **state)
{
    static const uint64_t limits[] = {8u * MIB, LIMIT, 256u * MIB, 1ull << 40, UINT64_MAX};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        uint64_t l = limits[i];
        assert_int_equal(pressure_step(PRESSURE_NONE, 0, l), PRESSURE_NONE);
        assert_int_equal(pressure_step(PRESSURE_NONE, percent(l, 70), l), PRESSURE_NONE);
        assert_int_equal(pressure_step(PRESSURE_NONE, percent(l, 71), l), PRESSURE_HEAVY);
        assert_int_equal(pressure_step(PRESSURE_NONE, percent(l, 84), l), PRESSURE_HEAVY);
        assert_int_equal(pressure_step(PRESSURE_NONE, percent(l, 86), l), PRESSURE_SHARES);
        assert_int_equal(pressure_step(PRESSURE_NONE, percent(l, 94), l), PRESSURE_SHARES);
        assert_int_equal(pressure_step(PRESSURE_NONE, percent(l, 96), l), PRESSURE_FULL);
    }
}

static void levels_are_left_later(void **state)
{
    assert_int_equal(pressure_step(PRESSURE_FULL, percent(LIMIT, 91), LIMIT), PRESSURE_FULL);
    assert_int_equal(pressure_step(PRESSURE_FULL, percent(LIMIT, 89), LIMIT), PRESSURE_SHARES);
    assert_int_equal(pressure_step(PRESSURE_SHARES, percent(LIMIT, 81), LIMIT), PRESSURE_SHARES);
    assert_int_equal(pressure_step(PRESSURE_SHARES, percent(LIMIT, 79), LIMIT), PRESSURE_HEAVY);
    assert_int_equal(pressure_step(PRESSURE_HEAVY, percent(LIMIT, 66), LIMIT), PRESSURE_HEAVY);
    assert_int_equal(pressure_step(PRESSURE_HEAVY, percent(LIMIT, 64), LIMIT), PRESSURE_NONE);
    assert_int_equal(pressure_step(PRESSURE_FULL, 0, LIMIT), PRESSURE_NONE);
}

/* Whatever came before, the level is one of the two that the amount allows, and changes only in its direction. */
static void levels_follow_any_walk(void **state)
{
    static const double begins[] = {0, 90 / 128.0, 109 / 128.0, 122 / 128.0, 2},
                        ends[] = {0, 83 / 128.0, 102 / 128.0, 115 / 128.0};
    struct property_rng random = property_rng_new("pressure levels");
    struct pressure p;
    pressure_init(&p, LIMIT);
    for (unsigned i = 0; i < 100000; i++) {
        enum pressure_level before = pressure_level(&p);
        uint64_t held = property_below(&random, LIMIT + 1);
        enum pressure_level now = pressure_update(&p, held);
        assert_int_equal(pressure_level(&p), now);
        assert_true((double)held < begins[now + 1] * (double)LIMIT);
        assert_true((double)held >= ends[now] * (double)LIMIT);
        if (now > before)
            assert_true((double)held >= begins[now] * (double)LIMIT);
        assert_int_equal(pressure_update(&p, held), now);
    }
}

static void all_shares_are_the_limit(void **state)
{
    struct property_rng random = property_rng_new("pressure shares");
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t limit = property_magnitude(&random, 50), sum = 0;
        unsigned workers = 1 + (unsigned)property_below(&random, 64);
        for (unsigned w = 0; w < workers; w++) {
            uint64_t holders = property_magnitude(&random, 12);
            sum += holders * pressure_share(limit, workers, holders, 0);
            assert_true(pressure_share(limit, workers, holders, 777) >= 777);
        }
        assert_true(sum <= limit);
    }
    assert_int_equal(pressure_share(LIMIT, 1, 0, 0), LIMIT);
    assert_int_equal(pressure_share(LIMIT, 1, 1, 0), LIMIT / 2);
    assert_int_equal(pressure_share(LIMIT, 2, 3, 0), LIMIT / 8);
    assert_int_equal(pressure_share(LIMIT, 0, 1, 0), LIMIT / 2);
}

static void each_level_allows_less(void **state)
{
    for (unsigned level = PRESSURE_NONE; level < PRESSURE_FULL; level++)
        assert_true(pressure_read_most(level) >= pressure_read_most(level + 1));
    assert_true(pressure_allows(PRESSURE_NONE, UINT64_MAX, 0));
    assert_true(pressure_allows(PRESSURE_HEAVY, 2 * 100 + 1, 100));
    assert_false(pressure_allows(PRESSURE_HEAVY, 2 * 100 + 2, 100));
    assert_true(pressure_allows(PRESSURE_SHARES, 100, 100));
    assert_false(pressure_allows(PRESSURE_SHARES, 101, 100));
    assert_true(pressure_allows(PRESSURE_FULL, 100, 100));
    assert_false(pressure_allows(PRESSURE_FULL, 101, 100));
    assert_true(pressure_admits(PRESSURE_NONE, UINT64_MAX, 0));
    assert_true(pressure_admits(PRESSURE_SHARES, 100, 100));
    assert_false(pressure_admits(PRESSURE_SHARES, 101, 100));
    assert_false(pressure_admits(PRESSURE_FULL, 0, 100));
}

static void room_keeps_a_reserve(void **state)
{
    uint64_t usable = LIMIT - LIMIT / 32;
    assert_true(pressure_has_room(LIMIT, 0, usable));
    assert_false(pressure_has_room(LIMIT, 1, usable));
    assert_false(pressure_has_room(LIMIT, LIMIT, 0));
    assert_false(pressure_has_room(LIMIT, 0, UINT64_MAX));
    assert_true(pressure_has_room(0, 0, 0));
    assert_false(pressure_has_room(0, 0, 1));
}

static void what_is_spared_ends_before_the_memory_is_full(void **state)
{
    assert_true(pressure_spares(LIMIT, percent(LIMIT, 85), percent(LIMIT, 4)));
    assert_false(pressure_spares(LIMIT, percent(LIMIT, 85), percent(LIMIT, 5)));
    assert_false(pressure_spares(LIMIT, percent(LIMIT, 90), 1));
    assert_false(pressure_spares(LIMIT, UINT64_MAX, 1));
    assert_int_equal(pressure_step(PRESSURE_NONE, percent(LIMIT, 89), LIMIT), PRESSURE_SHARES);
}

/* Thousands of buffers for one source, or for some. A source that holds nothing yet still finds room for a message.
 * Played by the rules alone, as a worker applies them. */
static void a_few_sources_leave_room(void **state)
{
    struct property_rng random = property_rng_new("pressure floods");
    for (unsigned sources = 1; sources <= 5; sources++) {
        uint64_t held[5] = {0}, all = 0;
        struct pressure p;
        pressure_init(&p, LIMIT);
        for (unsigned i = 0; i < 20000; i++) {
            unsigned s = (unsigned)property_below(&random, sources);
            uint64_t need = 512u << property_below(&random, 8), share = pressure_share(LIMIT, 1, sources, 65536);
            enum pressure_level level = pressure_update(&p, all);
            if (!pressure_allows(level, held[s], share) || !pressure_has_room(LIMIT, all, need))
                continue;
            held[s] += need;
            all += need;
        }
        assert_true(all >= percent(LIMIT, 70));
        assert_true(pressure_level(&p) < PRESSURE_FULL);
        assert_true(pressure_allows(pressure_level(&p), 0, pressure_share(LIMIT, 1, sources, 65536)));
        assert_true(pressure_has_room(LIMIT, all, 128u * 1024u));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_begin_where_they_are_said_to),
        cmocka_unit_test(levels_are_left_later),
        cmocka_unit_test(levels_follow_any_walk),
        cmocka_unit_test(all_shares_are_the_limit),
        cmocka_unit_test(each_level_allows_less),
        cmocka_unit_test(room_keeps_a_reserve),
        cmocka_unit_test(what_is_spared_ends_before_the_memory_is_full),
        cmocka_unit_test(a_few_sources_leave_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
