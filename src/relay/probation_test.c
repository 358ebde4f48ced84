/* SPDX-License-Identifier: MPL-2.0 */
/* Whether an address is banned for its offences, or put on probation because of the others behind it. */
#include "relay/probation.h"

#include "relay/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t reserved_flags[] = {0x80, 1, 'x'}; /* 5 strikes */

static struct crowd *crowd_new(void)
{
    static struct crowd c;
    memset(&c, 0, sizeof(c));
    stage_init(&c.stage, "tcp://127.0.0.1:*");
    struct limits *l = c.stage.limits;
    l->ban.strikes.strikes = 10;
    l->ban.action = BAN_ACTION_CLOSE;
    l->source.connection_rate.count = 0;
    stage_start(&c.stage);
    return &c;
}

static struct addr addr_of(uint32_t host)
{
    struct addr a = {.kind = ADDR_V4};
    for (unsigned i = 0; i < 4; i++)
        a.bytes[i] = (uint8_t)(host >> (24 - 8 * i));
    return a;
}

static struct end *enter(struct crowd *c, uint32_t host)
{
    struct end *e = come(c, host);
    settle(c);
    assert_true(end_is_greeted(e));
    return e;
}

static void offend(struct crowd *c, uint32_t host)
{
    struct end *e = enter(c, host);
    stream_put(&e->out, reserved_flags, sizeof(reserved_flags));
    end_write(e, SIZE_MAX);
    settle(c);
    assert_true(e->over);
    end_close(e);
    c->client_count--; /* the last one; its place is taken again */
}

static void offend_often(struct crowd *c, uint32_t host)
{
    for (unsigned i = 0; i < 3; i++)
        offend(c, host);
}

static bool is_banned(struct crowd *c, uint32_t host)
{
    const struct addr a = addr_of(host);
    return bans_find(c->stage.bans, &a, stage_now_ns(), NULL);
}

static bool is_on_probation(struct crowd *c, uint32_t host)
{
    const struct addr a = addr_of(host);
    struct source *s = source_acquire(c->stage.gate.sources, source_key_of(&a), stage_now_ns());
    bool holds = probation_holds(s, c->stage.in_force, stage_now_ns());
    source_release(s);
    return holds;
}

static uint64_t bans_set_so_far(const struct crowd *c)
{
    struct bans_stats stats;
    bans_stats(c->stage.bans, &stats);
    return stats.set[BAN_REASON_PROTOCOL];
}

static void note_good(struct crowd *c, uint32_t host)
{
    const struct addr a = addr_of(host);
    struct source *s = source_acquire(c->stage.gate.sources, source_key_of(&a), stage_now_ns());
    source_note_good(s, stage_now_ns());
    source_release(s);
}

static void an_address_with_nobody_else_is_banned(void **state)
{
    struct crowd *c = crowd_new();
    struct end *elsewhere = enter(c, HOST(2));
    offend_often(c, HOST(1));
    assert_true(is_banned(c, HOST(1)));
    assert_false(is_on_probation(c, HOST(1)));
    assert_int_equal(stage_cell(&c->stage, CELL_PROBATIONS), 0);
    assert_false(elsewhere->over);
    crowd_free(c);
}

static void an_open_neighbour_spares_the_address(void **state)
{
    struct crowd *c = crowd_new();
    struct end *neighbour = enter(c, HOST(1));
    offend_often(c, HOST(1));
    assert_false(is_banned(c, HOST(1)));
    assert_true(is_on_probation(c, HOST(1)));
    assert_false(is_on_probation(c, HOST(2)));
    assert_int_equal(stage_cell(&c->stage, CELL_PROBATIONS), 1);
    assert_int_equal(bans_set_so_far(c), 0); /* none that was lifted again, either */
    assert_false(neighbour->over);
    crowd_free(c);
}

static void so_does_its_standing(void **state)
{
    struct crowd *c = crowd_new();
    note_good(c, HOST(1));
    offend_often(c, HOST(1));
    assert_false(is_banned(c, HOST(1)));
    assert_true(is_on_probation(c, HOST(1)));
    crowd_free(c);
}

static void without_a_standing_nothing_good_counts(void **state)
{
    struct crowd *c = crowd_new();
    c->stage.in_force->ban.standing_ns = 0;
    note_good(c, HOST(1));
    offend_often(c, HOST(1));
    assert_true(is_banned(c, HOST(1)));
    crowd_free(c);
}

static void an_operator_may_want_shared_addresses_banned(void **state)
{
    struct crowd *c = crowd_new();
    c->stage.in_force->ban.shared = BAN_SHARED_BAN;
    enter(c, HOST(1));
    offend_often(c, HOST(1));
    assert_true(is_banned(c, HOST(1)));
    assert_int_equal(stage_cell(&c->stage, CELL_PROBATIONS), 0);
    crowd_free(c);
}

/* It lasts as long as a first ban, begins again with a further offence, and is told once. */
static void it_ends_by_itself_unless_there_is_another_offence(void **state)
{
    struct crowd *c = crowd_new();
    const uint64_t for_ns = 10 * NS_PER_S;
    c->stage.in_force->ban.terms.for_ns = for_ns;
    enter(c, HOST(1));
    offend_often(c, HOST(1));
    stage_sleep(&c->stage, for_ns / 2);
    offend(c, HOST(1));
    stage_sleep(&c->stage, for_ns * 3 / 4);
    assert_true(is_on_probation(c, HOST(1)));
    stage_sleep(&c->stage, for_ns / 2);
    assert_false(is_on_probation(c, HOST(1)));
    assert_int_equal(stage_cell(&c->stage, CELL_PROBATIONS), 1);
    crowd_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_with_nobody_else_is_banned),
        cmocka_unit_test(an_open_neighbour_spares_the_address),
        cmocka_unit_test(so_does_its_standing),
        cmocka_unit_test(without_a_standing_nothing_good_counts),
        cmocka_unit_test(an_operator_may_want_shared_addresses_banned),
        cmocka_unit_test(it_ends_by_itself_unless_there_is_another_offence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
