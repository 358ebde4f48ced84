/* SPDX-License-Identifier: MPL-2.0 */
/* Which newcomer comes in, and which waits. strangers_test.c tests which session gives way at a full gate. */
#include "relay/connect_pacer.h"
#include "relay/half_open.h"
#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
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

/* ---- connections ---- */

static void a_source_has_a_limit_of_its_own(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->source.connections = 2;
    fixture_start(&c->fixture);
    come(c, HOST(1)), come(c, HOST(1));
    struct end *third = come(c, HOST(1)), *other = come(c, HOST(2));
    settle(c);
    assert_true(third->over);
    assert_true(end_is_greeted(other));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TOO_MANY_CONNECTIONS), 1);
    fixture_clients_free(c);
}

/* More than one turn of the listener takes. */
static void a_storm_of_newcomers_is_taken_whole(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->source.connection_rate = (struct rate){0};
    c->fixture.limits->source.half_open = 1000;
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 300; i++)
        come(c, HOST(1 + i % 3));
    for (unsigned i = 0; i < 100 && fixture_cell(&c->fixture, CELL_ESTABLISHED) < 300; i++)
        settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_ESTABLISHED), 300);
    fixture_clients_free(c);
}

static unsigned connects(struct fixture_clients *c)
{
    fixture_rounds(&c->fixture, 20);
    while (c->app_count < FIXTURE_CLIENTS_MAX && end_accept(&c->apps[c->app_count], &c->fixture))
        c->app_count++;
    return c->app_count;
}

/* The application shakes hands in the thread that carries all messages: with a few clients at a time. But a client that
 * it leaves waiting does not keep the others out. */
static void the_application_is_asked_by_a_few_at_a_time(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    come(c, HOST(1));
    settle(c);
    unsigned before = connects(c);
    for (unsigned i = 0; i < 10; i++)
        come(c, HOST(2 + i));
    for (unsigned i = 1; i <= 5; i++) {
        assert_int_equal(connects(c) - before, i * CONNECT_PACER_AT_ONCE);
        fixture_sleep(&c->fixture, CONNECT_NS + 2 * NS_PER_MS);
    }
    for (unsigned i = before; i < c->app_count; i++) {
        end_greet(&c->apps[i], "ROUTER", NULL);
        end_write(&c->apps[i], SIZE_MAX);
    }
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_ESTABLISHED), 11);
    fixture_clients_free(c);
}

static unsigned greeted(const struct fixture_clients *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->client_count; i++)
        n += end_is_greeted(&c->clients[i]);
    return n;
}

/* A connected client has requests that wait: newcomers get in at a pace, the last and the first of them alternately. */
static void newcomers_come_slowly_to_a_busy_application(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    come(c, HOST(1));
    settle(c);
    c->fixture.gate.limiter.limit.queue.count = 1; /* one connection */
    atomic_store(&c->fixture.gate.limiter.waiting, 1);
    for (unsigned i = 0; i < 9; i++) {
        come(c, HOST(2 + i));
        fixture_rounds(&c->fixture, 4);
    }
    static const unsigned order[] = {1, 2, 9, 3, 8, 4, 7, 5, 6};
    unsigned in = 0;
    for (uint64_t passed_ns = 0; in < ARRAY_LEN(order); passed_ns += NS_PER_MS) {
        assert_true(passed_ns < NS_PER_S);
        serve(c);
        fixture_sleep(&c->fixture, NS_PER_MS);
        for (unsigned k = 0; k < c->client_count; k++)
            end_read(&c->clients[k], SIZE_MAX);
        assert_true(greeted(c) <= 3 + passed_ns / CONNECT_PACE_NS);
        for (; in < ARRAY_LEN(order) && end_is_greeted(&c->clients[order[in]]); in++)
            ;
        assert_int_equal(greeted(c), 1 + in);
    }
    c->fixture.gate.limiter.limit.queue.count = 0;
    fixture_clients_free(c);
}

/* A process opens many sockets at once, and its one thread needs half a second for all handshakes. */
static void many_of_one_source_wait_for_one_another(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->source.half_open = 5;
    c->fixture.limits->source.connection_rate = (struct rate){.count = 1, .period_ns = NS_PER_S, .burst = 4};
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 10; i++)
        come_silently(c, HOST(1));
    settle(c);
    for (unsigned i = 0; i < 10; i++) {
        fixture_sleep(&c->fixture, 20 * NS_PER_MS);
        end_greet(&c->clients[i], "DEALER", NULL);
        end_write(&c->clients[i], SIZE_MAX);
        settle(c);
    }
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_ESTABLISHED), 10);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TOO_MANY_HALF_OPEN), 0);
    fixture_clients_free(c);
}

/* ---- the rate ---- */

static struct fixture_clients *crowd_in_line(unsigned per_second, unsigned at_once)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->source.connection_rate =
        (struct rate){.count = per_second, .period_ns = NS_PER_S, .burst = at_once - 1};
    return c;
}

