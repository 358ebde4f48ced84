/* SPDX-License-Identifier: MPL-2.0 */
/* What the counter says, and what of it is not believed. */
#include "flow/taken_counter.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct taken_page page;

static void begin(struct taken_counter *c, struct taken_facts *f, uint64_t now_ns)
{
    *c = (struct taken_counter){0};
    taken_page_begin(&page, now_ns);
    taken_page_wish(&page, UINT64_MAX, false);
    taken_counter_read(c, &page, f, now_ns);
}

static bool take(uint64_t now_ns)
{
    return taken_page_took(&page, now_ns - 5, now_ns);
}

static void no_page_is_no_counter(void **state)
{
    struct taken_counter c = {0};
    struct taken_facts f = {0};
    taken_counter_read(&c, NULL, &f, 1);
    assert_false(taken_counter_holds(&c));
    begin(&c, &f, NS_PER_S);
    assert_true(taken_counter_holds(&c));
    taken_counter_read(&c, &page, &f, NS_PER_S + TAKEN_STALE_NS + 1);
    assert_false(taken_counter_holds(&c));
    taken_page_beat(&page, 20 * NS_PER_S);
    taken_counter_read(&c, &page, &f, 20 * NS_PER_S);
    assert_true(taken_counter_holds(&c));
    atomic_store(&page.magic, 1);
    taken_counter_read(&c, &page, &f, 20 * NS_PER_S);
    assert_false(taken_counter_holds(&c));
}

static void untaken_is_passed_less_taken(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {.passed = 100};
    begin(&c, &f, NS_PER_S);
    f.passed = 110;
    f.passed_at_ns = NS_PER_S;
    for (unsigned i = 0; i < 4; i++)
        assert_false(take(NS_PER_S + i));
    taken_counter_read(&c, &page, &f, NS_PER_S + 10);
    assert_int_equal(c.untaken, 6);
    uint64_t at_ns, asked_ns;
    assert_int_equal(taken_counter_index(&c, 102), 2);
    assert_int_equal(taken_counter_index(&c, 99), UINT64_MAX);
    assert_true(taken_page_entry(&page, 2, &at_ns, &asked_ns));
    assert_int_equal(at_ns, NS_PER_S + 2);
    assert_int_equal(asked_ns, NS_PER_S - 3);
    assert_false(taken_page_entry(&page, 4, &at_ns, &asked_ns));
}

static void weir_is_woken_when_it_wished(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {0};
    begin(&c, &f, NS_PER_S);
    taken_page_wish(&page, 2, true);
    assert_false(take(NS_PER_S));
    assert_true(take(NS_PER_S));
    assert_true(taken_page_found_nothing(&page, true, NS_PER_S));
    taken_page_wish(&page, UINT64_MAX, false);
    assert_false(taken_page_found_nothing(&page, false, NS_PER_S));
}

static void who_waits_no_more_is_not_idle(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {0};
    begin(&c, &f, NS_PER_S);
    assert_false(taken_page_found_nothing(&page, true, NS_PER_S));
    taken_counter_read(&c, &page, &f, NS_PER_S + 1);
    assert_true(c.idle);
    /* The wait has ended without a message. The application does something else until it asks again. */
    assert_false(taken_page_found_nothing(&page, false, NS_PER_S + 2));
    taken_counter_read(&c, &page, &f, NS_PER_S + 3);
    taken_counter_read(&c, &page, &f, NS_PER_S + 4);
    assert_false(c.idle);
}

static void one_that_counts_too_high_is_resynchronised(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {.passed = 5};
    begin(&c, &f, NS_PER_S);
    for (unsigned i = 0; i < 3; i++)
        assert_false(take(NS_PER_S));
    taken_counter_read(&c, &page, &f, NS_PER_S);
    assert_int_equal(c.untaken, 0);
    assert_int_equal(c.contradictions, 0); /* these were passed before it came */
    assert_false(taken_page_found_nothing(&page, true, NS_PER_S));
    taken_counter_read(&c, &page, &f, NS_PER_S);
    f.passed += 2;
    for (unsigned i = 0; i < 3; i++)
        assert_false(take(NS_PER_S));
    taken_counter_read(&c, &page, &f, NS_PER_S);
    assert_int_equal(c.untaken, 0);
    assert_int_equal(c.contradictions, 1);
    f.passed += 2;
    taken_counter_read(&c, &page, &f, NS_PER_S);
    assert_int_equal(c.untaken, 2);
}

