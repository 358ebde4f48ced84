/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/breaker.h"

#include "base/property.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define T0      (1000 * NS_PER_S)
#define SOONEST UINT64_MAX /* as `random`: a quarter less */
#define LATEST  0u         /* the whole time */

static const struct breaker_params usual = {
    .failures = 3, .trials = 2, .for_ns = NS_PER_S, .max_ns = 30 * NS_PER_S, .slow_start_ns = 10 * NS_PER_S};

static enum breaker_change fail_often(struct breaker *b, const struct breaker_params *p, enum breaker_cause c,
                                      uint64_t now)
{
    enum breaker_change last = BREAKER_UNCHANGED;
    for (unsigned i = 0; i < p->failures; i++)
        last = breaker_on_failure(b, p, c, now, LATEST);
    return last;
}

static bool goes(struct breaker *b, const struct breaker_params *p, uint64_t now)
{
    return breaker_enter(b, p, UINT32_MAX, now).go;
}

static void closed_lets_everything_through(void **state)
{
    struct breaker b = {0};
    struct property_rng rng = property_rng_new("breaker closed");
    for (unsigned i = 0; i < 100000; i++) {
        struct breaker_answer a =
            breaker_enter(&b, &usual, (uint32_t)property_next(&rng), property_magnitude(&rng, 60));
        assert_true(a.go && a.place == 0 && a.change == BREAKER_UNCHANGED);
    }
    assert_int_equal(breaker_state(&b, T0), BREAKER_CLOSED);
    assert_int_equal(breaker_open_until_ns(&b, T0), 0);
}

static void failures_in_a_row_open_it(void **state)
{
    struct breaker b = {0};
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(breaker_on_failure(&b, &usual, BREAKER_HANDSHAKE, T0, LATEST), BREAKER_UNCHANGED);
        assert_int_equal(breaker_on_failure(&b, &usual, BREAKER_HANDSHAKE, T0, LATEST), BREAKER_UNCHANGED);
        assert_int_equal(breaker_on_handshake(&b, T0), BREAKER_UNCHANGED);
    }
    assert_int_equal(fail_often(&b, &usual, BREAKER_HANDSHAKE, T0), BREAKER_NOW_OPEN);
    assert_int_equal(breaker_state(&b, T0), BREAKER_OPEN);
    assert_int_equal(breaker_cause(&b), BREAKER_HANDSHAKE);
    assert_int_equal(breaker_open_until_ns(&b, T0), T0 + NS_PER_S);
    struct breaker_answer a = breaker_enter(&b, &usual, 0, T0 + NS_PER_S / 4);
    assert_false(a.go);
    assert_int_equal(a.wait_ns, NS_PER_S / 4 * 3);
    assert_int_equal(atomic_load(&b.opened), 1);
}

static void a_success_excuses_its_own_kind_only(void **state)
{
    struct breaker b = {0};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(breaker_on_failure(&b, &usual, BREAKER_HANDSHAKE, T0, LATEST), BREAKER_UNCHANGED);
    breaker_on_greeting(&b, T0);
    breaker_on_taken(&b, T0);
    assert_int_equal(breaker_on_failure(&b, &usual, BREAKER_HANDSHAKE, T0, LATEST), BREAKER_NOW_OPEN);

    struct breaker c = {0};
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(breaker_on_failure(&c, &usual, BREAKER_CONNECT, T0, LATEST), BREAKER_UNCHANGED);
        breaker_on_greeting(&c, T0);
    }
}

static void without_a_threshold_failures_never_open_it(void **state)
{
    struct breaker b = {0};
    struct breaker_params p = usual;
    p.failures = 0;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(breaker_on_failure(&b, &p, BREAKER_CONNECT, T0, LATEST), BREAKER_UNCHANGED);
    assert_true(goes(&b, &p, T0));
}

