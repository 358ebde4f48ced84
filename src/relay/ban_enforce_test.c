/* SPDX-License-Identifier: MPL-2.0 */
/* Which offences lead to a ban, which do not, and what a ban does at the gate. */
#include "relay/ban_enforce.h"
#include "relay/half_open.h"
#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t reserved_flags[] = {0x80, 1, 'x'}; /* 5 strikes */
static const uint8_t a_message[] = {0x00, 1, 'x'};

static void exempt(struct fixture *s, const char *network)
{
    struct networks *n = &s->limits->ban.exempt;
    assert_int_equal(network_parse(&n->at[n->count++], network, NULL), 0);
}

/* The default bans; rates and requests in hand do not matter here. */
static struct fixture_clients *scene_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    struct limits *l = c.fixture.limits;
    l->ban.strikes.strikes = 10;
    l->handshake.within_ns = 3600 * NS_PER_S;
    l->concurrency.limit = CONCURRENCY_LIMIT_OFF;
    l->source.connection_rate.count = 0;
    return &c;
}

/* A client whose handshake is done. */
static struct end *enter(struct fixture_clients *c, uint32_t host)
{
    struct end *e = come(c, host);
    settle(c);
    return e;
}

static void say(struct end *e, const void *bytes, size_t len)
{
    stream_put(&e->out, bytes, len);
    end_write(e, SIZE_MAX);
}

/* Connects, breaks the protocol, and is closed for it, or kept: it offends again and again. */
static void offend(struct fixture_clients *c, uint32_t host)
{
    struct end *e = enter(c, host);
    uint64_t kept = fixture_cell(&c->fixture, CELL_TARPITTED);
    assert_true(end_is_greeted(e));
    say(e, reserved_flags, sizeof(reserved_flags));
    settle(c);
    assert_true(e->over || fixture_cell(&c->fixture, CELL_TARPITTED) == kept + 1);
    end_close(e);
    c->client_count--; /* the last one; its place is taken again */
}

static bool is_banned(struct fixture_clients *c, uint32_t host)
{
    struct addr a = {.kind = ADDR_V4};
    for (unsigned i = 0; i < 4; i++)
        a.bytes[i] = (uint8_t)(host >> (24 - 8 * i));
    return bans_find(c->fixture.bans, &a, fixture_now_ns(), NULL);
}

static uint64_t banned_verdicts(const struct fixture_clients *c)
{
    return fixture_verdict(&c->fixture, VERDICT_BANNED);
}

static void scene_free(struct fixture_clients *c)
{
    fixture_clients_leave(c);
    fixture_clients_free(c);
}

/* Ten strikes of five each, less those that have leaked between them. */
static void offend_until_banned(struct fixture_clients *c, uint32_t host)
{
    for (unsigned i = 0; i < 3; i++) {
        assert_false(is_banned(c, host));
        offend(c, host);
    }
    assert_true(is_banned(c, host));
}

/* ---- offences ---- */

static void operator_bans(struct fixture_clients *c, const char *who, uint64_t for_ns)
{
    struct network n;
    assert_int_equal(network_parse(&n, who, NULL), 0);
    bans_set(c->fixture.bans, &n, for_ns, BAN_REASON_OPERATOR, fixture_now_ns());
    ban_enforce_tell_all(c->fixture.all, 1);
    settle(c);
}

static void breaking_the_protocol_bans_one_address(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    struct end *neighbour = enter(c, HOST(2));
    offend_until_banned(c, HOST(1));
    assert_false(is_banned(c, HOST(2)));
    assert_in_range(fixture_cell(&c->fixture, CELL_STRIKE_WARNINGS), 1, 3);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL), 15);
    settle(c);
    assert_false(neighbour->over);
    assert_true(end_is_greeted(enter(c, HOST(2))));
    scene_free(c);
}

static void strikes_may_be_switched_off(void **state)
{
    for (unsigned how = 0; how < 3; how++) {
        struct fixture_clients *c = scene_new();
        if (how == 0)
            c->fixture.limits->ban.strikes.strikes = 0;
        if (how == 1)
            c->fixture.limits->ban.for_protocol = false;
        if (how == 2)
            exempt(&c->fixture, "127.0.0.0/8");
        fixture_start(&c->fixture);
        for (unsigned i = 0; i < 20; i++)
            offend(c, HOST(1));
        assert_false(is_banned(c, HOST(1)));
        assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL), 0);
        scene_free(c);
    }
}