/* Weir has restarted in front of an application with full queues. */
static void a_backlog_of_before_is_no_lie(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {0};
    begin(&c, &f, NS_PER_S);
    for (unsigned i = 0; i < 1000; i++) {
        f.passed += i % 3 == 0;
        assert_false(take(NS_PER_S));
        taken_counter_read(&c, &page, &f, NS_PER_S);
        assert_true(taken_counter_holds(&c) && c.untaken <= 1);
    }
}

static void one_that_counts_too_low_is_resynchronised_when_idle(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {0};
    begin(&c, &f, NS_PER_S);
    f.passed = 4;
    f.passed_at_ns = NS_PER_S;
    assert_false(taken_page_found_nothing(&page, true, NS_PER_S));
    taken_counter_read(&c, &page, &f, NS_PER_S + TAKEN_SETTLE_NS);
    assert_int_equal(c.untaken, 4);
    taken_counter_read(&c, &page, &f, NS_PER_S + TAKEN_SETTLE_NS + 1);
    assert_int_equal(c.untaken, 0);
}

/* On a busy machine it may take longer to take a message than an idle application should need. */
static void one_that_is_late_is_no_liar(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {0};
    uint64_t now_ns = NS_PER_S;
    begin(&c, &f, now_ns);
    for (unsigned i = 0; i < 1000; i++) {
        taken_page_beat(&page, now_ns);
        assert_false(taken_page_found_nothing(&page, true, now_ns));
        f.passed++;
        f.passed_at_ns = now_ns;
        now_ns += 20 * NS_PER_MS;
        taken_counter_read(&c, &page, &f, now_ns);
        assert_int_equal(c.untaken, 0);
        assert_false(take(now_ns));
        taken_counter_read(&c, &page, &f, now_ns);
        assert_true(taken_counter_holds(&c) && c.untaken == 0 && c.contradictions == 0);
    }
    f.passed += 3;
    taken_counter_read(&c, &page, &f, now_ns);
    assert_int_equal(c.untaken, 3);
}

/* The application waits and does not run. Messages that pass meanwhile lie there, whatever is assumed. */
static void one_that_is_not_scheduled_is_not_filled(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {0};
    begin(&c, &f, NS_PER_S);
    assert_false(taken_page_found_nothing(&page, true, NS_PER_S));
    for (uint64_t now_ns = NS_PER_S; now_ns < NS_PER_S + 300 * NS_PER_MS; now_ns += NS_PER_MS) {
        taken_counter_read(&c, &page, &f, now_ns);
        if (c.untaken)
            continue;
        f.passed++;
        f.passed_at_ns = now_ns;
    }
    assert_in_range(f.passed, 5, 9);
}

static void one_that_misses_each_second_is_not_believed(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {0};
    uint64_t now_ns = NS_PER_S;
    begin(&c, &f, now_ns);
    for (unsigned i = 0; i < 100 && taken_counter_holds(&c); i++) {
        taken_page_beat(&page, now_ns);
        f.passed += 2;
        f.passed_at_ns = now_ns;
        assert_false(take(now_ns));
        assert_false(taken_page_found_nothing(&page, true, now_ns));
        taken_counter_read(&c, &page, &f, now_ns + 10 * NS_PER_MS);
        assert_int_equal(c.untaken, 0);
        now_ns += NS_PER_S;
        taken_counter_read(&c, &page, &f, now_ns);
    }
    assert_int_equal(c.state, TAKEN_DOUBTED);
}

/* While the page was read, another thread has passed a message and the application has taken it. */
static void what_passes_meanwhile_is_no_lie(void **state)
{
    struct taken_counter c;
    _Atomic uint64_t passed = 1;
    struct taken_facts f = {.passing = &passed};
    begin(&c, &f, NS_PER_S);
    assert_false(taken_page_found_nothing(&page, true, NS_PER_S));
    taken_counter_read(&c, &page, &f, NS_PER_S);
    atomic_store(&passed, 2);
    assert_false(take(NS_PER_S));
    taken_counter_read(&c, &page, &f, NS_PER_S);
    assert_int_equal(c.contradictions, 0);
    assert_int_equal(c.untaken, 0);
}

