/* SPDX-License-Identifier: MPL-2.0 */
#include <weir/meter.h>

#include "base/attr.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct weir_meter *make(const char *name)
{
    struct weir_meter *m = weir_meter_new(name);
    assert_non_null(m);
    return m;
}

static struct weir_meter_stats stats(const struct weir_meter *m)
{
    struct weir_meter_stats s = {.size = sizeof(s)};
    assert_int_equal(weir_meter_read(m, &s), 0);
    return s;
}

static char *text(const struct weir_meter *const *meters, size_t count)
{
    size_t need, len;
    assert_int_equal(weir_meter_text(meters, count, NULL, 0, &need), -ENOSPC);
    char *t = malloc(need + 1);
    assert_non_null(t);
    assert_int_equal(weir_meter_text(meters, count, t, need, &len), -ENOSPC);
    assert_int_equal(weir_meter_text(meters, count, t, need + 1, &len), 0);
    assert_int_equal(len, need);
    assert_int_equal(strlen(t), need);
    return t;
}

static void it_counts(void **state)
{
    struct weir_meter *m = make("work");
    weir_meter_queue(m, 3);
    weir_meter_queue(m, -2);
    weir_meter_note(m, WEIR_OK, 10, 20);
    weir_meter_note(m, WEIR_FAILED, 30, 40);
    weir_meter_note(m, WEIR_IGNORED, 0, 0);
    weir_meter_shed(m, 100);
    struct weir_meter_stats s = stats(m);
    assert_int_equal(s.queue, 1);
    assert_int_equal(s.queue_max, 3);
    assert_int_equal(s.ok, 1);
    assert_int_equal(s.failed, 1);
    assert_int_equal(s.ignored, 1);
    assert_int_equal(s.shed, 1);
    assert_int_equal(s.wait_ns, 140);
    assert_int_equal(s.service_ns, 60);
    weir_meter_free(m);
}

static void quantiles_lie_within_their_bucket(void **state)
{
    struct weir_meter *m = make("work");
    assert_int_equal(weir_meter_quantile_ns(m, WEIR_METER_SERVICE, 0.5), 0);
    for (unsigned i = 0; i < 99; i++)
        weir_meter_note(m, WEIR_OK, 0, 3 * NS_PER_MS);
    weir_meter_note(m, WEIR_OK, 0, 1000 * NS_PER_S);
    uint64_t half = weir_meter_quantile_ns(m, WEIR_METER_SERVICE, 0.5);
    assert_true(half > 2 * NS_PER_MS && half <= 5 * NS_PER_MS);
    assert_int_equal(weir_meter_quantile_ns(m, WEIR_METER_SERVICE, 1), 100 * NS_PER_S);
    assert_true(weir_meter_quantile_ns(m, WEIR_METER_WAIT, 1) <= 1000);
    weir_meter_free(m);
}

static void the_text_has_each_family_once(void **state)
{
    const struct weir_meter *meters[2];
    struct weir_meter *a = make("in \"quotes\""), *b = make("database");
    meters[0] = a;
    meters[1] = b;
    weir_meter_note(a, WEIR_OK, 1500, 2 * NS_PER_MS);
    weir_meter_queue(b, -1);
    char *t = text(meters, 2);
    static const char *const wanted[] = {
        "# TYPE weir_stage_queue gauge\n",
        "weir_stage_queue{stage=\"in \\\"quotes\\\"\"} 0\n",
        "weir_stage_queue{stage=\"database\"} -1\n",
        "# TYPE weir_stage_work counter\n",
        "weir_stage_work_total{stage=\"in \\\"quotes\\\"\",outcome=\"ok\"} 1\n",
        "# UNIT weir_stage_service_seconds seconds\n",
        "weir_stage_service_seconds_bucket{stage=\"in \\\"quotes\\\"\",le=\"0.001\"} 0\n",
        "weir_stage_service_seconds_bucket{stage=\"in \\\"quotes\\\"\",le=\"0.002\"} 1\n",
        "weir_stage_service_seconds_bucket{stage=\"in \\\"quotes\\\"\",le=\"+Inf\"} 1\n",
        "weir_stage_service_seconds_sum{stage=\"in \\\"quotes\\\"\"} 0.002000000\n",
        "weir_stage_wait_seconds_bucket{stage=\"in \\\"quotes\\\"\",le=\"1e-06\"} 0\n",
        "weir_stage_wait_seconds_count{stage=\"database\"} 0\n",
    };
    for (unsigned i = 0; i < ARRAY_LEN(wanted); i++)
        assert_non_null(strstr(t, wanted[i]));
    assert_string_equal(t + strlen(t) - 6, "# EOF\n");
    const char *type = strstr(t, "# TYPE weir_stage_wait_seconds ");
    assert_non_null(type);
    assert_null(strstr(type + 1, "# TYPE weir_stage_wait_seconds "));
    free(t);
    weir_meter_free(a);
    weir_meter_free(b);
}

static void wrong_arguments_are_refused(void **state)
{
    char name[WEIR_METER_NAME_MAX + 2];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_null(weir_meter_new(name));
    assert_int_equal(errno, EINVAL);
    assert_null(weir_meter_new(""));
    assert_null(weir_meter_new(NULL));
    weir_meter_free(NULL);
}

static void *note(void *arg)
{
    for (unsigned i = 0; i < 10000; i++) {
        weir_meter_queue(arg, 1);
        weir_meter_note(arg, WEIR_OK, i, i);
        weir_meter_queue(arg, -1);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    struct weir_meter *m = make("work");
    pthread_t threads[4];
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note, m), 0);
    for (unsigned i = 0; i < 20; i++) {
        static char page[16384];
        size_t len;
        assert_int_equal(weir_meter_text((const struct weir_meter *const[]){m}, 1, page, sizeof(page), &len), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    struct weir_meter_stats s = stats(m);
    assert_int_equal(s.ok, 40000);
    assert_int_equal(s.queue, 0);
    assert_true(s.queue_max >= 1 && s.queue_max <= 4);
    weir_meter_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts),
        cmocka_unit_test(quantiles_lie_within_their_bucket),
        cmocka_unit_test(the_text_has_each_family_once),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
