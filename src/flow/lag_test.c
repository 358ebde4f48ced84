/* SPDX-License-Identifier: MPL-2.0 */
/* What waits in a publisher, against a publisher that is counted. */
#include "flow/lag.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>

#define KIB  1024u
#define MIB  (1024u * KIB)
#define S(s) (uint64_t)(1e9 * (s))

/* The bytes that the publisher holds back; nothing is known of the time before. */
static uint64_t waits_for(const struct lag *g, const struct laggard *l, uint64_t passed, uint64_t messages)
{
    bool full;
    struct lag_sent sent = {.bytes = passed, .messages = messages};
    return lag_published(g, l, &sent, UINT32_MAX, 0, &full);
}

static void without_laggards_nothing_is_told(void **state)
{
    struct lag g = {0};
    lag_told(&g, MIB, 10);
    assert_int_equal(atomic_load(&g.told), 0);
}

static void what_others_got_waits_for_a_laggard(void **state)
{
    struct lag g = {0};
    struct laggard l;
    lag_enter(&g);
    lag_begin(&g, &l, 5 * MIB, 0);
    /* Three of four keep up with 20 messages of 256 KiB. */
    for (unsigned i = 0; i < 60; i++)
        lag_told(&g, 256 * KIB, 4);
    assert_in_range(waits_for(&g, &l, 5 * MIB, 20), 5 * MIB - KIB, 5 * MIB);
    /* Messages that it has taken do not wait. */
    assert_in_range(waits_for(&g, &l, 9 * MIB, 36), MIB - KIB, MIB);
    assert_int_equal(waits_for(&g, &l, 11 * MIB, 44), 0);
}

static void a_queue_holds_so_many_messages_only(void **state)
{
    struct lag g = {0};
    struct laggard l;
    lag_enter(&g);
    lag_begin(&g, &l, 1000 * 100, 0);
    for (unsigned i = 0; i < 1000; i++)
        lag_told(&g, MIB, 2);
    assert_int_equal(waits_for(&g, &l, 1000 * 100, 1000), LAG_QUEUE * 101);
    /* Nothing is known of the size of its messages. */
    assert_int_equal(waits_for(&g, &l, 1000 * 100, 0), 1000u * MIB);
}

static void where_all_lag_nothing_is_known(void **state)
{
    struct lag g = {0};
    struct laggard l;
    for (unsigned i = 0; i < 3; i++)
        lag_enter(&g);
    lag_begin(&g, &l, 0, 0);
    assert_int_equal(waits_for(&g, &l, 0, 1), 0);
    for (unsigned i = 0; i < 3; i++)
        lag_leave(&g);
    lag_told(&g, MIB, 3);
    assert_int_equal(atomic_load(&g.told), 0);
}

/* As much as before: 10 MiB in 10 s, and for 5 s nothing was taken. */
static void where_all_lag_it_goes_on_as_before(void **state)
{
    struct lag g = {0};
    struct laggard l;
    bool full;
    struct lag_sent sent = {.bytes = 10 * MIB, .messages = 1000, .opened_ns = S(7)};
    lag_enter(&g);
    lag_begin(&g, &l, 10 * MIB, S(17));
    assert_int_equal(lag_published(&g, &l, &sent, 1, S(22), &full), 5 * MIB);
    assert_false(full);
    assert_int_equal(lag_published(&g, &l, &sent, 2, S(22), &full), 0);
    assert_int_equal(lag_published(&g, &l, &sent, 1, S(1022), &full), LAG_QUEUE * (uint64_t)(10 * MIB / 1000 + 1));
    assert_true(full);
}

