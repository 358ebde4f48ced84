/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/gcra.h"

#include "base/property.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define DAY     (86400 * NS_PER_S)
#define THREADS 4

__extension__ typedef unsigned __int128 wide;

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t ceil_cost(const struct rate *r, uint64_t quantity)
{
    return (uint64_t)(((wide)quantity * r->period_ns + r->count - 1) / r->count);
}

/* How many calls of one unit pass at one instant, at most `most`. */
static uint64_t passes_at_once(gcra_word *tat, const struct rate *r, uint64_t now, uint64_t most)
{
    uint64_t n = 0;
    while (n < most && gcra_admit(tat, r, 1, now) == 0)
        n++;
    return n;
}

static void a_drained_limiter_passes_burst_and_one(void **state)
{
    static const struct rate rates[] = {
        {500, NS_PER_S, 0}, {500, NS_PER_S, 1000},   {3, NS_PER_S, 1000},     {7, 60 * NS_PER_S, 99},       {1, DAY, 0},
        {1, DAY, 30},       {1500, NS_PER_S, 10000}, {999999, NS_PER_S, 400}, {1000000000, NS_PER_S, 5000},
    };
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        gcra_word tat = 0;
        uint64_t now = 1234567890123456789;
        assert_int_equal(passes_at_once(&tat, &rates[i], now, 100000), rates[i].burst + 1);
        assert_int_equal(gcra_wait_ns(&tat, &rates[i], 1, now), ceil_cost(&rates[i], 1));
        gcra_word whole = 0;
        assert_int_equal(gcra_admit(&whole, &rates[i], rates[i].burst + 1, now), 0);
        assert_true(gcra_admit(&whole, &rates[i], 1, now) > 0);
    }
}

/* For any requests, never more has passed than the rate allows with the burst; a wait is exact, and after a long rest
 * anything passes at once. */
static void what_exceeds_the_burst_is_saved_up_for(void **state)
{
    struct property_rng rng = property_rng_new("gcra saved");
    for (int i = 0; i < 300; i++) {
        const struct rate r = {
            .count = 1, .period_ns = 1 + property_magnitude(&rng, 20), .burst = property_magnitude(&rng, 8)};
        uint64_t first = NS_PER_S, now = first, passed = 0, largest = 0;
        gcra_word tat = first;
        for (int n = 0; n < 200; n++) {
            uint64_t quantity = property_magnitude(&rng, 12), wait;
            largest = quantity > largest ? quantity : largest;
            while ((wait = gcra_admit_saved(&tat, &r, quantity, now)) != 0) {
                uint64_t was = tat;
                assert_true(gcra_admit_saved(&tat, &r, quantity, now + wait - 1) != 0);
                assert_int_equal(tat, was);
                now += wait;
            }
            passed += quantity;
            assert_true(passed * r.period_ns <= now - first + (r.burst + 1) * r.period_ns);
            now += property_magnitude(&rng, 10);
        }
        assert_int_equal(gcra_admit_saved(&tat, &r, largest, now + largest * r.period_ns + NS_PER_S), 0);
    }
}

static void a_refusal_changes_nothing_and_names_the_exact_wait(void **state)
{
    struct property_rng rng = property_rng_new("gcra wait");
    for (int i = 0; i < 50000; i++) {
        struct rate r = {1 + property_magnitude(&rng, 33), 1 + property_magnitude(&rng, 47),
                         property_magnitude(&rng, 30)};
        uint64_t now = property_magnitude(&rng, 60);
        gcra_word tat = now + property_magnitude(&rng, 55);
        uint64_t before = tat, quantity = 1 + property_below(&rng, r.burst + 1);
        uint64_t wait = gcra_admit(&tat, &r, quantity, now);
        if (wait == 0)
            continue;
        assert_int_equal(tat, before);
        assert_int_equal(gcra_wait_ns(&tat, &r, quantity, now), wait);
        assert_int_equal(gcra_admit(&tat, &r, quantity, now + wait - 1), 1);
        assert_int_equal(gcra_admit(&tat, &r, quantity, now + wait), 0);
    }
}

static void what_never_passes_says_so(void **state)
{
    struct rate r = {10, NS_PER_S, 4};
    gcra_word tat = 0;
    assert_int_equal(gcra_admit(&tat, &r, 6, NS_PER_S), UINT64_MAX);
    assert_int_equal(gcra_wait_ns(&tat, &r, 6, NS_PER_S), UINT64_MAX);
    assert_int_equal(tat, 0);
    assert_int_equal(gcra_wait_ns(&tat, &r, 5, NS_PER_S), 0);
    assert_int_equal(gcra_admit(&tat, &r, 5, NS_PER_S), 0);
}