/* Behind a shared address one client misbehaves again and again: its connections are closed, the neighbours stay, and
 * newcomers are served, unless an operator wants it otherwise. */
static void shared_address(enum ban_shared shared)
{
    bool bans = shared == BAN_SHARED_BAN;
    struct fixture_clients *c = scene_new();
    c->fixture.limits->ban.shared = shared;
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 60; i++)
        enter(c, HOST(1));
    for (unsigned i = 0; i < 20 && !is_banned(c, HOST(1)); i++)
        offend(c, HOST(1));
    assert_int_equal(is_banned(c, HOST(1)), bans);
    settle(c);
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(c->clients[i].over, bans);
    assert_int_equal(banned_verdicts(c), bans ? 60 : 0);
    assert_int_equal(fixture_cell(&c->fixture, CELL_PROBATIONS), bans ? 0 : 1);
    if (!bans)
        assert_true(end_is_greeted(enter(c, HOST(1))));
    scene_free(c);
}

static void neighbours_are_spared(void **state)
{
    shared_address(BAN_SHARED_PROBATION);
}

static void neighbours_are_not_spared_if_an_operator_says_so(void **state)
{
    shared_address(BAN_SHARED_BAN);
}

/* No client is connected now, but one was served within ban.standing. */
static void who_was_served_speaks_for_the_address(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    struct end *served = enter(c, HOST(1));
    say(served, a_message, sizeof(a_message));
    settle(c);
    end_close(served);
    settle(c);
    for (unsigned i = 0; i < 10; i++)
        offend(c, HOST(1));
    assert_false(is_banned(c, HOST(1)));
    assert_int_equal(fixture_cell(&c->fixture, CELL_PROBATIONS), 1);
    /* Two hours later its good standing has ended. */
    fixture_sleep_as_told(&c->fixture, 2 * 3600 * NS_PER_S);
    offend_until_banned(c, HOST(1));
    scene_free(c);
}

/* A worker that took no part in a ban finds a well-behaved connection when it follows the ban. */
static void a_ban_that_would_hit_a_neighbour_is_lifted(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    struct end *good = enter(c, HOST(1));
    struct network n;
    struct ban b;
    assert_int_equal(network_parse(&n, "127.0.0.1", NULL), 0);
    assert_true(
        bans_punish(c->fixture.bans, &n, &c->fixture.limits->ban.terms, BAN_REASON_PROTOCOL, 0, fixture_now_ns(), &b));
    ban_enforce_tell_all(c->fixture.all, 1);
    settle(c);
    assert_false(good->over);
    assert_false(is_banned(c, HOST(1)));
    assert_int_equal(fixture_cell(&c->fixture, CELL_PROBATIONS), 1);
    assert_true(end_is_greeted(enter(c, HOST(1))));
    scene_free(c);
}

/* The same, but an operator's ban closes it. */
static void a_ban_by_an_operator_spares_nobody(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    struct end *good = enter(c, HOST(1));
    operator_bans(c, "127.0.0.1", 60 * NS_PER_S);
    assert_true(good->over);
    assert_true(is_banned(c, HOST(1)));
    scene_free(c);
}

/* A source on probation, with a well-behaved connection. */
static struct end *put_on_probation(struct fixture_clients *c)
{
    struct end *neighbour = enter(c, HOST(1));
    while (fixture_cell(&c->fixture, CELL_PROBATIONS) == 0)
        offend(c, HOST(1));
    return neighbour;
}

/* Silent handshakes stay while their places are not needed; then the first newcomer takes one, after a moment. */
static void on_probation_the_silent_give_way(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    struct end *neighbour = put_on_probation(c), *silent[HALF_OPEN_PROBATION_PLACES];
    for (unsigned i = 0; i < HALF_OPEN_PROBATION_PLACES; i++)
        silent[i] = come_silently(c, HOST(1));
    fixture_sleep(&c->fixture, NS_PER_S);
    settle(c);
    for (unsigned i = 0; i < HALF_OPEN_PROBATION_PLACES; i++)
        assert_false(silent[i]->over);
    struct end *newcomer = enter(c, HOST(1));
    assert_true(end_is_greeted(newcomer));
    settle(c);
    assert_true(silent[0]->over);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_PROBATION), 1);
    assert_false(silent[1]->over || neighbour->over);
    scene_free(c);
}

