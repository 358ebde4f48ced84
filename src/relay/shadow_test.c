/* SPDX-License-Identifier: MPL-2.0 */
/* Rules in shadow around a session: time, connections, names, strikes; and which cohorts have which rules. */
#include "relay/shadow.h"

#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static uint64_t would(const struct fixture *s, enum verdict v)
{
    return atomic_load(&s->gate.cells[0].shadow[v]);
}

/* No rule in force has acted. */
static void assert_untouched(const struct fixture *s)
{
    for (unsigned v = VERDICT_PASS + 1; v < VERDICT_COUNT; v++)
        assert_int_equal(fixture_verdict(s, (enum verdict)v), 0);
    assert_int_equal(fixture_cell(s, CELL_PAUSES), 0);
    assert_int_equal(fixture_cell(s, CELL_CLOSED), 0);
}

static void end_pair(struct fixture *s, struct end *client, struct end *app)
{
    end_close(client);
    end_close(app);
    fixture_rounds(s, 4);
    fixture_fini(s);
}

static void a_late_message_counts_once(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    s.limits->message.complete_within_ns = NS_PER_S;
    s.limits->enforce[RULE_MESSAGE] = ENFORCE_SHADOW;
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "PUSH", "PULL");
    for (unsigned i = 1; i <= 2; i++) {
        stream_frame(&client.out, 0, 'x', 10);
        client.out.len -= 5;
        end_write(&client, SIZE_MAX);
        fixture_sleep(&s, 900 * NS_PER_MS);
        assert_int_equal(would(&s, VERDICT_MESSAGE_TOO_SLOW), i - 1);
        fixture_sleep(&s, 5 * NS_PER_S);
        assert_int_equal(would(&s, VERDICT_MESSAGE_TOO_SLOW), i);
        stream_put(&client.out, "xxxxx", 5);
        end_write(&client, SIZE_MAX);
        fixture_rounds(&s, 4);
        end_read(&app, SIZE_MAX);
        assert_int_equal(end_traffic(&app, NULL).len, i * 12);
    }
    assert_untouched(&s);
    end_pair(&s, &client, &app);
}

static void a_message_in_time_counts_nothing(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    s.limits->message.complete_within_ns = NS_PER_S;
    s.limits->enforce[RULE_MESSAGE] = ENFORCE_SHADOW;
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "PUSH", "PULL");
    for (unsigned i = 0; i < 20; i++) {
        stream_frame(&client.out, 0, 'x', 10);
        end_write(&client, 5);
        fixture_sleep(&s, 300 * NS_PER_MS);
        end_write(&client, SIZE_MAX);
        fixture_sleep(&s, 300 * NS_PER_MS);
    }
    assert_int_equal(would(&s, VERDICT_MESSAGE_TOO_SLOW), 0);
    assert_untouched(&s);
    end_pair(&s, &client, &app);
}

/* The client asks for a hundred answers of 1 MiB, takes nothing for a while, and then everything. */
static void a_slow_reader_counts_once(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    s.limits->slow_reader.behind = 4 << 20;
    s.limits->enforce[RULE_SLOW_READER] = ENFORCE_SHADOW;
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "ROUTER");
    for (unsigned i = 0; i < 100; i++)
        stream_frame(&client.out, 0, 'q', 10);
    end_write(&client, SIZE_MAX);
    for (unsigned i = 0; i < 4; i++)
        stream_frame(&app.out, 0, 'x', 1 << 20);
    for (unsigned i = 0; i < 200; i++) {
        end_write(&app, SIZE_MAX);
        fixture_round(&s);
    }
    assert_int_equal(fixture_cell(&s, CELL_BLOCKED_OUT), 1);
    fixture_sleep(&s, 3500 * NS_PER_MS);
    assert_int_equal(would(&s, VERDICT_SLOW_READER), 1);
    for (unsigned i = 0; i < 1000 && app.sent < app.out.len; i++) {
        end_write(&app, SIZE_MAX);
        fixture_round(&s);
        end_read(&client, SIZE_MAX);
    }
    for (unsigned i = 0; i < 100; i++) {
        fixture_round(&s);
        end_read(&client, SIZE_MAX);
    }
    assert_int_equal(end_traffic(&client, NULL).len, app.out.len - (app.out.len - 4u * ((1 << 20) + 9)));
    assert_untouched(&s);
    end_pair(&s, &client, &app);
}

/* Newcomers beyond the limits all come in at once, and are counted as they would have been refused. */
static void newcomers(void **state)
{
    struct fixture s;
    struct end clients[12];
    fixture_init(&s, NULL);
    s.limits->source.connections = 8;
    s.limits->source.half_open = 5;
    s.limits->source.connection_rate = (struct rate){.count = 1, .period_ns = 60 * NS_PER_S, .burst = 3};
    s.limits->enforce[RULE_CONNECTIONS] = ENFORCE_SHADOW;
    fixture_start(&s);
    for (unsigned i = 0; i < 12; i++) {
        end_connect(&clients[i], &s, 0);
        fixture_rounds(&s, 2);
    }
    assert_int_equal(fixture_cell(&s, CELL_OPEN), 12);
    assert_int_equal(fixture_cell(&s, CELL_WAITING), 0);
    assert_int_equal(would(&s, VERDICT_OVER_CONNECTION_RATE), 4); /* the fifth to the eighth */
    assert_int_equal(would(&s, VERDICT_TOO_MANY_CONNECTIONS), 4); /* the rate is not asked for these */
    assert_int_equal(would(&s, VERDICT_TOO_MANY_HALF_OPEN), 7);
    assert_untouched(&s);
    for (unsigned i = 0; i < 12; i++)
        end_close(&clients[i]);
    fixture_rounds(&s, 4);
    fixture_fini(&s);
}

