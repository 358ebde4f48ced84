/* SPDX-License-Identifier: MPL-2.0 */
/* Least attained first, equals by turns, no connection starves. */
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

/* Against a model that searches a list. */
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

static void enter(struct fair_queue *q, struct fair_waiter *w, uint8_t weight, uint8_t priority)
{
    fair_waiter_init(w);
    fair_queue_class(q, w, weight, priority);
    fair_queue_push(q, w, 1, 0, 0);
}

/* The index of the connection of `w` that is first. It waits anew. */
static unsigned serve(struct fair_queue *q, struct fair_waiter *w)
{
    struct fair_waiter *first = fair_queue_first(q);
    fair_queue_serve(q, first, 1);
    fair_queue_push(q, first, 1, 0, 0);
    return (unsigned)(first - w);
}

/* One message in eight is for the priorities behind, and of these again one in eight for those behind them. */
static void a_priority_goes_first_and_starves_nobody(void **state)
{
    struct fair_queue q;
    struct fair_waiter w[4];
    unsigned served[4] = {0};
    fair_queue_init(&q);
    enter(&q, &w[0], 1, 0);
    enter(&q, &w[1], 1, 1);
    enter(&q, &w[2], 1, 3);
    assert_int_equal(fair_queue_below(&q, &w[0]), 3);
    assert_int_equal(fair_queue_below(&q, &w[1]), 2);
    assert_int_equal(fair_queue_below(&q, &w[2]), 0);
    assert_false(fair_queue_stands_back(&q, &w[0]));
    assert_true(fair_queue_stands_back(&q, &w[1]));
    for (unsigned n = 0; n < 640; n++)
        served[serve(&q, w)]++;
    assert_int_equal(served[0], 560);
    assert_int_equal(served[1], 70);
    assert_int_equal(served[2], 10);
    fair_queue_remove(&q, &w[2]);
    assert_int_equal(fair_queue_below(&q, &w[0]), 1);
    fair_queue_remove(&q, &w[0]);
    assert_int_equal(serve(&q, w), 1);
}

/* A connection that was alone owes nothing to lower priorities that come later. */
static void nothing_is_owed_from_before(void **state)
{
    struct fair_queue q;
    struct fair_waiter w[2];
    fair_queue_init(&q);
    enter(&q, &w[0], 1, 0);
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(serve(&q, w), 0);
    enter(&q, &w[1], 1, 2);
    for (unsigned n = 0; n < FAIR_BEHIND; n++)
        assert_int_equal(serve(&q, w), 0);
    assert_int_equal(serve(&q, w), 1);
    assert_int_equal(serve(&q, w), 0);
}

static void a_weight_is_so_many_messages_a_turn(void **state)
{
    struct fair_queue q;
    struct fair_waiter w[3];
    unsigned served[3] = {0};
    fair_queue_init(&q);
    enter(&q, &w[0], 4, 1);
    enter(&q, &w[1], 1, 1);
    enter(&q, &w[2], 100, 1);
    for (unsigned n = 0; n < 1050; n++)
        served[serve(&q, w)]++;
    assert_int_equal(served[0], 40);
    assert_int_equal(served[1], 10);
    assert_int_equal(served[2], 1000);
    fair_queue_class(&q, &w[2], 1, 0);
    assert_int_equal(serve(&q, w), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_powers_of_two_of_the_share),    cmocka_unit_test(each_wait_is_one_level),
        cmocka_unit_test(who_was_not_served_for_longest_is_next),   cmocka_unit_test(the_first_has_the_least_level),
        cmocka_unit_test(a_priority_goes_first_and_starves_nobody), cmocka_unit_test(nothing_is_owed_from_before),
        cmocka_unit_test(a_weight_is_so_many_messages_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
