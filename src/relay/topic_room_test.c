/* SPDX-License-Identifier: MPL-2.0 */
/* Subscribers of a gate together: which one gives way, and how they leave. */
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define KIB 1024u

/* The cost of one topic of subscribe() to the application, without the tables that several topics share. */
#define TOPIC (20u * TOPIC_NODE_BYTES + TOPIC_SET_BYTES + TOPIC_HOLDER_BYTES)

/* Topics that begin with `first` and the bytes after it, and share nothing. */
static void subscribe(struct end *e, unsigned first, unsigned count)
{
    char topic[20];
    memset(topic, 'x', sizeof(topic));
    for (unsigned i = 0; i < count; i++) {
        topic[0] = (char)(first + i);
        stream_command(&e->out, "SUBSCRIBE", topic, sizeof(topic));
    }
    end_write(e, SIZE_MAX);
}

static void audience_pair_from(struct fixture *s, struct end *client, struct end *app, uint32_t from)
{
    end_connect(client, s, from);
    end_greet(client, "SUB", NULL);
    end_write(client, SIZE_MAX);
    for (unsigned i = 0; i < 200 && !end_is_greeted(client); i++) {
        fixture_sleep(s, NS_PER_MS);
        struct end e;
        while (end_accept(&e, s)) {
            end_greet(&e, "PUB", NULL);
            end_write(&e, SIZE_MAX);
            *app = e;
        }
        end_read(client, SIZE_MAX);
    }
    assert_true(end_is_greeted(client));
}

/* A gate on TCP in front of an application that the probe has seen. */
static void audience_open(struct fixture *s)
{
    struct end probe;
    fixture_start(s);
    fixture_rounds(s, 4);
    while (end_accept(&probe, s)) {
        end_greet(&probe, "PUB", NULL);
        end_write(&probe, SIZE_MAX);
        fixture_rounds(s, 4);
        end_close(&probe);
    }
}

/* The connection that holds most topics makes room, not another one of the same address. */
static void topics_give_way_where_they_are(void **state)
{
    struct fixture s;
    struct end clients[4], apps[4];
    fixture_init(&s, "tcp://127.0.0.1:*");
    s.limits->subscriptions.trie_bytes = 48 * TOPIC;
    audience_open(&s);
    for (unsigned i = 0; i < 4; i++)
        audience_pair_from(&s, &clients[i], &apps[i], 0x7f000001u + (i == 3));
    subscribe(&clients[0], 1, 10);
    subscribe(&clients[1], 11, 25);
    fixture_rounds(&s, 10);
    assert_int_equal(fixture_cell(&s, CELL_SUBSCRIPTIONS), 35);
    subscribe(&clients[3], 36, 15);
    fixture_sleep(&s, NS_PER_S / 2);
    assert_int_equal(fixture_verdict(&s, VERDICT_TOPICS_GIVE_WAY), 1);
    assert_int_equal(fixture_cell(&s, CELL_SUBSCRIPTIONS), 25);
    end_read(&clients[1], SIZE_MAX);
    assert_true(clients[1].over);
    for (unsigned i = 0; i < 4; i++)
        end_close(&clients[i]), end_close(&apps[i]);
    fixture_rounds(&s, 20);
    fixture_fini(&s);
}

/* Otherwise its subscriptions would be processed for hours, at the pace of a limit, or of a publisher that takes
 * nothing. */
static void a_subscriber_that_has_left_is_not_waited_for(void **state)
{
    for (int blocked = 0; blocked < 2; blocked++) {
        struct fixture s;
        struct end client, app;
        fixture_init(&s, NULL);
        s.limits->subscriptions.messages =
            (struct rate_limit){.rate = {.count = 1, .period_ns = 60 * NS_PER_S, .burst = blocked ? 1000 : 10}};
        fixture_start(&s);
        fixture_pair(&s, &client, &app, "SUB", "XPUB");
        for (unsigned i = 0; i < 50; i++)
            stream_frame(&client.out, 0, 'x', 20 * KIB);
        for (unsigned i = 0; i < 50; i++) {
            end_write(&client, SIZE_MAX);
            fixture_round(&s);
        }
        assert_int_equal(fixture_cell(&s, blocked ? CELL_BLOCKED_IN : CELL_PAUSED), 1);
        end_close(&client);
        fixture_rounds(&s, 4);
        assert_int_equal(fixture_cell(&s, CELL_CLOSED), 1);
        end_close(&app);
        fixture_rounds(&s, 4);
        fixture_assert_empty(&s);
        fixture_fini(&s);
    }
}

