/* SPDX-License-Identifier: MPL-2.0 */
/* The events that offenders and honest clients leave in the event log. */
#include "relay/event_log.h"

#include "relay/request_flow.h"
#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t reserved_flags[] = {0x80, 1, 'x'}; /* 5 strikes */

static struct fixture_clients *scene_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    c.fixture.limits->ban.strikes.strikes = 10;
    c.fixture.limits->concurrency.limit = CONCURRENCY_LIMIT_OFF;
    c.fixture.limits->source.connection_rate.count = 0;
    return &c;
}

static void scene_start(struct fixture_clients *c)
{
    fixture_start(&c->fixture);
    c->fixture.gate.events = event_log_new();
    assert_non_null(c->fixture.gate.events);
}

static void scene_free(struct fixture_clients *c)
{
    fixture_clients_leave(c);
    settle(c);
    event_log_free(c->fixture.gate.events);
    c->fixture.gate.events = NULL;
    fixture_assert_empty(&c->fixture);
    fixture_fini(&c->fixture);
}

static bool take(struct fixture_clients *c, struct event *ret)
{
    return event_log_take(c->fixture.gate.events, ret);
}

static void assert_next(struct fixture_clients *c, enum event_kind k, enum verdict v, enum event_deed done,
                        struct event *ret)
{
    assert_true(take(c, ret));
    assert_string_equal(event_info((enum event_kind)ret->kind)->label, event_info(k)->label);
    assert_int_equal(ret->verdict, v);
    assert_int_equal(ret->done, done);
    assert_string_equal(ret->gate, "main");
}

/* Connects, sends these bytes after its handshake, and is closed for it. */
static void offend(struct fixture_clients *c, uint32_t host, const void *bytes, size_t len)
{
    struct end *e = come(c, host);
    settle(c);
    stream_put(&e->out, bytes, len);
    end_write(e, SIZE_MAX);
    settle(c);
    assert_true(e->over || fixture_cell(&c->fixture, CELL_TARPITTED) == 1);
    end_close(e);
    c->client_count--;
}

/* A hold that kept an idle application from working is reported once, however often the limiter is looked at. */
static void holds_without_progress_are_told(void **state)
{
    struct fixture_clients *c = scene_new();
    struct gate_limiter *l = &c->fixture.gate.limiter;
    struct event e;
    scene_start(c);
    gate_limiter_look(&c->fixture.worker.gates[0]);
    assert_false(take(c, &e));
    for (unsigned n = 1; n <= 2; n++) {
        l->limit.stats.stuck++;
        gate_limiter_look(&c->fixture.worker.gates[0]);
        gate_limiter_look(&c->fixture.worker.gates[0]);
        assert_next(c, EVENT_HOLD_WITHOUT_PROGRESS, VERDICT_PASS, EVENT_DEED_NOTHING, &e);
        assert_int_equal(e.text_len, strlen("1 since the start"));
        assert_int_equal(e.text[0], '0' + n);
        assert_false(take(c, &e));
    }
    assert_int_equal(atomic_load(&l->told), 2);
    scene_free(c);
}

/* From a source in good standing: a program that follows the events must not ban it. */
static void from_offence_to_probation(void **state)
{
    struct fixture_clients *c = scene_new();
    struct event e;
    scene_start(c);
    struct end *neighbour = come(c, HOST(1));
    settle(c);
    offend(c, HOST(1), reserved_flags, sizeof(reserved_flags));
    assert_next(c, EVENT_OFFENCE, VERDICT_RESERVED_FLAGS, EVENT_DEED_CLOSED, &e);
    assert_int_equal(e.standing, EVENT_STANDING_GOOD);
    assert_next(c, EVENT_WARNING, VERDICT_RESERVED_FLAGS, EVENT_DEED_WARNED, &e);
    assert_int_equal(e.standing, EVENT_STANDING_GOOD);
    bool told = false;
    for (unsigned i = 0; i < 2 && !told; i++) {
        offend(c, HOST(1), reserved_flags, sizeof(reserved_flags));
        while (!told && take(c, &e))
            told = e.kind == EVENT_PROBATION;
    }
    assert_true(told);
    assert_int_equal(e.done, EVENT_DEED_ON_PROBATION);
    assert_int_equal(e.for_ns, 60 * NS_PER_S);
    assert_false(take(c, &e));
    assert_false(neighbour->over);
    scene_free(c);
}

