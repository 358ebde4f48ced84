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

#define KIB 1024u
#define MIB (1024u * KIB)

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
    lag_begin(&g, &l, 5 * MIB);
    /* Three of four keep up with 20 messages of 256 KiB. */
    for (unsigned i = 0; i < 60; i++)
        lag_told(&g, 256 * KIB, 4);
    assert_in_range(lag_bytes(&g, &l, 5 * MIB, 20), 5 * MIB - KIB, 5 * MIB);
    /* What it takes does not wait any more. */
    assert_in_range(lag_bytes(&g, &l, 9 * MIB, 36), MIB - KIB, MIB);
    assert_int_equal(lag_bytes(&g, &l, 11 * MIB, 44), 0);
}

static void a_queue_holds_so_many_messages_only(void **state)
{
    struct lag g = {0};
    struct laggard l;
    lag_enter(&g);
    lag_begin(&g, &l, 1000 * 100);
    for (unsigned i = 0; i < 1000; i++)
        lag_told(&g, MIB, 2);
    assert_int_equal(lag_bytes(&g, &l, 1000 * 100, 1000), LAG_QUEUE * 101);
    /* Nothing is known of the size of its messages. */
    assert_int_equal(lag_bytes(&g, &l, 1000 * 100, 0), 1000u * MIB);
}

static void where_all_lag_nothing_is_known(void **state)
{
    struct lag g = {0};
    struct laggard l;
    for (unsigned i = 0; i < 3; i++)
        lag_enter(&g);
    lag_begin(&g, &l, 0);
    assert_int_equal(lag_bytes(&g, &l, 0, 1), 0);
    for (unsigned i = 0; i < 3; i++)
        lag_leave(&g);
    lag_told(&g, MIB, 3);
    assert_int_equal(atomic_load(&g.told), 0);
}

/* Subscribers of the same stream: whoever keeps up is sent everything, a laggard a part of it. */
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
        lag_begin(&g, &l, passed);
        unsigned published = 1 + (unsigned)property_below(&r, 900);
        for (unsigned n = 0; n < published; n++) {
            for (uint32_t i = lagging; i < subscribers; i++)
                lag_told(&g, size, subscribers);
            bool takes = property_below(&r, 3) == 0;
            queue += takes ? 0 : size;
            passed += takes ? size : 0;
            messages += takes;
        }
        uint64_t told = lag_bytes(&g, &l, passed, messages);
        /* Each division by the number of those who keep up loses less than a unit. */
        uint64_t lost = (uint64_t)published * (subscribers - lagging) / LAG_UNIT + 1;
        assert_true(told <= queue && told + lost >= queue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_laggards_nothing_is_told),    cmocka_unit_test(what_others_got_waits_for_a_laggard),
        cmocka_unit_test(a_queue_holds_so_many_messages_only), cmocka_unit_test(where_all_lag_nothing_is_known),
        cmocka_unit_test(the_estimate_is_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