/* No other subscriber shows what is published for these alone. Those that never took anything do not show it either. */
static void of_many_that_never_took_anything_the_worst_is_assumed(void **state)
{
    struct lag g = {0};
    struct laggard l[3] = {0};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(waits_for(&g, &l[0], 1000 * 100, 1000), 0);
        lag_enter(&g);
        lag_begin(&g, &l[i], 1000 * 100, 0);
        lag_stall(&g, &l[i], true);
        lag_stall(&g, &l[i], true);
    }
    assert_int_equal(waits_for(&g, &l[0], 1000 * 100, 1000), LAG_QUEUE * 101);
    lag_stall(&g, &l[1], false);
    assert_int_equal(waits_for(&g, &l[0], 1000 * 100, 1000), LAG_QUEUE * 101); /* crowded until none is stalled */
    lag_stall(&g, &l[0], false);
    lag_stall(&g, &l[2], false);
    assert_int_equal(g.stalled, 0);
    lag_stall(&g, &l[0], true);
    assert_int_equal(waits_for(&g, &l[0], 1000 * 100, 1000), 0);
}

/* 20 messages of 60 kB a second for 10 s, then a pause of 10 s, beside two that never took anything. */
static void of_many_that_pause_as_much_as_before_is_assumed(void **state)
{
    struct lag g = {0};
    struct laggard l[3] = {0};
    bool full;
    struct lag_sent sent = {.bytes = 12000000, .messages = 200, .opened_ns = S(7)};
    for (unsigned i = 0; i < 3; i++) {
        lag_enter(&g);
        lag_begin(&g, &l[i], 12000000, S(17));
        lag_stall(&g, &l[i], true);
    }
    assert_int_equal(lag_published(&g, &l[0], &sent, 9, S(27), &full), 12000000);
    assert_false(full);
    lag_tell(&g, 9 * (uint64_t)20000000, 9 + 3); /* the others show more */
    assert_in_range(lag_published(&g, &l[0], &sent, 9 + 3, S(27), &full), 19990000, 20000000);
}

/* ---- requesters ---- */

static void what_was_asked_waits_for_a_requester(void **state)
{
    bool single;
    struct lag_sent sent = {.bytes = 100 * KIB, .messages = 100};
    assert_int_equal(lag_answers(&sent, 100, 0, 10 * MIB, &single), 0);
    assert_true(single);
    assert_int_equal(lag_answers(&sent, 90, 0, 10 * MIB, &single), 0); /* it is sent more than it asked for */
    assert_int_equal(lag_answers(&sent, 150, 0, 10 * MIB, &single), 50 * KIB);
    assert_false(single);
    assert_int_equal(lag_answers(&sent, 150, 700, 10 * MIB, &single), 49 * KIB + 700);
    assert_int_equal(lag_answers(&sent, 101, 40 * MIB, 10 * MIB, &single), 40 * MIB);
    assert_true(single);
    assert_int_equal(lag_answers(&sent, UINT64_MAX, 0, 10 * MIB, &single), LAG_QUEUE * KIB);
    sent = (struct lag_sent){0};
    assert_int_equal(lag_answers(&sent, 3, 9 * MIB, 10 * MIB, &single), 2 * 10 * MIB + 9 * MIB);
}

/* ---- all laggards ---- */

static void who_takes_it_within_a_minute_is_not_long(void **state)
{
    struct lag g = {0};
    struct laggard l;
    lag_begin(&g, &l, MIB, S(10));
    assert_false(lag_is_long(&l, MIB, 50 * MIB, S(10.1))); /* not known yet */
    assert_true(lag_is_long(&l, MIB, 50 * MIB, S(12)));
    assert_false(lag_is_long(&l, MIB, 0, S(12)));
    assert_false(lag_is_long(&l, 3 * MIB, 50 * MIB, S(12))); /* 1 MiB a second */
    assert_true(lag_is_long(&l, 3 * MIB, 61 * MIB, S(12)));
}