/* A handshake that has begun keeps its turn; the newcomer waits in line meanwhile. */
static void on_probation_the_slow_give_way(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    put_on_probation(c);
    for (unsigned i = 0; i < HALF_OPEN_PROBATION_PLACES; i++) {
        struct end *slow = come_silently(c, HOST(1));
        say(slow, "\xff\0\0\0\0\0\0\0\0\x7f\x03", 11);
    }
    struct end *newcomer = come(c, HOST(1));
    fixture_sleep(&c->fixture, HALF_OPEN_TURN_NS / 2);
    assert_false(end_is_greeted(newcomer));
    assert_int_equal(fixture_cell(&c->fixture, CELL_WAITING), 1);
    fixture_sleep(&c->fixture, 2 * HALF_OPEN_TURN_NS);
    settle(c);
    assert_true(end_is_greeted(newcomer));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_PROBATION), 1);
    scene_free(c);
}

/* A health check each second, for an hour: it is forgotten as fast as it counts. Ten at once are no health check. */
static void a_health_check_gets_nobody_banned(void **state)
{
    struct fixture_clients *c = scene_new();
    c->fixture.limits->ban.action = BAN_ACTION_CLOSE;
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 3600 + 12; i++) {
        struct end *e = come_silently(c, HOST(1));
        say(e, "GET / HTTP/1.1\r\n\r\n", 18);
        settle(c);
        assert_true(e->over);
        end_close(e);
        c->client_count--;
        if (i < 3600)
            fixture_sleep_as_told(&c->fixture, NS_PER_S);
        if (i == 3600)
            assert_false(is_banned(c, HOST(1)));
    }
    assert_true(is_banned(c, HOST(1)));
    scene_free(c);
}

/* A host with a connection for each request, far over the rate; and one whose connections come to nothing. */
static void the_rate_is_for_those_who_come_to_nothing(void **state)
{
    struct fixture_clients *c = scene_new();
    c->fixture.limits->source.connection_rate = (struct rate){.count = 1, .period_ns = NS_PER_S, .burst = 4};
    fixture_start(&c->fixture);
    for (unsigned served = 2; served-- > 0;) {
        for (unsigned i = 0; i < 40; i++) {
            struct end *e = enter(c, HOST(1));
            if (served)
                say(e, a_message, sizeof(a_message));
            settle(c);
            end_close(e);
            c->client_count--;
            settle(c);
        }
        assert_int_equal(fixture_verdict(&c->fixture, VERDICT_OVER_CONNECTION_RATE) > 0, !served);
    }
    scene_free(c);
}

/* A wrong socket type is no offence: its connection is kept for a second, then closed. */
static void a_mistake_slows_its_own_retry_only(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    enter(c, HOST(2)); /* from which the application's type is learned */
    for (unsigned i = 0; i < 30; i++) {
        struct end *e = come_silently(c, HOST(1));
        stream_free(&e->out);
        end_greet(e, "PUB", NULL);
        end_write(e, SIZE_MAX);
        settle(c);
        assert_false(e->over);
        assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 1);
        fixture_sleep(&c->fixture, 1100 * NS_PER_MS);
        settle(c);
        assert_true(e->over);
        end_close(e);
        c->client_count--;
        settle(c);
    }
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_WRONG_SOCKET_TYPE), 30);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL), 0);
    assert_false(is_banned(c, HOST(1)));
    scene_free(c);
}

static void limit_rate(struct fixture_clients *c, enum action over)
{
    struct rate_limit *l = &c->fixture.limits->source.messages;
    l->rate = (struct rate){.count = 10, .period_ns = NS_PER_S, .burst = 9};
    l->over = over;
}

