/* SPDX-License-Identifier: MPL-2.0 */
/* Connections of load balancers that name their client. */
#include "relay/proxied.h"

#include "relay/ban_enforce.h"
#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define BALANCER HOST(9)
#define LINE     "PROXY TCP4 198.51.100.%u 203.0.113.1 4660 5555\r\n"
#define LOCAL    "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"

static struct network net_of(const char *text)
{
    struct network n;
    assert_int_equal(network_parse(&n, text, NULL), 0);
    return n;
}

static struct fixture_clients *clients_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    c.fixture.config->gates[0].balancers = (struct networks){.count = 1, .at = {net_of("127.0.0.9")}};
    return &c;
}

static void say(struct end *e, const void *bytes, size_t len)
{
    stream_put(&e->out, bytes, len);
}

static void say_for(struct end *e, unsigned client)
{
    char line[128];
    say(e, line, (size_t)snprintf(line, sizeof(line), LINE, client));
}

/* A client that comes through the balancer and sends all that the handshake wants of it. */
static struct end *come_for(struct fixture_clients *c, unsigned client)
{
    struct end *e = come_silently(c, BALANCER);
    say_for(e, client);
    end_greet(e, "DEALER", NULL);
    end_write(e, SIZE_MAX);
    return e;
}

static struct session *session_of(struct fixture_clients *c, const char *who)
{
    char text[ADDR_TEXT_MAX];
    LIST_FOREACH(n, &c->fixture.worker.sessions.all)
    {
        struct session *s = LIST_ENTRY(n, struct session, in.worker);
        if (!strcmp(addr_format_host(text, sizeof(text), &s->client.addr), who))
            return s;
    }
    return NULL;
}

static void each_client_is_itself(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    struct end *first = come_for(c, 1), *second = come_for(c, 2), *direct = come(c, HOST(3));
    settle(c);
    assert_true(end_is_greeted(first) && end_is_greeted(second) && end_is_greeted(direct));
    struct session *s = session_of(c, "198.51.100.1"), *t = session_of(c, "198.51.100.2");
    assert_true(s && t && s->source != t->source && s->client.addr.port == 4660 && !s->flags.of_balancer);
    assert_non_null(session_of(c, "127.0.0.3"));
    assert_null(session_of(c, "127.0.0.9"));
    assert_int_equal(fixture_cell(&c->fixture, CELL_ACCEPTED), 3);
    assert_int_equal(fixture_cell(&c->fixture, CELL_UNNAMED), 0);
    fixture_clients_free(c);
}

static void a_header_in_pieces(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    struct end *e = come_silently(c, BALANCER);
    say_for(e, 1);
    size_t header = e->out.len;
    end_greet(e, "DEALER", NULL);
    for (size_t i = 0; i + 1 < header; i++) {
        end_write(e, 1);
        fixture_rounds(&c->fixture, 1);
        assert_int_equal(fixture_cell(&c->fixture, CELL_UNNAMED), 1);
        assert_int_equal(fixture_cell(&c->fixture, CELL_OPEN), 0);
    }
    end_write(e, 1);
    for (unsigned i = 0; i < 1000 && !session_of(c, "198.51.100.1"); i++)
        settle(c); /* the kernel may put small packets together */
    assert_non_null(session_of(c, "198.51.100.1"));
    while (e->sent < e->out.len)
        end_write(e, 1);
    settle(c);
    assert_true(end_is_greeted(e));
    fixture_clients_free(c);
}

static void without_a_header(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->ban.strikes.strikes = 1;
    fixture_start(&c->fixture);
    struct end *e = come(c, BALANCER);
    settle(c);
    assert_true(e->over && !end_is_greeted(e));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_BAD_PROXY_HEADER), 1);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL), 0);
    /* A check that connects and leaves does not get that verdict. */
    end_close(come_silently(c, BALANCER));
    settle(c);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_BAD_PROXY_HEADER), 1);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HANDSHAKE_ABANDONED), 1);
    /* Nor does one that leaves within the header. */
    struct end *half = come_silently(c, BALANCER);
    say(half, "PROXY ", 6);
    end_write(half, SIZE_MAX);
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_UNNAMED), 1);
    end_close(half);
    settle(c);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HANDSHAKE_ABANDONED), 2);
    fixture_clients_free(c);
}

static void a_header_from_anywhere_else(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->ban.strikes.strikes = 1;
    fixture_start(&c->fixture);
    struct end *e = come_silently(c, HOST(8));
    say_for(e, 1);
    end_write(e, SIZE_MAX);
    settle(c);
    assert_false(e->over); /* kept for a second, like all mistakes */
    fixture_sleep(&c->fixture, 1100 * NS_PER_MS);
    settle(c);
    assert_true(e->over);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_UNEXPECTED_PROXY_HEADER), 1);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL), 0);
    fixture_clients_free(c);
}

static void a_header_must_come_in_time(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->handshake.within_ns = 2 * NS_PER_S;
    fixture_start(&c->fixture);
    struct end *e = come_silently(c, BALANCER);
    say(e, "PROXY TCP4", 10);
    end_write(e, SIZE_MAX);
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_UNNAMED), 1);
    fixture_sleep(&c->fixture, 2 * NS_PER_S);
    settle(c);
    assert_true(e->over);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_BAD_PROXY_HEADER), 1);
    fixture_clients_free(c);
}

