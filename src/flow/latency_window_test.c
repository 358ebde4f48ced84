/* SPDX-License-Identifier: MPL-2.0 */
/* Each hold is an experiment that ends when it does not help. */
#include "flow/latency_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SERVICE (NS_PER_MS)

struct drive {
    struct latency_window w;
    struct latency_facts f;
    uint64_t now_ns;
    uint64_t carry_ns;
};

/* A server that answers one message in each SERVICE. The latency is the time of those in front. In hand is filled up to
 * `asked` or the window. */
static void run(struct drive *d, uint64_t for_ns, uint64_t asked)
{
    for (uint64_t end_ns = d->now_ns + for_ns; d->now_ns < end_ns; d->now_ns += NS_PER_MS) {
        d->f.held = false;
        while (d->f.in_hand < asked && !d->f.held)
            if (latency_window_allows(&d->w, d->f.in_hand))
                d->f.in_hand++;
            else
                d->f.held = true;
        for (d->carry_ns += NS_PER_MS; d->carry_ns >= SERVICE; d->carry_ns -= SERVICE) {
            if (!d->f.in_hand)
                continue;
            latency_window_sample(&d->w, d->f.in_hand * SERVICE, asked == 1);
            d->f.in_hand--;
            d->f.answered++;
            d->f.answered_at_ns = d->now_ns;
        }
        latency_window_look(&d->w, &d->f, d->now_ns);
    }
}

static struct drive begin(bool plain)
{
    struct drive d = {.now_ns = NS_PER_S, .f = {.plain = plain}};
    latency_window_init(&d.w, d.now_ns);
    run(&d, 3 * NS_PER_S, 1);
    assert_false(latency_window_is_suspicious(&d.w));
    return d;
}

static void a_queue_of_a_plain_service_is_held(void **state)
{
    struct drive d = begin(true);
    run(&d, 5 * NS_PER_S, 1000);
    assert_int_equal(d.w.state, LATENCY_HOLDING);
    assert_true(d.f.in_hand < 64);
    run(&d, 3 * NS_PER_S, 1);
    assert_int_equal(d.w.state, LATENCY_WATCHING);
}

static void what_is_not_plain_is_never_held_for_latency(void **state)
{
    struct drive d = begin(false);
    run(&d, 5 * NS_PER_S, 100);
    assert_int_equal(d.w.state, LATENCY_WATCHING);
}

/* The application stops answering while something is held: the window doubles, and the hold is counted. */
static void a_hold_without_answers_ends(void **state)
{
    struct drive d = begin(true);
    run(&d, 3 * NS_PER_S, 1000);
    assert_int_equal(d.w.state, LATENCY_HOLDING);
    double window = d.w.window;
    d.f.held = true;
    for (unsigned i = 0; i < 3000; i++) {
        d.f.in_hand = (uint64_t)d.w.window;
        latency_window_look(&d.w, &d.f, d.now_ns += NS_PER_MS);
    }
    assert_true(d.w.window > 100 * window);
    assert_true(d.w.stuck > 5);
}

static void few_samples_say_nothing(void **state)
{
    struct latency_window w;
    latency_window_init(&w, 0);
    latency_window_sample(&w, 1000, true);
    latency_window_sample(&w, NS_PER_S, true);
    assert_false(latency_window_is_suspicious(&w));
}

/* The pipes run empty again and again, at no cost. */
static void messages_go_on_in_batches(void **state)
{
    struct drive d = begin(true);
    unsigned empty = 0, most = 0;
    run(&d, 5 * NS_PER_S, 1000);
    uint64_t from = d.f.answered;
    for (unsigned n = 0; n < 2000; n++) {
        run(&d, NS_PER_MS, 1000);
        empty += d.f.in_hand == 0;
        most = d.f.in_hand > most ? (unsigned)d.f.in_hand : most;
    }
    assert_int_equal(d.w.state, LATENCY_HOLDING);
    assert_true(most > 1);
    assert_true(empty > 30);
    assert_true(d.f.answered - from > 1900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_of_a_plain_service_is_held),
        cmocka_unit_test(messages_go_on_in_batches),
        cmocka_unit_test(what_is_not_plain_is_never_held_for_latency),
        cmocka_unit_test(a_hold_without_answers_ends),
        cmocka_unit_test(few_samples_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