/* A subscriber that waits for room is not read, so its end is not seen. A message from Weir would reveal it; where Weir
 * may send nothing, the wait has an end. */
static void nobody_waits_for_room_for_ever_unseen(void **state)
{
    for (int with_pongs = 0; with_pongs < 2; with_pongs++) {
        struct fixture s;
        struct end client, app;
        fixture_init(&s, NULL);
        s.limits->subscriptions.max = 5;
        fixture_start(&s);
        fixture_pair(&s, &client, &app, "SUB", "PUB");
        LIST_ENTRY(s.worker.sessions.all.next, struct session, in.worker)->flags.can_pong =
            with_pongs; /* ZMTP 3.0 has none */
        subscribe(&client, 1, 10);
        fixture_sleep(&s, 15 * NS_PER_S);
        assert_int_equal(fixture_cell(&s, CELL_SUBSCRIPTIONS), 5);
        assert_int_equal(fixture_cell(&s, CELL_PAUSED), 1);
        fixture_sleep(&s, 10 * NS_PER_S);
        assert_int_equal(fixture_cell(&s, CELL_OPEN), with_pongs);
        end_close(&client), end_close(&app);
        fixture_rounds(&s, 20);
        fixture_fini(&s);
    }
}

/* ---- leaving ---- */

#define SUBSCRIBERS 4u

struct fixture_clients {
    struct fixture fixture;
    struct end clients[SUBSCRIBERS], apps[SUBSCRIBERS];
};

/* Each holds ten topics of its own, from an address of its own. */
static void crowd_init(struct fixture_clients *c, uint64_t removals_a_second)
{
    fixture_init(&c->fixture, "tcp://127.0.0.1:*");
    c->fixture.limits->subscriptions.removal_rate =
        (struct rate){.count = removals_a_second, .period_ns = NS_PER_S, .burst = 10 * TOPIC};
    audience_open(&c->fixture);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        audience_pair_from(&c->fixture, &c->clients[i], &c->apps[i], 0x7f000001u + i);
        subscribe(&c->clients[i], 1 + 10 * i, 10);
    }
    fixture_rounds(&c->fixture, 20);
    assert_int_equal(fixture_cell(&c->fixture, CELL_SUBSCRIPTIONS), 10 * SUBSCRIBERS);
}

static void crowd_fini(struct fixture_clients *c)
{
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        end_close(&c->clients[i]), end_close(&c->apps[i]);
    fixture_rounds(&c->fixture, 20);
    fixture_assert_empty(&c->fixture);
    fixture_fini(&c->fixture);
}

/* How many of its subscribers' ends the application has seen. */
static unsigned seen_to_leave(struct fixture_clients *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        end_read(&c->apps[i], SIZE_MAX);
        end_read(&c->apps[i], SIZE_MAX); /* the end comes after the last bytes */
        n += c->apps[i].over;
    }
    return n;
}

/* All leave at once: the application sees one end after the other, as fast as it may walk through the remaining
 * topics. */
static void subscribers_leave_one_after_the_other(void **state)
{
    struct fixture_clients c;
    crowd_init(&c, 1);
    uint64_t ten = topic_tree_cost(&c.fixture.gate.traffic.topics) / SUBSCRIBERS;
    c.fixture.in_force->subscriptions.removal_rate = (struct rate){5 * ten, NS_PER_S, ten};
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        end_close(&c.clients[i]);
    fixture_rounds(&c.fixture, 4);
    assert_int_equal(fixture_cell(&c.fixture, CELL_OPEN), 0);
    assert_int_equal(seen_to_leave(&c), 0);
    assert_int_equal(fixture_cell(&c.fixture, CELL_LEAVING), SUBSCRIBERS);
    assert_int_equal(fixture_cell(&c.fixture, CELL_SUBSCRIPTIONS), 10 * SUBSCRIBERS);
    /* 40 topics are to be walked through, of which 10 are the burst: after 0.6 s. Then 30, 20 and 10, without savings:
     * after 1.2, 1.6 and 1.8. */
    static const uint64_t hundredths[SUBSCRIBERS] = {60, 120, 160, 180};
    uint64_t now = 0;
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        fixture_sleep(&c.fixture, (hundredths[i] - 8 - now) * NS_PER_S / 100);
        assert_int_equal(seen_to_leave(&c), i);
        fixture_sleep(&c.fixture, 16 * NS_PER_S / 100);
        assert_int_equal(seen_to_leave(&c), i + 1);
        assert_int_equal(fixture_cell(&c.fixture, CELL_SUBSCRIPTIONS), 10 * (SUBSCRIBERS - i - 1));
        now = hundredths[i] + 8;
    }
    crowd_fini(&c);
}

