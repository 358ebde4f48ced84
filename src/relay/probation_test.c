/* SPDX-License-Identifier: MPL-2.0 */
/* Whether an address is banned for its offences, or put on probation because of the others behind it. */
#include "relay/probation.h"

#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t reserved_flags[] = {0x80, 1, 'x'}; /* 5 strikes */

static struct fixture_clients *clients_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    struct limits *l = c.fixture.limits;
    l->ban.strikes.strikes = 10;
    l->ban.action = BAN_ACTION_CLOSE;
    l->source.connection_rate.count = 0;
    fixture_start(&c.fixture);
    return &c;
}

static struct addr addr_of(uint32_t host)
{
    struct addr a = {.kind = ADDR_V4};
    for (unsigned i = 0; i < 4; i++)
        a.bytes[i] = (uint8_t)(host >> (24 - 8 * i));
    return a;
}

static struct end *enter(struct fixture_clients *c, uint32_t host)
{
    struct end *e = come(c, host);
    settle(c);
    assert_true(end_is_greeted(e));
    return e;
}

static void offend(struct fixture_clients *c, uint32_t host)
{
    struct end *e = enter(c, host);
    stream_put(&e->out, reserved_flags, sizeof(reserved_flags));
    end_write(e, SIZE_MAX);
    settle(c);
    assert_true(e->over);
    end_close(e);
    c->client_count--; /* the last one; its place is taken again */
}

static void offend_often(struct fixture_clients *c, uint32_t host)
{
    for (unsigned i = 0; i < 3; i++)
        offend(c, host);
}

static bool is_banned(struct fixture_clients *c, uint32_t host)
{
    const struct addr a = addr_of(host);
    return bans_find(c->fixture.bans, &a, fixture_now_ns(), NULL);
}

static bool is_on_probation(struct fixture_clients *c, uint32_t host)
{
    const struct addr a = addr_of(host);
    struct source *s = source_acquire(c->fixture.gate.sources, source_key_of(&a), fixture_now_ns());
    bool holds = probation_holds(s, c->fixture.in_force, fixture_now_ns());
    source_release(s);
    return holds;
}

static uint64_t bans_set_so_far(const struct fixture_clients *c)
{
    struct bans_stats stats;
    bans_stats(c->fixture.bans, &stats);
    return stats.set[BAN_REASON_PROTOCOL];
}

static void note_good(struct fixture_clients *c, uint32_t host)
{
    const struct addr a = addr_of(host);
    struct source *s = source_acquire(c->fixture.gate.sources, source_key_of(&a), fixture_now_ns());
    source_note_good(s, fixture_now_ns());
    source_release(s);
}

static void an_address_with_nobody_else_is_banned(void **state)
{
    struct fixture_clients *c = clients_new();
    struct end *elsewhere = enter(c, HOST(2));
    offend_often(c, HOST(1));
    assert_true(is_banned(c, HOST(1)));
    assert_false(is_on_probation(c, HOST(1)));
    assert_int_equal(fixture_cell(&c->fixture, CELL_PROBATIONS), 0);
    assert_false(elsewhere->over);
    fixture_clients_free(c);
}

static void an_open_neighbour_spares_the_address(void **state)
{
    struct fixture_clients *c = clients_new();
    struct end *neighbour = enter(c, HOST(1));
    offend_often(c, HOST(1));
    assert_false(is_banned(c, HOST(1)));
    assert_true(is_on_probation(c, HOST(1)));
    assert_false(is_on_probation(c, HOST(2)));
    assert_int_equal(fixture_cell(&c->fixture, CELL_PROBATIONS), 1);
    assert_int_equal(bans_set_so_far(c), 0); /* none that was lifted again, either */
    assert_false(neighbour->over);
    fixture_clients_free(c);
}

static void so_does_its_standing(void **state)
{
    struct fixture_clients *c = clients_new();
    note_good(c, HOST(1));
    offend_often(c, HOST(1));
    assert_false(is_banned(c, HOST(1)));
    assert_true(is_on_probation(c, HOST(1)));
    fixture_clients_free(c);
}

static void without_a_standing_nothing_good_counts(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.in_force->ban.standing_ns = 0;
    note_good(c, HOST(1));
    offend_often(c, HOST(1));
    assert_true(is_banned(c, HOST(1)));
    fixture_clients_free(c);
}

static void an_operator_may_want_shared_addresses_banned(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.in_force->ban.shared = BAN_SHARED_BAN;
    enter(c, HOST(1));
    offend_often(c, HOST(1));
    assert_true(is_banned(c, HOST(1)));
    assert_int_equal(fixture_cell(&c->fixture, CELL_PROBATIONS), 0);
    fixture_clients_free(c);
}

/* Who was well-behaved before the start is not known yet. Afterwards an address with nobody else is banned. */
static void a_gate_that_is_new_bans_nobody(void **state)
{
    struct fixture_clients *c = clients_new();
    const uint64_t warm_up_ns = fixture_now_ns() - c->fixture.gate.visits.began_ns + 5 * NS_PER_S;
    c->fixture.in_force->ban.warm_up_ns = warm_up_ns;
    offend_often(c, HOST(1));
    assert_false(is_banned(c, HOST(1)));
    assert_true(is_on_probation(c, HOST(1)));
    fixture_sleep(&c->fixture, 6 * NS_PER_S);
    offend(c, HOST(1));
    assert_true(is_banned(c, HOST(1)));
    fixture_clients_free(c);
}

static void unless_shared_addresses_are_to_be_banned(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.in_force->ban.warm_up_ns = UINT64_MAX;
    c->fixture.in_force->ban.shared = BAN_SHARED_BAN;
    offend_often(c, HOST(1));
    assert_true(is_banned(c, HOST(1)));
    fixture_clients_free(c);
}

/* It lasts as long as a first ban, begins again with a further offence, and is told once. */
static void it_ends_by_itself_unless_there_is_another_offence(void **state)
{
    struct fixture_clients *c = clients_new();
    const uint64_t for_ns = 10 * NS_PER_S;
    c->fixture.in_force->ban.terms.for_ns = for_ns;
    enter(c, HOST(1));
    offend_often(c, HOST(1));
    fixture_sleep(&c->fixture, for_ns / 2);
    offend(c, HOST(1));
    fixture_sleep(&c->fixture, for_ns * 3 / 4);
    assert_true(is_on_probation(c, HOST(1)));
    fixture_sleep(&c->fixture, for_ns / 2);
    assert_false(is_on_probation(c, HOST(1)));
    assert_int_equal(fixture_cell(&c->fixture, CELL_PROBATIONS), 1);
    fixture_clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_with_nobody_else_is_banned),
        cmocka_unit_test(an_open_neighbour_spares_the_address),
        cmocka_unit_test(so_does_its_standing),
        cmocka_unit_test(without_a_standing_nothing_good_counts),
        cmocka_unit_test(an_operator_may_want_shared_addresses_banned),
        cmocka_unit_test(a_gate_that_is_new_bans_nobody),
        cmocka_unit_test(unless_shared_addresses_are_to_be_banned),
        cmocka_unit_test(it_ends_by_itself_unless_there_is_another_offence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
