/* SPDX-License-Identifier: MPL-2.0 */
/* An address that stands for many clients is reported, once a day. */
#include "relay/shared_address.h"

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
    return &c;
}

static void come_many(struct fixture_clients *c, uint32_t host, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        come(c, host);
        settle(c);
    }
}

/* All connected clients have been served. */
static void serve_all(struct fixture_clients *c)
{
    LIST_FOREACH(n, &c->fixture.worker.sessions.all)
    source_note_good(LIST_ENTRY(n, struct session, in.worker)->source, fixture_now_ns());
}

static uint64_t told(const struct fixture_clients *c)
{
    return fixture_cell(&c->fixture, CELL_SHARED_ADDRESSES);
}

static void many_of_one_address(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    come_many(c, HOST(1), SHARED_ADDRESS_LEAST);
    serve_all(c);
    assert_int_equal(told(c), 0);
    come_many(c, HOST(1), 1);
    assert_int_equal(told(c), 1);
    come_many(c, HOST(1), 20);
    assert_int_equal(told(c), 1);
    fixture_sleep(&c->fixture, NS_PER_S);
    come_many(c, HOST(1), 1);
    assert_int_equal(told(c), 1);
    fixture_clients_free(c);
}

static void many_of_whom_nothing_good_was_seen(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    come_many(c, HOST(1), 2 * SHARED_ADDRESS_LEAST);
    assert_int_equal(told(c), 0);
    fixture_clients_free(c);
}

static void less_than_half_of_the_gate(void **state)
{
    struct fixture_clients *c = clients_new();
    fixture_start(&c->fixture);
    for (unsigned i = 0; i < 80; i++)
        come_many(c, HOST(1 + i), 1);
    come_many(c, HOST(100), 70);
    serve_all(c);
    come_many(c, HOST(100), 10);
    assert_int_equal(told(c), 0);
    come_many(c, HOST(100), 1);
    assert_int_equal(told(c), 1);
    fixture_clients_free(c);
}

static void an_exempt_address(void **state)
{
    struct fixture_clients *c = clients_new();
    struct networks *exempt = &c->fixture.limits->ban.exempt;
    assert_int_equal(network_parse(&exempt->at[exempt->count++], "127.0.0.1", NULL), 0);
    fixture_start(&c->fixture);
    come_many(c, HOST(1), SHARED_ADDRESS_LEAST);
    serve_all(c);
    come_many(c, HOST(1), 10);
    assert_int_equal(told(c), 0);
    fixture_clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_of_one_address),
        cmocka_unit_test(many_of_whom_nothing_good_was_seen),
        cmocka_unit_test(less_than_half_of_the_gate),
        cmocka_unit_test(an_exempt_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