/* However slow the pace is, it rises, and after half a minute the application has seen all ends. */
static void nobody_waits_to_leave_for_longer_than_half_a_minute(void **state)
{
    struct fixture_clients c;
    crowd_init(&c, 1);
    c.fixture.in_force->subscriptions.removal_rate = (struct rate){.count = 1, .period_ns = 24 * 3600 * NS_PER_S};
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        end_close(&c.clients[i]);
    fixture_sleep(&c.fixture, 28 * NS_PER_S);
    assert_int_equal(seen_to_leave(&c), 0);
    fixture_sleep(&c.fixture, 3 * NS_PER_S);
    assert_int_equal(seen_to_leave(&c), SUBSCRIBERS);
    crowd_fini(&c);

    crowd_init(&c, 250);
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        end_close(&c.clients[i]);
    fixture_sleep(&c.fixture, 3 * NS_PER_S);
    assert_int_equal(seen_to_leave(&c), 0);
    fixture_sleep(&c.fixture, 17 * NS_PER_S); /* at 250 bytes a second these would be 120 for the first one alone */
    assert_int_equal(seen_to_leave(&c), SUBSCRIBERS);
    crowd_fini(&c);
}

/* Subscribers that wait to leave take places. A newcomer of another address makes one of them leave, and is not kept
 * out. */
static void who_waits_to_leave_keeps_nobody_out(void **state)
{
    struct fixture_clients c;
    struct end newcomer, app;
    crowd_init(&c, 1);
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        end_close(&c.clients[i]);
    fixture_rounds(&c.fixture, 4);
    assert_int_equal(fixture_cell(&c.fixture, CELL_LEAVING), SUBSCRIBERS);
    atomic_store(&c.fixture.gate.counts.max, SUBSCRIBERS + 1);
    audience_pair_from(&c.fixture, &newcomer, &app, 0x7f000009u);
    assert_int_equal(seen_to_leave(&c), 0);
    /* The next one finds no place: one of them leaves, and the newcomer has the place as soon as the application has
     * closed it. */
    struct end next, its;
    end_connect(&next, &c.fixture, 0x7f00000au);
    end_greet(&next, "SUB", NULL);
    end_write(&next, SIZE_MAX);
    for (unsigned i = 0; i < 200 && seen_to_leave(&c) == 0; i++)
        fixture_sleep(&c.fixture, NS_PER_MS);
    assert_int_equal(seen_to_leave(&c), 1);
    end_close(&c.apps[0]);
    for (unsigned i = 0; i < 2000 && !end_accept(&its, &c.fixture); i++)
        fixture_sleep(&c.fixture, NS_PER_MS);
    end_close(&newcomer), end_close(&app);
    end_close(&next), end_close(&its);
    crowd_fini(&c);
}

/* An address whose subscribers connect and leave again and again is slowed down. One that has just lost many is not
 * kept out. */