/* Sends far more than ten messages a second. Returns the seconds until the ban, or `most`. */
static unsigned flood(struct fixture_clients *c, uint32_t host, unsigned most)
{
    struct end *e = enter(c, host);
    unsigned tenths = 0;
    for (; tenths < 10 * most && !is_banned(c, host); tenths++) {
        for (unsigned i = 0; i < 20 && !e->over && e->sent == e->out.len; i++)
            say(e, a_message, sizeof(a_message));
        fixture_sleep(&c->fixture, 100 * NS_PER_MS);
        settle(c);
    }
    return tenths / 10;
}

/* Each second of it is one offence, and ten are too many: a single burst, however large, bans nobody. */
static void what_is_dropped_counts_once_a_second(void **state)
{
    struct fixture_clients *c = scene_new();
    limit_rate(c, ACTION_DROP);
    c->fixture.limits->ban.shared = BAN_SHARED_BAN; /* messages that pass would speak for it */
    fixture_start(&c->fixture);
    assert_in_range(flood(c, HOST(1), 60), 8, 15);
    assert_true(fixture_cell(&c->fixture, CELL_DROPPED_MESSAGES) > 100);
    assert_in_range(fixture_cell(&c->fixture, CELL_STRIKES_EXCESS), 10, 24);
    scene_free(c);
}

static void excess_may_be_no_offence(void **state)
{
    struct fixture_clients *c = scene_new();
    limit_rate(c, ACTION_DROP);
    c->fixture.limits->ban.for_excess = false;
    fixture_start(&c->fixture);
    assert_int_equal(flood(c, HOST(1), 30), 30);
    scene_free(c);
}

static void being_paused_is_no_offence(void **state)
{
    struct fixture_clients *c = scene_new();
    limit_rate(c, ACTION_PAUSE);
    fixture_start(&c->fixture);
    assert_int_equal(flood(c, HOST(1), 60), 60);
    assert_true(fixture_verdict(&c->fixture, VERDICT_OVER_MESSAGES) > 10);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_EXCESS), 0);
    scene_free(c);
}

static void unless_the_operator_says_so(void **state)
{
    struct fixture_clients *c = scene_new();
    limit_rate(c, ACTION_PAUSE);
    c->fixture.limits->ban.paused_ns = 5 * NS_PER_S;
    c->fixture.limits->ban.shared = BAN_SHARED_BAN;
    fixture_start(&c->fixture);
    assert_in_range(flood(c, HOST(1), 60), 10, 25);
    scene_free(c);
}

/* A client that is over its rate now and then, and waits for its turn, runs dry in between. */
static void bursts_run_dry_in_between(void **state)
{
    struct fixture_clients *c = scene_new();
    limit_rate(c, ACTION_PAUSE);
    c->fixture.limits->ban.paused_ns = 5 * NS_PER_S;
    fixture_start(&c->fixture);
    struct end *e = enter(c, HOST(1));
    for (unsigned second = 0; second < 100; second += 4) {
        for (unsigned i = 0; i < 35; i++)
            say(e, a_message, sizeof(a_message));
        fixture_sleep(&c->fixture, 4 * NS_PER_S);
        settle(c);
    }
    assert_true(fixture_verdict(&c->fixture, VERDICT_OVER_MESSAGES) > 10);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_EXCESS), 0);
    assert_false(e->over);
    scene_free(c);
}

/* Unfinished handshakes offend when they have had their time, not when many came at once. */
static void only_long_silence_in_the_handshake_offends(void **state)
{
    struct fixture_clients *c = scene_new();
    c->fixture.limits->source.half_open = 4;
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 7; i++)
        come_silently(c, HOST(1));
    settle(c);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TOO_MANY_HALF_OPEN), 0);
    fixture_sleep(&c->fixture, 1100 * NS_PER_MS);
    settle(c);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TOO_MANY_HALF_OPEN), 3);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_EXCESS), 3);
    scene_free(c);
}

/* Load balancers and monitors check whether the port is open. */
static void connecting_and_leaving_is_no_offence(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 100; i++) {
        struct end *e = come_silently(c, HOST(1));
        settle(c);
        end_close(e);
        c->client_count--;
        settle(c);
    }
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HANDSHAKE_ABANDONED), 100);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL), 0);
    scene_free(c);
}

/* ---- bans ---- */