/* Weir's greeting has begun. */
static bool is_in(const struct end *e)
{
    return e->in.len != 0;
}

static void who_is_over_the_rate_waits_in_order(void **state)
{
    struct fixture_clients *c = crowd_in_line(10, 3);
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 8; i++)
        come_silently(c, HOST(1));
    struct end *other = come(c, HOST(2));
    settle(c);
    assert_true(end_is_greeted(other));
    assert_int_equal(fixture_cell(&c->fixture, CELL_WAITING), 5);
    assert_int_equal(fixture_cell(&c->fixture, CELL_HALF_OPEN), 3);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_OVER_CONNECTION_RATE), 5);
    for (unsigned in = 3; in < 8; in++) {
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(is_in(&c->clients[i]), i < in);
        fixture_sleep(&c->fixture, 90 * NS_PER_MS);
        settle(c);
    }
    assert_int_equal(fixture_cell(&c->fixture, CELL_HALF_OPEN), 8);
    assert_int_equal(fixture_cell(&c->fixture, CELL_WAITING), 0);
    fixture_clients_free(c);
}

static void who_leaves_the_line_takes_no_turn(void **state)
{
    struct fixture_clients *c = crowd_in_line(10, 1);
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 6; i++)
        come_silently(c, HOST(1));
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_WAITING), 5);
    for (unsigned i = 1; i < 5; i++)
        end_close(&c->clients[i]);
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_WAITING), 1);
    fixture_sleep(&c->fixture, 90 * NS_PER_MS);
    settle(c);
    assert_true(is_in(&c->clients[5]));
    fixture_clients_free(c);
}

static void who_comes_later_does_not_overtake(void **state)
{
    struct fixture_clients *c = crowd_in_line(10, 1);
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 3; i++)
        come_silently(c, HOST(1));
    settle(c);
    /* A newcomer comes at every moment; the rate lets one in ten in. */
    for (unsigned i = 0; i < 20; i++) {
        come_silently(c, HOST(1));
        settle(c);
    }
    for (unsigned i = 1; i < c->client_count; i++)
        assert_true(is_in(&c->clients[i - 1]) || !is_in(&c->clients[i]));
    assert_true(is_in(&c->clients[2]));
    fixture_clients_free(c);
}

/* Two hundred clients behind one address connect, shake hands, leave, and come again: the rate applies to them. */
static void a_storm_that_comes_to_nothing_is_let_in_at_the_rate(void **state)
{
    struct fixture_clients *c = crowd_in_line(100, 10);
    c->fixture.limits->source.half_open = 16;
    fixture_start(&c->fixture);
    unsigned done = 0;
    for (unsigned ms = 0; ms < 2000; ms++) {
        for (unsigned n = 0; n < 2; n++)
            if (c->client_count < 200)
                come(c, HOST(1));
        fixture_sleep(&c->fixture, NS_PER_MS);
        serve(c);
        for (unsigned i = 0; i < c->client_count; i++) {
            struct end *e = &c->clients[i];
            end_read(e, SIZE_MAX);
            if (!e->over && !end_is_greeted(e))
                continue;
            end_close(e);
            c->clients[i--] = c->clients[--c->client_count];
        }
        done = (unsigned)fixture_cell(&c->fixture, CELL_ESTABLISHED);
    }
    settle(c);
    assert_true(done >= 190 && done <= 215);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TOO_MANY_HALF_OPEN), 0);
    assert_true(fixture_verdict(&c->fixture, VERDICT_OVER_CONNECTION_RATE) > 1000);
    fixture_clients_free(c);
}

/* ---- descriptors ---- */

static void newcomers_wait_while_descriptors_are_out(void **state)
{
    struct fixture_clients *c = clients_new();
    struct rlimit before, none;
    fixture_start(&c->fixture);
    settle(c);
    struct end *e = come(c, HOST(1));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    fixture_rounds(&c->fixture, 50);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    /* Asked once, not in each round. */
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_NO_DESCRIPTORS), 1);
    assert_int_equal(open_now(c), 0);
    fixture_sleep(&c->fixture, 110 * NS_PER_MS);
    settle(c);
    assert_true(end_is_greeted(e));
    fixture_clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_has_a_limit_of_its_own),
        cmocka_unit_test(a_storm_of_newcomers_is_taken_whole),
        cmocka_unit_test(the_application_is_asked_by_a_few_at_a_time),
        cmocka_unit_test(newcomers_come_slowly_to_a_busy_application),
        cmocka_unit_test(who_is_over_the_rate_waits_in_order),
        cmocka_unit_test(who_leaves_the_line_takes_no_turn),
        cmocka_unit_test(who_comes_later_does_not_overtake),
        cmocka_unit_test(a_storm_that_comes_to_nothing_is_let_in_at_the_rate),
        cmocka_unit_test(many_of_one_source_wait_for_one_another),
        cmocka_unit_test(newcomers_wait_while_descriptors_are_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
