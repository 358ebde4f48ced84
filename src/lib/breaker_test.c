/* SPDX-License-Identifier: MPL-2.0 */
#include <weir/breaker.h>

#include "base/attr.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>

static _Atomic uint64_t now;
static _Atomic unsigned changes[3];

static uint64_t test_now(void *arg)
{
    return now;
}

static void on_change(enum weir_breaker_state to, void *arg)
{
    changes[to]++;
}

static struct weir_breaker_options options(void)
{
    struct weir_breaker_options o;
    weir_breaker_options_init(&o);
    o.clock.now_ns = test_now;
    o.changed = on_change;
    return o;
}

static struct weir_breaker *make(const struct weir_breaker_options *o)
{
    now = 1000 * NS_PER_S;
    for (unsigned i = 0; i < 3; i++)
        changes[i] = 0;
    struct weir_breaker *b = weir_breaker_new(o);
    assert_non_null(b);
    return b;
}

static int call(struct weir_breaker *b, enum weir_outcome outcome, uint64_t ns)
{
    struct weir_breaker_call c;
    int error = weir_breaker_enter(b, &c);
    if (error)
        return error;
    now += ns;
    weir_breaker_leave(b, &c, outcome);
    return 0;
}

static struct weir_breaker_stats stats(struct weir_breaker *b)
{
    struct weir_breaker_stats s = {.size = sizeof(s)};
    assert_int_equal(weir_breaker_read(b, &s), 0);
    return s;
}

static void failures_in_a_row_open(void **state)
{
    struct weir_breaker_options o = options();
    struct weir_breaker *b = make(&o);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(call(b, WEIR_FAILED, 0), 0);
    assert_int_equal(call(b, WEIR_OK, 0), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(call(b, WEIR_FAILED, 0), 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_OPEN);
    struct weir_breaker_call c;
    assert_int_equal(weir_breaker_enter(b, &c), -EAGAIN);
    assert_true(c.wait_ns > 3 * NS_PER_S && c.wait_ns <= 5 * NS_PER_S);
    assert_int_equal(changes[WEIR_BREAKER_OPEN], 1);
    assert_int_equal(stats(b).refused, 1);
    assert_int_equal(stats(b).calls_in_all, 10);
    weir_breaker_free(b);
}

static void a_share_of_failures_opens(void **state)
{
    struct weir_breaker_options o = options();
    o.failures = 0;
    struct weir_breaker *b = make(&o);
    for (unsigned i = 0; i < 19; i++)
        assert_int_equal(call(b, i % 2 ? WEIR_OK : WEIR_FAILED, NS_PER_MS), 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_CLOSED);
    assert_int_equal(call(b, WEIR_FAILED, 0), 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_OPEN);
    weir_breaker_free(b);
}

static void old_failures_are_forgotten(void **state)
{
    struct weir_breaker_options o = options();
    o.failures = 0;
    struct weir_breaker *b = make(&o);
    for (unsigned i = 0; i < 19; i++)
        assert_int_equal(call(b, WEIR_FAILED, 0), 0);
    assert_int_equal(stats(b).failures, 19);
    now += 11 * NS_PER_S;
    assert_int_equal(stats(b).failures, 0);
    assert_int_equal(call(b, WEIR_FAILED, 0), 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_CLOSED);
    weir_breaker_free(b);
}

static void slow_calls_open(void **state)
{
    struct weir_breaker_options o = options();
    o.slow_ns = 100 * NS_PER_MS;
    struct weir_breaker *b = make(&o);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(call(b, WEIR_OK, i < 4 ? NS_PER_MS : 101 * NS_PER_MS), 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_OPEN);
    weir_breaker_free(b);
}

static void ignored_calls_count_for_nothing(void **state)
{
    struct weir_breaker_options o = options();
    struct weir_breaker *b = make(&o);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(call(b, WEIR_IGNORED, NS_PER_MS), 0);
    assert_int_equal(stats(b).calls, 0);
    weir_breaker_free(b);
}

static void open_it(struct weir_breaker *b)
{
    for (unsigned i = 0; i < 5; i++)
        (void)call(b, WEIR_FAILED, 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_OPEN);
}

static void trials_close(void **state)
{
    struct weir_breaker_options o = options();
    o.trials = 2;
    struct weir_breaker *b = make(&o);
    open_it(b);
    now += 5 * NS_PER_S;
    struct weir_breaker_call c[3];
    assert_int_equal(weir_breaker_enter(b, &c[0]), 0);
    assert_int_equal(weir_breaker_enter(b, &c[1]), 0);
    assert_int_equal(weir_breaker_enter(b, &c[2]), -EAGAIN);
    weir_breaker_leave(b, &c[0], WEIR_OK);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_HALF_OPEN);
    weir_breaker_leave(b, &c[1], WEIR_OK);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_CLOSED);
    assert_int_equal(changes[WEIR_BREAKER_HALF_OPEN], 1);
    assert_int_equal(changes[WEIR_BREAKER_CLOSED], 1);
    weir_breaker_free(b);
}

