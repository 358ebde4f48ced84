/* SPDX-License-Identifier: MPL-2.0 */
/* Snapshots are adopted between two rounds and freed afterwards, and no session waits longer than the new one says. */
#include "relay/policy_snapshot.h"

#include "relay/testing/fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define HOUR_NS (3600 * NS_PER_S)

/* A snapshot like the one in force, with another rate of messages. */
static struct policy_snapshot *with_rate(struct fixture *s, uint64_t count)
{
    struct policy_snapshot *p = policy_snapshot_new(s->config, s->config, NULL);
    assert_non_null(p);
    p->gates[0].limits.source.messages.rate = (struct rate){.count = count, .period_ns = NS_PER_S};
    return p;
}

/* What relay_reload() does, with the round of the worker in between. */
static void put_into_force(struct fixture *s, struct policy_snapshot *p)
{
    const struct limits *was = &policy_publisher_current(&s->publisher)->gates[0].limits;
    assert_int_equal(policy_publisher_publish(&s->publisher, p), 0);
    loop_signal(&s->worker.loop, &s->worker.signals.published);
    fixture_round(s);
    gate_forgive(&s->gate, was, &p->gates[0].limits, fixture_now_ns());
    loop_signal(&s->worker.loop, &s->worker.signals.reconsider);
    policy_publisher_reclaim(&s->publisher, atomic_load(&s->worker.adopted));
}

static void a_worker_adopts_between_two_rounds(void **state)
{
    struct fixture s;
    fixture_init(&s, NULL);
    fixture_start(&s);
    const struct gate_policy *was = fixture_gate(&s)->policy;
    struct policy_snapshot *p = with_rate(&s, 7);
    assert_int_equal(policy_publisher_publish(&s.publisher, p), 0);
    assert_ptr_equal(fixture_gate(&s)->policy, was);
    policy_publisher_reclaim(&s.publisher, atomic_load(&s.worker.adopted));
    assert_int_equal(s.publisher.retired_count, 1); /* still read */
    loop_signal(&s.worker.loop, &s.worker.signals.published);
    fixture_round(&s);
    assert_ptr_equal(fixture_gate(&s)->policy, &p->gates[0]);
    assert_int_equal(atomic_load(&s.worker.adopted), 2);
    policy_publisher_reclaim(&s.publisher, atomic_load(&s.worker.adopted));
    assert_int_equal(s.publisher.retired_count, 0);
    fixture_fini(&s);
}

/* Strikes under other rules mean nothing: four of ten in a day would be more than all of ten in a minute. */
static void strikes_are_counted_anew_under_other_rules(void **state)
{
    struct fixture s;
    fixture_init(&s, NULL);
    s.limits->ban.strikes = (struct strike_rules){.strikes = 10, .within_ns = 24 * HOUR_NS};
    fixture_start(&s);
    struct source *source = source_acquire(s.gate.sources, (struct source_key){.bits = 1, .kind = SOURCE_UID}, 1);
    struct policy_snapshot *same = with_rate(&s, 7), *other = with_rate(&s, 7);
    const struct strike_rules day = same->gates[0].limits.ban.strikes, minute = {10, 60 * NS_PER_S};
    other->gates[0].limits.ban.strikes = minute;
    assert_int_equal(strikes_add(&source->strikes, &day, 4, fixture_now_ns()), STRIKES_QUIET);
    put_into_force(&s, same);
    assert_int_equal(strikes_score(&source->strikes, &day, fixture_now_ns()), 4);
    put_into_force(&s, other);
    assert_int_equal(strikes_score(&source->strikes, &minute, fixture_now_ns()), 0);
    assert_int_equal(strikes_add(&source->strikes, &minute, 1, fixture_now_ns()), STRIKES_QUIET);
    source_release(source);
    fixture_fini(&s);
}

static void what_is_not_adopted_is_bounded(void **state)
{
    struct fixture s;
    fixture_init(&s, NULL);
    fixture_start(&s);
    for (unsigned i = 0; i < POLICY_SNAPSHOT_RETIRED_MAX; i++)
        assert_int_equal(policy_publisher_publish(&s.publisher, with_rate(&s, 1)), 0);
    struct policy_snapshot *one_more = with_rate(&s, 9);
    assert_int_equal(policy_publisher_publish(&s.publisher, one_more), -EBUSY);
    policy_snapshot_free(one_more);
    loop_signal(&s.worker.loop, &s.worker.signals.published);
    fixture_round(&s);
    assert_int_equal(atomic_load(&s.worker.adopted), 1 + POLICY_SNAPSHOT_RETIRED_MAX);
    policy_publisher_reclaim(&s.publisher, atomic_load(&s.worker.adopted));
    assert_int_equal(s.publisher.retired_count, 0);
    put_into_force(&s, with_rate(&s, 9));
    assert_int_equal(fixture_gate(&s)->policy->limits.source.messages.rate.count, 9);
    fixture_fini(&s);
}

static void a_thousand_leave_nothing(void **state)
{
    struct fixture s;
    fixture_init(&s, NULL);
    fixture_start(&s);
    for (unsigned i = 0; i < 1000; i++) {
        put_into_force(&s, with_rate(&s, 1 + i));
        assert_int_equal(s.publisher.retired_count, 0);
    }
    assert_int_equal(atomic_load(&s.worker.adopted), 1001);
    fixture_fini(&s);
}

static unsigned messages_at(struct end *app)
{
    unsigned pongs;
    end_read(app, SIZE_MAX);
    return (unsigned)(end_traffic(app, &pongs).len / 12);
}

