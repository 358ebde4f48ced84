/* SPDX-License-Identifier: MPL-2.0 */
/* One client finds out about an application for all; and one that is away is tried again, less and less often. */
#include "relay/reach.h"

#include "relay/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct crowd *crowd_new(void)
{
    static struct crowd c;
    memset(&c, 0, sizeof(c));
    stage_init(&c.stage, "tcp://127.0.0.1:*");
    c.stage.limits->source.connection_rate.count = 0;
    c.stage.config->gates[0].breaker.failures = 0;
    stage_start(&c.stage);
    return &c;
}

static void come_many(struct crowd *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        come(c, HOST(1 + i));
    stage_rounds(&c->stage, 5);
}

static unsigned accept_silently(struct crowd *c)
{
    struct end e;
    unsigned n = 0;
    stage_rounds(&c->stage, 5);
    for (; end_accept(&e, &c->stage); n++)
        c->apps[c->app_count++] = e;
    return n;
}

static unsigned count_served(struct crowd *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < 5; i++)
        settle(c);
    for (unsigned i = 0; i < c->client_count; i++)
        n += c->clients[i].fd >= 0 && end_is_greeted(&c->clients[i]);
    return n;
}

static uint64_t failures(const struct crowd *c)
{
    return stage_cell(&c->stage, CELL_UPSTREAM_FAILURES);
}

static void nothing_is_known_before_the_first_client(void **state)
{
    struct handshake_app app;
    struct crowd *c = crowd_new();
    assert_false(reach_knows(stage_gate(&c->stage), &app));
    assert_false(reach_stands(stage_gate(&c->stage)));
    assert_true(reach_is_due(stage_gate(&c->stage)));
    come_many(c, 1);
    assert_int_equal(count_served(c), 1);
    assert_true(reach_knows(stage_gate(&c->stage), &app));
    assert_int_equal(app.mechanism, MECHANISM_NULL);
    assert_true(reach_stands(stage_gate(&c->stage)));
    crowd_free(c);
}

/* Single flight. */
static void one_client_finds_out_for_all(void **state)
{
    struct crowd *c = crowd_new();
    come_many(c, 20);
    assert_int_equal(accept_silently(c), 1);
    assert_false(reach_is_due(stage_gate(&c->stage)));
    stage_sleep(&c->stage, 100 * NS_PER_MS);
    assert_int_equal(accept_silently(c), 0);
    end_greet(&c->apps[0], "ROUTER", NULL);
    end_write(&c->apps[0], SIZE_MAX);
    assert_int_equal(count_served(c), 20);
    crowd_free(c);
}

/* An application that accepts and says nothing: after a second the next client asks, and the first may still be
 * answered. */
static void the_turn_goes_on_after_a_second(void **state)
{
    struct crowd *c = crowd_new();
    come_many(c, 5);
    assert_int_equal(accept_silently(c), 1);
    stage_sleep(&c->stage, REACH_TURN_NS + 20 * NS_PER_MS);
    assert_int_equal(accept_silently(c), 1);
    crowd_free(c);
}

static void who_leaves_gives_the_turn_back(void **state)
{
    struct crowd *c = crowd_new();
    come_many(c, 1);
    assert_int_equal(accept_silently(c), 1);
    come_many(c, 1);
    assert_int_equal(accept_silently(c), 0);
    end_close(&c->clients[0]);
    assert_int_equal(accept_silently(c), 1);
    crowd_free(c);
}

/* 20 ms, doubling up to 500: attempts at 0, 20, 60, 140, 300 and 620 ms, then two a second. Many clients try no more
 * often than one. */
static void an_application_that_is_away_is_tried_less_and_less_often(void **state)
{
    struct crowd *c = crowd_new();
    stage_app_stop(&c->stage);
    come_many(c, 30);
    assert_int_equal(failures(c), 1);
    stage_sleep(&c->stage, NS_PER_S);
    assert_int_equal(failures(c), 6);
    uint64_t before = failures(c);
    stage_sleep(&c->stage, 10 * NS_PER_S);
    assert_in_range(failures(c) - before, 18, 20);
    stage_app_listen(&c->stage);
    stage_sleep(&c->stage, 500 * NS_PER_MS);
    assert_int_equal(count_served(c), 30);
    crowd_free(c);
}

/* Without connections, the greeting is believed for 20 ms. */
static void what_was_learned_fades_without_connections(void **state)
{
    struct handshake_app app;
    struct crowd *c = crowd_new();
    come_many(c, 1);
    assert_int_equal(count_served(c), 1);
    stage_sleep(&c->stage, NS_PER_S);
    assert_true(reach_knows(stage_gate(&c->stage), &app));
    end_close(&c->clients[0]);
    settle(c);
    stage_sleep(&c->stage, 20 * NS_PER_MS);
    assert_false(reach_stands(stage_gate(&c->stage)));
    assert_false(reach_knows(stage_gate(&c->stage), &app));
    crowd_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_the_first_client),
        cmocka_unit_test(one_client_finds_out_for_all),
        cmocka_unit_test(the_turn_goes_on_after_a_second),
        cmocka_unit_test(who_leaves_gives_the_turn_back),
        cmocka_unit_test(an_application_that_is_away_is_tried_less_and_less_often),
        cmocka_unit_test(what_was_learned_fades_without_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