static void from_offence_to_ban(void **state)
{
    struct fixture_clients *c = scene_new();
    struct event e;
    scene_start(c);
    offend(c, HOST(1), reserved_flags, sizeof(reserved_flags));
    assert_next(c, EVENT_OFFENCE, VERDICT_RESERVED_FLAGS, EVENT_DEED_CLOSED, &e);
    assert_int_equal(e.standing, EVENT_STANDING_NONE);
    assert_int_equal(e.strikes, 5);
    assert_int_equal(e.of, 10);
    assert_int_equal(e.source.bytes[3], HOST(1) & 0xff);
    assert_int_not_equal(e.source.port, 0);
    assert_int_not_equal(e.wall_ns, 0);
    assert_next(c, EVENT_WARNING, VERDICT_RESERVED_FLAGS, EVENT_DEED_WARNED, &e);
    assert_int_equal(e.strikes, 5);
    assert_false(take(c, &e));
    bool banned = false;
    for (unsigned i = 0; i < 2 && !banned; i++) {
        offend(c, HOST(1), reserved_flags, sizeof(reserved_flags));
        assert_true(take(c, &e));
        assert_int_equal(e.kind, EVENT_OFFENCE);
        banned = e.strikes == e.of;
        assert_int_equal(e.done, banned ? EVENT_DEED_TARPITTED : EVENT_DEED_CLOSED);
        while (!banned && take(c, &e)) /* the warning again, when a strike has leaked */
            assert_int_equal(e.kind, EVENT_WARNING);
    }
    assert_true(banned);
    assert_next(c, EVENT_BAN, VERDICT_RESERVED_FLAGS, EVENT_DEED_BANNED, &e);
    assert_string_equal(e.reason, "protocol");
    assert_int_equal(e.level, 1);
    assert_int_equal(e.network.bits, 32);
    assert_in_range(e.for_ns, 45 * NS_PER_S, 60 * NS_PER_S);
    end_close(come(c, HOST(1)));
    c->client_count--;
    settle(c);
    assert_next(c, EVENT_REFUSED, VERDICT_BANNED, EVENT_DEED_TARPITTED, &e);
    assert_false(take(c, &e));
    scene_free(c);
}

/* A client that connects, works and leaves causes no event. */
static void honest_clients_are_not_told(void **state)
{
    struct fixture_clients *c = scene_new();
    struct event e;
    scene_start(c);
    for (unsigned i = 0; i < 40; i++) {
        struct end *client = come(c, HOST(1 + i % 7));
        settle(c);
        for (unsigned n = 0; n < 10; n++)
            stream_put(&client->out, (const uint8_t[]){0x00, 1, 'x'}, 3);
        end_write(client, SIZE_MAX);
        settle(c);
        if (i % 2)
            end_close(client);
    }
    settle(c);
    assert_int_not_equal(fixture_cell(&c->fixture, CELL_MESSAGES_IN), 0);
    assert_false(take(c, &e));
    scene_free(c);
}

/* A harmless end is reported as such, and never as an offence. */
static void leaving_early_is_no_offence(void **state)
{
    struct fixture_clients *c = scene_new();
    struct event e;
    scene_start(c);
    struct end *client = come_silently(c, HOST(1));
    settle(c);
    end_close(client);
    settle(c);
    assert_next(c, EVENT_CLOSED, VERDICT_HANDSHAKE_ABANDONED, EVENT_DEED_CLOSED, &e);
    assert_false(take(c, &e));
    scene_free(c);
}

static void of_an_exempt_peer_no_offence_is_told(void **state)
{
    struct fixture_clients *c = scene_new();
    struct event e;
    struct networks *n = &c->fixture.limits->ban.exempt;
    assert_int_equal(network_parse(&n->at[n->count++], "127.0.0.0/8", NULL), 0);
    scene_start(c);
    offend(c, HOST(1), reserved_flags, sizeof(reserved_flags));
    assert_next(c, EVENT_CLOSED, VERDICT_RESERVED_FLAGS, EVENT_DEED_CLOSED, &e);
    assert_int_equal(e.strikes, 0);
    assert_false(take(c, &e));
    scene_free(c);
}