static void operator_pardons(struct fixture_clients *c, const char *who)
{
    struct network n;
    assert_int_equal(network_parse(&n, who, NULL), 0);
    assert_true(bans_lift(c->fixture.bans, &n, fixture_now_ns()));
    ban_enforce_tell_all(c->fixture.all, 1);
    settle(c);
}

static void newcomers_of_the_banned_wait_unread_until_it_ends(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    operator_bans(c, "127.0.0.1", 60 * NS_PER_S);
    uint64_t accepted = fixture_cell(&c->fixture, CELL_ACCEPTED),
             received = fixture_cell(&c->fixture, CELL_RECEIVED_IN);
    struct end *e = enter(c, HOST(1));
    assert_false(e->over);
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 1);
    assert_int_equal(fixture_cell(&c->fixture, CELL_OPEN), 0);
    assert_int_equal(fixture_cell(&c->fixture, CELL_ACCEPTED), accepted + 1);
    assert_int_equal(fixture_cell(&c->fixture, CELL_RECEIVED_IN), received);
    assert_int_equal(banned_verdicts(c), 1);
    fixture_sleep(&c->fixture, 59 * NS_PER_S);
    settle(c);
    assert_false(e->over);
    fixture_sleep(&c->fixture, NS_PER_S);
    settle(c);
    assert_true(e->over);
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 0);
    assert_true(end_is_greeted(enter(c, HOST(1))));
    scene_free(c);
}

/* The refusals of a banned source do not count as offences. */
static void coming_while_banned_costs_nothing_more(void **state)
{
    struct fixture_clients *c = scene_new();
    c->fixture.limits->ban.action = BAN_ACTION_CLOSE;
    fixture_start(&c->fixture);
    offend_until_banned(c, HOST(1));
    uint64_t strikes = fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL);
    for (unsigned i = 0; i < 50; i++) {
        struct end *e = come_silently(c, HOST(1));
        say(e, "GET / HTTP/1.1\r\n\r\n", 18);
        settle(c);
        assert_true(e->over);
        end_close(e);
        c->client_count--;
    }
    assert_int_equal(banned_verdicts(c), 50);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL), strikes);
    struct bans_stats b;
    bans_stats(c->fixture.bans, &b);
    assert_int_equal(b.set[BAN_REASON_PROTOCOL], 1);
    scene_free(c);
}

static void the_tarpit_has_so_many_places(void **state)
{
    struct fixture_clients *c = scene_new();
    c->fixture.limits->ban.tarpit = 3;
    fixture_start(&c->fixture);
    operator_bans(c, "127.0.0.0/24", BAN_FOR_EVER);
    for (unsigned i = 0; i < 5; i++)
        enter(c, HOST(1 + i));
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(c->clients[i].over, i >= 3);
    /* A connection that leaves makes room. */
    end_close(&c->clients[0]);
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 2);
    assert_false(enter(c, HOST(9))->over);
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 3);
    scene_free(c);
}

static void a_network_is_banned_and_pardoned(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 4; i++)
        enter(c, HOST(1 + i));
    struct end *elsewhere = enter(c, 0x7f000101); /* 127.0.1.1 */
    operator_bans(c, "127.0.0.0/24", BAN_FOR_EVER);
    for (unsigned i = 0; i < 4; i++)
        assert_true(c->clients[i].over);
    assert_false(elsewhere->over);
    struct end *stuck = enter(c, HOST(7));
    assert_false(stuck->over);
    operator_pardons(c, "127.0.0.0/24");
    assert_true(stuck->over); /* it may come again, and is served */
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 0);
    assert_true(end_is_greeted(enter(c, HOST(7))));
    scene_free(c);
}

static void exempt_networks_are_banned_by_nobody(void **state)
{
    struct fixture_clients *c = scene_new();
    exempt(&c->fixture, "127.0.0.2");
    fixture_start(&c->fixture);
    struct end *trusted = enter(c, HOST(2)), *other = enter(c, HOST(3));
    operator_bans(c, "0.0.0.0/0", BAN_FOR_EVER);
    assert_false(trusted->over);
    assert_true(other->over);
    assert_true(end_is_greeted(enter(c, HOST(2))));
    scene_free(c);
}

