/* SPDX-License-Identifier: MPL-2.0 */
/* Least attained first, equals by turns, nobody starves. */
#include "flow/fair_queue.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define WAITERS 40u

static void levels_are_powers_of_two_of_the_share(void **state)
{
    assert_int_equal(fair_level(0, 1, 10, true), FAIR_EQUAL);
    assert_int_equal(fair_level(19, 1, 10, true), FAIR_EQUAL);
    assert_int_equal(fair_level(20, 1, 10, true), -1);
    assert_int_equal(fair_level(0, 1, 10, false), -2);
    assert_int_equal(fair_level(40, 1, 10, true), 0);
    assert_int_equal(fair_level(0, 10, 10, false), 0);
    assert_int_equal(fair_level(1000, 1000, 10, false), 7);
    assert_int_equal(fair_level(1e12, 1, 10, false), FAIR_LAST);
    assert_int_equal(fair_level(1, 1, 0, false), FAIR_LAST);
}

/* Invariant 5: FAIR_LEVELS waits at most. */
static void each_wait_is_one_level(void **state)
{
    assert_int_equal(fair_level_after(3, 199, 100), 2);
    assert_int_equal(fair_level_after(FAIR_LAST, 100 * FAIR_LEVELS, 100), FAIR_FIRST);
    assert_int_equal(fair_level_after(FAIR_LAST, UINT64_MAX, 1), FAIR_FIRST);
}

static void who_was_not_served_for_longest_is_next(void **state)
{
    struct fair_queue q;
    struct fair_waiter w[3];
    fair_queue_init(&q);
    for (unsigned i = 0; i < 3; i++) {
        fair_waiter_init(&w[i]);
        fair_queue_push(&q, &w[i], 10, 1, i);
    }
    for (unsigned i = 0; i < 9; i++) {
        struct fair_waiter *first = fair_queue_first(&q);
        assert_ptr_equal(first, &w[i % 3]);
        fair_queue_remove(&q, first);
        fair_queue_push(&q, first, 10, 1, 10 + i);
    }
    fair_queue_move(&q, &w[2], -1);
    assert_ptr_equal(fair_queue_first(&q), &w[2]);
    fair_queue_remove(&q, &w[2]);
    fair_queue_remove(&q, &w[2]);
    assert_int_equal(q.count, 2);
}

/* Against a list that is searched. */
static void the_first_has_the_least_level(void **state)
{
    struct property_rng r = property_rng_new("fair_queue");
    struct fair_queue q;
    struct fair_waiter w[WAITERS];
    fair_queue_init(&q);
    for (unsigned i = 0; i < WAITERS; i++)
        fair_waiter_init(&w[i]);
    for (unsigned n = 0; n < 20000; n++) {
        struct fair_waiter *one = &w[property_below(&r, WAITERS)];
        int level = FAIR_FIRST + (int)property_below(&r, FAIR_LEVELS), least = 99;
        switch (property_below(&r, 4)) {
        case 0:
            fair_queue_remove(&q, one);
            break;
        case 1:
            fair_queue_move(&q, one, level);
            break;
        case 2:
            fair_queue_review(&q);
            break;
        default:
            fair_queue_push(&q, one, 1 + (uint32_t)property_below(&r, 3), level, n);
            break;
        }
        uint32_t count = 0;
        for (unsigned i = 0; i < WAITERS; i++) {
            count += w[i].messages != 0;
            least = w[i].messages && w[i].level < least ? w[i].level : least;
        }
        struct fair_waiter *first = fair_queue_first(&q);
        assert_int_equal(q.count, count);
        assert_int_equal(first ? first->level : 99, least);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_powers_of_two_of_the_share),
        cmocka_unit_test(each_wait_is_one_level),
        cmocka_unit_test(who_was_not_served_for_longest_is_next),
        cmocka_unit_test(the_first_has_the_least_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
