/* SPDX-License-Identifier: MPL-2.0 */
/* Which unfinished handshake makes room. strangers_test.c tests which session gives way at a full gate. */
#include "relay/give_way.h"
#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define TCP "tcp://127.0.0.1:*"

static struct fixture_clients *clients_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, TCP);
    c.fixture.limits->handshake.within_ns = 3600 * NS_PER_S;
    return &c;
}

static unsigned open_now(const struct fixture_clients *c)
{
    return atomic_load(&c->fixture.gate.counts.open);
}

static unsigned greeted(const struct fixture_clients *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->client_count; i++)
        n += end_is_greeted(&c->clients[i]);
    return n;
}

static void the_oldest_unfinished_handshake_makes_room(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->source.half_open = 3;
    c->fixture.limits->connections.half_open = 5;
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 3; i++)
        come_silently(c, HOST(1));
    settle(c);
    come_silently(c, HOST(1));
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_WAITING), 1);
    fixture_sleep(&c->fixture, HALF_OPEN_OWN_NS);
    settle(c);
    assert_true(c->clients[0].over);
    assert_false(c->clients[1].over || c->clients[3].over);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TOO_MANY_HALF_OPEN), 1);
    for (unsigned i = 0; i < 2; i++)
        come_silently(c, HOST(2));
    settle(c);
    assert_int_equal(atomic_load(&c->fixture.gate.counts.half_open), 5);
    come_silently(c, HOST(3));
    settle(c);
    assert_true(c->clients[1].over);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HALF_OPEN_GIVE_WAY), 1);
    assert_int_equal(atomic_load(&c->fixture.gate.counts.half_open), 5);
    fixture_clients_free(c);
}

/* A client that has sent all it can send does not make room for silent ones. */
static void who_waits_for_the_application_is_not_the_one_that_goes(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->connections.half_open = 5;
    fixture_start(&c->fixture);
    come(c, HOST(1));
    settle(c);
    for (unsigned i = 0; i < 3; i++)
        come(c, HOST(2 + i));
    fixture_rounds(&c->fixture, 20);
    for (unsigned i = 0; i < 8; i++) {
        come_silently(c, HOST(10 + i));
        fixture_sleep(&c->fixture, 15 * NS_PER_MS);
    }
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HALF_OPEN_GIVE_WAY), 6);
    settle(c);
    for (unsigned i = 0; i < 4; i++)
        assert_true(end_is_greeted(&c->clients[i]));
    fixture_clients_free(c);
}

/* As many as may be half-open wait for the application: the others wait in the kernel, and none is closed. */
static void newcomers_wait_while_all_wait_for_the_application(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->connections.half_open = 5;
    fixture_start(&c->fixture);
    come(c, HOST(1));
    settle(c);
    for (unsigned i = 0; i < 40; i++)
        come(c, HOST(2 + i));
    fixture_rounds(&c->fixture, 100);
    assert_int_equal(open_now(c), 6);
    assert_int_equal(fixture_cell(&c->fixture, CELL_HALF_OPEN), 5);
    for (unsigned i = 0; i < 20; i++)
        settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_ESTABLISHED), 41);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HALF_OPEN_GIVE_WAY), 0);
    fixture_clients_free(c);
}

/* A source whose connections end without a word comes after those of which nothing is known, in the order of connects
 * and for a place. */
static void who_was_of_no_use_comes_last(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->connections.half_open = 12;
    fixture_start(&c->fixture);
    struct end *useless = come(c, HOST(1));
    settle(c);
    end_close(useless);
    settle(c);
    come(c, HOST(100));
    settle(c);
    unsigned first = c->client_count;
    for (unsigned i = 0; i < 12; i++)
        come(c, HOST(1));
    fixture_rounds(&c->fixture, 20);
    for (unsigned i = 0; i < 6; i++)
        come(c, HOST(2 + i));
    for (unsigned n = 0; n < 100 && greeted(c) < 1 + 8; n++) {
        fixture_sleep(&c->fixture, NS_PER_MS);
        serve(c);
        for (unsigned i = 0; i < c->client_count; i++)
            if (c->clients[i].fd >= 0)
                end_read(&c->clients[i], SIZE_MAX);
    }
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HALF_OPEN_GIVE_WAY), 6);
    unsigned strangers = 0;
    for (unsigned i = 0; i < 6; i++)
        strangers += end_is_greeted(&c->clients[first + 12 + i]);
    /* Two of the others had their turn already, and they get one turn in eight. */
    assert_in_range(strangers, 4, 6);
    fixture_clients_free(c);
}

static void a_finished_handshake_makes_room_for_another(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->source.half_open = 1;
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 10; i++) {
        struct end *e = come(c, HOST(1));
        settle(c);
        assert_true(end_is_greeted(e));
    }
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TOO_MANY_HALF_OPEN), 0);
    fixture_clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_unfinished_handshake_makes_room),
        cmocka_unit_test(who_waits_for_the_application_is_not_the_one_that_goes),
        cmocka_unit_test(newcomers_wait_while_all_wait_for_the_application),
        cmocka_unit_test(who_was_of_no_use_comes_last),
        cmocka_unit_test(a_finished_handshake_makes_room_for_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