/* More changes than the ring holds between two looks: every connection is looked at. */
static void a_worker_that_fell_behind_catches_up(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    struct end *e = enter(c, HOST(1)), *other = enter(c, HOST(2));
    struct network first, rest;
    assert_int_equal(network_parse(&first, "127.0.0.1", NULL), 0);
    assert_int_equal(network_parse(&rest, "192.0.2.1", NULL), 0);
    bans_set(c->fixture.bans, &first, BAN_FOR_EVER, BAN_REASON_OPERATOR, fixture_now_ns());
    for (unsigned i = 0; i < BANS_FEED; i++)
        bans_set(c->fixture.bans, &rest, BAN_FOR_EVER, BAN_REASON_OPERATOR, fixture_now_ns());
    ban_enforce_tell_all(c->fixture.all, 1);
    settle(c);
    assert_true(e->over);
    assert_false(other->over);
    assert_int_equal(c->fixture.worker.bans.seen, bans_seq(c->fixture.bans));
    scene_free(c);
}

/* A feed bans hundreds that were never here. */
static void the_ban_of_a_stranger_takes_no_entry(void **state)
{
    struct fixture_clients *c = scene_new();
    struct source_stats before, after;
    char text[NETWORK_TEXT_MAX];
    fixture_start(&c->fixture);
    struct end *e = enter(c, HOST(1));
    source_table_stats(c->fixture.gate.sources, &before);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(text, sizeof(text), "192.0.%u.%u", i / 200, i % 200);
        operator_bans(c, text, BAN_FOR_EVER);
    }
    source_table_stats(c->fixture.gate.sources, &after);
    assert_int_equal(after.created, before.created);
    assert_false(e->over);
    operator_bans(c, "127.0.0.1", BAN_FOR_EVER);
    assert_true(e->over);
    scene_free(c);
}

/* Every allocation fails once: the tarpit is given up, the service is not. */
static void no_memory_for_the_tarpit(void **state)
{
    struct fixture_clients *c = scene_new();
    fixture_start(&c->fixture);
    operator_bans(c, "127.0.0.1", BAN_FOR_EVER);
    struct end *e = come_silently(c, HOST(1));
    fixture_fail_allocation(1);
    settle(c);
    fixture_fail_allocation(0);
    assert_true(e->over);
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 0);
    assert_false(enter(c, HOST(1))->over);
    scene_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breaking_the_protocol_bans_one_address),
        cmocka_unit_test(strikes_may_be_switched_off),
        cmocka_unit_test(neighbours_are_spared),
        cmocka_unit_test(neighbours_are_not_spared_if_an_operator_says_so),
        cmocka_unit_test(who_was_served_speaks_for_the_address),
        cmocka_unit_test(a_ban_that_would_hit_a_neighbour_is_lifted),
        cmocka_unit_test(a_ban_by_an_operator_spares_nobody),
        cmocka_unit_test(a_mistake_slows_its_own_retry_only),
        cmocka_unit_test(on_probation_the_silent_give_way),
        cmocka_unit_test(on_probation_the_slow_give_way),
        cmocka_unit_test(a_health_check_gets_nobody_banned),
        cmocka_unit_test(the_rate_is_for_those_who_come_to_nothing),
        cmocka_unit_test(what_is_dropped_counts_once_a_second),
        cmocka_unit_test(excess_may_be_no_offence),
        cmocka_unit_test(being_paused_is_no_offence),
        cmocka_unit_test(unless_the_operator_says_so),
        cmocka_unit_test(bursts_run_dry_in_between),
        cmocka_unit_test(only_long_silence_in_the_handshake_offends),
        cmocka_unit_test(connecting_and_leaving_is_no_offence),
        cmocka_unit_test(newcomers_of_the_banned_wait_unread_until_it_ends),
        cmocka_unit_test(coming_while_banned_costs_nothing_more),
        cmocka_unit_test(the_tarpit_has_so_many_places),
        cmocka_unit_test(a_network_is_banned_and_pardoned),
        cmocka_unit_test(exempt_networks_are_banned_by_nobody),
        cmocka_unit_test(a_worker_that_fell_behind_catches_up),
        cmocka_unit_test(the_ban_of_a_stranger_takes_no_entry),
        cmocka_unit_test(no_memory_for_the_tarpit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