static void a_count_of_zero_is_no_limit(void **state)
{
    struct rate r = {0, NS_PER_S, 0};
    gcra_word tat = 0;
    uint64_t wait = 7;
    assert_int_equal(gcra_admit(&tat, &r, UINT64_MAX, 1), 0);
    assert_int_equal(gcra_admit_some(&tat, &r, UINT64_MAX, 1, &wait), UINT64_MAX);
    assert_int_equal(wait, 0);
    assert_int_equal(gcra_charge(&tat, &r, UINT64_MAX, 1), 0);
    assert_int_equal(gcra_wait_ns(&tat, &r, UINT64_MAX, 1), 0);
    gcra_refund(&tat, &r, UINT64_MAX);
    assert_int_equal(tat, 0);
}

/* The arrival time that a call leaves behind, against 128-bit arithmetic. */
static void costs_are_exact_from_10_gib_a_second_to_one_a_day(void **state)
{
    static const struct rate rates[] = {
        {10ull << 30, NS_PER_S, 1ull << 40}, {10ull << 30, DAY, 1ull << 30},       {1, DAY, 1000}, {1, 365 * DAY, 100},
        {3, NS_PER_S, 1ull << 32},           {INT64_MAX, NS_PER_S, INT64_MAX - 1},
    };
    struct property_rng rng = property_rng_new("gcra cost");
    for (int i = 0; i < 100000; i++) {
        const struct rate *r = &rates[property_below(&rng, ARRAY_LEN(rates))];
        uint64_t now = 1 + property_magnitude(&rng, 62), quantity = 1 + property_magnitude(&rng, 63);
        quantity = min(quantity, r->burst + 1);
        gcra_word tat = property_magnitude(&rng, 1) ? 0 : now;
        assert_int_equal(gcra_admit(&tat, r, quantity, now), 0);
        assert_int_equal(tat - now, ceil_cost(r, quantity));
    }
}

static void extremes_saturate_on_the_side_of_refusing(void **state)
{
    struct rate slow = {1, INT64_MAX, INT64_MAX - 1};
    gcra_word tat = 0;
    assert_int_equal(gcra_charge(&tat, &slow, UINT64_MAX, 1), 0); /* as long as the longest tolerance */
    for (int i = 0; i < 4; i++)
        gcra_charge(&tat, &slow, UINT64_MAX, 1);
    assert_int_equal(tat, UINT64_MAX);
    assert_true(gcra_admit(&tat, &slow, 1, 1) > 0);
    assert_true(gcra_admit(&tat, &slow, 1, NS_PER_S) > 0);
    struct rate fast = {INT64_MAX, 1, 0};
    gcra_word other = 0;
    assert_int_equal(gcra_admit(&other, &fast, 1, INT64_MAX), 0);
    assert_int_equal(gcra_admit(&other, &fast, 1, INT64_MAX), 1);
}

/* The oracle of the exact rate: a bucket in 128-bit fractions of a unit (units times period), filled continuously. */
struct bucket {
    wide level, size; /* in units x period_ns */
    uint64_t at_ns;
};

static bool bucket_take(struct bucket *b, const struct rate *r, uint64_t quantity, uint64_t now)
{
    wide refill = (wide)(now - b->at_ns) * r->count;
    b->at_ns = now;
    b->level = refill > b->size - b->level ? b->size : b->level + refill;
    if ((wide)quantity * r->period_ns > b->level)
        return false;
    b->level -= (wide)quantity * r->period_ns;
    return true;
}