static void a_greeting_ends_the_wait_for_a_connection(void **state)
{
    struct breaker b = {0};
    fail_often(&b, &usual, BREAKER_CONNECT, T0);
    assert_int_equal(breaker_on_greeting(&b, T0 + NS_PER_MS), BREAKER_NOW_HALF_OPEN);
    assert_int_equal(breaker_on_greeting(&b, T0 + NS_PER_MS), BREAKER_UNCHANGED);
    assert_int_equal(breaker_state(&b, T0 + NS_PER_MS), BREAKER_HALF_OPEN);
    assert_int_equal(breaker_on_handshake(&b, T0 + 2 * NS_PER_MS), BREAKER_NOW_CLOSED);

    struct breaker c = {0};
    fail_often(&c, &usual, BREAKER_HANDSHAKE, T0);
    assert_int_equal(breaker_on_greeting(&c, T0), BREAKER_UNCHANGED);
    assert_false(goes(&c, &usual, T0));
}

static void a_stall_is_over_when_bytes_are_taken(void **state)
{
    struct breaker b = {0};
    assert_int_equal(breaker_on_stall(&b, &usual, T0, LATEST), BREAKER_NOW_OPEN);
    assert_int_equal(breaker_on_stall(&b, &usual, T0, LATEST), BREAKER_UNCHANGED);
    assert_int_equal(breaker_on_handshake(&b, T0), BREAKER_UNCHANGED);
    assert_int_equal(breaker_on_taken(&b, T0), BREAKER_NOW_CLOSED);
    assert_int_equal(breaker_on_stall(&b, &usual, T0, LATEST), BREAKER_NOW_OPEN);
    assert_true(goes(&b, &usual, T0 + 2 * NS_PER_S));
    assert_int_equal(breaker_on_handshake(&b, T0 + 2 * NS_PER_S), BREAKER_UNCHANGED);
    assert_int_equal(breaker_on_taken(&b, T0 + 2 * NS_PER_S), BREAKER_NOW_CLOSED);
}

static void few_try_while_it_is_half_open(void **state)
{
    struct breaker b = {0};
    uint64_t now = T0 + NS_PER_S;
    fail_often(&b, &usual, BREAKER_CONNECT, T0);
    assert_int_equal(breaker_state(&b, now - NS_PER_MS), BREAKER_OPEN);
    assert_int_equal(breaker_state(&b, now), BREAKER_HALF_OPEN);
    struct breaker_answer first = breaker_enter(&b, &usual, 7, now), second = breaker_enter(&b, &usual, 7, now);
    assert_true(first.go && first.place && first.change == BREAKER_NOW_HALF_OPEN);
    assert_true(second.go && second.place && second.change == BREAKER_UNCHANGED);
    struct breaker_answer third = breaker_enter(&b, &usual, 7, now);
    assert_false(third.go);
    assert_int_equal(third.wait_ns, BREAKER_ASK_AGAIN_NS);
    breaker_leave(&b, first.place);
    assert_true(goes(&b, &usual, now));
    assert_false(goes(&b, &usual, now));
}

static void places_of_another_time_are_void(void **state)
{
    struct breaker b = {0};
    fail_often(&b, &usual, BREAKER_CONNECT, T0);
    struct breaker_answer old = breaker_enter(&b, &usual, 7, T0 + NS_PER_S);
    assert_int_equal(breaker_on_failure(&b, &usual, BREAKER_CONNECT, T0 + NS_PER_S, LATEST), BREAKER_NOW_OPEN);
    assert_int_equal(breaker_on_greeting(&b, T0 + NS_PER_S), BREAKER_NOW_HALF_OPEN);
    assert_true(goes(&b, &usual, T0 + NS_PER_S) && goes(&b, &usual, T0 + NS_PER_S));
    breaker_leave(&b, old.place);
    breaker_leave(&b, 0);
    assert_false(goes(&b, &usual, T0 + NS_PER_S));
    /* Closed at the same moment: places among the trials are not places of the slow start. */
    struct breaker_answer of_trial = {.place = atomic_load(&b.word) & ~((UINT64_C(1) << 19) - 512)};
    assert_int_equal(breaker_on_handshake(&b, T0 + NS_PER_S), BREAKER_NOW_CLOSED);
    assert_true(goes(&b, &usual, T0 + NS_PER_S) && goes(&b, &usual, T0 + NS_PER_S));
    breaker_leave(&b, of_trial.place);
    assert_false(goes(&b, &usual, T0 + NS_PER_S));
}

