/* SPDX-License-Identifier: MPL-2.0 */
/* Which verdicts cost a source strikes, and how often. */
#include "relay/strike_scoring.h"

#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define FRAME 1000u /* larger than message.frame */

static const uint8_t reserved_flags[] = {0x80, 1, 'x'}; /* 5 strikes */

/* So many strikes that nobody is banned for them. */
static struct fixture_clients *clients_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    struct limits *l = c.fixture.limits;
    l->ban.strikes.strikes = 100;
    l->message.frame_bytes = 512;
    l->message.over = ACTION_DROP;
    l->source.connection_rate.count = 0;
    return &c;
}

static void scene_free(struct fixture_clients *c)
{
    fixture_clients_leave(c);
    fixture_clients_free(c);
}

static struct end *enter(struct fixture_clients *c)
{
    struct end *e = come(c, HOST(1));
    settle(c);
    assert_true(end_is_greeted(e));
    return e;
}

static void send_frames(struct fixture_clients *c, struct end *e, unsigned n, size_t size)
{
    while (n--)
        stream_frame(&e->out, 0, 'x', size);
    end_write(e, SIZE_MAX);
    settle(c);
}

static void break_protocol(struct fixture_clients *c, struct end *e)
{
    stream_put(&e->out, reserved_flags, sizeof(reserved_flags));
    end_write(e, SIZE_MAX);
    settle(c);
    assert_true(e->over);
}

static uint64_t protocol(const struct fixture_clients *c)
{
    return fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL);
}

static uint64_t excess(const struct fixture_clients *c)
{
    return fixture_cell(&c->fixture, CELL_STRIKES_EXCESS);
}

static void one_that_ends_the_connection_counts_each_time(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    for (unsigned i = 1; i <= 3; i++) {
        break_protocol(c, enter(c));
        assert_int_equal(protocol(c), 5 * i);
    }
    assert_int_equal(excess(c), 0);
    fixture_clients_free(c);
}

/* A burst is one offence. */
static void dropped_messages_count_once_a_second(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    struct end *e = enter(c);
    send_frames(c, e, 50, FRAME);
    assert_int_equal(fixture_cell(&c->fixture, CELL_DROPPED_MESSAGES), 50);
    assert_int_equal(excess(c), 2);
    send_frames(c, e, 50, FRAME);
    assert_int_equal(excess(c), 2);
    fixture_sleep(&c->fixture, STRIKE_AGAIN_MS * NS_PER_MS);
    assert_int_equal(excess(c), 2); /* only a client that goes on offends again */
    send_frames(c, e, 1, FRAME);
    assert_int_equal(excess(c), 4);
    send_frames(c, enter(c), 1, FRAME); /* by connection */
    assert_int_equal(excess(c), 6);
    assert_false(e->over);
    fixture_clients_free(c);
}

static void flood_at_a_rate(struct fixture_clients *c, uint64_t paused_ns)
{
    c->fixture.limits->source.messages =
        (struct rate_limit){.rate = {.count = 10, .period_ns = NS_PER_S, .burst = 1}, .over = ACTION_PAUSE};
    c->fixture.limits->ban.paused_ns = paused_ns;
    fixture_start(&c->fixture);
    struct end *e = enter(c);
    for (unsigned i = 0; i < 50; i++) {
        send_frames(c, e, 5, 10);
        fixture_sleep(&c->fixture, 100 * NS_PER_MS);
    }
    assert_true(fixture_cell(&c->fixture, CELL_PAUSES) > 0);
    assert_false(e->over);
}

static void a_pause_is_no_offence(void **state)
{
    struct fixture_clients *c = clients_new();
    flood_at_a_rate(c, 0);
    assert_int_equal(excess(c) + protocol(c), 0);
    scene_free(c);
}

/* More than five seconds, less the first two: once a second. */
static void unless_the_operator_says_for_how_long(void **state)
{
    struct fixture_clients *c = clients_new();
    flood_at_a_rate(c, 2 * NS_PER_S);
    assert_in_range(excess(c), 4, 8);
    scene_free(c);
}

/* A publisher has no business at a ROUTER: it is kept for a second, and closed. */
static void a_mistake_costs_a_second_and_no_strike(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.config->gates[0].socket = SOCKET_ROUTER;
    fixture_start(&c->fixture);
    struct end *e = come_silently(c, HOST(1));
    end_greet(e, "PUB", NULL);
    end_write(e, SIZE_MAX);
    settle(c);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_WRONG_SOCKET_TYPE), 1);
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 1);
    fixture_sleep(&c->fixture, STRIKE_MISTAKE_NS);
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 0);
    assert_true(e->over);
    assert_int_equal(excess(c) + protocol(c), 0);
    fixture_clients_free(c);
}

static void the_exempt_offend_nobody(void **state)
{
    struct fixture_clients *c = clients_new();
    struct networks *exempt = &c->fixture.limits->ban.exempt;
    assert_int_equal(network_parse(&exempt->at[exempt->count++], "127.0.0.0/8", NULL), 0);
    fixture_start(&c->fixture);
    send_frames(c, enter(c), 1, FRAME);
    break_protocol(c, enter(c));
    assert_int_equal(excess(c) + protocol(c), 0);
    fixture_clients_free(c);
}

static void kinds_of_offences_can_be_left_out(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->ban.for_excess = false;
    fixture_start(&c->fixture);
    send_frames(c, enter(c), 1, FRAME);
    break_protocol(c, enter(c));
    assert_int_equal(excess(c), 0);
    assert_int_equal(protocol(c), 5);
    fixture_clients_free(c);
}

static void without_strikes_nothing_is_counted(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->ban.strikes.strikes = 0;
    fixture_start(&c->fixture);
    send_frames(c, enter(c), 1, FRAME);
    break_protocol(c, enter(c));
    assert_int_equal(excess(c) + protocol(c), 0);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_RESERVED_FLAGS), 1);
    fixture_clients_free(c);
}

/* Half of the strikes: a line in the log. All of them: the connection stays in the tarpit. */
static void half_of_them_warn_and_all_keep_the_connection(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->ban.strikes = (struct strike_rules){.strikes = 10, .within_ns = 3600 * NS_PER_S};
    fixture_start(&c->fixture);
    break_protocol(c, enter(c));
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKE_WARNINGS), 1);
    break_protocol(c, enter(c)); /* ten, less what has leaked away */
    uint64_t warnings = fixture_cell(&c->fixture, CELL_STRIKE_WARNINGS);
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 0);
    struct end *e = enter(c);
    stream_put(&e->out, reserved_flags, sizeof(reserved_flags));
    end_write(e, SIZE_MAX);
    settle(c);
    assert_false(e->over);
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 1);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKE_WARNINGS), warnings);
    fixture_clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_ends_the_connection_counts_each_time),
        cmocka_unit_test(dropped_messages_count_once_a_second),
        cmocka_unit_test(a_pause_is_no_offence),
        cmocka_unit_test(unless_the_operator_says_for_how_long),
        cmocka_unit_test(a_mistake_costs_a_second_and_no_strike),
        cmocka_unit_test(the_exempt_offend_nobody),
        cmocka_unit_test(kinds_of_offences_can_be_left_out),
        cmocka_unit_test(without_strikes_nothing_is_counted),
        cmocka_unit_test(half_of_them_warn_and_all_keep_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
