/* SPDX-License-Identifier: MPL-2.0 */
/* One client finds out about an application for all; and one that is away is tried again, less and less often. */
#include "relay/reach.h"

#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct fixture_clients *clients_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    c.fixture.limits->source.connection_rate.count = 0;
    c.fixture.config->gates[0].breaker.failures = 0;
    fixture_start(&c.fixture);
    return &c;
}

static void come_many(struct fixture_clients *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        come(c, HOST(1 + i));
    fixture_rounds(&c->fixture, 5);
}

static unsigned accept_silently(struct fixture_clients *c)
{
    struct end e;
    unsigned n = 0;
    fixture_rounds(&c->fixture, 5);
    for (; end_accept(&e, &c->fixture); n++)
        c->apps[c->app_count++] = e;
    return n;
}

static unsigned count_served(struct fixture_clients *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < 5; i++)
        settle(c);
    for (unsigned i = 0; i < c->client_count; i++)
        n += c->clients[i].fd >= 0 && end_is_greeted(&c->clients[i]);
    return n;
}

static uint64_t failures(const struct fixture_clients *c)
{
    return fixture_cell(&c->fixture, CELL_UPSTREAM_FAILURES);
}

static void nothing_is_known_before_the_first_client(void **state)
{
    struct handshake_app app;
    struct fixture_clients *c = clients_new();
    assert_false(reach_knows(fixture_gate(&c->fixture), &app));
    assert_false(reach_stands(fixture_gate(&c->fixture)));
    assert_true(reach_is_due(fixture_gate(&c->fixture)));
    come_many(c, 1);
    assert_int_equal(count_served(c), 1);
    assert_true(reach_knows(fixture_gate(&c->fixture), &app));
    assert_int_equal(app.mechanism, MECHANISM_NULL);
    assert_true(reach_stands(fixture_gate(&c->fixture)));
    fixture_clients_free(c);
}

/* Single flight. */
static void one_client_finds_out_for_all(void **state)
{
    struct fixture_clients *c = clients_new();
    come_many(c, 20);
    assert_int_equal(accept_silently(c), 1);
    assert_false(reach_is_due(fixture_gate(&c->fixture)));
    fixture_sleep(&c->fixture, 100 * NS_PER_MS);
    assert_int_equal(accept_silently(c), 0);
    end_greet(&c->apps[0], "ROUTER", NULL);
    end_write(&c->apps[0], SIZE_MAX);
    assert_int_equal(count_served(c), 20);
    fixture_clients_free(c);
}

/* An application that accepts and says nothing: after a second the next client asks, and the first may still be
 * answered. */
static void the_turn_goes_on_after_a_second(void **state)
{
    struct fixture_clients *c = clients_new();
    come_many(c, 5);
    assert_int_equal(accept_silently(c), 1);
    fixture_sleep(&c->fixture, REACH_TURN_NS + 20 * NS_PER_MS);
    assert_int_equal(accept_silently(c), 1);
    fixture_clients_free(c);
}

static void who_leaves_gives_the_turn_back(void **state)
{
    struct fixture_clients *c = clients_new();
    come_many(c, 1);
    assert_int_equal(accept_silently(c), 1);
    come_many(c, 1);
    assert_int_equal(accept_silently(c), 0);
    end_close(&c->clients[0]);
    assert_int_equal(accept_silently(c), 1);
    fixture_clients_free(c);
}

/* 20 ms, doubling up to 500: attempts at 0, 20, 60, 140, 300 and 620 ms, then two a second. Many clients try no more
 * often than one. */
static void an_application_that_is_away_is_tried_less_and_less_often(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_app_stop(&c->fixture);
    come_many(c, 30);
    assert_int_equal(failures(c), 1);
    fixture_sleep(&c->fixture, NS_PER_S);
    assert_int_equal(failures(c), 6);
    uint64_t before = failures(c);
    fixture_sleep(&c->fixture, 10 * NS_PER_S);
    assert_in_range(failures(c) - before, 18, 20);
    fixture_app_listen(&c->fixture);
    fixture_sleep(&c->fixture, 500 * NS_PER_MS);
    assert_int_equal(count_served(c), 30);
    fixture_clients_free(c);
}

/* Without connections, the greeting is believed for 20 ms. */
static void what_was_learned_fades_without_connections(void **state)
{
    struct handshake_app app;
    struct fixture_clients *c = clients_new();
    come_many(c, 1);
    assert_int_equal(count_served(c), 1);
    fixture_sleep(&c->fixture, NS_PER_S);
    assert_true(reach_knows(fixture_gate(&c->fixture), &app));
    end_close(&c->clients[0]);
    settle(c);
    fixture_sleep(&c->fixture, 20 * NS_PER_MS);
    assert_false(reach_stands(fixture_gate(&c->fixture)));
    assert_false(reach_knows(fixture_gate(&c->fixture), &app));
    fixture_clients_free(c);
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