/* The application fails in each trial. Returns the open times in order. */
static void open_times(const struct breaker_params *p, uint64_t random, unsigned n, uint64_t *ret)
{
    struct breaker b = {0};
    uint64_t now = T0;
    for (unsigned i = 1; i < p->failures; i++)
        assert_int_equal(breaker_on_failure(&b, p, BREAKER_CONNECT, now, random), BREAKER_UNCHANGED);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(breaker_on_failure(&b, p, BREAKER_CONNECT, now, random), BREAKER_NOW_OPEN);
        ret[i] = breaker_open_until_ns(&b, now) - now;
        now += ret[i];
    }
}

static void the_open_time_doubles_up_to_its_most(void **state)
{
    uint64_t times[7];
    static const uint64_t seconds[] = {1, 2, 4, 8, 16, 30, 30};
    open_times(&usual, LATEST, 7, times);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(times[i], seconds[i] * NS_PER_S);
}

static void the_back_off_grows_and_is_capped(void **state)
{
    struct property_rng rng = property_rng_new("breaker back-off");
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t times[50], for_ns = 100 * NS_PER_MS + property_magnitude(&rng, 41);
        struct breaker_params p = {.failures = 1 + (uint32_t)property_below(&rng, 10), .trials = 1, .for_ns = for_ns};
        p.max_ns = for_ns + property_magnitude(&rng, 41);
        open_times(&p, property_next(&rng), 50, times);
        assert_true(times[0] >= for_ns / 4 * 3 - NS_PER_MS && times[0] <= for_ns);
        for (unsigned n = 1; n < 50; n++) {
            assert_true(times[n] >= times[n - 1]);
            assert_true(times[n] <= p.max_ns);
        }
        assert_true(times[49] >= p.max_ns / 4 * 3 - NS_PER_MS);
    }
}

static void jitter_never_makes_it_shorter_than_the_one_before(void **state)
{
    uint64_t late[6], soon[6];
    open_times(&usual, LATEST, 6, late);
    open_times(&usual, SOONEST, 6, soon);
    for (unsigned i = 1; i < 5; i++)
        assert_true(soon[i] > late[i - 1] && soon[i] < late[i]);
}

static void who_has_recovered_begins_anew(void **state)
{
    struct breaker b = {0};
    uint64_t now = T0;
    fail_often(&b, &usual, BREAKER_CONNECT, now);
    now += NS_PER_S;
    breaker_on_handshake(&b, now); /* too late for the trial: half-open */
    assert_int_equal(breaker_on_handshake(&b, now), BREAKER_NOW_CLOSED);
    fail_often(&b, &usual, BREAKER_CONNECT, now + NS_PER_S); /* still in the slow start */
    assert_int_equal(breaker_open_until_ns(&b, now + NS_PER_S), now + 3 * NS_PER_S);
    now += NS_PER_S;
    breaker_on_handshake(&b, now);
    breaker_on_handshake(&b, now);
    now += usual.slow_start_ns + NS_PER_MS;
    fail_often(&b, &usual, BREAKER_CONNECT, now);
    assert_int_equal(breaker_open_until_ns(&b, now), now + NS_PER_S);
}

static struct breaker just_closed(const struct breaker_params *p)
{
    struct breaker b = {0};
    fail_often(&b, p, BREAKER_CONNECT, T0 - p->for_ns);
    breaker_on_handshake(&b, T0 - NS_PER_MS);
    assert_int_equal(breaker_on_handshake(&b, T0), BREAKER_NOW_CLOSED);
    return b;
}

/* With all places of the trials taken. */
static bool may_go(struct breaker *b, const struct breaker_params *p, uint32_t ticket, uint64_t now)
{
    struct breaker_answer a = breaker_enter(b, p, ticket, now);
    if (a.go && a.place) {
        breaker_leave(b, a.place);
        fail();
    }
    return a.go;
}

