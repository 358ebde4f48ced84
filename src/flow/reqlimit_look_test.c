/* SPDX-License-Identifier: MPL-2.0 */
/* What a look and a tick leave behind: how far messages pass without the lock, and when the counter wakes Weir. */
#include "flow/reqlimit_queue.h"

#include "flow/request_costs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MOST 2u

struct look {
    struct reqlimit l;
    struct taken_page page;
    struct reqlimit_conn c;
    uint64_t now_ns;
};

/* Not on the stack: the page is aligned to more than a stack has under a sanitizer. */
static struct look it;

static void look_init(struct look *t, uint32_t most, bool counter)
{
    *t = (struct look){.now_ns = NS_PER_S};
    assert_int_equal(reqlimit_init(&t->l, 64, t->now_ns), 0);
    reqlimit_bound(&t->l, most);
    if (counter) {
        taken_page_begin(&t->page, t->now_ns);
        reqlimit_attach(&t->l, &t->page);
    }
    reqlimit_join(&t->l, &t->c, 1, t->now_ns);
    reqlimit_activate(&t->l, &t->c, t->now_ns);
}

static void look_fini(struct look *t)
{
    reqlimit_leave(&t->l, &t->c, t->now_ns);
    reqlimit_fini(&t->l);
}

static void look_later(struct look *t, uint64_t by_ns)
{
    t->now_ns += by_ns;
    taken_page_beat(&t->page, t->now_ns);
    reqlimit_look(&t->l, t->now_ns);
}

static void without_a_limit_messages_pass_without_the_lock(void **state)
{
    struct look *t = &it;
    look_init(t, 0, true);
    look_later(t, NS_PER_MS);
    assert_int_equal(atomic_load(&t->l.free_until), UINT64_MAX);
    assert_false(atomic_load(&t->l.by_hand));
    assert_true(reqlimit_quick(&t->l, &t->c, 100, t->now_ns));
    look_fini(t);
}

static void with_a_limit_none_passes_without_the_lock(void **state)
{
    struct look *t = &it;
    look_init(t, MOST, false);
    look_later(t, NS_PER_MS);
    assert_int_equal(atomic_load(&t->l.free_until), 0);
    look_fini(t);
}

/* Answers matter then: each may let a message pass. */
static void who_waits_for_answers_says_so(void **state)
{
    struct look *t = &it;
    look_init(t, MOST, false);
    reqlimit_pass(&t->l, &t->c, MOST, t->now_ns);
    reqlimit_line_up(&t->l, &t->c, 1, t->now_ns);
    look_later(t, NS_PER_MS);
    assert_true(atomic_load(&t->l.by_hand));
    assert_true(reqlimit_answer_needs_lock(&t->l, &t->c, 1));
    reqlimit_answered(&t->l, &t->c, 1, true, t->now_ns);
    look_later(t, NS_PER_MS);
    assert_int_equal(reqlimit_take(&t->c), 1);
    assert_false(atomic_load(&t->l.by_hand));
    look_fini(t);
}

/* A wake-up costs the application time: there is none while nobody waits. */
static void the_counter_wakes_only_for_those_that_wait(void **state)
{
    struct look *t = &it;
    look_init(t, MOST, true);
    look_later(t, NS_PER_MS);
    assert_int_equal(atomic_load(&t->page.wake_taken), UINT64_MAX);
    assert_false(atomic_load(&t->page.wake_idle));
    reqlimit_pass(&t->l, &t->c, MOST, t->now_ns);
    reqlimit_line_up(&t->l, &t->c, 1, t->now_ns);
    look_later(t, NS_PER_MS);
    assert_true(atomic_load(&t->page.wake_taken) > 0 && atomic_load(&t->page.wake_taken) < UINT64_MAX);
    assert_true(atomic_load(&t->page.wake_idle));
    look_fini(t);
}

/* While an eighth of the window is free, the application does not run dry. */
static void a_wide_window_is_not_looked_at_for_each_message(void **state)
{
    struct look *t = &it;
    look_init(t, MOST, true);
    look_later(t, NS_PER_MS);
    reqlimit_pass(&t->l, &t->c, 80, t->now_ns);
    reqlimit_line_up(&t->l, &t->c, 1, t->now_ns);
    t->l.release.messages = 80;
    reqlimit_look(&t->l, t->now_ns);
    uint64_t window = t->l.release.messages;
    assert_int_equal(atomic_load(&t->page.wake_taken), 80 - window + window / 8);
    look_fini(t);
}

static void a_line_is_looked_at_more_often(void **state)
{
    struct look *t = &it;
    look_init(t, MOST, false);
    uint64_t idle_ns = reqlimit_tick(&t->l, t->now_ns) - t->now_ns;
    reqlimit_pass(&t->l, &t->c, MOST, t->now_ns);
    reqlimit_line_up(&t->l, &t->c, 1, t->now_ns);
    uint64_t held_ns = reqlimit_tick(&t->l, t->now_ns) - t->now_ns;
    assert_int_equal(held_ns, TICK_HELD_NS);
    assert_true(idle_ns > 10 * held_ns);
    look_fini(t);
}

/* Only a disturbed time shows what the application is capable of: in calm time it shows what it was asked for. */
static void calm_time_says_nothing_of_the_capacity(void **state)
{
    struct look *t = &it;
    look_init(t, MOST, false);
    double before = t->l.capacity;
    for (unsigned i = 0; i < 20; i++) {
        t->now_ns += 60 * NS_PER_MS;
        (void)reqlimit_tick(&t->l, t->now_ns);
    }
    assert_true(t->l.capacity == before);
    reqlimit_pass(&t->l, &t->c, MOST, t->now_ns);
    reqlimit_line_up(&t->l, &t->c, 1, t->now_ns);
    for (unsigned i = 0; i < 20; i++) {
        t->now_ns += 60 * NS_PER_MS;
        (void)reqlimit_tick(&t->l, t->now_ns);
    }
    assert_true(t->l.capacity < before);
    look_fini(t);
}

/* Messages that a connection has left behind are in nobody's way while answers are quick; an operator's limit counts
 * them until they can have been worked off. */
static void what_was_left_behind_is_forgotten_while_answers_are_quick(void **state)
{
    for (uint32_t most = 0; most <= 100; most += 100) {
        struct look *t = &it;
        look_init(t, most, false);
        reqlimit_pass(&t->l, &t->c, 50, t->now_ns);
        reqlimit_leave(&t->l, &t->c, t->now_ns);
        assert_true(t->l.left.value > 0);
        (void)reqlimit_tick(&t->l, t->now_ns);
        assert_int_equal(t->l.left.value > 0, most != 0);
        reqlimit_fini(&t->l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_limit_messages_pass_without_the_lock),
        cmocka_unit_test(with_a_limit_none_passes_without_the_lock),
        cmocka_unit_test(who_waits_for_answers_says_so),
        cmocka_unit_test(the_counter_wakes_only_for_those_that_wait),
        cmocka_unit_test(a_wide_window_is_not_looked_at_for_each_message),
        cmocka_unit_test(a_line_is_looked_at_more_often),
        cmocka_unit_test(calm_time_says_nothing_of_the_capacity),
        cmocka_unit_test(what_was_left_behind_is_forgotten_while_answers_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
