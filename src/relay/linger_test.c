/* SPDX-License-Identifier: MPL-2.0 */
/* The application's end of a connection, from the end of the session until the application closes it. */
#include "relay/linger.h"

#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define CONN_SLOTS 8u
#define MIB        (1024u * 1024u)

/* A client of its own address, and the application's end. */
struct pair {
    struct end client, app;
};

static void scene_init(struct fixture *s)
{
    fixture_init(s, "tcp://127.0.0.1:*");
    s->limits->source.connection_rate.count = 0;
    fixture_start(s);
}

static void pair_up(struct fixture *s, struct pair *p, uint32_t host)
{
    fixture_pair_by_address(s, &p->client, &p->app, "DEALER", "ROUTER", host);
}

/* The client breaks the protocol, and its connection is closed. (One that only stops sending may still get answers.) */
static void expel(struct fixture *s, struct end *client)
{
    static const uint8_t reserved_flags[] = {0x80, 1, 'x'};
    stream_put(&client->out, reserved_flags, sizeof(reserved_flags));
    end_write(client, SIZE_MAX);
    fixture_rounds(s, 4);
    end_close(client);
}

static void part(struct fixture *s, struct pair *p)
{
    end_close(&p->client);
    end_close(&p->app);
    fixture_rounds(s, 4);
}

/* Whether the application has been told of the end. */
static bool is_told(struct end *app)
{
    end_read(app, SIZE_MAX);
    end_read(app, SIZE_MAX);
    return app->over;
}

static uint64_t lingering(const struct fixture *s)
{
    return fixture_cell(s, CELL_LINGERING);
}

static void the_application_is_told_and_closes_when_it_likes(void **state)
{
    struct fixture s;
    struct pair p;
    scene_init(&s);
    pair_up(&s, &p, HOST(1));
    assert_false(is_told(&p.app));
    expel(&s, &p.client);
    assert_true(is_told(&p.app));
    assert_int_equal(fixture_cell(&s, CELL_OPEN), 0);
    assert_int_equal(lingering(&s), 1);
    fixture_sleep(&s, 60 * NS_PER_S);
    assert_int_equal(lingering(&s), 1);
    end_close(&p.app);
    fixture_rounds(&s, 4);
    assert_int_equal(lingering(&s), 0);
    fixture_assert_empty(&s);
    fixture_fini(&s);
}

/* It has much to say to a client that is gone. */
static void what_it_sends_meanwhile_is_discarded(void **state)
{
    struct fixture s;
    struct pair p;
    scene_init(&s);
    pair_up(&s, &p, HOST(1));
    expel(&s, &p.client);
    assert_int_equal(lingering(&s), 1);
    uint64_t out = fixture_cell(&s, CELL_MESSAGES_OUT);
    stream_frame(&p.app.out, 0, 'x', MIB);
    for (unsigned i = 0; i < 100; i++) {
        end_write(&p.app, SIZE_MAX);
        fixture_round(&s);
    }
    assert_int_equal(p.app.sent, p.app.out.len);
    assert_int_equal(fixture_cell(&s, CELL_MESSAGES_OUT), out);
    assert_int_equal(fixture_cell(&s, CELL_HELD), 0);
    part(&s, &p);
    fixture_assert_empty(&s);
    fixture_fini(&s);
}

/* Nobody has to be told anything. */
static void an_application_that_closes_first_leaves_nothing(void **state)
{
    struct fixture s;
    struct pair p;
    scene_init(&s);
    pair_up(&s, &p, HOST(1));
    end_close(&p.app);
    fixture_rounds(&s, 4);
    assert_int_equal(lingering(&s), 0);
    part(&s, &p);
    fixture_assert_empty(&s);
    fixture_fini(&s);
}

static void an_unfinished_handshake_leaves_nothing(void **state)
{
    struct fixture s;
    struct end client, app;
    scene_init(&s);
    end_connect(&client, &s, HOST(1));
    end_greet(&client, "DEALER", NULL);
    end_write(&client, SIZE_MAX);
    fixture_rounds(&s, 5);
    assert_true(end_accept(&app, &s));
    end_close(&client);
    fixture_rounds(&s, 4);
    assert_true(is_told(&app));
    assert_int_equal(lingering(&s), 0);
    fixture_assert_empty(&s);
    end_close(&app);
    fixture_fini(&s);
}

