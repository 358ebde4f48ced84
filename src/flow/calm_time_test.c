/* SPDX-License-Identifier: MPL-2.0 */
/* Only whole stretches that stayed calm count. */
#include "flow/calm_time.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define AT(n) (CALM_STRETCH_NS * (n))

static void a_stretch_counts_when_it_was_calm_to_its_end(void **state)
{
    struct calm_time c;
    calm_time_init(&c, AT(10));
    calm_time_advance(&c, AT(11) - 1);
    assert_false(calm_time_was_calm(&c, 10)); /* not over */
    calm_time_advance(&c, AT(11));
    assert_false(calm_time_was_calm(&c, 10)); /* its beginning was not seen */
    calm_time_advance(&c, AT(12));
    assert_true(calm_time_was_calm(&c, 11));
    calm_time_disturb(&c);
    calm_time_advance(&c, AT(14));
    assert_false(calm_time_was_calm(&c, 12));
    assert_true(calm_time_was_calm(&c, 13));
    assert_int_equal(c.calm, 2);
    assert_int_equal(calm_time_ns(&c), 2 * CALM_STRETCH_NS);
}

static void what_is_long_past_is_not_calm(void **state)
{
    struct calm_time c;
    calm_time_init(&c, 0);
    calm_time_advance(&c, AT(3));
    calm_time_advance(&c, AT(3 * (uint64_t)CALM_STRETCHES));
    assert_false(calm_time_was_calm(&c, 2));
    assert_true(calm_time_was_calm(&c, 3 * (uint64_t)CALM_STRETCHES - 1));
    assert_int_equal(c.calm, 3 * CALM_STRETCHES - 1);
    assert_int_equal(calm_time_ns(&c), CALM_TIME_MOST_NS);
}

static void time_that_goes_back_changes_nothing(void **state)
{
    struct calm_time c;
    calm_time_init(&c, AT(10));
    calm_time_advance(&c, AT(4));
    assert_int_equal(c.stretch, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stretch_counts_when_it_was_calm_to_its_end),
        cmocka_unit_test(what_is_long_past_is_not_calm),
        cmocka_unit_test(time_that_goes_back_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
