/* SPDX-License-Identifier: MPL-2.0 */
/* A standing queue is shed, a burst is not, and the order of priorities holds. */
#include "flow/codel.h"

#include "base/clock.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define TARGET   (5 * NS_PER_MS)
#define INTERVAL (100 * NS_PER_MS)

static const struct codel_params params = {.target_ns = TARGET, .interval_ns = INTERVAL};

/* Asks at the times that codel_sheds() returns until the request is shed. Returns when, or 0 after `until_ns`. */
static uint64_t shed_at(struct codel *c, uint64_t since_ns, unsigned below, uint64_t until_ns)
{
    uint64_t again_ns = since_ns;
    while (again_ns <= until_ns) {
        uint64_t now_ns = again_ns;
        if (codel_sheds(c, &params, since_ns, below, now_ns, &again_ns))
            return now_ns;
        assert_true(again_ns > now_ns);
    }
    return 0;
}

static void without_a_target_nothing_is_shed(void **state)
{
    struct codel c = {0};
    uint64_t again_ns;
    codel_waits(&c, &(struct codel_params){0}, NS_PER_S);
    assert_false(codel_sheds(&c, &(struct codel_params){0}, NS_PER_S, 0, 3600 * NS_PER_S, &again_ns));
    assert_int_equal(again_ns, UINT64_MAX);
}

static void a_request_that_nobody_serves_is_shed_after_an_interval(void **state)
{
    struct codel c = {0};
    codel_waits(&c, &params, NS_PER_S);
    assert_int_equal(shed_at(&c, NS_PER_S, 0, 10 * NS_PER_S), NS_PER_S + TARGET + INTERVAL);
    /* The queue stands: the next is shed after twice the target. */
    uint64_t since_ns = NS_PER_S + TARGET + INTERVAL;
    codel_waits(&c, &params, since_ns);
    assert_int_equal(shed_at(&c, since_ns, 0, 10 * NS_PER_S), since_ns + 2 * TARGET);
}

static void one_that_is_served_in_time_ends_the_queue(void **state)
{
    struct codel c = {0};
    uint64_t again_ns, now_ns = NS_PER_S;
    codel_waits(&c, &params, now_ns);
    /* Always late, but once in time before the interval is over. */
    for (unsigned i = 0; i < 9; i++)
        codel_served(&c, &params, 2 * TARGET, now_ns += 10 * NS_PER_MS);
    codel_served(&c, &params, TARGET, now_ns += NS_PER_MS);
    codel_served(&c, &params, 2 * TARGET, now_ns += 10 * NS_PER_MS);
    assert_false(codel_sheds(&c, &params, now_ns - 3 * TARGET, 0, now_ns, &again_ns));
    assert_int_equal(again_ns, now_ns + INTERVAL);
    for (unsigned i = 0; i < 10; i++)
        codel_served(&c, &params, 2 * TARGET, now_ns += 10 * NS_PER_MS);
    assert_true(codel_sheds(&c, &params, now_ns - 3 * TARGET, 0, now_ns, &again_ns));
    /* Young requests are still served. */
    assert_false(codel_sheds(&c, &params, now_ns - TARGET, 0, now_ns, &again_ns));
    assert_int_equal(again_ns, now_ns + TARGET);
}

static void a_source_that_was_quiet_begins_anew(void **state)
{
    struct codel c = {0};
    codel_waits(&c, &params, NS_PER_S);
    assert_true(shed_at(&c, NS_PER_S, 0, 10 * NS_PER_S) != 0);
    uint64_t since_ns = 20 * NS_PER_S;
    codel_waits(&c, &params, since_ns);
    assert_int_equal(shed_at(&c, since_ns, 0, 30 * NS_PER_S), since_ns + TARGET + INTERVAL);
}

static void higher_priorities_have_more_patience(void **state)
{
    for (unsigned below = 0; below < 4; below++) {
        struct codel c = {.late_since_ns = NS_PER_S, .seen_ns = 2 * NS_PER_S};
        assert_int_equal(shed_at(&c, 2 * NS_PER_S, below, 10 * NS_PER_S), 2 * NS_PER_S + (2 * TARGET << below));
    }
    struct codel c = {.late_since_ns = NS_PER_S, .seen_ns = 2 * NS_PER_S};
    assert_int_equal(shed_at(&c, 2 * NS_PER_S, 1000, 10 * NS_PER_S), 2 * NS_PER_S + (2 * TARGET << 8));
}

/* In any case a shed request has waited for twice the target, and none was served in time for an interval. */
static void nothing_is_shed_before_its_time(void **state)
{
    struct property_rng r = property_rng_new("codel");
    for (unsigned run = 0; run < 200; run++) {
        struct codel c = {0};
        uint64_t now_ns = NS_PER_S, in_time_ns = now_ns, again_ns;
        codel_waits(&c, &params, now_ns);
        for (unsigned i = 0; i < 1000; i++) {
            uint64_t waited_ns = property_below(&r, 4 * TARGET);
            now_ns += property_below(&r, property_below(&r, 8) ? 4 * NS_PER_MS : 2 * INTERVAL);
            switch (property_below(&r, 3)) {
            case 0:
                codel_waits(&c, &params, now_ns);
                break;
            case 1:
                waited_ns = property_below(&r, 16) ? waited_ns + TARGET + 1 : waited_ns;
                codel_served(&c, &params, waited_ns, now_ns);
                in_time_ns = waited_ns <= TARGET ? now_ns : in_time_ns;
                break;
            default:
                if (!codel_sheds(&c, &params, now_ns - waited_ns, 0, now_ns, &again_ns)) {
                    assert_true(again_ns > now_ns);
                    break;
                }
                assert_true(waited_ns >= 2 * TARGET);
                assert_true(now_ns - in_time_ns >= INTERVAL);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_target_nothing_is_shed),
        cmocka_unit_test(a_request_that_nobody_serves_is_shed_after_an_interval),
        cmocka_unit_test(one_that_is_served_in_time_ends_the_queue),
        cmocka_unit_test(a_source_that_was_quiet_begins_anew),
        cmocka_unit_test(higher_priorities_have_more_patience),
        cmocka_unit_test(nothing_is_shed_before_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
