/* SPDX-License-Identifier: MPL-2.0 */
/* Reservations within the limit, the pass beyond it, and whose turn it is. */
#include "policy/unfinished.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define LIMIT 1000u
#define STEP  (5 * NS_PER_MS)

static struct unfinished u;
static uint64_t now;

static int set_up(void **state)
{
    unfinished_init(&u);
    now = 1;
    return 0;
}

static int tear_down(void **state)
{
    unfinished_fini(&u);
    return 0;
}

static bool reserve(uint64_t owner, uint64_t id, uint64_t bytes)
{
    return unfinished_reserve(&u, LIMIT, (struct unfinished_client){.id = id, .owner = owner}, bytes, now);
}

static void within_the_limit_nobody_waits(void **state)
{
    for (uint64_t id = 1; id <= 10; id++)
        assert_true(reserve(id % 2, id, LIMIT / 10));
    assert_int_equal(u.bytes, LIMIT);
    assert_int_equal(u.pass, 0);
    assert_false(unfinished_wanted(&u, now, NS_PER_S));
}

static void one_at_a_time_goes_beyond(void **state)
{
    assert_true(reserve(1, 1, LIMIT));
    assert_true(reserve(1, 2, 5 * LIMIT));
    assert_true(reserve(1, 2, 5 * LIMIT)); /* the next frame of the same message */
    assert_false(reserve(2, 3, 1));
    assert_true(unfinished_wanted(&u, now, NS_PER_S));
    assert_false(unfinished_wanted(&u, now + NS_PER_S, NS_PER_S));
    unfinished_release(&u, 2, 10 * LIMIT);
    assert_true(reserve(2, 3, 1));
    unfinished_release(&u, 3, 1);
    unfinished_release(&u, 1, LIMIT);
    assert_int_equal(u.bytes, 0);
    assert_int_equal(u.pass, 0);
}

/* One source with thirty connections that each announce more than fits, and one honest client, whoever asks first. */
static void many_connections_of_a_source_are_one_in_the_line(void **state)
{
    for (unsigned honest_asks_at = 0; honest_asks_at < 31; honest_asks_at++) {
        unfinished_fini(&u);
        unfinished_init(&u);
        assert_true(reserve(1, 1, 2 * LIMIT));
        unsigned turns = 0;
        bool served = false;
        for (uint64_t holder = 1; !served && turns < 30; turns++) {
            for (unsigned i = 0; i < 31; i++)
                if (2 + i != holder)
                    assert_false(i == honest_asks_at ? reserve(2, 100, 2 * LIMIT) : reserve(1, 2 + i, 2 * LIMIT));
            now += STEP;
            unfinished_release(&u, holder, 2 * LIMIT);
            for (unsigned i = 0; i < 31 && u.pass == 0; i++)
                if (i == honest_asks_at)
                    served = reserve(2, 100, 2 * LIMIT);
                else if (reserve(1, 2 + i, 2 * LIMIT))
                    holder = 2 + i;
        }
        assert_true(served);
        assert_in_range(turns, 1, 2);
    }
}

static void who_has_been_served_stands_at_the_end(void **state)
{
    assert_true(reserve(9, 90, LIMIT));
    assert_true(reserve(9, 91, LIMIT));
    for (uint64_t owner = 1; owner <= 3; owner++, now += STEP)
        assert_false(reserve(owner, owner, 1));
    unfinished_release(&u, 91, LIMIT);
    for (unsigned turn = 0; turn < 9; turn++) {
        uint64_t first = 1 + turn % 3;
        for (uint64_t owner = 1; owner <= 3; owner++)
            if (owner != first)
                assert_false(reserve(owner, owner, 1));
        assert_true(reserve(first, first, 1));
        now += STEP;
        unfinished_release(&u, first, 1);
        assert_false(reserve(first, first, 1));
        now += STEP;
    }
}

static void who_does_not_ask_again_has_given_up(void **state)
{
    assert_true(reserve(9, 90, LIMIT));
    assert_true(reserve(9, 91, LIMIT));
    assert_false(reserve(1, 1, 1));
    now += STEP;
    assert_false(reserve(2, 2, 1));
    unfinished_release(&u, 91, LIMIT);
    assert_false(reserve(2, 2, 1));
    now += UNFINISHED_PATIENCE_NS;
    assert_true(reserve(2, 2, 1));
}

/* A worker whose clock is behind does not take those for gone that asked in its future. */
static void clocks_may_differ(void **state)
{
    now = NS_PER_S;
    assert_true(reserve(9, 90, LIMIT));
    assert_true(reserve(9, 91, LIMIT));
    assert_false(reserve(1, 1, 1));
    now -= STEP;
    unfinished_release(&u, 91, LIMIT);
    assert_true(reserve(2, 2, 1)); /* asked earlier by its own clock */
    unfinished_release(&u, 2, 1);
    now += 2 * STEP;
    assert_false(reserve(2, 2, 1));
    assert_true(reserve(1, 1, 1));
}

static void a_full_line_lets_in_when_somebody_was_served(void **state)
{
    assert_true(reserve(999, 999, 2 * LIMIT));
    for (uint64_t owner = 1; owner <= UNFINISHED_TURNS; owner++)
        assert_false(reserve(owner, owner, 1));
    assert_false(reserve(500, 500, 1));
    unfinished_release(&u, 999, 2 * LIMIT);
    assert_true(reserve(500, 500, 1)); /* within the limit nobody stands in line */
    unfinished_release(&u, 500, 1);
    assert_true(reserve(999, 999, LIMIT));
    assert_false(reserve(500, 500, 1));
    assert_true(reserve(1, 1, 1));
    assert_false(reserve(500, 500, 1));
    unfinished_release(&u, 1, 1);
    for (uint64_t owner = 2; owner <= UNFINISHED_TURNS; owner++) {
        assert_true(reserve(owner, owner, 1));
        unfinished_release(&u, owner, 1);
    }
    assert_true(reserve(500, 500, 1));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(within_the_limit_nobody_waits),
        TEST(one_at_a_time_goes_beyond),
        TEST(many_connections_of_a_source_are_one_in_the_line),
        TEST(who_has_been_served_stands_at_the_end),
        TEST(who_does_not_ask_again_has_given_up),
        TEST(clocks_may_differ),
        TEST(a_full_line_lets_in_when_somebody_was_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