/* Where T is a whole number of nanoseconds, GCRA and the bucket agree on every single call. */
static void agrees_with_a_token_bucket(void **state)
{
    struct property_rng rng = property_rng_new("gcra bucket");
    uint64_t admitted = 0, refused = 0;
    for (int run = 0; run < 200; run++) {
        uint64_t interval = 1 + property_magnitude(&rng, 30), now = NS_PER_S;
        struct rate r = {1 + property_magnitude(&rng, 20), 0, property_magnitude(&rng, 12)};
        r.period_ns = r.count * interval;
        wide full = (wide)(r.burst + 1) * r.period_ns;
        struct bucket b = {full, full, now};
        gcra_word tat = 0;
        for (int i = 0; i < 1000; i++) {
            uint64_t quantity = 1 + property_below(&rng, r.burst + 1);
            bool passes = gcra_admit(&tat, &r, quantity, now) == 0;
            assert_int_equal(bucket_take(&b, &r, quantity, now), passes);
            admitted += passes;
            refused += !passes;
            now += property_below(&rng, 4) ? property_below(&rng, 2 * interval * quantity + 1) : 0;
        }
    }
    assert_true(admitted > 10000 && refused > 10000);
}

/* For any T: over any time D, the units that passed took at most D + tau, and a client that keeps to the rate is never
 * refused. */
static void a_greedy_sender_gets_the_rate_and_no_more(void **state)
{
    static const struct rate rates[] = {
        {3, NS_PER_S, 5}, {1500, NS_PER_S, 100}, {10ull << 30, NS_PER_S, 64 << 10}, {7, 60 * NS_PER_S, 0}, {1, DAY, 2},
    };
    struct property_rng rng = property_rng_new("gcra greedy");
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        const struct rate *r = &rates[i];
        uint64_t start = 1 + property_magnitude(&rng, 55), now = start, passed = 0, calls = 0, wait;
        gcra_word tat = 0;
        for (int n = 0; n < 20000; n++) {
            uint64_t quantity = 1 + property_below(&rng, r->burst + 1);
            while ((wait = gcra_admit(&tat, r, quantity, now)))
                now += wait;
            passed += quantity;
            calls++;
        }
        wide allowed = (wide)(now - start) * r->count + (wide)(r->burst + 1) * r->period_ns;
        wide took = (wide)passed * r->period_ns;
        /* At most the rounding of the tolerance above (less than one unit and 1 ns), at most 1 ns a call below. */
        assert_true(took < allowed + r->period_ns + r->count);
        assert_true(took + (wide)(calls + 1) * r->count >= allowed);
    }
}

static void some_is_the_most_that_passes(void **state)
{
    struct property_rng rng = property_rng_new("gcra some");
    uint64_t parts = 0;
    for (int i = 0; i < 50000; i++) {
        struct rate r = {1 + property_magnitude(&rng, 34), 1 + property_magnitude(&rng, 47),
                         property_magnitude(&rng, 40)};
        uint64_t now = 1 + property_magnitude(&rng, 60), quantity = property_magnitude(&rng, 41), wait = 7, wait_all;
        gcra_word tat = now + property_magnitude(&rng, 50), whole = tat, more = tat;
        if ((wide)(r.burst + 1) * r.period_ns / r.count > INT64_MAX / 2)
            continue; /* a tolerance of centuries saturates */
        uint64_t n = gcra_admit_some(&tat, &r, quantity, now, &wait);
        assert_true(n <= quantity);
        if (n > 0)
            assert_int_equal(gcra_admit(&whole, &r, n, now), 0);
        assert_int_equal(tat, whole);
        assert_int_equal(wait == 0, n == quantity);
        if (n == quantity)
            continue;
        wait_all = gcra_admit(&more, &r, n + 1, now);
        assert_true(wait_all > 0);
        assert_int_equal(gcra_wait_ns(&tat, &r, 1, now), wait);
        parts += n > 0;
    }
    assert_true(parts > 1000);
}

static void some_equals_one_after_another(void **state)
{
    struct property_rng rng = property_rng_new("gcra one by one");
    for (int run = 0; run < 2000; run++) {
        uint64_t interval = 1 + property_magnitude(&rng, 40), now = NS_PER_S, wait;
        struct rate r = {1 + property_magnitude(&rng, 20), 0, property_magnitude(&rng, 9)};
        r.period_ns = r.count * interval;
        gcra_word some = 0, single = 0;
        for (int i = 0; i < 20; i++) {
            uint64_t quantity = property_below(&rng, r.burst * 2 + 2);
            uint64_t n = passes_at_once(&single, &r, now, quantity);
            assert_int_equal(gcra_admit_some(&some, &r, quantity, now, &wait), n);
            assert_int_equal(some, single);
            assert_int_equal(wait, n < quantity ? gcra_wait_ns(&single, &r, 1, now) : 0);
            now += property_below(&rng, interval * (quantity + 1) + 1);
        }
    }
}

