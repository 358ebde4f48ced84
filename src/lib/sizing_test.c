/* SPDX-License-Identifier: MPL-2.0 */
#include "lib/sizing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct sizing make(void)
{
    return (struct sizing){.min = 2, .max = 64, .cores = 4};
}

static void note(struct sizing *s, unsigned tasks, uint64_t took_ns, uint64_t cpu_ns)
{
    for (unsigned i = 0; i < tasks; i++)
        sizing_note(s, took_ns, cpu_ns);
}

static void at_first_as_many_as_cores(void **state)
{
    struct sizing s = make();
    assert_int_equal(sizing_wanted(&s), 4);
}

static void tasks_that_compute_get_cores(void **state)
{
    struct sizing s = make();
    note(&s, 100, NS_PER_MS, NS_PER_MS);
    assert_int_equal(sizing_wanted(&s), 4);
}

static void tasks_that_wait_get_more(void **state)
{
    struct sizing s = make();
    note(&s, 100, 10 * NS_PER_MS, 2 * NS_PER_MS);
    assert_int_equal(sizing_wanted(&s), 20);
    note(&s, 2000, 10 * NS_PER_MS, 0);
    assert_int_equal(sizing_wanted(&s), 64);
    note(&s, 2000, NS_PER_MS, NS_PER_MS);
    assert_int_equal(sizing_wanted(&s), 4);
}

static void it_grows_step_by_step(void **state)
{
    struct sizing s = make();
    uint64_t now_ns = 1000 * NS_PER_S;
    assert_true(sizing_grows(&s, 2, now_ns));
    assert_false(sizing_grows(&s, 3, now_ns + SIZING_STEP_NS - 1));
    assert_true(sizing_grows(&s, 3, now_ns + SIZING_STEP_NS));
    assert_false(sizing_grows(&s, 4, now_ns + NS_PER_S));
}

static void there_is_a_core(void **state)
{
    assert_true(sizing_cores() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_first_as_many_as_cores), cmocka_unit_test(tasks_that_compute_get_cores),
        cmocka_unit_test(tasks_that_wait_get_more),  cmocka_unit_test(it_grows_step_by_step),
        cmocka_unit_test(there_is_a_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