static void those_that_are_long_give_way_first(void **state)
{
    struct lag g = {0};
    struct laggard honest = {0}, large = {0}, small = {0};
    lag_count(&g, &honest, 20 * MIB, false);
    lag_count(&g, &large, 8 * MIB, true);
    lag_count(&g, &small, MIB, true);
    assert_false(lag_gives_way(&g, &large, 0, 64 * MIB));
    lag_count(&g, &large, 12 * MIB, true);
    assert_true(lag_gives_way(&g, &large, 0, 64 * MIB)); /* 33 MiB */
    assert_false(lag_gives_way(&g, &small, 0, 64 * MIB) || lag_gives_way(&g, &honest, 0, 64 * MIB));
    lag_count(&g, &honest, 70 * MIB, false);
    assert_false(lag_gives_way(&g, &honest, 0, 64 * MIB));
    lag_count(&g, &large, 0, false);
    assert_true(lag_gives_way(&g, &small, 0, 64 * MIB));
    lag_count(&g, &small, 0, false);
    assert_true(lag_gives_way(&g, &honest, 0, 64 * MIB));
    lag_count(&g, &honest, 0, true);
    assert_int_equal(g.all.bytes + g.first.bytes, 0);
    assert_int_equal(g.all.count + g.first.count, 0);
}

static void one_message_of_one_client_is_never_too_much(void **state)
{
    struct lag g = {0};
    struct laggard l = {.single = true}, other = {0};
    lag_count(&g, &l, 200 * MIB, true);
    assert_false(lag_gives_way(&g, &l, 0, 64 * MIB));
    lag_count(&g, &other, 1, true);
    assert_true(lag_gives_way(&g, &l, 0, 64 * MIB));
    assert_false(lag_gives_way(&g, &other, 0, 64 * MIB));
}

/* Bytes of subscribers are added up only if they are not shared; those of one alone may be too many by themselves. */
static void one_subscriber_alone_may_be_too_far_behind(void **state)
{
    struct lag g = {0};
    struct laggard l = {0};
    lag_count(&g, &l, 0, false);
    assert_false(lag_gives_way(&g, &l, 64 * MIB, 64 * MIB));
    assert_true(lag_gives_way(&g, &l, 65 * MIB, 64 * MIB));
    lag_count(&g, &l, 0, true);
    assert_true(lag_gives_way(&g, &l, 33 * MIB, 64 * MIB));
}

/* Subscribers of the same stream: one that keeps up is sent everything, a laggard a part of it. */
static void the_estimate_is_the_queue(void **state)
{
    struct property_rng r = property_rng_new("lag");
    for (unsigned run = 0; run < 300; run++) {
        struct lag g = {0};
        struct laggard l;
        uint32_t subscribers = 2 + (uint32_t)property_below(&r, 100);
        uint32_t lagging = 1 + (uint32_t)property_below(&r, subscribers - 1);
        uint64_t size = 1 + property_magnitude(&r, 20), passed = 0, messages = 0, queue = 0;
        for (uint32_t i = 0; i < lagging; i++)
            lag_enter(&g);
        lag_begin(&g, &l, passed, 0);
        unsigned published = 1 + (unsigned)property_below(&r, 900);
        for (unsigned n = 0; n < published; n++) {
            for (uint32_t i = lagging; i < subscribers; i++)
                lag_told(&g, size, subscribers);
            bool takes = property_below(&r, 3) == 0;
            queue += takes ? 0 : size;
            passed += takes ? size : 0;
            messages += takes;
        }
        uint64_t told = waits_for(&g, &l, passed, messages);
        /* Each division by the number of subscribers that keep up loses less than a unit. */
        uint64_t lost = (uint64_t)published * (subscribers - lagging) / LAG_UNIT + 1;
        assert_true(told <= queue && told + lost >= queue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_laggards_nothing_is_told),
        cmocka_unit_test(what_others_got_waits_for_a_laggard),
        cmocka_unit_test(a_queue_holds_so_many_messages_only),
        cmocka_unit_test(where_all_lag_nothing_is_known),
        cmocka_unit_test(where_all_lag_it_goes_on_as_before),
        cmocka_unit_test(of_many_that_never_took_anything_the_worst_is_assumed),
        cmocka_unit_test(of_many_that_pause_as_much_as_before_is_assumed),
        cmocka_unit_test(what_was_asked_waits_for_a_requester),
        cmocka_unit_test(who_takes_it_within_a_minute_is_not_long),
        cmocka_unit_test(those_that_are_long_give_way_first),
        cmocka_unit_test(one_message_of_one_client_is_never_too_much),
        cmocka_unit_test(one_subscriber_alone_may_be_too_far_behind),
        cmocka_unit_test(the_estimate_is_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