static void ban(struct fixture_clients *c, const char *who)
{
    struct network n = net_of(who);
    bans_set(c->fixture.bans, &n, 3600 * NS_PER_S, BAN_REASON_OPERATOR, fixture_now_ns());
    ban_enforce_tell_all(c->fixture.all, 1);
    settle(c);
}

/* A header that names nobody leaves the balancer's own address, which is never banned. */
static void a_check_of_the_balancer(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->ban.strikes.strikes = 1;
    fixture_start(&c->fixture);
    ban(c, "127.0.0.9");
    struct end *check = come_silently(c, BALANCER);
    say(check, LOCAL, sizeof(LOCAL) - 1);
    end_greet(check, "DEALER", NULL);
    end_write(check, SIZE_MAX);
    struct end *client = come_for(c, 1);
    settle(c);
    assert_true(end_is_greeted(check) && end_is_greeted(client));
    assert_true(session_of(c, "127.0.0.9")->flags.of_balancer);
    struct end *wrong = come_silently(c, BALANCER);
    say(wrong, LOCAL "GET / HTTP/1.0\r\n\r\n", sizeof(LOCAL) + 17);
    end_write(wrong, SIZE_MAX);
    settle(c);
    assert_true(wrong->over);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_BAD_GREETING), 1);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL), 0);
    ban(c, "127.0.0.0/24");
    assert_false(check->over || client->over);
    fixture_clients_free(c);
}

static void a_ban_concerns_one_client(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    struct end *first = come_for(c, 1), *again = come_for(c, 1), *second = come_for(c, 2);
    settle(c);
    assert_true(end_is_greeted(first) && end_is_greeted(again) && end_is_greeted(second));
    ban(c, "198.51.100.1");
    assert_true(first->over && again->over && !second->over);
    struct end *banned = come_for(c, 1), *other = come_for(c, 3);
    settle(c);
    assert_true(!end_is_greeted(banned) && end_is_greeted(other));
    assert_int_equal(fixture_cell(&c->fixture, CELL_TARPITTED), 1);
    fixture_clients_free(c);
}

/* The limits of a source are those of the client that the header names. */
static void limits_concern_one_client(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->source.connections = 2;
    fixture_start(&c->fixture);
    struct end *of_first[3];
    for (unsigned i = 0; i < 3; i++)
        of_first[i] = come_for(c, 1);
    struct end *second = come_for(c, 2);
    settle(c);
    assert_true(end_is_greeted(of_first[0]) && end_is_greeted(of_first[1]) && of_first[2]->over);
    assert_true(end_is_greeted(second));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TOO_MANY_CONNECTIONS), 1);
    fixture_clients_free(c);
}

static void too_many_without_a_header(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < PROXIED_PLACES + 3; i++)
        come_silently(c, BALANCER);
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_UNNAMED), PROXIED_PLACES);
    for (unsigned i = 0; i < PROXIED_PLACES + 3; i++)
        assert_int_equal(c->clients[i].over, i < 3);
    struct end *named = come_for(c, 1);
    settle(c);
    assert_true(end_is_greeted(named));
    /* Sessions that wait go on. */
    say_for(&c->clients[5], 5);
    end_greet(&c->clients[5], "DEALER", NULL);
    end_write(&c->clients[5], SIZE_MAX);
    settle(c);
    assert_true(end_is_greeted(&c->clients[5]));
    fixture_clients_free(c);
}

static void while_weir_ends(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    struct end *silent = come_silently(c, BALANCER), *late = come_silently(c, BALANCER);
    settle(c);
    loop_signal(&c->fixture.worker.loop, &c->fixture.worker.signals.drain);
    say_for(late, 1);
    end_write(late, SIZE_MAX);
    settle(c);
    assert_true(silent->over && late->over);
    assert_int_equal(fixture_cell(&c->fixture, CELL_UNNAMED), 0);
    assert_int_equal(fixture_cell(&c->fixture, CELL_OPEN), 0);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_BAD_PROXY_HEADER), 0);
    fixture_clients_free(c);
}

static void without_memory(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    fixture_fail_allocation(1);
    struct end *e = come_silently(c, BALANCER);
    settle(c);
    assert_true(e->over);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_NO_MEMORY), 1);
    fixture_fail_allocation(0);
    struct end *later = come_for(c, 1);
    settle(c);
    assert_true(end_is_greeted(later));
    fixture_clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_client_is_itself),
        cmocka_unit_test(a_header_in_pieces),
        cmocka_unit_test(without_a_header),
        cmocka_unit_test(a_header_from_anywhere_else),
        cmocka_unit_test(a_header_must_come_in_time),
        cmocka_unit_test(a_check_of_the_balancer),
        cmocka_unit_test(a_ban_concerns_one_client),
        cmocka_unit_test(limits_concern_one_client),
        cmocka_unit_test(too_many_without_a_header),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(while_weir_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
