/* SPDX-License-Identifier: MPL-2.0 */
/* How many connections to the application a worker opens at once, and for whom. */
#include "relay/connect_pacer.h"

#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* Below CONNECT_NS. */
#define SHORTLY_NS (2 * NS_PER_MS)

/* One client has been served, so that the application is known. */
static struct fixture_clients *clients_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    c.fixture.limits->source.connection_rate.count = 0;
    fixture_start(&c.fixture);
    struct end *first = come(&c, HOST(1));
    settle(&c);
    assert_true(end_is_greeted(first));
    return &c;
}

/* Accepts what has come to the application, which stays silent. Returns how many they are. */
static unsigned accept_silently(struct fixture_clients *c)
{
    struct end e;
    unsigned n = 0;
    fixture_rounds(&c->fixture, 5);
    for (; end_accept(&e, &c->fixture); n++)
        c->apps[c->app_count++] = e;
    return n;
}

/* The application greets this connection. */
static void greet(struct fixture_clients *c, unsigned app)
{
    end_greet(&c->apps[app], "ROUTER", NULL);
    end_write(&c->apps[app], SIZE_MAX);
    fixture_rounds(&c->fixture, 5);
}

static bool is_served(struct end *client)
{
    end_read(client, SIZE_MAX);
    end_read(client, SIZE_MAX);
    return end_is_greeted(client);
}

static void a_few_at_once(void **state)
{
    struct fixture_clients *c = clients_new();
    for (unsigned i = 0; i < 10; i++)
        come(c, HOST(2));
    assert_int_equal(accept_silently(c), CONNECT_PACER_AT_ONCE);
    fixture_sleep(&c->fixture, SHORTLY_NS);
    assert_int_equal(accept_silently(c), 0);
    settle(c);
    fixture_clients_free(c);
}

static void one_that_is_done_makes_room_for_the_next(void **state)
{
    struct fixture_clients *c = clients_new();
    for (unsigned i = 0; i < 10; i++)
        come(c, HOST(2));
    unsigned before = c->app_count;
    assert_int_equal(accept_silently(c), CONNECT_PACER_AT_ONCE);
    for (unsigned i = 0; i < 8; i++) {
        greet(c, before + i);
        assert_int_equal(accept_silently(c), 1);
    }
    for (unsigned i = 8; i < 10; i++)
        greet(c, before + i);
    for (unsigned i = 0; i < c->client_count; i++)
        assert_true(is_served(&c->clients[i]));
    fixture_clients_free(c);
}

/* The application is busy: waiting for it keeps nobody from knocking. */
static void one_that_takes_long_counts_no_more(void **state)
{
    struct fixture_clients *c = clients_new();
    for (unsigned i = 0; i < 6; i++)
        come(c, HOST(2));
    assert_int_equal(accept_silently(c), CONNECT_PACER_AT_ONCE);
    fixture_sleep(&c->fixture, CONNECT_NS);
    assert_int_equal(accept_silently(c), CONNECT_PACER_AT_ONCE);
    fixture_sleep(&c->fixture, CONNECT_NS);
    assert_int_equal(accept_silently(c), CONNECT_PACER_AT_ONCE);
    fixture_clients_free(c);
}

static void who_leaves_makes_room(void **state)
{
    struct fixture_clients *c = clients_new();
    for (unsigned i = 0; i < 4; i++)
        come(c, HOST(2));
    assert_int_equal(accept_silently(c), CONNECT_PACER_AT_ONCE);
    end_close(&c->clients[1]);
    end_close(&c->clients[2]);
    assert_int_equal(accept_silently(c), 2);
    fixture_clients_free(c);
}

/* A stranger that came before waits while sources in good standing do. */
static void sources_in_good_standing_go_first(void **state)
{
    struct fixture_clients *c = clients_new();
    struct end *good[2], *strangers[4];
    LIST_FOREACH(n, &c->fixture.worker.sessions.all)
    source_note_good(LIST_ENTRY(n, struct session, in.worker)->source, fixture_now_ns());
    for (unsigned i = 0; i < 4; i++)
        strangers[i] = come(c, HOST(2));
    unsigned before = c->app_count;
    assert_int_equal(accept_silently(c), CONNECT_PACER_AT_ONCE);
    for (unsigned i = 0; i < 2; i++)
        good[i] = come(c, HOST(1));
    fixture_rounds(&c->fixture, 5);
    for (unsigned i = 0; i < 4; i++) {
        greet(c, before + i);
        accept_silently(c);
    }
    assert_true(is_served(good[0]) && is_served(good[1]));
    unsigned served = 0;
    for (unsigned i = 0; i < 4; i++)
        served += is_served(strangers[i]);
    assert_int_equal(served, 2);
    for (unsigned i = 4; i < 6; i++)
        greet(c, before + i);
    for (unsigned i = 0; i < 4; i++)
        assert_true(is_served(strangers[i]));
    fixture_clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_few_at_once),
        cmocka_unit_test(one_that_is_done_makes_room_for_the_next),
        cmocka_unit_test(one_that_takes_long_counts_no_more),
        cmocka_unit_test(who_leaves_makes_room),
        cmocka_unit_test(sources_in_good_standing_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
