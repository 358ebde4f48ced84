/* SPDX-License-Identifier: MPL-2.0 */
#include "base/account.h"

#include "base/property.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define THREADS 4
#define ROUNDS  20000
#define LIMIT   1000

static void charges_up_to_the_limit_and_not_beyond(void **state)
{
    struct account a;
    account_init(&a, 100);
    assert_true(account_charge(&a, 60));
    assert_false(account_charge(&a, 41));
    assert_int_equal(account_held(&a), 60);
    assert_true(account_charge(&a, 40));
    assert_false(account_charge(&a, 1));
    assert_true(account_charge(&a, 0));
    account_release(&a, 100);
    assert_int_equal(account_held(&a), 0);
    assert_int_equal(a.peak_bytes, 100);
}

static void a_sum_that_would_wrap_is_refused(void **state)
{
    struct account a;
    account_init(&a, UINT64_MAX);
    assert_true(account_charge(&a, UINT64_MAX - 1));
    assert_false(account_charge(&a, 2));
    assert_false(account_charge(&a, UINT64_MAX));
    assert_true(account_charge(&a, 1));
    account_init(&a, 10);
    assert_false(account_charge(&a, UINT64_MAX));
    assert_int_equal(account_held(&a), 0);
}

struct worker {
    pthread_t thread;
    struct account *account;
    uint64_t seed, kept, overruns, refused;
};

static void *charge_and_release(void *arg)
{
    struct worker *w = arg;
    struct property_rng rng = {w->seed};
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t bytes = property_below(&rng, LIMIT / 2);
        if (account_charge(w->account, bytes))
            w->kept += bytes;
        else
            w->refused++;
        if (account_held(w->account) > LIMIT)
            w->overruns++;
        uint64_t back = w->kept ? property_below(&rng, w->kept + 1) : 0;
        account_release(w->account, back);
        w->kept -= back;
    }
    return NULL;
}

static void threads_together_never_pass_the_limit(void **state)
{
    struct property_rng rng = property_rng_new("account");
    struct account a;
    struct worker workers[THREADS] = {0};
    uint64_t kept = 0, refused = 0;
    account_init(&a, LIMIT);
    for (int i = 0; i < THREADS; i++) {
        workers[i].account = &a;
        workers[i].seed = property_next(&rng);
        assert_int_equal(pthread_create(&workers[i].thread, NULL, charge_and_release, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].overruns, 0);
        kept += workers[i].kept;
        refused += workers[i].refused;
    }
    assert_int_equal(account_held(&a), kept);
    assert_true(a.peak_bytes <= LIMIT);
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charges_up_to_the_limit_and_not_beyond),
        cmocka_unit_test(a_sum_that_would_wrap_is_refused),
        cmocka_unit_test(threads_together_never_pass_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