/* Ten messages of ten bytes; the first passes, and the next would pass in an hour. */
static void flood_an_hour(struct fixture *s, struct end *client, struct end *app)
{
    fixture_init(s, NULL);
    s->limits->source.messages = (struct rate_limit){.rate = {.count = 1, .period_ns = HOUR_NS}};
    fixture_start(s);
    fixture_pair(s, client, app, "DEALER", "ROUTER");
    for (unsigned i = 0; i < 10; i++)
        stream_frame(&client->out, 0, 'x', 10);
    end_write(client, SIZE_MAX);
    fixture_sleep(s, NS_PER_S);
    assert_int_equal(messages_at(app), 1);
    assert_int_equal(fixture_cell(s, CELL_PAUSED), 1);
}

static void end_flood(struct fixture *s, struct end *client, struct end *app)
{
    end_close(client);
    end_close(app);
    fixture_rounds(s, 10);
    fixture_fini(s);
}

static void a_pause_of_an_hour_does_not_outlive_its_rate(void **state)
{
    struct fixture s;
    struct end client, app;
    flood_an_hour(&s, &client, &app);
    put_into_force(&s, with_rate(&s, 10));
    fixture_sleep(&s, 350 * NS_PER_MS);
    assert_int_equal(messages_at(&app), 4); /* at the new rate, and no faster */
    fixture_sleep(&s, NS_PER_S);
    assert_int_equal(messages_at(&app), 10);
    assert_int_equal(fixture_cell(&s, CELL_PAUSED), 0);
    assert_int_equal(fixture_cell(&s, CELL_OPEN), 1);
    end_flood(&s, &client, &app);
}

static void a_pause_ends_at_once_without_a_rate(void **state)
{
    struct fixture s;
    struct end client, app;
    flood_an_hour(&s, &client, &app);
    put_into_force(&s, with_rate(&s, 0));
    fixture_sleep(&s, 30 * NS_PER_MS);
    assert_int_equal(messages_at(&app), 10);
    end_flood(&s, &client, &app);
}

static void the_same_rate_lets_nothing_through(void **state)
{
    struct fixture s;
    struct end client, app;
    flood_an_hour(&s, &client, &app);
    for (unsigned i = 0; i < 100; i++) {
        struct policy_snapshot *p = policy_snapshot_new(s.config, s.config, NULL);
        assert_non_null(p);
        put_into_force(&s, p);
        fixture_sleep(&s, 10 * NS_PER_MS);
    }
    assert_int_equal(messages_at(&app), 1);
    assert_int_equal(fixture_cell(&s, CELL_PAUSED), 1);
    end_flood(&s, &client, &app);
}

static void a_line_of_newcomers_goes_on(void **state)
{
    struct fixture s;
    struct end clients[4];
    fixture_init(&s, NULL);
    s.limits->source.connection_rate = (struct rate){.count = 1, .period_ns = HOUR_NS};
    s.limits->handshake.within_ns = HOUR_NS;
    fixture_start(&s);
    for (unsigned i = 0; i < ARRAY_LEN(clients); i++)
        end_connect(&clients[i], &s, 0);
    fixture_sleep(&s, NS_PER_S);
    assert_int_equal(fixture_cell(&s, CELL_WAITING), 3);
    struct policy_snapshot *p = policy_snapshot_new(s.config, s.config, NULL);
    assert_non_null(p);
    p->gates[0].limits.source.connection_rate = (struct rate){0};
    put_into_force(&s, p);
    fixture_sleep(&s, 30 * NS_PER_MS);
    assert_int_equal(fixture_cell(&s, CELL_WAITING), 0);
    assert_int_equal(fixture_cell(&s, CELL_HALF_OPEN), 4);
    for (unsigned i = 0; i < ARRAY_LEN(clients); i++)
        end_close(&clients[i]);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void fewer_connections_are_for_newcomers_only(void **state)
{
    struct fixture s;
    struct end clients[3], apps[2];
    fixture_init(&s, NULL);
    fixture_start(&s);
    for (unsigned i = 0; i < 2; i++)
        fixture_pair(&s, &clients[i], &apps[i], "DEALER", "ROUTER");
    struct policy_snapshot *p = policy_snapshot_new(s.config, s.config, NULL);
    assert_non_null(p);
    p->gates[0].limits.connections.max = 1;
    put_into_force(&s, p);
    fixture_sleep(&s, NS_PER_S);
    assert_int_equal(atomic_load(&s.gate.counts.max), 1);
    assert_int_equal(fixture_cell(&s, CELL_OPEN), 2);
    end_connect(&clients[2], &s, 0);
    fixture_rounds(&s, 4);
    assert_int_equal(fixture_cell(&s, CELL_OPEN), 2);
    assert_int_equal(fixture_verdict(&s, VERDICT_TABLE_FULL), 1);
    for (unsigned i = 0; i < 3; i++)
        end_close(&clients[i]);
    for (unsigned i = 0; i < 2; i++)
        end_close(&apps[i]);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_adopts_between_two_rounds),
        cmocka_unit_test(strikes_are_counted_anew_under_other_rules),
        cmocka_unit_test(what_is_not_adopted_is_bounded),
        cmocka_unit_test(a_thousand_leave_nothing),
        cmocka_unit_test(a_pause_of_an_hour_does_not_outlive_its_rate),
        cmocka_unit_test(a_pause_ends_at_once_without_a_rate),
        cmocka_unit_test(the_same_rate_lets_nothing_through),
        cmocka_unit_test(a_line_of_newcomers_goes_on),
        cmocka_unit_test(fewer_connections_are_for_newcomers_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
