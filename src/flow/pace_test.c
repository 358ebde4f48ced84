/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/pace.h"

#include "base/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define NOW_NS (1000 * NS_PER_S)

static void nothing_is_known_at_first(void **state)
{
    struct pace p = {0};
    pace_note(&p, 0, 200, NS_PER_S, NOW_NS);
    pace_note(&p, 1000, 200, 0, NOW_NS);
    assert_int_equal(pace_bytes(&p, NOW_NS), 0);
    assert_int_equal(pace_messages(&p, NOW_NS), 0);
}

static void it_counts_a_second_and_never_less_than_one(void **state)
{
    struct pace p = {0};
    pace_note(&p, 1000, 200, 100 * NS_PER_MS, NOW_NS);
    assert_int_equal(pace_bytes(&p, NOW_NS), 10000);
    assert_int_equal(pace_messages(&p, NOW_NS), 50);
    pace_note(&p, 1000, 0, 1000 * NS_PER_S, NOW_NS);
    assert_int_equal(pace_bytes(&p, NOW_NS), 1);
    pace_note(&p, 3, 1000000, NS_PER_S, NOW_NS);
    assert_int_equal(pace_messages(&p, NOW_NS), 1);
}

static void it_doubles_and_is_forgotten(void **state)
{
    struct pace p = {0};
    pace_note(&p, 1000, 100, NS_PER_S, NOW_NS);
    assert_int_equal(pace_bytes(&p, NOW_NS - NS_PER_MS), 1000); /* a clock that is behind */
    assert_int_equal(pace_bytes(&p, NOW_NS + PACE_DOUBLES_NS - 1), 1000);
    assert_int_equal(pace_bytes(&p, NOW_NS + PACE_DOUBLES_NS), 2000);
    uint64_t last_ns = NOW_NS + (PACE_DOUBLINGS_MOST + 1) * PACE_DOUBLES_NS - 1;
    assert_int_equal(pace_messages(&p, last_ns), 10u << PACE_DOUBLINGS_MOST);
    assert_int_equal(pace_messages(&p, last_ns + 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(it_counts_a_second_and_never_less_than_one),
        cmocka_unit_test(it_doubles_and_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
