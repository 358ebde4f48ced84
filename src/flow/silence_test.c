/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/silence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MS NS_PER_MS

static struct silence s;
static uint64_t now, answered;
static const struct silence_load load = {.in_hand = 2, .waiting = 100};

static int set_up(void **state)
{
    silence_init(&s);
    now = NS_PER_S;
    answered = 0;
    return 0;
}

static uint32_t answer(uint64_t asked_ns)
{
    answered++;
    uint32_t worth = silence_answer(&s, answered, asked_ns, now);
    return worth + silence_end(&s, asked_ns, false, false);
}

/* The quickest took 1 ms; then two are asked, and nothing is answered for so long. Returns when they were. */
static uint64_t fall_silent(uint64_t ns)
{
    answer(now - MS);
    uint64_t asked = now;
    for (uint64_t until = now + ns; now <= until; now += MS)
        silence_look(&s, answered, load, asked, now);
    return asked;
}

static void who_answers_in_time_gets_no_more(void **state)
{
    for (unsigned n = 0; n < 1000; n++) {
        uint64_t asked = now;
        now += 2 * MS;
        silence_look(&s, answered, load, asked, now);
        answer(asked);
        assert_int_equal(s.places, 0);
    }
    assert_int_equal(silence_each_ns(&s), 16 * MS);
}

/* An eighth of the silence, at most. */
static void the_longer_the_silence_the_more(void **state)
{
    fall_silent(33 * MS);
    assert_int_equal(s.places, 4);
    set_up(NULL);
    fall_silent(3000 * MS);
    assert_true(s.places > SILENCE_FIRST && s.places <= 5 * SILENCE_FIRST);
}

static void an_idle_application_was_not_silent(void **state)
{
    answer(now - MS);
    silence_look(&s, answered, load, now, now);
    now += 60 * NS_PER_S;
    silence_look(&s, answered, load, now - MS, now);
    assert_int_equal(s.places, 0);
}

/* Two that took 40 ms each, one after the other, and those who were let in behind them. */
static void who_only_queued_was_one_too_many(void **state)
{
    uint64_t asked = fall_silent(39 * MS), granted = s.granted_ns;
    uint32_t trust = s.trust, places = s.places;
    assert_int_equal(places, 4);
    assert_int_equal(answer(asked), 0);
    now += 40 * MS;
    assert_int_equal(answer(asked), 0);
    assert_int_equal(s.places, places - 2);
    for (uint32_t i = 0; i < places; i++) {
        now += 40 * MS;
        assert_int_equal(answer(i + 1 < places ? s.first_ns : granted), 0);
    }
    assert_int_equal(s.trust, trust / 2);
}

/* All take 40 ms, whoever else is there. */
static void who_did_not_queue_was_worth_it(void **state)
{
    uint64_t asked = fall_silent(39 * MS), granted = s.granted_ns;
    uint32_t trust = s.trust;
    answer(asked);
    answer(asked);
    now = granted + 40 * MS;
    assert_int_equal(answer(granted), 4);
    assert_int_equal(s.places, 0);
    assert_int_equal(s.trust, 2 * trust);
}

static void who_was_overtaken_was_worth_it(void **state)
{
    uint64_t asked = fall_silent(39 * MS);
    assert_int_equal(silence_end(&s, asked, true, false), 4);
    assert_int_equal(s.places, 0);
    assert_int_equal(silence_end(&s, asked, true, false), 0);
}

/* Until it is known what came of the last. */
static void one_silence_at_a_time_is_tried(void **state)
{
    uint64_t asked = fall_silent(39 * MS);
    answer(asked);
    uint32_t places = s.places;
    for (unsigned i = 0; i < 100; i++) {
        silence_look(&s, answered, load, asked, now);
        now += MS;
    }
    assert_int_equal(s.places, places);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, set_up)
    const struct CMUnitTest tests[] = {
        TEST(who_answers_in_time_gets_no_more),   TEST(the_longer_the_silence_the_more),
        TEST(an_idle_application_was_not_silent), TEST(who_only_queued_was_one_too_many),
        TEST(who_did_not_queue_was_worth_it),     TEST(who_was_overtaken_was_worth_it),
        TEST(one_silence_at_a_time_is_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