/* With a T that is no whole number, rounding may part the two: by 1 ns a call, and by the unit on which that falls. */
static void some_is_within_a_nanosecond_a_call_of_one_after_another(void **state)
{
    struct property_rng rng = property_rng_new("gcra fractions");
    for (int run = 0; run < 2000; run++) {
        struct rate r = {1 + property_magnitude(&rng, 24), NS_PER_S, property_magnitude(&rng, 9)};
        gcra_word some = NS_PER_S + property_magnitude(&rng, 30), single = some;
        uint64_t quantity = 1 + property_below(&rng, 2 * r.burst + 2), wait;
        uint64_t n = passes_at_once(&single, &r, NS_PER_S, quantity);
        uint64_t at_once = gcra_admit_some(&some, &r, quantity, NS_PER_S, &wait);
        assert_true(n <= at_once);
        assert_true((wide)(at_once - n) * r.period_ns <= (wide)(n + 1) * r.count + r.period_ns);
    }
}

static void a_debt_is_paid_before_anything_passes(void **state)
{
    struct rate r = {1000, NS_PER_S, 9}; /* T = 1 ms, tau = 10 ms */
    gcra_word tat = 0;
    uint64_t now = NS_PER_S;
    assert_int_equal(gcra_charge(&tat, &r, 10, now), 0);
    assert_int_equal(gcra_charge(&tat, &r, 5, now), 5 * NS_PER_MS);
    assert_int_equal(gcra_admit(&tat, &r, 1, now), 6 * NS_PER_MS);
    assert_int_equal(gcra_charge(&tat, &r, 0, now + 5 * NS_PER_MS), 0);
    assert_int_equal(gcra_admit(&tat, &r, 1, now + 6 * NS_PER_MS), 0);
}

static void a_refund_undoes_an_admission(void **state)
{
    struct property_rng rng = property_rng_new("gcra refund");
    for (int i = 0; i < 20000; i++) {
        struct rate r = {1 + property_magnitude(&rng, 34), 1 + property_magnitude(&rng, 47),
                         property_magnitude(&rng, 30)};
        uint64_t now = 1 + property_magnitude(&rng, 60), quantity = 1 + property_below(&rng, r.burst + 1);
        gcra_word tat = now + property_magnitude(&rng, 40);
        uint64_t before = tat;
        if (gcra_admit(&tat, &r, quantity, now))
            continue;
        gcra_refund(&tat, &r, quantity);
        assert_int_equal(tat, before);
    }
    gcra_word early = 5;
    struct rate r = {1, NS_PER_S, 1};
    gcra_refund(&early, &r, 1);
    assert_int_equal(early, 0);
}

struct sender {
    pthread_t thread;
    gcra_word *tat;
    const struct rate *rate;
    uint64_t admitted, seed;
    int mode;
};

#define STEPS   20000
#define STEP_NS 500000u

/* Admits what it can while its own virtual clock goes from 0 to STEPS * STEP_NS. */
static void *send_greedily(void *arg)
{
    struct sender *s = arg;
    struct property_rng rng = {s->seed};
    for (uint64_t step = 0; step < STEPS; step++) {
        uint64_t now = NS_PER_S + step * STEP_NS, wait, quantity = 1 + property_below(&rng, 4);
        if (s->mode == 0) {
            s->admitted += gcra_admit(s->tat, s->rate, quantity, now) == 0 ? quantity : 0;
        } else if (s->mode == 1) {
            s->admitted += gcra_admit_some(s->tat, s->rate, quantity, now, &wait);
        } else if (gcra_admit(s->tat, s->rate, quantity, now) == 0) {
            gcra_refund(s->tat, s->rate, quantity);
        }
    }
    return NULL;
}

static uint64_t admitted_by_threads(const struct rate *r, int modes, uint64_t seed)
{
    gcra_word tat = 0;
    struct sender senders[THREADS];
    uint64_t admitted = 0;
    for (int i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){.tat = &tat, .rate = r, .seed = seed + (uint64_t)i, .mode = i % modes};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_greedily, &senders[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(senders[i].thread, NULL);
        admitted += senders[i].admitted;
    }
    return admitted;
}