static void an_address_that_many_leave_waits_for_a_second(void **state)
{
    struct fixture_clients c;
    struct end newcomer, app[8];
    unsigned apps = 0;
    crowd_init(&c, 1);
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        end_close(&c.clients[i]);
    fixture_rounds(&c.fixture, 4);
    c.fixture.in_force->connections.max = 4 * SUBSCRIBERS;
    atomic_store(&c.fixture.gate.counts.max, 4 * SUBSCRIBERS);
    end_connect(&newcomer, &c.fixture, 0x7f000001u);
    end_greet(&newcomer, "SUB", NULL);
    end_write(&newcomer, SIZE_MAX);
    for (unsigned i = 0; i < 200; i++) {
        fixture_sleep(&c.fixture, 10 * NS_PER_MS);
        if (apps < ARRAY_LEN(app) && end_accept(&app[apps], &c.fixture)) { /* the probe's, too */
            end_greet(&app[apps], "PUB", NULL);
            end_write(&app[apps++], SIZE_MAX);
        }
        assert_int_equal(fixture_cell(&c.fixture, CELL_LEAVING), SUBSCRIBERS);
        if (i == 90)
            assert_int_equal(atomic_load(&c.fixture.gate.counts.upstream), SUBSCRIBERS);
    }
    assert_int_equal(atomic_load(&c.fixture.gate.counts.upstream), SUBSCRIBERS + 1);
    end_close(&newcomer);
    while (apps > 0)
        end_close(&app[--apps]);
    crowd_fini(&c);
}

/* A healthy gate: as long as there is little to walk through, subscribers leave at once. */
static void few_topics_are_left_at_once(void **state)
{
    struct fixture_clients c;
    crowd_init(&c, 1000 * TOPIC);
    c.fixture.in_force->subscriptions.removal_rate.burst = 1000 * TOPIC;
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        end_close(&c.clients[i]);
        fixture_rounds(&c.fixture, 4);
        assert_int_equal(seen_to_leave(&c), i + 1);
    }
    crowd_fini(&c);
}

/* A subscriber that is still sent more than its end would cost leaves at once. */
static void who_is_sent_much_leaves_at_once(void **state)
{
    struct fixture_clients c;
    crowd_init(&c, 1);
    end_close(&c.clients[0]);
    fixture_rounds(&c.fixture, 4);
    assert_int_equal(seen_to_leave(&c), 0);
    const size_t nodes = 10 * SUBSCRIBERS * TOPIC / TOPIC_NODE_BYTES;
    stream_frame(&c.apps[0].out, 0, 'x', 7 * nodes);
    end_write(&c.apps[0], SIZE_MAX);
    fixture_rounds(&c.fixture, 4);
    assert_int_equal(seen_to_leave(&c), 0);
    stream_frame(&c.apps[0].out, 0, 'x', 2 * nodes);
    end_write(&c.apps[0], SIZE_MAX);
    fixture_rounds(&c.fixture, 4);
    assert_int_equal(seen_to_leave(&c), 1);
    crowd_fini(&c);
}

/* Subscribers that have left make room before those that are still connected. */
static void who_has_left_gives_way_first(void **state)
{
    struct fixture_clients c;
    crowd_init(&c, 1);
    subscribe(&c.clients[0], 101, 45);
    fixture_rounds(&c.fixture, 10);
    end_close(&c.clients[0]);
    fixture_rounds(&c.fixture, 4);
    c.fixture.in_force->subscriptions.trie_bytes = topic_tree_cost(&c.fixture.gate.traffic.topics) + TOPIC;
    c.fixture.in_force->subscriptions.removal_rate.burst = 100 * TOPIC;
    subscribe(&c.clients[1], 151, 3);
    fixture_sleep(&c.fixture, NS_PER_S / 2);
    assert_int_equal(seen_to_leave(&c), 1);
    assert_int_equal(fixture_verdict(&c.fixture, VERDICT_TOPICS_GIVE_WAY), 0);
    assert_int_equal(fixture_cell(&c.fixture, CELL_SUBSCRIPTIONS), 10 * (SUBSCRIBERS - 1) + 3);
    crowd_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_give_way_where_they_are),
        cmocka_unit_test(a_subscriber_that_has_left_is_not_waited_for),
        cmocka_unit_test(nobody_waits_for_room_for_ever_unseen),
        cmocka_unit_test(subscribers_leave_one_after_the_other),
        cmocka_unit_test(nobody_waits_to_leave_for_longer_than_half_a_minute),
        cmocka_unit_test(who_waits_to_leave_keeps_nobody_out),
        cmocka_unit_test(an_address_that_many_leave_waits_for_a_second),
        cmocka_unit_test(few_topics_are_left_at_once),
        cmocka_unit_test(who_is_sent_much_leaves_at_once),
        cmocka_unit_test(who_has_left_gives_way_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
