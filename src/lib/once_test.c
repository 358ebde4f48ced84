/* SPDX-License-Identifier: MPL-2.0 */
#include <weir/once.h>

#include "base/attr.h"
#include "base/property.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static _Atomic uint64_t now;

static uint64_t test_now(void *arg)
{
    return now;
}

static struct weir_once_options options(void)
{
    struct weir_once_options o;
    weir_once_options_init(&o);
    o.clock.now_ns = test_now;
    return o;
}

static struct weir_once *make(const struct weir_once_options *o)
{
    now = 1000 * NS_PER_S;
    struct weir_once *once = weir_once_new(o);
    assert_non_null(once);
    return once;
}

static int begin(struct weir_once *o, const char *id)
{
    return weir_once_begin(o, id, strlen(id), NULL, NULL);
}

static int done(struct weir_once *o, const char *id, const char *reply)
{
    return weir_once_done(o, id, strlen(id), reply, reply ? strlen(reply) : 0);
}

static struct weir_once_stats stats(struct weir_once *o)
{
    struct weir_once_stats s = {.size = sizeof(s)};
    assert_int_equal(weir_once_read(o, &s), 0);
    return s;
}

static void the_second_gets_the_reply_of_the_first(void **state)
{
    struct weir_once_options opt = options();
    struct weir_once *o = make(&opt);
    void *reply;
    size_t size;
    assert_int_equal(begin(o, "a"), WEIR_ONCE_NEW);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_RUNNING);
    assert_int_equal(begin(o, "b"), WEIR_ONCE_NEW);
    assert_int_equal(done(o, "a", "reply"), 0);
    assert_int_equal(weir_once_begin(o, "a", 1, &reply, &size), WEIR_ONCE_DONE);
    assert_int_equal(size, 5);
    assert_memory_equal(reply, "reply", 5);
    weir_free(reply);
    assert_int_equal(weir_once_begin(o, "b", 1, &reply, &size), WEIR_ONCE_RUNNING);
    assert_null(reply);
    struct weir_once_stats s = stats(o);
    assert_int_equal(s.entries, 2);
    assert_int_equal(s.running, 1);
    assert_int_equal(s.fresh, 2);
    assert_int_equal(s.duplicates, 3);
    weir_once_free(o);
}

static void the_window_is_over_some_day(void **state)
{
    struct weir_once_options opt = options();
    struct weir_once *o = make(&opt);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_NEW);
    now += 100 * NS_PER_S;
    assert_int_equal(begin(o, "a"), WEIR_ONCE_RUNNING); /* what runs is not forgotten */
    assert_int_equal(done(o, "a", NULL), 0);
    now += 60 * NS_PER_S - 1;
    assert_int_equal(begin(o, "a"), WEIR_ONCE_DONE);
    now += 1;
    assert_int_equal(begin(o, "a"), WEIR_ONCE_NEW);
    assert_int_equal(stats(o).forgotten, 0);
    weir_once_free(o);
}

static void failed_work_may_be_tried_again(void **state)
{
    struct weir_once_options opt = options();
    struct weir_once *o = make(&opt);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_NEW);
    assert_int_equal(weir_once_cancel(o, "a", 1), 0);
    assert_int_equal(weir_once_cancel(o, "a", 1), -ENOENT);
    assert_int_equal(done(o, "a", "late"), -ENOENT);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_NEW);
    assert_int_equal(done(o, "a", "x"), 0);
    assert_int_equal(done(o, "a", "y"), -ENOENT);
    assert_int_equal(weir_once_cancel(o, "a", 1), -ENOENT);
    weir_once_free(o);
}

static void the_oldest_gives_way(void **state)
{
    struct weir_once_options opt = options();
    opt.entries = 3;
    struct weir_once *o = make(&opt);
    assert_int_equal(begin(o, "runs"), WEIR_ONCE_NEW);
    for (const char *id = "abcd"; *id; id++) {
        assert_int_equal(weir_once_begin(o, id, 1, NULL, NULL), WEIR_ONCE_NEW);
        assert_int_equal(weir_once_done(o, id, 1, NULL, 0), 0);
    }
    assert_int_equal(begin(o, "runs"), WEIR_ONCE_RUNNING);
    assert_int_equal(begin(o, "d"), WEIR_ONCE_DONE);
    assert_int_equal(stats(o).forgotten, 2);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_NEW); /* forgotten; now "c" is, too */
    assert_int_equal(begin(o, "e"), WEIR_ONCE_NEW);
    assert_int_equal(begin(o, "f"), -ENOSPC); /* all of them run */
    assert_int_equal(stats(o).refused, 1);
    weir_once_free(o);
}

static void it_may_refuse_instead(void **state)
{
    struct weir_once_options opt = options();
    opt.entries = 1;
    opt.when_full = WEIR_ONCE_REFUSE;
    struct weir_once *o = make(&opt);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_NEW);
    assert_int_equal(done(o, "a", "r"), 0);
    assert_int_equal(begin(o, "b"), -ENOSPC);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_DONE);
    now += 60 * NS_PER_S;
    assert_int_equal(begin(o, "b"), WEIR_ONCE_NEW);
    weir_once_free(o);
}