/* Strikes for rules in shadow count once a second; the resulting ban counts once, for as long as it would last. The
 * source would be put on probation instead where its messages, which pass, speak for it. */
static void what_would_follow(enum ban_shared shared)
{
    struct fixture s;
    struct end client, app;
    bool bans = shared == BAN_SHARED_BAN;
    fixture_init(&s, NULL);
    s.limits->ban.shared = shared;
    s.limits->ban.strikes = (struct strike_rules){.strikes = 4, .within_ns = 24 * 3600 * NS_PER_S};
    s.limits->ban.terms = (struct ban_terms){.for_ns = 60 * NS_PER_S, .max_ns = 60 * NS_PER_S};
    s.limits->message.size_bytes = s.limits->message.frame_bytes = 1000;
    s.limits->enforce[RULE_BAN] = s.limits->enforce[RULE_MESSAGE] = ENFORCE_SHADOW;
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "PUSH", "PULL");
    for (unsigned i = 0; i < 50; i++) {
        stream_frame(&client.out, 0, 'x', 2000);
        end_write(&client, SIZE_MAX);
        fixture_round(&s);
    }
    assert_int_equal(would(&s, VERDICT_FRAME_TOO_LARGE), 50);
    assert_int_equal(fixture_cell(&s, CELL_SHADOW_STRIKES), 2);
    assert_int_equal(fixture_cell(&s, CELL_SHADOW_BANS), 0);
    for (unsigned i = 0; i < 40; i++) {
        stream_frame(&client.out, 0, 'x', 2000);
        end_write(&client, SIZE_MAX);
        fixture_sleep(&s, NS_PER_S);
        end_read(&app, SIZE_MAX);
    }
    assert_int_equal(fixture_cell(&s, CELL_SHADOW_BANS), bans);
    assert_int_equal(fixture_cell(&s, CELL_SHADOW_PROBATIONS) > 0, !bans);
    if (bans)
        assert_in_range(fixture_cell(&s, CELL_SHADOW_STRIKES), 4, 6); /* a source that would be banned does not offend
                                                                       * any more */
    assert_int_equal(fixture_cell(&s, CELL_STRIKES_EXCESS), 0);
    assert_untouched(&s);
    end_pair(&s, &client, &app);
}

static void a_ban_that_would_follow(void **state)
{
    what_would_follow(BAN_SHARED_BAN);
}

static void a_probation_that_would_follow(void **state)
{
    what_would_follow(BAN_SHARED_PROBATION);
}

/* Which cohorts have which limits, in a snapshot. */
static void shares_of_a_snapshot(void **state)
{
    struct fixture s;
    fixture_init(&s, NULL);
    s.limits->source.messages.rate = (struct rate){.count = 7, .period_ns = NS_PER_S};
    struct policy_snapshot *p = policy_snapshot_new(s.config, s.config, NULL);
    for (unsigned cohort = 0; cohort < ENFORCE_COHORTS; cohort++)
        assert_ptr_equal(p->gates[0].for_cohort[cohort], &p->gates[0].limits);
    policy_snapshot_free(p);
    s.limits->enforce[RULE_MESSAGES] = 100 - 30;
    s.limits->enforce[RULE_MESSAGE] = ENFORCE_OFF;
    s.limits->enforce[RULE_BAN] = 1;
    p = policy_snapshot_new(s.config, s.config, NULL);
    p->gates[0].limits.connections.max = 11; /* as when descriptors are short */
    policy_snapshot_settle(p);
    for (unsigned cohort = 0; cohort < ENFORCE_COHORTS; cohort++) {
        const struct limits *l = p->gates[0].for_cohort[cohort];
        assert_int_equal(l->connections.max, 11);
        assert_int_equal(l->source.messages.rate.count, cohort < 30 ? 7 : 0);
        assert_int_equal(l->message.size_bytes, UINT64_MAX);
        assert_int_equal(l->shadow != NULL, cohort >= 30);
        assert_true(!l->shadow || l->shadow->source.messages.rate.count == 7);
        assert_int_equal(limits_hold(l, RULE_BAN), cohort < 99);
    }
    policy_snapshot_free(p);
    fixture_start(&s);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_message_counts_once), cmocka_unit_test(a_message_in_time_counts_nothing),
        cmocka_unit_test(a_slow_reader_counts_once),  cmocka_unit_test(newcomers),
        cmocka_unit_test(a_ban_that_would_follow),    cmocka_unit_test(a_probation_that_would_follow),
        cmocka_unit_test(shares_of_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