static void a_failed_trial_doubles_the_open_time(void **state)
{
    struct weir_breaker_options o = options();
    struct weir_breaker *b = make(&o);
    open_it(b);
    now += 5 * NS_PER_S;
    assert_int_equal(call(b, WEIR_FAILED, 0), 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_OPEN);
    uint64_t left_ns = stats(b).open_until_ns - now;
    assert_true(left_ns > 7 * NS_PER_S && left_ns <= 10 * NS_PER_S);
    weir_breaker_free(b);
}

static void a_slow_trial_is_no_success(void **state)
{
    struct weir_breaker_options o = options();
    o.slow_ns = NS_PER_S;
    struct weir_breaker *b = make(&o);
    open_it(b);
    now += 5 * NS_PER_S;
    assert_int_equal(call(b, WEIR_OK, 2 * NS_PER_S), 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_OPEN);
    weir_breaker_free(b);
}

static void an_ignored_trial_frees_its_place(void **state)
{
    struct weir_breaker_options o = options();
    struct weir_breaker *b = make(&o);
    open_it(b);
    now += 5 * NS_PER_S;
    assert_int_equal(call(b, WEIR_IGNORED, 0), 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_HALF_OPEN);
    assert_int_equal(call(b, WEIR_OK, 0), 0);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_CLOSED);
    weir_breaker_free(b);
}

static void what_began_before_it_opened_is_no_trial(void **state)
{
    struct weir_breaker_options o = options();
    struct weir_breaker *b = make(&o);
    struct weir_breaker_call old;
    assert_int_equal(weir_breaker_enter(b, &old), 0);
    open_it(b);
    now += 5 * NS_PER_S;
    weir_breaker_leave(b, &old, WEIR_OK);
    assert_int_equal(weir_breaker_state(b), WEIR_BREAKER_HALF_OPEN);
    weir_breaker_free(b);
}

static void after_closing_a_share_passes(void **state)
{
    struct weir_breaker_options o = options();
    o.slow_start_ns = 10 * NS_PER_S;
    struct weir_breaker *b = make(&o);
    open_it(b);
    now += 5 * NS_PER_S;
    assert_int_equal(call(b, WEIR_OK, 0), 0);
    struct weir_breaker_call c[1000];
    now += 5 * NS_PER_S;
    unsigned passed = 0;
    for (unsigned i = 0; i < 1000; i++)
        passed += weir_breaker_enter(b, &c[i]) == 0;
    assert_true(passed > 350 && passed < 650);
    now += 5 * NS_PER_S;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(call(b, WEIR_OK, 0), 0);
    weir_breaker_free(b);
}

static void wrong_options_are_refused(void **state)
{
    struct weir_breaker_options o = options();
    o.failure_percent = 101;
    assert_null(weir_breaker_new(&o));
    assert_int_equal(errno, EINVAL);
    o = options();
    o.trials = 0;
    assert_null(weir_breaker_new(&o));
    o = options();
    o.open_max_ns = 1;
    assert_null(weir_breaker_new(&o));
    o = options();
    o.size++;
    assert_null(weir_breaker_new(&o));
    struct weir_breaker *b = weir_breaker_new(NULL);
    assert_non_null(b);
    struct weir_breaker_stats s = {0};
    assert_int_equal(weir_breaker_read(b, &s), -EINVAL);
    weir_breaker_free(b);
    weir_breaker_free(NULL);
}

static void *fail_and_succeed(void *arg)
{
    struct weir_breaker *b = arg;
    for (unsigned i = 0; i < 20000; i++) {
        if (call(b, i % 3 ? WEIR_FAILED : WEIR_OK, 10 * NS_PER_MS) < 0)
            now += NS_PER_MS;
        if (i % 64 == 0)
            (void)stats(b);
    }
    return NULL;
}

static void threads_agree(void **state)
{
    struct weir_breaker_options o = options();
    o.open_ns = o.open_max_ns = 50 * NS_PER_MS;
    struct weir_breaker *b = make(&o);
    pthread_t threads[4];
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_and_succeed, b), 0);
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    struct weir_breaker_stats s = stats(b);
    assert_int_equal(s.calls_in_all + s.refused, 80000);
    assert_int_equal(s.opened, changes[WEIR_BREAKER_OPEN]);
    assert_true(s.opened > 1);
    weir_breaker_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open),
        cmocka_unit_test(a_share_of_failures_opens),
        cmocka_unit_test(old_failures_are_forgotten),
        cmocka_unit_test(slow_calls_open),
        cmocka_unit_test(ignored_calls_count_for_nothing),
        cmocka_unit_test(trials_close),
        cmocka_unit_test(a_failed_trial_doubles_the_open_time),
        cmocka_unit_test(a_slow_trial_is_no_success),
        cmocka_unit_test(an_ignored_trial_frees_its_place),
        cmocka_unit_test(what_began_before_it_opened_is_no_trial),
        cmocka_unit_test(after_closing_a_share_passes),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(threads_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
