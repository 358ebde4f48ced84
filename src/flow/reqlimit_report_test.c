/* SPDX-License-Identifier: MPL-2.0 */
/* Each hold is counted by its proof, and the reported numbers add up. */
#include "flow/reqlimit_report.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PEERS 8u

/* An application that takes a message each millisecond, and says so if it has a counter. The first half of the peers
 * are served in calm time. */
struct scene {
    struct reqlimit l;
    struct taken_page page;
    struct reqlimit_conn c[PEERS];
    uint64_t now_ns, tick_ns, passed, taken, answered[PEERS], sent[PEERS];
    bool counts;
};

static struct scene *scene_new(bool counter)
{
    struct scene *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->now_ns = s->tick_ns = NS_PER_S;
    s->counts = counter;
    assert_int_equal(reqlimit_init(&s->l, 64, s->now_ns), 0);
    if (counter) {
        taken_page_begin(&s->page, s->now_ns);
        reqlimit_attach(&s->l, &s->page);
    }
    for (unsigned i = 0; i < PEERS; i++)
        reqlimit_join(&s->l, &s->c[i], 1 + i, s->now_ns);
    return s;
}

static void scene_free(struct scene *s)
{
    struct reqlimit_report r;
    for (unsigned i = 0; i < PEERS; i++)
        reqlimit_leave(&s->l, &s->c[i], s->now_ns);
    reqlimit_report(&s->l, &r);
    assert_int_equal(r.connections, 0);
    assert_int_equal(r.in_line, 0);
    assert_int_equal(r.waiting, 0);
    reqlimit_fini(&s->l);
    free(s);
}

static void scene_passed(struct scene *s, unsigned i, uint32_t n)
{
    s->passed += n;
    s->sent[i] += n;
}

static void scene_wake(struct scene *s)
{
    struct reqlimit_conn *c;
    while ((c = reqlimit_next_woken(&s->l)))
        scene_passed(s, (unsigned)(c - s->c), reqlimit_take(c));
}

static void scene_offer(struct scene *s, unsigned i, uint32_t n)
{
    scene_passed(s, i, reqlimit_offer(&s->l, &s->c[i], n, s->now_ns));
    scene_wake(s);
}

/* One millisecond passes: one message is taken and answered. */
static void scene_step(struct scene *s)
{
    s->now_ns += NS_PER_MS;
    taken_page_beat(&s->page, s->now_ns);
    if (s->taken < s->passed) {
        s->taken++;
        if (s->counts)
            (void)!taken_page_took(&s->page, s->now_ns, s->now_ns);
        for (unsigned i = 0; i < PEERS; i++) {
            if (s->answered[i] == s->sent[i])
                continue;
            s->answered[i]++;
            reqlimit_answered(&s->l, &s->c[i], 1, true, s->now_ns);
            break;
        }
    } else if (s->counts) {
        (void)!taken_page_found_nothing(&s->page, true, s->now_ns);
    }
    reqlimit_look(&s->l, s->now_ns);
    if (s->now_ns >= s->tick_ns)
        s->tick_ns = reqlimit_tick(&s->l, s->now_ns);
    scene_wake(s);
}

static void scene_calm(struct scene *s, unsigned seconds)
{
    for (unsigned ms = 0; ms < 1000 * seconds; ms++) {
        if (ms % 20 == 0)
            scene_offer(s, ms / 20 % (PEERS / 2), 1);
        scene_step(s);
    }
}

static void nothing_is_held_and_could_not_be(void **state)
{
    struct scene *s = scene_new(false);
    struct reqlimit_report r;
    reqlimit_report(&s->l, &r);
    assert_int_equal(r.state, LIMIT_NONE);
    assert_int_equal(r.proof, PROOF_NONE);
    assert_non_null(strstr(reqlimit_report_why_not(&r), "not known to be a plain"));
    assert_int_equal(r.connections, PEERS);
    assert_int_equal(r.established, 0);
    s->l.plain.state = PLAIN_NO;
    reqlimit_report(&s->l, &r);
    assert_non_null(strstr(reqlimit_report_why_not(&r), "seen not to be"));
    s->l.counter.state = TAKEN_DOUBTED;
    reqlimit_report(&s->l, &r);
    assert_non_null(strstr(reqlimit_report_why_not(&r), "contradicts"));
    s->l.counter.state = TAKEN_ABSENT;
    s->l.plain.state = PLAIN_YES;
    reqlimit_report(&s->l, &r);
    assert_int_equal(r.proof, PROOF_LATENCY);
    assert_null(reqlimit_report_why_not(&r));
    scene_free(s);
}