static void one_that_stands_still_gets_an_allowance_that_doubles(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {0};
    begin(&c, &f, NS_PER_S);
    f.passed = 4;
    uint64_t last = 0;
    for (uint64_t now_ns = NS_PER_S; now_ns < 5 * NS_PER_S; now_ns += 50 * NS_PER_MS) {
        taken_counter_read(&c, &page, &f, now_ns);
        assert_true(c.allowance >= last);
        last = c.allowance;
        assert_int_equal(c.state == TAKEN_SLOW, now_ns >= 2 * NS_PER_S);
    }
    assert_true(last >= 1024);
    assert_false(take(5 * NS_PER_S));
    taken_counter_read(&c, &page, &f, 5 * NS_PER_S);
    assert_int_equal(c.state, TAKEN_BELIEVED);
    assert_int_equal(c.allowance, 0);
}

static void answers_without_takes_are_a_lie(void **state)
{
    struct taken_counter c;
    struct taken_facts f = {.plain = true};
    begin(&c, &f, NS_PER_S);
    f.passed = f.answered = TAKEN_ANSWERS_MOST;
    taken_counter_read(&c, &page, &f, NS_PER_S);
    assert_true(taken_counter_holds(&c));
    f.passed = ++f.answered;
    taken_counter_read(&c, &page, &f, NS_PER_S);
    assert_false(taken_counter_holds(&c));
    taken_page_begin(&page, NS_PER_S);
    taken_counter_read(&c, &page, &f, NS_PER_S);
    assert_true(taken_counter_holds(&c));
}

static void a_page_of_garbage_does_no_harm(void **state)
{
    struct property_rng r = property_rng_new("taken_counter");
    struct taken_counter c = {0};
    struct taken_facts f = {0};
    for (unsigned i = 0; i < 20000; i++) {
        atomic_store(&page.taken, property_magnitude(&r, 64));
        atomic_store(&page.idle_since_ns, property_magnitude(&r, 64));
        atomic_store(&page.empty_polls, property_magnitude(&r, 64));
        atomic_store(&page.heartbeat_ns, property_magnitude(&r, 64));
        f.passed += property_below(&r, 5);
        f.plain = property_below(&r, 2);
        uint64_t at_ns, asked_ns, now_ns = i * NS_PER_MS;
        taken_counter_read(&c, &page, &f, now_ns);
        if (taken_page_entry(&page, property_magnitude(&r, 64), &at_ns, &asked_ns))
            assert_int_equal(at_ns | asked_ns, (at_ns | asked_ns) & UINT64_MAX);
    }
}

/* Half of what passes is parts and heartbeats. The number is corrected whenever the application is idle. */
static void frames_are_more_than_messages(void **state)
{
    for (unsigned frames = 0; frames < 2; frames++) {
        struct taken_counter c;
        struct taken_facts f = {.frames = frames};
        uint64_t now_ns = NS_PER_S;
        begin(&c, &f, now_ns);
        for (unsigned i = 0; i < 100; i++, now_ns += NS_PER_S) {
            taken_page_beat(&page, now_ns);
            f.passed += 2;
            f.passed_at_ns = now_ns;
            taken_counter_read(&c, &page, &f, now_ns);
            (void)!take(now_ns + NS_PER_US);
            (void)!taken_page_found_nothing(&page, true, now_ns + 2 * NS_PER_US);
            taken_counter_read(&c, &page, &f, now_ns + 2 * TAKEN_SETTLE_NS);
            assert_int_equal(c.untaken, 0);
            taken_counter_read(&c, &page, &f, now_ns + 2 * TAKEN_LOST_NS);
        }
        assert_int_equal(taken_counter_holds(&c), frames);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_page_is_no_counter),
        cmocka_unit_test(untaken_is_passed_less_taken),
        cmocka_unit_test(weir_is_woken_when_it_wished),
        cmocka_unit_test(who_waits_no_more_is_not_idle),
        cmocka_unit_test(one_that_counts_too_high_is_resynchronised),
        cmocka_unit_test(a_backlog_of_before_is_no_lie),
        cmocka_unit_test(one_that_counts_too_low_is_resynchronised_when_idle),
        cmocka_unit_test(one_that_is_late_is_no_liar),
        cmocka_unit_test(one_that_is_not_scheduled_is_not_filled),
        cmocka_unit_test(one_that_misses_each_second_is_not_believed),
        cmocka_unit_test(what_passes_meanwhile_is_no_lie),
        cmocka_unit_test(one_that_stands_still_gets_an_allowance_that_doubles),
        cmocka_unit_test(answers_without_takes_are_a_lie),
        cmocka_unit_test(a_page_of_garbage_does_no_harm),
        cmocka_unit_test(frames_are_more_than_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