static void replies_are_bounded(void **state)
{
    static const char large[8192];
    struct weir_once_options opt = options();
    opt.entries = 16;
    opt.bytes = 16 * sizeof(void *) + 4096;
    struct weir_once *o = make(&opt);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_NEW);
    assert_int_equal(begin(o, "b"), WEIR_ONCE_NEW);
    assert_int_equal(weir_once_done(o, "a", 1, large, 3000), 0);
    assert_int_equal(weir_once_done(o, "b", 1, large, sizeof(large)), -ENOSPC);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_DONE); /* nothing was forgotten for what could not fit */
    assert_int_equal(begin(o, "b"), WEIR_ONCE_DONE);
    assert_int_equal(begin(o, "c"), WEIR_ONCE_NEW);
    assert_int_equal(weir_once_done(o, "c", 1, large, 3000), 0);
    assert_int_equal(begin(o, "a"), WEIR_ONCE_NEW);
    assert_true(stats(o).bytes <= opt.bytes);
    assert_int_equal(stats(o).replies_left_out, 1);
    weir_once_free(o);
}

static void wrong_arguments_are_refused(void **state)
{
    static const char id[WEIR_ONCE_KEY_MAX + 1];
    struct weir_once_options opt = options();
    opt.bytes = 4096;
    assert_null(weir_once_new(&opt));
    assert_int_equal(errno, EINVAL);
    opt = options();
    opt.entries = 0;
    assert_null(weir_once_new(&opt));
    struct weir_once *o = weir_once_new(NULL);
    assert_non_null(o);
    assert_int_equal(weir_once_begin(o, id, 0, NULL, NULL), -EINVAL);
    assert_int_equal(weir_once_begin(o, id, sizeof(id), NULL, NULL), -EINVAL);
    assert_int_equal(weir_once_begin(o, id, WEIR_ONCE_KEY_MAX, NULL, NULL), WEIR_ONCE_NEW);
    weir_once_free(o);
    weir_once_free(NULL);
}

/* Against an array that knows when each id was done. */
static void it_agrees_with_an_oracle(void **state)
{
    enum { IDS = 64, RUNS = 1, DONE = 2 };
    struct weir_once_options opt = options();
    struct weir_once *o = make(&opt);
    struct property_rng rng = property_rng_new("once");
    uint64_t at[IDS] = {0};
    unsigned char what[IDS] = {0};
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t id = (uint8_t)(property_next(&rng) % IDS);
        now += property_next(&rng) % NS_PER_S;
        if (what[id] == DONE && now - at[id] >= opt.window_ns)
            what[id] = 0;
        if (property_next(&rng) % 2) {
            int expected = what[id] == DONE ? WEIR_ONCE_DONE : what[id] == RUNS ? WEIR_ONCE_RUNNING : WEIR_ONCE_NEW;
            assert_int_equal(weir_once_begin(o, &id, 1, NULL, NULL), expected);
            what[id] = what[id] ? what[id] : RUNS;
        } else if (property_next(&rng) % 4) {
            assert_int_equal(weir_once_done(o, &id, 1, &id, 1), what[id] == RUNS ? 0 : -ENOENT);
            at[id] = what[id] == RUNS ? now : at[id];
            what[id] = what[id] ? DONE : 0;
        } else {
            assert_int_equal(weir_once_cancel(o, &id, 1), what[id] == RUNS ? 0 : -ENOENT);
            what[id] = what[id] == RUNS ? 0 : what[id];
        }
    }
    weir_once_free(o);
}

static _Atomic unsigned worked;

static void *work(void *arg)
{
    struct weir_once *o = arg;
    for (unsigned i = 0; i < 5000; i++) {
        char id[16];
        void *reply;
        size_t size;
        int len = snprintf(id, sizeof(id), "%u", i);
        int answer = weir_once_begin(o, id, (size_t)len, &reply, &size);
        if (answer == WEIR_ONCE_NEW) {
            worked++;
            assert_int_equal(weir_once_done(o, id, (size_t)len, id, (size_t)len), 0);
        }
        if (answer == WEIR_ONCE_DONE)
            assert_memory_equal(reply, id, (size_t)len);
        weir_free(reply);
    }
    return NULL;
}

static void threads_do_each_work_once(void **state)
{
    struct weir_once_options opt = options();
    struct weir_once *o = make(&opt);
    pthread_t threads[4];
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, o), 0);
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(worked, 5000);
    weir_once_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_gets_the_reply_of_the_first),
        cmocka_unit_test(the_window_is_over_some_day),
        cmocka_unit_test(failed_work_may_be_tried_again),
        cmocka_unit_test(the_oldest_gives_way),
        cmocka_unit_test(it_may_refuse_instead),
        cmocka_unit_test(replies_are_bounded),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(it_agrees_with_an_oracle),
        cmocka_unit_test(threads_do_each_work_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