static bool gets_through(struct fixture *s, uint32_t host, struct pair *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->app.fd = -1;
    end_connect(&ret->client, s, host);
    end_greet(&ret->client, "DEALER", NULL);
    end_write(&ret->client, SIZE_MAX);
    for (unsigned i = 0; i < 20; i++)
        fixture_sleep(s, NS_PER_MS);
    if (!end_accept(&ret->app, s))
        return false;
    end_greet(&ret->app, "ROUTER", NULL);
    end_write(&ret->app, SIZE_MAX);
    fixture_rounds(s, 5);
    end_read(&ret->client, SIZE_MAX);
    return true;
}

/* Half of the places are ends of one source that the application does not close: that source waits, others do not. */
static void one_source_cannot_take_all_places(void **state)
{
    struct fixture s;
    struct pair gone[CONN_SLOTS / 2], own, other;
    scene_init(&s);
    for (unsigned i = 0; i < CONN_SLOTS / 2; i++) {
        pair_up(&s, &gone[i], HOST(1));
        expel(&s, &gone[i].client);
    }
    atomic_store(&s.gate.counts.max, CONN_SLOTS);
    assert_int_equal(lingering(&s), CONN_SLOTS / 2);
    assert_false(gets_through(&s, HOST(1), &own));
    assert_true(gets_through(&s, HOST(2), &other));
    assert_true(end_is_greeted(&other.client));
    for (unsigned i = 0; i < CONN_SLOTS / 2; i++)
        end_close(&gone[i].app);
    for (unsigned i = 0; i < 100 && own.app.fd < 0; i++) {
        fixture_sleep(&s, 10 * NS_PER_MS);
        (void)end_accept(&own.app, &s);
    }
    assert_true(own.app.fd >= 0);
    part(&s, &own);
    part(&s, &other);
    fixture_assert_empty(&s);
    fixture_fini(&s);
}

/* With subscribers, one after the other; unless it is hastened. */
static void a_subscriber_waits_for_its_turn(void **state)
{
    static const uint8_t topic[] = "a topic of some length";
    struct fixture s;
    struct pair p[2];
    scene_init(&s);
    s.in_force->subscriptions.removal_rate = (struct rate){.count = 1, .period_ns = 3600 * NS_PER_S};
    for (unsigned i = 0; i < 2; i++) {
        fixture_pair_by_address(&s, &p[i].client, &p[i].app, "SUB", "PUB", HOST(1 + i));
        stream_command(&p[i].client.out, "SUBSCRIBE", topic, sizeof(topic) - 1);
        end_write(&p[i].client, SIZE_MAX);
        fixture_rounds(&s, 8);
    }
    assert_int_equal(fixture_cell(&s, CELL_SUBSCRIPTIONS), 2);
    for (unsigned i = 0; i < 2; i++) {
        end_close(&p[i].client);
        fixture_rounds(&s, 4);
    }
    assert_int_equal(fixture_cell(&s, CELL_LEAVING), 2);
    assert_int_equal(fixture_cell(&s, CELL_SUBSCRIPTIONS), 2);
    assert_false(is_told(&p[0].app) || is_told(&p[1].app));
    linger_hasten(fixture_gate(&s));
    assert_int_equal(fixture_cell(&s, CELL_LEAVING), 1);
    assert_int_equal(fixture_cell(&s, CELL_SUBSCRIPTIONS), 1);
    assert_true(is_told(&p[0].app));
    assert_false(is_told(&p[1].app));
    end_close(&p[1].app); /* the application closes first */
    fixture_rounds(&s, 4);
    assert_int_equal(fixture_cell(&s, CELL_LEAVING), 0);
    assert_int_equal(fixture_cell(&s, CELL_SUBSCRIPTIONS), 0);
    linger_hasten(fixture_gate(&s)); /* nobody waits */
    end_close(&p[0].app);
    fixture_rounds(&s, 4);
    fixture_assert_empty(&s);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_application_is_told_and_closes_when_it_likes),
        cmocka_unit_test(what_it_sends_meanwhile_is_discarded),
        cmocka_unit_test(an_application_that_closes_first_leaves_nothing),
        cmocka_unit_test(an_unfinished_handshake_leaves_nothing),
        cmocka_unit_test(one_source_cannot_take_all_places),
        cmocka_unit_test(a_subscriber_waits_for_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
