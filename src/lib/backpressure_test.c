/* SPDX-License-Identifier: MPL-2.0 */
#include "lib/backpressure.h"

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

static uint64_t test_now(void *arg)
{
    return now;
}

static struct weir_backpressure *make(uint64_t target_ns, uint32_t limit_max)
{
    struct weir_backpressure_options o;
    weir_backpressure_options_init(&o);
    o.target_ns = target_ns;
    o.limit_max = limit_max;
    o.clock.now_ns = test_now;
    now = 1000 * NS_PER_S;
    struct weir_backpressure *b = weir_backpressure_new(&o);
    assert_non_null(b);
    return b;
}

static void call(struct weir_backpressure *b, uint64_t ns, enum weir_outcome outcome)
{
    uint64_t began_ns = weir_backpressure_begin(b);
    now += ns;
    weir_backpressure_end(b, began_ns, outcome);
}

static struct weir_backpressure_stats stats(struct weir_backpressure *b)
{
    struct weir_backpressure_stats s = {.size = sizeof(s)};
    assert_int_equal(weir_backpressure_read(b, &s), 0);
    return s;
}

static void a_mark_stops_all(void **state)
{
    struct weir_backpressure *b = make(0, 8);
    assert_int_equal(weir_backpressure_limit(b), 8);
    weir_backpressure_mark(b, UINT64_MAX);
    now += 1000 * NS_PER_S;
    assert_int_equal(weir_backpressure_limit(b), 0);
    weir_backpressure_clear(b);
    assert_int_equal(weir_backpressure_limit(b), 8);
    weir_backpressure_mark(b, NS_PER_S);
    now += NS_PER_S - 1;
    assert_int_equal(weir_backpressure_limit(b), 0);
    now++;
    assert_int_equal(weir_backpressure_limit(b), 8);
    assert_int_equal(stats(b).marks, 2);
    weir_backpressure_free(b);
}

static void slow_calls_lower_the_limit(void **state)
{
    struct weir_backpressure *b = make(NS_PER_MS, 100);
    call(b, 2 * NS_PER_MS, WEIR_OK);
    assert_in_range(weir_backpressure_limit(b), 69, 70);
    for (unsigned i = 0; i < 100; i++)
        call(b, 2 * NS_PER_MS, WEIR_OK);
    assert_int_equal(weir_backpressure_limit(b), 1);
    assert_int_equal(stats(b).slow, 101);
    weir_backpressure_free(b);
}

static void failures_lower_it_too_and_ignored_calls_do_not(void **state)
{
    struct weir_backpressure *b = make(NS_PER_MS, 100);
    call(b, NS_PER_S, WEIR_IGNORED);
    assert_int_equal(weir_backpressure_limit(b), 100);
    call(b, 0, WEIR_FAILED);
    assert_in_range(weir_backpressure_limit(b), 69, 70);
    assert_int_equal(stats(b).running, 0);
    weir_backpressure_free(b);
}

static void one_slow_moment_lowers_it_once(void **state)
{
    struct weir_backpressure *b = make(NS_PER_MS, 100);
    uint64_t began_ns[50];
    for (unsigned i = 0; i < 50; i++)
        began_ns[i] = weir_backpressure_begin(b);
    now += 2 * NS_PER_MS;
    for (unsigned i = 0; i < 50; i++)
        weir_backpressure_end(b, began_ns[i], WEIR_OK);
    assert_in_range(weir_backpressure_limit(b), 69, 70);
    assert_int_equal(stats(b).decreases, 1);
    weir_backpressure_free(b);
}

static void good_calls_raise_it(void **state)
{
    struct weir_backpressure *b = make(NS_PER_MS, 10);
    for (unsigned i = 0; i < 20; i++)
        call(b, 2 * NS_PER_MS, WEIR_OK);
    for (unsigned i = 0; i < 1000; i++)
        call(b, 0, WEIR_OK);
    assert_int_equal(weir_backpressure_limit(b), 10);
    weir_backpressure_free(b);
}

static unsigned told;

static void count_told(struct stage_watcher *w)
{
    told++;
}

static void watchers_are_told(void **state)
{
    struct weir_backpressure *b = make(NS_PER_MS, 2);
    struct stage_watcher w = {.more = count_told};
    uint64_t until_ns;
    told = 0;
    stage_watch(b, &w);
    weir_backpressure_mark(b, 5);
    assert_int_equal(told, 1);
    assert_int_equal(stage_limit(b, &until_ns), 0);
    assert_int_equal(until_ns, now + 5);
    weir_backpressure_clear(b);
    assert_int_equal(told, 2);
    assert_int_equal(stage_limit(b, &until_ns), 2);
    assert_true(until_ns == UINT64_MAX);
    call(b, 2 * NS_PER_MS, WEIR_OK); /* 1.4 */
    assert_int_equal(told, 2);
    call(b, 0, WEIR_OK); /* 2 */
    assert_int_equal(told, 3);
    stage_unwatch(b, &w);
    weir_backpressure_clear(b);
    assert_int_equal(told, 3);
    weir_backpressure_free(b);
}

static void *clear_it(void *arg)
{
    weir_backpressure_clear(arg);
    return NULL;
}

static void a_producer_waits(void **state)
{
    struct weir_backpressure *b = weir_backpressure_new(NULL);
    pthread_t thread;
    assert_non_null(b);
    assert_int_equal(weir_backpressure_wait(b, 0), 0);
    weir_backpressure_mark(b, UINT64_MAX);
    assert_int_equal(weir_backpressure_wait(b, NS_PER_MS), -ETIMEDOUT);
    assert_int_equal(pthread_create(&thread, NULL, clear_it, b), 0);
    assert_int_equal(weir_backpressure_wait(b, UINT64_MAX), 0);
    pthread_join(thread, NULL);
    weir_backpressure_mark(b, NS_PER_MS);
    assert_int_equal(weir_backpressure_wait(b, UINT64_MAX), 0); /* the mark ends by itself */
    weir_backpressure_free(b);
}

static void *use(void *arg)
{
    for (unsigned i = 0; i < 10000; i++)
        call(arg, i % 7 ? 0 : NS_PER_MS, i % 11 ? WEIR_OK : WEIR_FAILED);
    return NULL;
}

static void threads_agree(void **state)
{
    struct weir_backpressure *b = make(NS_PER_MS / 2, 16);
    pthread_t threads[4];
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, b), 0);
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    struct weir_backpressure_stats s = stats(b);
    assert_int_equal(s.calls, 40000);
    assert_int_equal(s.running, 0);
    assert_in_range(s.limit, 1, 16);
    weir_backpressure_free(b);
}

static void wrong_options_are_refused(void **state)
{
    struct weir_backpressure_options o;
    weir_backpressure_options_init(&o);
    o.limit_min = 0;
    assert_null(weir_backpressure_new(&o));
    assert_int_equal(errno, EINVAL);
    o.limit_min = 65;
    assert_null(weir_backpressure_new(&o));
    weir_backpressure_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_stops_all),
        cmocka_unit_test(slow_calls_lower_the_limit),
        cmocka_unit_test(failures_lower_it_too_and_ignored_calls_do_not),
        cmocka_unit_test(one_slow_moment_lowers_it_once),
        cmocka_unit_test(good_calls_raise_it),
        cmocka_unit_test(watchers_are_told),
        cmocka_unit_test(a_producer_waits),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