static void messages_left_out(void **state)
{
    struct fixture_clients *c = scene_new();
    struct event e;
    c->fixture.limits->source.messages.rate = (struct rate){.count = 1, .period_ns = NS_PER_S, .burst = 0};
    c->fixture.limits->source.messages.over = ACTION_DROP;
    scene_start(c);
    struct end *client = come(c, HOST(1));
    settle(c);
    for (unsigned n = 0; n < 10; n++)
        stream_put(&client->out, (const uint8_t[]){0x00, 1, 'x'}, 3);
    end_write(client, SIZE_MAX);
    settle(c);
    assert_next(c, EVENT_OFFENCE, VERDICT_OVER_MESSAGES, EVENT_DEED_DROPPED, &e);
    assert_int_equal(e.strikes, 2);
    assert_false(take(c, &e)); /* once a second */
    scene_free(c);
}

/* The routing id is reported unchanged, also one that is refused. */
static void the_name_that_a_peer_gave_itself(void **state)
{
    static const char name[] = "\",\"source\":\"203.0.113.1";
    struct fixture_clients *c = scene_new();
    struct event e;
    scene_start(c);
    struct end *first = come_silently(c, HOST(1)), *second = come_silently(c, HOST(1));
    end_greet(first, "DEALER", name);
    end_write(first, SIZE_MAX);
    settle(c);
    end_greet(second, "DEALER", name);
    end_write(second, SIZE_MAX);
    settle(c);
    fixture_sleep(&c->fixture, 4 * NS_PER_S); /* the holder is looked at meanwhile */
    assert_next(c, EVENT_CLOSED, VERDICT_DUPLICATE_ROUTING_ID, EVENT_DEED_CLOSED, &e);
    assert_int_equal(e.text_len, strlen(name));
    assert_memory_equal(e.text, name, strlen(name));
    assert_false(take(c, &e));
    scene_free(c);
}

/* A storm leaves some lines, and a number. */
static void a_storm_is_counted(void **state)
{
    struct fixture_clients *c = scene_new();
    struct event e;
    unsigned lines = 0;
    c->fixture.limits->ban.strikes.strikes = 0;
    scene_start(c);
    for (unsigned i = 0; i < 60; i++)
        offend(c, HOST(1), reserved_flags, sizeof(reserved_flags));
    while (take(c, &e))
        lines++;
    struct event_log_stats s = event_log_stats(c->fixture.gate.events);
    assert_in_range(lines, 21, 59);
    assert_int_equal(s.suppressed, 60 - lines);
    assert_int_equal(s.lost, 0);
    scene_free(c);
}

static void a_full_queue_keeps_a_place_for_what_matters(void **state)
{
    struct event_log *log = event_log_new();
    struct event e;
    assert_non_null(log);
    for (unsigned i = 0; i < EVENT_LOG_QUEUE; i++)
        event_log_note(log, EVENT_RELOADED, "x");
    assert_int_equal(event_log_stats(log).lost, 0);
    event_log_note(log, EVENT_STOP, "x");
    assert_int_equal(event_log_stats(log).lost, 1);
    event_log_wait(log, 60000); /* not at all: the queue has an event */
    for (unsigned i = 0; i < EVENT_LOG_QUEUE; i++)
        assert_true(event_log_take(log, &e));
    assert_false(event_log_take(log, &e));
    event_log_wake(log);
    event_log_wait(log, 60000);
    event_log_free(log);
    event_log_free(NULL);
    event_log_note(NULL, EVENT_STOP, "x");
    assert_int_equal(event_log_stats(NULL).lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_without_progress_are_told),
        cmocka_unit_test(from_offence_to_ban),
        cmocka_unit_test(from_offence_to_probation),
        cmocka_unit_test(honest_clients_are_not_told),
        cmocka_unit_test(leaving_early_is_no_offence),
        cmocka_unit_test(of_an_exempt_peer_no_offence_is_told),
        cmocka_unit_test(messages_left_out),
        cmocka_unit_test(the_name_that_a_peer_gave_itself),
        cmocka_unit_test(a_storm_is_counted),
        cmocka_unit_test(a_full_queue_keeps_a_place_for_what_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
