/* SPDX-License-Identifier: MPL-2.0 */
#include "events/ring.h"

#include "base/property.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Larger than a word, so that a torn copy would show. */
struct item {
    uint64_t thread, number, again[6];
};

static struct item item_of(uint64_t thread, uint64_t number)
{
    struct item i = {.thread = thread, .number = number};
    for (unsigned n = 0; n < 6; n++)
        i.again[n] = number ^ thread << 32;
    return i;
}

static void in_order_until_it_is_full(void **state)
{
    struct ring *r = ring_new(8, sizeof(struct item));
    struct item i;
    assert_non_null(r);
    for (uint64_t round = 0; round < 5; round++) { /* also when places have wrapped */
        assert_true(ring_is_empty(r));
        assert_false(ring_take(r, &i));
        for (uint64_t n = 0; n < 6; n++) {
            i = item_of(round, n);
            assert_true(ring_put(r, &i, false));
        }
        assert_false(ring_put(r, &i, false)); /* the last quarter is not for it */
        i = item_of(round, 6);
        assert_true(ring_put(r, &i, true));
        i = item_of(round, 7);
        assert_true(ring_put(r, &i, true));
        assert_false(ring_put(r, &i, true));
        for (uint64_t n = 0; n < 8; n++) {
            struct item expected = item_of(round, n);
            assert_false(ring_is_empty(r));
            assert_true(ring_take(r, &i));
            assert_memory_equal(&i, &expected, sizeof(i));
        }
    }
    ring_free(r);
    ring_free(NULL);
}

#define THREADS 4u
#define EACH    50000u

static struct ring *shared;
static _Atomic uint64_t refused;

static void *writer(void *arg)
{
    uint64_t thread = (uint64_t)(uintptr_t)arg;
    for (uint64_t n = 0; n < EACH; n++) {
        struct item i = item_of(thread, n);
        if (!ring_put(shared, &i, n % 2 == 0)) {
            atomic_fetch_add(&refused, 1);
            sched_yield();
        }
    }
    return NULL;
}

/* What is taken is whole, in each writer's order, and what is missing was refused. */
static void many_writers_and_one_reader(void **state)
{
    pthread_t threads[THREADS];
    uint64_t next[THREADS] = {0}, taken = 0;
    struct item i;
    shared = ring_new(64, sizeof(struct item));
    assert_non_null(shared);
    for (uintptr_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, writer, (void *)t), 0);
    while (taken + atomic_load(&refused) < THREADS * EACH) {
        if (!ring_take(shared, &i)) {
            sched_yield();
            continue;
        }
        struct item expected = item_of(i.thread, i.number);
        assert_true(i.thread < THREADS && i.number >= next[i.thread]);
        assert_memory_equal(&i, &expected, sizeof(i));
        next[i.thread] = i.number + 1;
        taken++;
    }
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    assert_false(ring_take(shared, &i));
    assert_true(taken > 0);
    ring_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_until_it_is_full),
        cmocka_unit_test(many_writers_and_one_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