static void a_hold_by_the_counter_is_shown_as_such(void **state)
{
    struct scene *s = scene_new(true);
    struct reqlimit_report r;
    struct reqlimit_hold hold;
    scene_calm(s, 8);
    reqlimit_report(&s->l, &r);
    assert_int_equal(r.established, PEERS / 2);
    assert_int_equal(r.state, LIMIT_NONE);
    assert_int_equal(r.held[PROOF_COUNTER], 0);
    assert_int_equal(r.untaken_most, 1); /* each was taken before the next came */
    uint64_t flood_ns = s->now_ns;
    for (unsigned ms = 0; ms < 500; ms++) {
        for (unsigned i = PEERS / 2; i < PEERS; i++)
            if (!s->c[i].waiter.messages)
                scene_offer(s, i, 5);
        scene_step(s);
    }
    reqlimit_report(&s->l, &r);
    assert_int_equal(r.state, LIMIT_ACTIVE);
    assert_int_equal(r.proof, PROOF_COUNTER);
    assert_int_equal(r.counter, TAKEN_BELIEVED);
    assert_true(r.in_line > 0 && r.since_ns >= flood_ns && r.since_ns < s->now_ns);
    assert_true(r.held[PROOF_COUNTER] > 100 && r.passed_held[PROOF_COUNTER] > 100);
    assert_int_equal(r.held[PROOF_COUNTER], r.passed_held[PROOF_COUNTER] + r.waiting);
    assert_int_equal(r.held[PROOF_LATENCY], 0);
    assert_int_equal(r.without_progress, 0);
    assert_true(r.untaken_most > 1 && r.untaken_most >= r.untaken);
    unsigned seen = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        reqlimit_hold_of(&s->c[i], s->now_ns, &hold);
        seen += hold.proof == PROOF_COUNTER;
        assert_true(hold.proof == PROOF_NONE || (!hold.established && hold.waited_ns <= s->now_ns - flood_ns));
    }
    assert_int_equal(seen, r.in_line);
    scene_free(s);
}

/* The operator's limit is no proof from the application, and is reported as the operator's. */
static void the_operators_limit_is_shown_as_such(void **state)
{
    struct scene *s = scene_new(false);
    struct reqlimit_report r;
    reqlimit_bound(&s->l, 2);
    reqlimit_report(&s->l, &r);
    assert_int_equal(r.proof, PROOF_MAX);
    assert_null(reqlimit_report_why_not(&r));
    scene_offer(s, 0, 5);
    reqlimit_report(&s->l, &r);
    assert_int_equal(r.most, 2);
    assert_int_equal(r.in_hand, 2);
    assert_int_equal(r.in_line, 1);
    assert_int_equal(r.held[PROOF_MAX], 3);
    assert_int_equal(r.waiting, 3);
    for (unsigned ms = 0; ms < 10; ms++)
        scene_step(s);
    reqlimit_report(&s->l, &r);
    assert_int_equal(r.passed_held[PROOF_MAX], 3);
    assert_int_equal(r.waiting, 0);
    scene_free(s);
}

/* Whatever connections do, a held message has passed, waits, or has left, and none is lost from the books. */
static void the_books_of_holds_add_up(void **state)
{
    struct property_rng rng = property_rng_new("reqlimit_report");
    for (unsigned round = 0; round < 4; round++) {
        struct scene *s = scene_new(round % 2);
        uint64_t gone = 0;
        scene_calm(s, 6);
        for (unsigned n = 0; n < 5000; n++) {
            unsigned i = (unsigned)property_below(&rng, PEERS);
            if (round % 2 == 0) { /* whatever would be learned of the service */
                s->l.plain.state = PLAIN_YES;
                s->l.latency.window = 1;
            }
            struct reqlimit_report r;
            switch (property_below(&rng, 12)) {
            case 0:
                gone += s->c[i].waiter.messages;
                reqlimit_leave(&s->l, &s->c[i], s->now_ns);
                reqlimit_join(&s->l, &s->c[i], 1 + i, s->now_ns);
                s->answered[i] = s->sent[i] = 0;
                break;
            case 1:
                gone += s->c[i].waiter.messages;
                reqlimit_rest(&s->l, &s->c[i], s->now_ns);
                break;
            case 2:
            case 3:
            case 4:
                scene_offer(s, i, s->c[i].waiter.messages + 1 + (uint32_t)property_below(&rng, 4));
                break;
            default:
                scene_step(s);
            }
            scene_wake(s);
            reqlimit_report(&s->l, &r);
            uint64_t waiting = 0, held = 0, passed = 0;
            for (unsigned k = 0; k < PEERS; k++)
                waiting += s->c[k].waiter.messages;
            for (unsigned p = 0; p < PROOF_COUNT; p++) {
                held += r.held[p];
                passed += r.passed_held[p];
            }
            assert_int_equal(r.waiting, waiting);
            assert_int_equal(held, passed + waiting + gone);
            assert_int_equal(r.held[PROOF_NONE], 0);
        }
        assert_true(s->l.stats.held[round % 2 ? PROOF_COUNTER : PROOF_LATENCY] > 0);
        scene_free(s);
    }
}

static void words_are_those_of_the_docs(void **state)
{
    assert_string_equal(limit_state_word(LIMIT_NONE), "none");
    assert_string_equal(limit_state_word(LIMIT_PROBING), "probing");
    assert_string_equal(limit_state_word(LIMIT_ACTIVE), "active");
    assert_string_equal(hold_proof_word(PROOF_NONE), "none");
    assert_string_equal(hold_proof_word(PROOF_COUNTER), "counter");
    assert_string_equal(hold_proof_word(PROOF_LATENCY), "latency");
    assert_string_equal(hold_proof_word(PROOF_MAX), "max");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_held_and_could_not_be),
        cmocka_unit_test(a_hold_by_the_counter_is_shown_as_such),
        cmocka_unit_test(the_operators_limit_is_shown_as_such),
        cmocka_unit_test(the_books_of_holds_add_up),
        cmocka_unit_test(words_are_those_of_the_docs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
