/* SPDX-License-Identifier: MPL-2.0 */
/* A sweep is done in parts, visits every session, and none twice. */
#include "relay/sweep.h"

#include "relay/ban_enforce.h"
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#define CLIENTS (2 * SWEEP_PART + SWEEP_PART / 2)

static struct end clients[CLIENTS];

/* Silent handshakes of one user. */
static void begin(struct fixture *s)
{
    struct rlimit l;
    getrlimit(RLIMIT_NOFILE, &l);
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
    if (l.rlim_cur < 2 * CLIENTS + 100)
        skip();
    fixture_init(s, NULL);
    s->limits->source.half_open = s->limits->connections.half_open = 2 * CLIENTS;
    s->limits->connections.max = 4 * CLIENTS;
    s->limits->source.connection_rate.count = 0;
    s->limits->handshake.within_ns = 3600 * NS_PER_S;
    s->limits->ban.tarpit = 2 * CLIENTS;
    fixture_start(s);
    for (unsigned i = 0; i < CLIENTS; i++) {
        end_connect(&clients[i], s, 0);
        fixture_rounds(s, 2);
    }
    for (unsigned i = 0; i < 1000 && fixture_cell(s, CELL_ACCEPTED) < CLIENTS; i++)
        fixture_round(s);
}

static void end_all(struct fixture *s)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        end_close(&clients[i]);
    fixture_rounds(s, 1000);
    fixture_fini(s);
}

static void ban_me(struct fixture *s, bool ban)
{
    char text[32];
    struct network me;
    snprintf(text, sizeof(text), "uid:%u", (unsigned)getuid());
    assert_int_equal(network_parse(&me, text, NULL), 0);
    if (ban)
        assert_true(bans_set(s->bans, &me, BAN_FOR_EVER, BAN_REASON_OPERATOR, fixture_now_ns()));
    else
        assert_true(bans_lift(s->bans, &me, fixture_now_ns()));
}

static void bans_reach_all_a_part_at_a_time(void **state)
{
    static struct fixture s;
    begin(&s);
    assert_int_equal(fixture_cell(&s, CELL_OPEN), CLIENTS);
    ban_me(&s, true);
    sweep_begin(&s.worker, SWEEP_BANS);
    fixture_round(&s);
    assert_int_equal(fixture_cell(&s, CELL_OPEN), CLIENTS - SWEEP_PART);
    fixture_round(&s);
    sweep_begin(&s.worker, SWEEP_BANS); /* once more, in the middle */
    assert_int_equal(fixture_cell(&s, CELL_OPEN), CLIENTS - 2 * SWEEP_PART);
    fixture_rounds(&s, 2);
    assert_int_equal(fixture_cell(&s, CELL_OPEN), 0);
    assert_int_equal(s.worker.sweep.reasons, 0);
    end_all(&s);
}

static void the_tarpit_is_emptied_a_part_at_a_time(void **state)
{
    static struct fixture s;
    begin(&s);
    for (unsigned i = 0; i < CLIENTS; i++)
        end_close(&clients[i]);
    fixture_rounds(&s, 1000);
    ban_me(&s, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        end_connect(&clients[i], &s, 0);
        fixture_rounds(&s, 2);
    }
    for (unsigned i = 0; i < 1000 && fixture_cell(&s, CELL_TARPITTED) < CLIENTS; i++)
        fixture_round(&s);
    assert_int_equal(fixture_cell(&s, CELL_TARPITTED), CLIENTS);
    ban_me(&s, false);
    sweep_begin(&s.worker, SWEEP_BANS);
    fixture_round(&s);
    assert_true(fixture_cell(&s, CELL_TARPITTED) >= CLIENTS - SWEEP_PART);
    fixture_rounds(&s, 5);
    assert_int_equal(fixture_cell(&s, CELL_TARPITTED), 0);
    assert_int_equal(s.worker.sweep.reasons, 0);
    end_all(&s);
}

static void who_comes_meanwhile_holds_nothing_up(void **state)
{
    static struct fixture s;
    struct end late;
    begin(&s);
    sweep_begin(&s.worker, SWEEP_POLICY);
    fixture_round(&s);
    assert_int_not_equal(s.worker.sweep.reasons, 0);
    end_connect(&late, &s, 0);
    fixture_rounds(&s, 4);
    assert_int_equal(s.worker.sweep.reasons, 0);
    assert_int_equal(fixture_cell(&s, CELL_OPEN), CLIENTS + 1);
    end_close(&late);
    end_all(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bans_reach_all_a_part_at_a_time),
        cmocka_unit_test(the_tarpit_is_emptied_a_part_at_a_time),
        cmocka_unit_test(who_comes_meanwhile_holds_nothing_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