/* Given back later, when another thread may have been charged meanwhile: each refund makes at most one more pass. */
static void what_is_given_back_later_makes_one_more_pass(void **state)
{
    struct property_rng rng = property_rng_new("gcra given back");
    for (int run = 0; run < 300; run++) {
        const struct rate r = {
            .count = 1, .period_ns = 1 + property_magnitude(&rng, 20), .burst = property_magnitude(&rng, 8)};
        gcra_word tat = 0;
        uint64_t begun = 1 + property_magnitude(&rng, 40), now = begun, passed = 0, owed = 0, given = 0;
        for (int i = 0; i < 1000; i++) {
            now += property_magnitude(&rng, 20) / 4;
            if (owed && property_below(&rng, 3) == 0) {
                gcra_refund(&tat, &r, 1);
                owed--;
                given++;
            } else if (gcra_admit(&tat, &r, 1, now) == 0) {
                passed++;
                owed++;
            }
            assert_true(passed <= given + r.burst + 1 + (now - begun) / r.period_ns);
        }
    }
}

static void forgiven_is_only_what_the_new_rate_could_not_bring_about(void **state)
{
    struct property_rng rng = property_rng_new("gcra forgive");
    struct rate tiny = {1, 3600 * NS_PER_S, 9}, fast = {800, NS_PER_S, 0}, none = {0};
    gcra_word word = 0;
    uint64_t now = NS_PER_S;
    assert_int_equal(gcra_charge(&word, &tiny, 10, now), 0);
    assert_int_equal(gcra_admit(&word, &tiny, 1, now), 3600 * NS_PER_S);
    gcra_forgive(&word, &fast, now);
    assert_int_equal(gcra_admit(&word, &fast, 1, now), NS_PER_S / 800); /* its burst is used up, and no more */
    gcra_forgive(&word, &none, now);
    assert_int_equal(word, 0);
    for (unsigned i = 0; i < 10000; i++) {
        struct rate r = {1 + property_below(&rng, 1000), 1 + property_below(&rng, NS_PER_S), property_below(&rng, 100)};
        word = property_below(&rng, 2 * NS_PER_S);
        while (gcra_admit(&word, &r, 1, now) == 0 && property_below(&rng, 4))
            ;
        uint64_t before = gcra_wait_ns(&word, &r, 1, now);
        gcra_forgive(&word, &r, now);
        uint64_t after = gcra_wait_ns(&word, &r, 1, now), one = (r.period_ns + r.count - 1) / r.count;
        assert_true(after <= one);
        assert_true(before > one || after == before);
    }
}

static void threads_together_get_no_more_than_the_rate(void **state)
{
    struct property_rng rng = property_rng_new("gcra threads");
    struct rate r = {500, NS_PER_S, 49};
    uint64_t bound = (uint64_t)STEPS * STEP_NS / (NS_PER_S / 500) + 50;
    for (int modes = 1; modes <= 3; modes++) {
        uint64_t admitted = admitted_by_threads(&r, modes, property_next(&rng));
        assert_true(admitted <= bound);
        assert_true(admitted >= 50);
    }
    /* T so long that the clock hardly matters: exactly burst + 1 pass, with any number of threads. */
    struct rate frozen = {1, INT64_MAX / 100000, 9999};
    for (int run = 0; run < 5; run++)
        assert_int_equal(admitted_by_threads(&frozen, 2, property_next(&rng)), 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drained_limiter_passes_burst_and_one),
        cmocka_unit_test(what_exceeds_the_burst_is_saved_up_for),
        cmocka_unit_test(a_refusal_changes_nothing_and_names_the_exact_wait),
        cmocka_unit_test(what_never_passes_says_so),
        cmocka_unit_test(a_count_of_zero_is_no_limit),
        cmocka_unit_test(costs_are_exact_from_10_gib_a_second_to_one_a_day),
        cmocka_unit_test(extremes_saturate_on_the_side_of_refusing),
        cmocka_unit_test(agrees_with_a_token_bucket),
        cmocka_unit_test(a_greedy_sender_gets_the_rate_and_no_more),
        cmocka_unit_test(some_is_the_most_that_passes),
        cmocka_unit_test(some_equals_one_after_another),
        cmocka_unit_test(some_is_within_a_nanosecond_a_call_of_one_after_another),
        cmocka_unit_test(a_debt_is_paid_before_anything_passes),
        cmocka_unit_test(a_refund_undoes_an_admission),
        cmocka_unit_test(what_is_given_back_later_makes_one_more_pass),
        cmocka_unit_test(forgiven_is_only_what_the_new_rate_could_not_bring_about),
        cmocka_unit_test(threads_together_get_no_more_than_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