static void the_share_grows_from_the_trials_to_all(void **state)
{
    struct property_rng rng = property_rng_new("breaker slow start");
    struct breaker b = just_closed(&usual);
    uint32_t tickets[1000];
    uint64_t begin = 0;
    for (unsigned i = 0; i < usual.trials; i++)
        assert_true(breaker_enter(&b, &usual, UINT32_MAX, T0).place != 0);
    for (unsigned i = 0; i < ARRAY_LEN(tickets); i++)
        tickets[i] = (uint32_t)property_next(&rng);
    unsigned before = 0;
    bool went[ARRAY_LEN(tickets)] = {false};
    for (uint64_t ms = begin; ms <= 10000; ms += 50) {
        unsigned n = 0;
        for (unsigned i = 0; i < ARRAY_LEN(tickets); i++) {
            bool go = may_go(&b, &usual, tickets[i], T0 + ms * NS_PER_MS);
            assert_true(go || !went[i]);
            went[i] = go;
            n += go;
        }
        assert_true(n >= before);
        assert_in_range(n, ms / 10 < 100 ? 0 : ms / 10 - 100, ms / 10 + 100);
        before = n;
    }
    assert_int_equal(before, ARRAY_LEN(tickets));
}

static void whoever_must_wait_is_told_how_long(void **state)
{
    struct breaker b = just_closed(&usual);
    for (unsigned i = 0; i < usual.trials; i++)
        assert_true(goes(&b, &usual, T0));
    struct breaker_answer a = breaker_enter(&b, &usual, UINT32_MAX, T0);
    assert_int_equal(a.wait_ns, BREAKER_ASK_AGAIN_NS);
    a = breaker_enter(&b, &usual, UINT32_MAX / 100, T0);
    assert_true(!a.go && a.wait_ns < 100 * NS_PER_MS && a.wait_ns >= 98 * NS_PER_MS);
    assert_true(may_go(&b, &usual, UINT32_MAX / 100, T0 + a.wait_ns));
}

static void without_a_slow_start_all_come_at_once(void **state)
{
    struct breaker_params p = usual;
    p.slow_start_ns = 0;
    struct breaker b = just_closed(&p);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(may_go(&b, &p, UINT32_MAX, T0));
}

/* Random events, against a model that knows only what must never happen: more than `trials` newcomers at a time pass
 * while the breaker is half-open, or any newcomer passes while it is open. */
static void never_more_than_the_trials(void **state)
{
    struct property_rng rng = property_rng_new("breaker trials");
    for (unsigned round = 0; round < 300; round++) {
        struct breaker b = {0};
        struct breaker_params p = {
            .failures = 1 + (uint32_t)property_below(&rng, 5),
            .trials = 1 + (uint32_t)property_below(&rng, round % 10 ? 5 : BREAKER_TRIALS_MAX),
            .for_ns = 100 * NS_PER_MS,
            .max_ns = 5 * NS_PER_S,
            .slow_start_ns = property_below(&rng, 2) * NS_PER_S,
        };
        uint64_t now = T0, places[2000];
        unsigned trying = 0;
        for (unsigned i = 0; i < 2000; i++) {
            enum breaker_change c = BREAKER_UNCHANGED;
            enum breaker_state was = breaker_state(&b, now);
            struct breaker_answer a;
            switch (property_below(&rng, 8)) {
            case 0:
                c = breaker_on_failure(&b, &p, (enum breaker_cause)property_below(&rng, 2), now, property_next(&rng));
                break;
            case 1:
                c = property_below(&rng, 20) ? breaker_on_handshake(&b, now) : breaker_on_stall(&b, &p, now, 0);
                break;
            case 2:
                c = breaker_on_greeting(&b, now);
                break;
            case 3:
                now += property_magnitude(&rng, 30);
                break;
            case 4:
                if (trying)
                    breaker_leave(&b, places[--trying]);
                break;
            default:
                a = breaker_enter(&b, &p, (uint32_t)property_next(&rng), now);
                assert_false(a.go && was == BREAKER_OPEN);
                assert_true(a.go || a.wait_ns > 0);
                assert_true(a.go || !a.place);
                if (a.change == BREAKER_NOW_HALF_OPEN)
                    trying = 0;
                if (a.place)
                    places[trying++] = a.place;
                else
                    assert_true(!a.go || was == BREAKER_CLOSED);
                break;
            }
            if (c != BREAKER_UNCHANGED)
                trying = 0;
            assert_true(trying <= p.trials);
        }
    }
}

