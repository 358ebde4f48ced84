/* SPDX-License-Identifier: MPL-2.0 */
/* The line of the request limiter by itself, under an operator's limit of two messages in hand. */
#include "flow/reqlimit_queue.h"

#include "flow/reqlimit_proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct line {
    struct reqlimit l;
    struct reqlimit_conn one, other;
    uint64_t now_ns;
};

static void line_init(struct line *t)
{
    t->now_ns = NS_PER_S;
    assert_int_equal(reqlimit_init(&t->l, 64, t->now_ns), 0);
    reqlimit_bound(&t->l, 2);
    t->one = t->other = (struct reqlimit_conn){0};
    reqlimit_join(&t->l, &t->one, 1, t->now_ns);
    reqlimit_join(&t->l, &t->other, 2, t->now_ns);
    reqlimit_activate(&t->l, &t->one, t->now_ns);
    reqlimit_activate(&t->l, &t->other, t->now_ns);
}

static void line_fini(struct line *t)
{
    reqlimit_leave(&t->l, &t->one, t->now_ns);
    reqlimit_leave(&t->l, &t->other, t->now_ns);
    assert_int_equal(t->l.stats.waiting, 0);
    reqlimit_fini(&t->l);
}

static void the_operators_limit_is_a_proof(void **state)
{
    struct line t;
    line_init(&t);
    assert_true(reqlimit_allows(&t.l, &t.one, t.now_ns));
    reqlimit_pass(&t.l, &t.one, 2, t.now_ns);
    assert_int_equal(reqlimit_in_hand(&t.l, t.now_ns), 2);
    assert_false(reqlimit_allows(&t.l, &t.one, t.now_ns));
    assert_false(reqlimit_allows(&t.l, &t.other, t.now_ns));
    assert_int_equal(reqlimit_proof(&t.l, t.now_ns), PROOF_MAX);
    line_fini(&t);
}

static void each_message_is_counted_once(void **state)
{
    struct line t;
    line_init(&t);
    reqlimit_pass(&t.l, &t.other, 2, t.now_ns);
    reqlimit_line_up(&t.l, &t.one, 3, t.now_ns);
    reqlimit_hold(&t.l, &t.one, t.now_ns);
    reqlimit_hold(&t.l, &t.one, t.now_ns);
    assert_int_equal(t.l.stats.held[PROOF_MAX], 3);
    assert_int_equal(t.l.stats.waiting, 3);
    assert_true(t.l.tick_ns <= t.now_ns + TICK_HELD_NS);
    reqlimit_unhold(&t.l, &t.one, 1, true);
    assert_int_equal(t.l.stats.waiting, 2);
    assert_int_equal(t.l.stats.passed_held[PROOF_MAX], 1);
    line_fini(&t);
}

static void what_is_allowed_is_granted_and_no_more(void **state)
{
    struct line t;
    line_init(&t);
    reqlimit_line_up(&t.l, &t.one, 3, t.now_ns);
    reqlimit_line_up(&t.l, &t.other, 3, t.now_ns);
    reqlimit_release(&t.l, t.now_ns);
    assert_int_equal(reqlimit_take(&t.one) + reqlimit_take(&t.other), 2);
    assert_int_equal(reqlimit_in_hand(&t.l, t.now_ns), 2);
    reqlimit_release(&t.l, t.now_ns);
    assert_int_equal(reqlimit_take(&t.one) + reqlimit_take(&t.other), 0);
    line_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_operators_limit_is_a_proof),
        cmocka_unit_test(each_message_is_counted_once),
        cmocka_unit_test(what_is_allowed_is_granted_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
