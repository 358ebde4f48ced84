/* SPDX-License-Identifier: MPL-2.0 */
#include "base/timers.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TIMERS 300
#define HOUR   (3600 * NS_PER_S)

static uint64_t pop_expecting(struct timers *w, struct timer *t, uint64_t now_ns)
{
    assert_ptr_equal(timers_pop(w, now_ns), t);
    assert_null(timers_pop(w, now_ns));
    return now_ns;
}

static void fires_in_its_tick_and_not_before(void **state)
{
    static const uint64_t distances_ns[] = {
        1,
        NS_PER_MS - 1,
        NS_PER_MS,
        63 * NS_PER_MS,
        64 * NS_PER_MS,
        65 * NS_PER_MS,
        4095 * NS_PER_MS,
        5 * NS_PER_S,
        300 * NS_PER_S,
        4 * HOUR,
        5 * HOUR,
        30 * HOUR,
        10000 * HOUR,
    };
    for (size_t i = 0; i < ARRAY_LEN(distances_ns); i++) {
        for (uint64_t start = 0; start < 200 * NS_PER_S; start += 7 * NS_PER_S + 123456789) {
            struct timers w;
            struct timer t;
            uint64_t expires = start + distances_ns[i];
            timers_init(&w, start);
            timer_init(&t);
            timer_arm(&w, &t, expires);
            assert_null(timers_pop(&w, expires - 1));
            pop_expecting(&w, &t, expires + NS_PER_MS);
            assert_int_equal(t.expires_ns, 0);
            assert_int_equal(timers_next_ns(&w), UINT64_MAX);
        }
    }
}

static void following_next_reaches_a_far_deadline_in_few_steps(void **state)
{
    struct timers w;
    struct timer t, *popped;
    uint64_t now = 12345678, expires = now + 100 * HOUR;
    unsigned steps = 0;
    timers_init(&w, now);
    timer_init(&t);
    timer_arm(&w, &t, expires);
    do {
        uint64_t next = timers_next_ns(&w);
        assert_true(next > now && next <= expires + NS_PER_MS);
        now = next;
        steps++;
    } while (!(popped = timers_pop(&w, now)));
    assert_ptr_equal(popped, &t);
    assert_true(now >= expires);
    assert_in_range(steps, 1, 30);
}

static void disarming_and_arming_again_are_harmless(void **state)
{
    struct timers w;
    struct timer t;
    timers_init(&w, 0);
    timer_init(&t);
    timer_disarm(&t);
    timer_arm(&w, &t, 5 * NS_PER_MS);
    timer_disarm(&t);
    timer_disarm(&t);
    assert_null(timers_pop(&w, NS_PER_S));
    assert_int_equal(timers_next_ns(&w), UINT64_MAX);
    timer_arm(&w, &t, 1); /* long ago */
    assert_true(timers_next_ns(&w) <= NS_PER_S);
    pop_expecting(&w, &t, NS_PER_S);
    timer_arm(&w, &t, 2 * NS_PER_S);
    timer_arm(&w, &t, 3 * NS_PER_S);
    assert_null(timers_pop(&w, 2 * NS_PER_S + NS_PER_MS));
    pop_expecting(&w, &t, 3 * NS_PER_S);
}

static void a_clock_that_steps_back_loses_nothing(void **state)
{
    struct timers w;
    struct timer t;
    timers_init(&w, 10 * NS_PER_S);
    timer_init(&t);
    assert_null(timers_pop(&w, 20 * NS_PER_S));
    assert_null(timers_pop(&w, 15 * NS_PER_S));
    timer_arm(&w, &t, 21 * NS_PER_S);
    assert_null(timers_pop(&w, 5 * NS_PER_S));
    pop_expecting(&w, &t, 21 * NS_PER_S);
}

/* The oracle: a plain array of deadlines, looked through from end to end. 0: not armed. */
struct model {
    struct timers wheel;
    struct timer timers[TIMERS];
    uint64_t deadlines[TIMERS];
    struct property_rng rng;
    uint64_t now;
    unsigned fired;
};

static void model_arm(struct model *m, unsigned i, uint64_t expires_ns)
{
    m->deadlines[i] = expires_ns;
    timer_arm(&m->wheel, &m->timers[i], expires_ns);
}

static void model_disarm(struct model *m, unsigned i)
{
    m->deadlines[i] = 0;
    timer_disarm(&m->timers[i]);
}

static uint64_t model_earliest(const struct model *m)
{
    uint64_t earliest = UINT64_MAX;
    for (unsigned i = 0; i < TIMERS; i++)
        if (m->deadlines[i] && m->deadlines[i] < earliest)
            earliest = m->deadlines[i];
    return earliest;
}

/* Arms, moves or disarms any timer; within a pop loop only into the future, lest it never end. */
static void model_change(struct model *m, bool in_loop)
{
    unsigned i = (unsigned)property_below(&m->rng, TIMERS);
    uint64_t distance = property_magnitude(&m->rng, 46); /* up to 19 hours */
    uint64_t choice = property_below(&m->rng, 8);
    if (choice == 0)
        model_disarm(m, i);
    else if (choice == 1 && !in_loop)
        model_arm(m, i, m->now > distance ? m->now - distance : 1);
    else
        model_arm(m, i, m->now + 2 * NS_PER_MS + distance);
}

static void model_pop_all(struct model *m)
{
    struct timer *t;
    while ((t = timers_pop(&m->wheel, m->now))) {
        unsigned i = (unsigned)(t - m->timers);
        assert_true(i < TIMERS);
        assert_true(m->deadlines[i] != 0);      /* not one that was disarmed, nor one twice */
        assert_true(m->deadlines[i] <= m->now); /* not early */
        assert_int_equal(t->expires_ns, 0);
        m->deadlines[i] = 0;
        m->fired++;
        for (uint64_t n = property_below(&m->rng, 3); n > 0; n--)
            model_change(m, true);
    }
    assert_true(model_earliest(m) > m->now - NS_PER_MS); /* at most one tick late */
}

static void model_step(struct model *m)
{
    uint64_t earliest = model_earliest(m), next = timers_next_ns(&m->wheel);
    assert_true(earliest == UINT64_MAX ? next == UINT64_MAX : next <= earliest + NS_PER_MS);
    switch (property_below(&m->rng, 4)) {
    case 0:
        m->now += property_magnitude(&m->rng, 45);
        break;
    case 1:
        if (next != UINT64_MAX && next > m->now)
            m->now = next;
        break;
    default:
        m->now += property_below(&m->rng, 3 * NS_PER_MS);
    }
    model_pop_all(m);
    for (uint64_t n = property_below(&m->rng, 6); n > 0; n--)
        model_change(m, false);
}

static void agrees_with_a_plain_list(void **state)
{
    struct model *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->rng = property_rng_new("timers");
    m->now = NS_PER_S + property_magnitude(&m->rng, 56);
    timers_init(&m->wheel, m->now);
    for (unsigned i = 0; i < TIMERS; i++)
        timer_init(&m->timers[i]);
    for (unsigned step = 0; step < 20000; step++)
        model_step(m);
    assert_true(m->fired > 1000);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_in_its_tick_and_not_before),
        cmocka_unit_test(following_next_reaches_a_far_deadline_in_few_steps),
        cmocka_unit_test(disarming_and_arming_again_are_harmless),
        cmocka_unit_test(a_clock_that_steps_back_loses_nothing),
        cmocka_unit_test(agrees_with_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