/* ---- threads ---- */

#define THREADS 4

static struct {
    struct breaker breaker;
    _Atomic int trying, most;
    _Atomic unsigned half_opened, went;
} shared;

static const struct breaker_params tight = {.failures = 1, .trials = 2, .for_ns = NS_PER_S, .max_ns = NS_PER_S};

static void *try_again_and_again(void *arg)
{
    for (unsigned i = 0; i < 20000; i++) {
        struct breaker_answer a = breaker_enter(&shared.breaker, &tight, 7, T0 + NS_PER_S);
        if (a.change == BREAKER_NOW_HALF_OPEN)
            atomic_fetch_add(&shared.half_opened, 1);
        if (!a.go)
            continue;
        int now = atomic_fetch_add(&shared.trying, 1) + 1, most = atomic_load(&shared.most);
        while (now > most && !atomic_compare_exchange_weak(&shared.most, &most, now))
            ;
        atomic_fetch_add(&shared.went, 1);
        atomic_fetch_sub(&shared.trying, 1);
        breaker_leave(&shared.breaker, a.place);
    }
    return NULL;
}

static void threads_share_the_trials(void **state)
{
    pthread_t threads[THREADS];
    assert_int_equal(breaker_on_failure(&shared.breaker, &tight, BREAKER_CONNECT, T0, LATEST), BREAKER_NOW_OPEN);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, try_again_and_again, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&shared.half_opened), 1);
    assert_true(atomic_load(&shared.most) <= 2 && atomic_load(&shared.went) > 0);
    assert_true(goes(&shared.breaker, &tight, T0 + NS_PER_S) && goes(&shared.breaker, &tight, T0 + NS_PER_S));
    assert_false(goes(&shared.breaker, &tight, T0 + NS_PER_S));
}

static _Atomic unsigned openings;

static void *fail_once(void *arg)
{
    if (breaker_on_failure(&shared.breaker, &tight, BREAKER_CONNECT, T0 + NS_PER_S, LATEST) == BREAKER_NOW_OPEN)
        atomic_fetch_add(&openings, 1);
    return NULL;
}

static void one_of_many_threads_opens_it(void **state)
{
    pthread_t threads[THREADS];
    uint64_t before = atomic_load(&shared.breaker.opened);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_once, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&openings), 1);
    assert_int_equal(atomic_load(&shared.breaker.opened), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_lets_everything_through),
        cmocka_unit_test(failures_in_a_row_open_it),
        cmocka_unit_test(a_success_excuses_its_own_kind_only),
        cmocka_unit_test(without_a_threshold_failures_never_open_it),
        cmocka_unit_test(a_greeting_ends_the_wait_for_a_connection),
        cmocka_unit_test(a_stall_is_over_when_bytes_are_taken),
        cmocka_unit_test(few_try_while_it_is_half_open),
        cmocka_unit_test(places_of_another_time_are_void),
        cmocka_unit_test(the_open_time_doubles_up_to_its_most),
        cmocka_unit_test(the_back_off_grows_and_is_capped),
        cmocka_unit_test(jitter_never_makes_it_shorter_than_the_one_before),
        cmocka_unit_test(who_has_recovered_begins_anew),
        cmocka_unit_test(the_share_grows_from_the_trials_to_all),
        cmocka_unit_test(whoever_must_wait_is_told_how_long),
        cmocka_unit_test(without_a_slow_start_all_come_at_once),
        cmocka_unit_test(never_more_than_the_trials),
        cmocka_unit_test(threads_share_the_trials),
        cmocka_unit_test(one_of_many_threads_opens_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
