/* SPDX-License-Identifier: MPL-2.0 */
/* Which client gets a routing id in use, and which ones the wait for an id holds up. The kernel's signs of life of the
 * holders are made up. */
#include "relay/claim.h"

#include "relay/testing/fixture_clients.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define MS NS_PER_MS

static const uint8_t message[] = {0x00, 5, 'h', 'e', 'l', 'l', 'o'};

/* Since when nothing arrives from any client's machine; 0: their lines work. */
static uint64_t silent_since_ns;

int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
    int r = __real_getsockopt(fd, level, option, value, len);
    if (r < 0 || level != IPPROTO_TCP || option != TCP_INFO)
        return r;
    struct tcp_info *i = value;
    uint64_t for_ns = silent_since_ns ? fixture_now_ns() - silent_since_ns : 0;
    i->tcpi_last_ack_recv = i->tcpi_last_data_recv = (uint32_t)(for_ns / MS);
    i->tcpi_unacked = i->tcpi_notsent_bytes = i->tcpi_retransmits = 0;
    i->tcpi_probes = for_ns >= NS_PER_S;
    return 0;
}

static struct fixture_clients *clients_new(uint32_t half_open)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    silent_since_ns = 0;
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    c.fixture.limits->connections.half_open = half_open;
    c.fixture.limits->source.connection_rate = (struct rate){0};
    fixture_start(&c.fixture);
    return &c;
}

static struct end *claim(struct fixture_clients *c, uint32_t host, const char *id)
{
    struct end *e = come_silently(c, host);
    end_greet(e, "DEALER", id);
    end_write(e, SIZE_MAX);
    settle(c);
    return e;
}

static bool says_hello(struct fixture_clients *c, struct end *e)
{
    uint64_t before = fixture_cell(&c->fixture, CELL_MESSAGES_IN);
    stream_put(&e->out, message, sizeof(message));
    end_write(e, SIZE_MAX);
    settle(c);
    return !e->over && fixture_cell(&c->fixture, CELL_MESSAGES_IN) == before + 1;
}

static void go_silent(void)
{
    silent_since_ns = fixture_now_ns();
}

static void sleep_and_settle(struct fixture_clients *c, uint64_t ns)
{
    uint64_t until_ns = fixture_now_ns() + ns;
    do {
        settle(c);
    } while (fixture_now_ns() < until_ns);
}

/* The same client, as after a pulled cable. */
static void the_holders_own_source_has_the_id_soon(void **state)
{
    struct fixture_clients *c = clients_new(100);
    struct end *holder = claim(c, HOST(1), "mine");
    assert_true(says_hello(c, holder));
    go_silent();
    struct end *back = claim(c, HOST(1), "mine");
    sleep_and_settle(c, CLAIM_LOOK_NS - 200 * MS);
    assert_false(holder->over || end_is_greeted(back));
    sleep_and_settle(c, NS_PER_S);
    assert_true(holder->over && end_is_greeted(back) && says_hello(c, back));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HOLDER_VANISHED), 1);
    fixture_clients_free(c);
}

static void a_short_outage_costs_nobody_its_id(void **state)
{
    struct fixture_clients *c = clients_new(100);
    struct end *holder = claim(c, HOST(1), "mine");
    assert_true(says_hello(c, holder));
    go_silent();
    while (fixture_now_ns() < silent_since_ns + 8 * NS_PER_S) {
        struct end *stranger = claim(c, HOST(2), "mine");
        assert_true(stranger->over);
        fixture_sleep(&c->fixture, 90 * MS);
    }
    silent_since_ns = 0;
    assert_true(says_hello(c, holder));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HOLDER_VANISHED), 0);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_DUPLICATE_ROUTING_ID), c->client_count - 1);
    fixture_clients_free(c);
}

static void another_source_has_the_id_after_a_long_silence(void **state)
{
    struct fixture_clients *c = clients_new(100);
    struct end *holder = claim(c, HOST(1), "mine"), *other = claim(c, HOST(2), "mine");
    assert_true(other->over && says_hello(c, holder));
    /* It was alive long after the first probe. */
    fixture_sleep(&c->fixture, 2 * CLAIM_STRANGER_NS);
    go_silent();
    fixture_sleep(&c->fixture, NS_PER_S);
    assert_true(claim(c, HOST(2), "mine")->over);
    assert_true(claim(c, HOST(2), "mine")->over);
    uint64_t asked_ns = fixture_now_ns();
    fixture_sleep(&c->fixture, CLAIM_STRANGER_NS - 2 * NS_PER_S);
    assert_true(claim(c, HOST(2), "mine")->over);
    assert_false(holder->over);
    sleep_and_settle(c, asked_ns + CLAIM_STRANGER_NS + NS_PER_S - fixture_now_ns());
    other = claim(c, HOST(2), "mine");
    sleep_and_settle(c, NS_PER_S);
    assert_true(holder->over && end_is_greeted(other) && says_hello(c, other));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HOLDER_VANISHED), 1);
    fixture_clients_free(c);
}

static void few_wait_for_an_id(void **state)
{
    struct fixture_clients *c = clients_new(100);
    struct end *holder = claim(c, HOST(1), "mine");
    assert_true(says_hello(c, holder));
    go_silent();
    struct end *first = claim(c, HOST(1), "mine"), *second = claim(c, HOST(1), "mine");
    assert_true(claim(c, HOST(1), "mine")->over);
    assert_true(claim(c, HOST(2), "mine")->over);
    assert_false(first->over || second->over);
    /* A waiting claimant that leaves makes room for another. */
    end_close(second);
    settle(c);
    second = claim(c, HOST(1), "mine");
    assert_false(second->over);
    sleep_and_settle(c, CLAIM_LOOK_NS + NS_PER_S);
    /* One has the id; the other meets a new holder. */
    assert_true(holder->over && first->over != second->over);
    assert_true(says_hello(c, first->over ? second : first));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HOLDER_VANISHED), 1);
    fixture_clients_free(c);
}

static void who_waits_for_an_id_makes_room(void **state)
{
    static const char *const ids[] = {"a", "b", "c", "d"};
    struct fixture_clients *c = clients_new(ARRAY_LEN(ids));
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        assert_true(says_hello(c, claim(c, HOST(10 + i), ids[i])));
    go_silent();
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        claim(c, HOST(10 + i), ids[i]);
    assert_int_equal(fixture_cell(&c->fixture, CELL_HALF_OPEN), ARRAY_LEN(ids));
    assert_true(says_hello(c, claim(c, HOST(1), NULL)));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HALF_OPEN_GIVE_WAY), 1);
    fixture_clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_holders_own_source_has_the_id_soon),
        cmocka_unit_test(a_short_outage_costs_nobody_its_id),
        cmocka_unit_test(another_source_has_the_id_after_a_long_silence),
        cmocka_unit_test(few_wait_for_an_id),
        cmocka_unit_test(who_waits_for_an_id_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
