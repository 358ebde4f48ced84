/* SPDX-License-Identifier: MPL-2.0 */
/* Which hashes were here lately, and for how long that is remembered. */
#include "limits/visits.h"

#include "base/property.h"
#include "base/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define START  (UINT64_C(1000) * NS_PER_S)
#define MINUTE (60 * NS_PER_S)

static struct visits v;

static int set_up(void **state)
{
    memset(&v, 0, sizeof(v));
    return 0;
}

static void a_visit_is_remembered_for_as_long_as_it_is_asked_for(void **state)
{
    assert_false(visits_has(&v, 77, MINUTE, START));
    visits_note(&v, 77, START);
    for (uint64_t age = 0; age <= 50 * NS_PER_S; age += NS_PER_S)
        assert_true(visits_has(&v, 77, MINUTE, START + age));
    for (uint64_t age = MINUTE + 10 * NS_PER_S; age < 30 * MINUTE; age += NS_PER_S)
        assert_false(visits_has(&v, 77, MINUTE, START + age));
}

/* A worker whose clock is a little behind. */
static void clocks_may_differ(void **state)
{
    visits_note(&v, 77, START);
    assert_true(visits_has(&v, 77, MINUTE, START - NS_PER_MS));
    for (uint64_t at = START; at < START + MINUTE; at += 100 * NS_PER_MS) {
        visits_note(&v, 77, at);
        assert_true(visits_has(&v, 77, MINUTE, at - 50 * NS_PER_MS));
    }
}

static void two_thousand_hide_few_others(void **state)
{
    struct property_rng random = property_rng_new("visits");
    unsigned mistaken = 0;
    for (unsigned i = 0; i < 2000; i++)
        visits_note(&v, property_next(&random), START);
    for (unsigned i = 0; i < 10000; i++)
        mistaken += visits_has(&v, property_next(&random), MINUTE, START);
    assert_in_range(mistaken, 0, 100);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, set_up)
    const struct CMUnitTest tests[] = {
        TEST(a_visit_is_remembered_for_as_long_as_it_is_asked_for),
        TEST(clocks_may_differ),
        TEST(two_thousand_hide_few_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
