/* SPDX-License-Identifier: MPL-2.0 */
/* The window follows starvation. */
#include "flow/release_window.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void an_empty_pipe_may_always_have_one(void **state)
{
    struct release_window w;
    release_window_init(&w, 0);
    assert_true(release_window_allows(&w, 0, false, 0, 1e9));
    w.messages = 4;
    w.cost_ns = 1e6;
    assert_true(release_window_allows(&w, 3, false, 5e5, 5e5));
    assert_false(release_window_allows(&w, 4, false, 0, 0));
    assert_false(release_window_allows(&w, 1, false, 5e5, 6e5)); /* two costly ones */
    w.messages = 0;
    assert_false(release_window_allows(&w, 0, false, 0, 0));
    assert_false(release_window_allows(&w, 1, true, 0, 0));
    assert_true(release_window_allows(&w, 0, true, 0, 0));
}

static void it_grows_when_the_application_has_nothing_to_do(void **state)
{
    struct release_window w;
    release_window_init(&w, 0);
    release_window_look(&w, true, 0, NS_PER_MS);
    release_window_look(&w, false, 0, NS_PER_MS + 90 * NS_PER_US);
    assert_int_equal(w.messages, RELEASE_FIRST); /* less than one part in a hundred */
    release_window_look(&w, true, 0, 2 * NS_PER_MS);
    release_window_look(&w, true, 0, 2 * NS_PER_MS + 20 * NS_PER_US);
    assert_int_equal(w.messages, RELEASE_FIRST); /* the wait goes on */
    release_window_look(&w, false, 0, 2 * NS_PER_MS + 20 * NS_PER_US);
    assert_int_equal(w.messages, 2 * RELEASE_FIRST);
}

/* Nobody takes what lies there: the window grows all the same. */
static void a_wait_without_end_counts_in_pieces(void **state)
{
    struct release_window w;
    release_window_init(&w, 0);
    for (uint64_t ns = 0; ns <= 100 * NS_PER_MS; ns += NS_PER_MS)
        release_window_look(&w, true, 0, NS_PER_MS + ns);
    assert_in_range(w.messages, 1u << 8, 1u << 10);
}

/* Idle time lasts until the first take, whenever that is seen. */
static void a_late_look_is_no_idle_time(void **state)
{
    struct release_window w;
    release_window_init(&w, 0);
    release_window_look(&w, true, 0, NS_PER_MS);
    release_window_look(&w, false, NS_PER_MS + 10 * NS_PER_US, 400 * NS_PER_MS);
    assert_int_equal(w.messages, RELEASE_FIRST);
}

static void it_shrinks_when_messages_lie_there_all_the_time(void **state)
{
    struct release_window w;
    release_window_init(&w, 0);
    w.messages = 100;
    uint64_t now_ns = 0;
    for (unsigned i = 0; i < 60 && w.messages; i++) {
        now_ns += RELEASE_SHRINK_NS / 2;
        release_window_shrink(&w, w.messages, 1e6, true, now_ns);
    }
    assert_int_equal(w.messages, 0);
    release_window_grow(&w);
    assert_int_equal(w.messages, 1);
}

/* Released messages are late because the machine is busy: the window grows once. */
static void one_long_wait_is_no_proof_of_a_large_window(void **state)
{
    struct release_window w;
    release_window_init(&w, 0);
    release_window_calm(&w, 50.0 * NS_PER_US);
    release_window_look(&w, true, 0, NS_PER_MS);
    for (uint64_t ns = 0; ns <= 9 * NS_PER_MS; ns += 10 * NS_PER_US)
        release_window_look(&w, true, 0, NS_PER_MS + ns);
    release_window_look(&w, false, 0, 10 * NS_PER_MS);
    assert_int_equal(w.messages, 2 * RELEASE_FIRST);
    w.by_cost = true;
    double cost_ns = w.cost_ns;
    for (uint64_t ns = 0; ns <= 9 * NS_PER_MS; ns += 10 * NS_PER_US)
        release_window_look(&w, true, 0, 30 * NS_PER_MS + ns);
    release_window_look(&w, false, 0, 39 * NS_PER_MS);
    assert_true(w.cost_ns >= 2 * cost_ns && w.cost_ns < 2 * cost_ns + 1);
}

static void it_has_bounds(void **state)
{
    struct release_window w;
    release_window_init(&w, 0);
    for (unsigned i = 0; i < 100; i++)
        release_window_grow(&w);
    assert_int_equal(w.messages, RELEASE_MOST);
    w.by_cost = true;
    for (unsigned i = 0; i < 1000; i++)
        release_window_grow(&w);
    assert_true(w.cost_ns < 1e13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_pipe_may_always_have_one),
        cmocka_unit_test(it_grows_when_the_application_has_nothing_to_do),
        cmocka_unit_test(a_wait_without_end_counts_in_pieces),
        cmocka_unit_test(a_late_look_is_no_idle_time),
        cmocka_unit_test(it_shrinks_when_messages_lie_there_all_the_time),
        cmocka_unit_test(one_long_wait_is_no_proof_of_a_large_window),
        cmocka_unit_test(it_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
