/* SPDX-License-Identifier: MPL-2.0 */
/* Which session gives way at a full gate, and which never does. */
#include "relay/strangers.h"

#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#define NET(n, host) (0x7f000000u + ((n) << 8) + (host)) /* 127.0.n.host: a prefix of its own for each n */
#define AWHILE       (500 * NS_PER_MS)

static const uint8_t message[] = {0x00, 5, 'h', 'e', 'l', 'l', 'o'};

static struct fixture_clients *clients_new(unsigned max)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    c.fixture.limits->handshake.within_ns = 3600 * NS_PER_S;
    c.fixture.limits->connections.max = max;
    c.fixture.limits->source.connection_rate = (struct rate){0};
    fixture_start(&c.fixture);
    return &c;
}

/* It sends something, which is passed on to the application. */
static void speak(struct fixture_clients *c, struct end *e)
{
    uint64_t before = fixture_cell(&c->fixture, CELL_MESSAGES_IN);
    stream_put(&e->out, message, sizeof(message));
    end_write(e, SIZE_MAX);
    settle(c);
    assert_int_equal(fixture_cell(&c->fixture, CELL_MESSAGES_IN), before + 1);
}

static struct end *come_and_speak(struct fixture_clients *c, uint32_t host)
{
    struct end *e = come(c, host);
    settle(c);
    speak(c, e);
    return e;
}

static unsigned over(const struct fixture_clients *c, unsigned from, unsigned to)
{
    unsigned n = 0;
    for (unsigned i = from; i < to; i++)
        n += c->clients[i].over;
    return n;
}

static bool gets_in(struct fixture_clients *c, uint32_t host)
{
    struct end *e = come(c, host);
    settle(c);
    settle(c);
    return end_is_greeted(e) && !e->over;
}

/* Thirty clients behind one address that are served, and a crowd of sources with one idle connection each. */
static void who_was_served_never_gives_way_to_the_idle(void **state)
{
    struct fixture_clients *c = clients_new(60);
    for (unsigned i = 0; i < 30; i++)
        come_and_speak(c, NET(9, 1));
    for (unsigned i = 0; i < 100; i++) {
        come(c, NET(1 + i % 4, 1 + i));
        settle(c);
    }
    fixture_sleep(&c->fixture, AWHILE);
    for (unsigned i = 0; i < 40; i++) {
        assert_true(gets_in(c, NET(20 + i, 1)));
        speak(c, &c->clients[c->client_count - 1]);
        end_close(&c->clients[c->client_count - 1]);
        settle(c);
    }
    assert_int_equal(over(c, 0, 30), 0);
    assert_in_range(atomic_load(&c->fixture.gate.counts.open), 50, 60);
    assert_true(fixture_verdict(&c->fixture, VERDICT_GIVE_WAY) >= 70);
    fixture_clients_free(c);
}

static void nobody_goes_while_there_is_room(void **state)
{
    struct fixture_clients *c = clients_new(20);
    for (unsigned i = 0; i < 20; i++)
        assert_true(gets_in(c, NET(1, 1 + i)));
    fixture_sleep(&c->fixture, 60 * NS_PER_S);
    assert_int_equal(over(c, 0, 20), 0);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_GIVE_WAY), 0);
    fixture_clients_free(c);
}

static void an_unfinished_handshake_goes_first(void **state)
{
    struct fixture_clients *c = clients_new(6);
    for (unsigned i = 0; i < 4; i++)
        come(c, NET(1, 1 + i));
    come_silently(c, NET(2, 1));
    come_silently(c, NET(3, 1));
    settle(c);
    fixture_sleep(&c->fixture, AWHILE);
    assert_true(gets_in(c, NET(4, 1)) && gets_in(c, NET(4, 2)));
    assert_int_equal(over(c, 0, 4), 0);
    assert_int_equal(over(c, 4, 6), 2);
    fixture_clients_free(c);
}

static void the_largest_prefix_gives_way(void **state)
{
    struct fixture_clients *c = clients_new(24);
    for (unsigned i = 0; i < 6; i++)
        come(c, NET(10 + i, 1));
    settle(c);
    for (unsigned i = 0; i < 18; i++)
        come(c, NET(1, 1 + i));
    while (fixture_cell(&c->fixture, CELL_ESTABLISHED) < 24)
        settle(c);
    fixture_sleep(&c->fixture, AWHILE);
    for (unsigned i = 0; i < 6; i++)
        assert_true(gets_in(c, NET(30 + i, 1)));
    assert_int_equal(over(c, 0, 6), 0);
    assert_int_equal(over(c, 6, 24), 6);
    fixture_clients_free(c);
}

/* All were served: then none gives way, and the newcomer is refused. */
static void among_the_served_the_newcomer_is_refused(void **state)
{
    struct fixture_clients *c = clients_new(6);
    for (unsigned i = 0; i < 6; i++)
        come_and_speak(c, NET(1, 1));
    assert_false(gets_in(c, NET(2, 1)));
    assert_int_equal(over(c, 0, 6), 0);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TABLE_FULL), 1);
    fixture_clients_free(c);
}

/* A source that was served and has left finds room, whichever sources were served meanwhile. */
static void room_is_kept_for_who_was_served(void **state)
{
    struct fixture_clients *c = clients_new(32);
    for (unsigned i = 0; i < 2; i++)
        end_close(come_and_speak(c, NET(9, 1 + i)));
    settle(c);
    for (unsigned i = 0; i < 30; i++)
        come_and_speak(c, NET(1, 1 + i));
    assert_false(gets_in(c, NET(2, 1)));
    assert_true(gets_in(c, NET(9, 1)));
    assert_true(gets_in(c, NET(9, 2)));
    assert_false(gets_in(c, NET(2, 2)));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_GIVE_WAY), 0);
    fixture_clients_free(c);
}

/* An idle connection of a source that was served stays too. */
static void a_good_source_may_be_idle(void **state)
{
    struct fixture_clients *c = clients_new(8);
    end_close(come_and_speak(c, NET(9, 1)));
    settle(c);
    for (unsigned i = 0; i < 3; i++)
        assert_true(gets_in(c, NET(9, 1)));
    for (unsigned i = 0; i < 20; i++)
        come(c, NET(1, 1 + i)), settle(c);
    assert_int_equal(over(c, 0, 4), 0);
    assert_true(fixture_verdict(&c->fixture, VERDICT_GIVE_WAY) > 10);
    fixture_clients_free(c);
}

/* A client that left without a word, or had to, does not push out others when it returns at once. */
static void who_was_of_no_use_pushes_nobody_out(void **state)
{
    struct fixture_clients *c = clients_new(4);
    struct end *useless = come(c, NET(1, 1));
    settle(c);
    end_close(useless);
    settle(c);
    for (unsigned i = 0; i < 4; i++)
        assert_true(gets_in(c, NET(2 + i, 1)));
    fixture_sleep(&c->fixture, AWHILE);
    assert_false(gets_in(c, NET(1, 1)));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_TABLE_FULL), 1);
    fixture_sleep(&c->fixture, 80 * NS_PER_S);
    assert_true(gets_in(c, NET(1, 1)));
    fixture_clients_free(c);
}

/* A client that never closes what it opens, and was served each time. */
static void a_source_with_most_of_the_gate_gives_way_where_it_is_idle(void **state)
{
    struct fixture_clients *c = clients_new(12);
    for (unsigned i = 0; i < 8; i++)
        come_and_speak(c, NET(1, 1));
    for (unsigned i = 0; i < 4; i++)
        come_and_speak(c, NET(2, 1 + i));
    assert_false(gets_in(c, NET(3, 1)));
    fixture_sleep(&c->fixture, 2 * NS_PER_S);
    for (unsigned i = 1; i < 8; i++)
        speak(c, &c->clients[i]);
    assert_true(gets_in(c, NET(3, 2)));
    assert_true(c->clients[0].over);
    assert_int_equal(over(c, 0, 12), 1);
    speak(c, &c->clients[c->client_count - 1]);
    assert_false(gets_in(c, NET(1, 1)));
    fixture_clients_free(c);
}

/* Three sources that hold the gate with one message on each connection, beside an earlier client. */
static void idle_connections_of_few_sources_give_way(void **state)
{
    struct fixture_clients *c = clients_new(40);
    for (unsigned i = 0; i < 4; i++)
        come_and_speak(c, NET(2, 1 + i));
    for (unsigned i = 0; i < 34; i++)
        come_and_speak(c, NET(1, 1 + i % 3));
    assert_false(gets_in(c, NET(3, 1)));
    fixture_sleep(&c->fixture, 11 * NS_PER_S);
    for (unsigned i = 4; i < 10; i++)
        speak(c, &c->clients[i]);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(gets_in(c, NET(10 + i, 1)));
        speak(c, &c->clients[c->client_count - 1]);
    }
    assert_int_equal(over(c, 0, 10), 0);
    assert_int_equal(over(c, 10, 38), 8);
    assert_in_range(atomic_load(&c->fixture.gate.counts.open), 36, 40);
    fixture_clients_free(c);
}

/* Newcomers that come at once do not push one another out before they have sent anything. */
static void who_has_just_come_is_not_the_one_that_goes(void **state)
{
    struct fixture_clients *c = clients_new(20);
    for (unsigned i = 0; i < 19; i++)
        come_and_speak(c, NET(1, 1 + i / 10));
    fixture_sleep(&c->fixture, 11 * NS_PER_S);
    for (unsigned i = 0; i < 3; i++)
        assert_true(gets_in(c, NET(10 + i, 1)));
    assert_int_equal(over(c, 0, 19), 3);
    assert_int_equal(over(c, 19, c->client_count), 0);
    fixture_clients_free(c);
}

/* A thousand sources with one message each: a source that was served before comes in, and takes the place of the
 * latest. */
static void one_message_is_worth_ten_seconds(void **state)
{
    struct fixture_clients *c = clients_new(12);
    end_close(come_and_speak(c, NET(9, 1)));
    settle(c);
    for (unsigned i = 0; i < 4; i++)
        come_and_speak(c, NET(2, 1 + i));
    for (unsigned i = 0; i < 8; i++)
        come_and_speak(c, NET(20 + i, 1));
    assert_false(gets_in(c, NET(9, 1)));
    fixture_sleep(&c->fixture, 11 * NS_PER_S);
    assert_false(gets_in(c, NET(3, 1)));
    assert_true(gets_in(c, NET(9, 1)));
    assert_true(gets_in(c, NET(9, 1)));
    assert_int_equal(over(c, 1, 5), 0);
    assert_int_equal(over(c, 5, 13), 2);
    fixture_clients_free(c);
}

/* ... and so does an idle connection of a source that was served once and holds few. */
static void idle_connections_of_good_sources_give_way_to_the_good(void **state)
{
    struct fixture_clients *c = clients_new(8);
    for (unsigned i = 0; i < 9; i++)
        end_close(come_and_speak(c, NET(20 + i, 1))), settle(c);
    for (unsigned i = 0; i < 8; i++)
        assert_true(gets_in(c, NET(20 + i, 1)));
    assert_false(gets_in(c, NET(28, 1)));
    fixture_sleep(&c->fixture, 11 * NS_PER_S);
    assert_false(gets_in(c, NET(3, 1)));
    assert_true(gets_in(c, NET(28, 1)));
    fixture_clients_free(c);
}

static void who_was_served_more_stays_longer(void **state)
{
    struct fixture_clients *c = clients_new(3);
    end_close(come_and_speak(c, NET(9, 1)));
    settle(c);
    for (unsigned i = 0; i < 3; i++) {
        come_and_speak(c, NET(20 + i, 1));
        for (unsigned n = 0; n < 5; n++)
            speak(c, &c->clients[1 + i]);
    }
    fixture_sleep(&c->fixture, 50 * NS_PER_S);
    assert_false(gets_in(c, NET(9, 1)));
    fixture_sleep(&c->fixture, 11 * NS_PER_S);
    assert_true(gets_in(c, NET(9, 1)));
    fixture_clients_free(c);
}

/* The last connections are for good sources, whether others of theirs are open or not. */
static void room_is_kept_for_who_is_connected(void **state)
{
    struct fixture_clients *c = clients_new(32);
    for (unsigned i = 0; i < 2; i++)
        come_and_speak(c, NET(9, 1 + i));
    for (unsigned i = 0; i < 28; i++)
        come_and_speak(c, NET(1 + i, 7));
    assert_false(gets_in(c, NET(50, 1)));
    assert_true(gets_in(c, NET(9, 1)));
    assert_true(gets_in(c, NET(9, 2)));
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_GIVE_WAY), 0);
    fixture_clients_free(c);
}

/* Workers of one prefix that wait for their first job, and a flood from everywhere that finishes its handshakes. */
static void who_stood_before_the_flood_goes_last(void **state)
{
    struct fixture_clients *c = clients_new(60);
    for (unsigned i = 0; i < 12; i++)
        assert_true(gets_in(c, NET(1, 1 + i)));
    fixture_sleep(&c->fixture, 4 * NS_PER_S);
    for (unsigned i = 0; i < 200; i++) {
        assert_true(gets_in(c, NET(10 + i, 1)));
        fixture_sleep(&c->fixture, 20 * NS_PER_MS);
    }
    assert_in_range(over(c, 0, 12), 0, 1);
    assert_true(fixture_verdict(&c->fixture, VERDICT_GIVE_WAY) >= 150);
    fixture_clients_free(c);
}

static void who_stood_awhile_may_come_again(void **state)
{
    struct fixture_clients *c = clients_new(1 + 1);
    assert_true(gets_in(c, NET(1, 1)) && gets_in(c, NET(1, 2)));
    fixture_sleep(&c->fixture, 11 * NS_PER_S);
    assert_true(gets_in(c, NET(2, 1)));
    assert_int_equal(over(c, 0, 2), 1);
    fixture_sleep(&c->fixture, AWHILE);
    assert_true(gets_in(c, NET(1, c->clients[0].over ? 1 : 2)));
    fixture_clients_free(c);
}

/* When Weir's descriptors are out, the same sessions give way. */
static void who_was_never_useful_gives_its_descriptor(void **state)
{
    struct fixture_clients *c = clients_new(100);
    struct rlimit before, tight;
    for (unsigned i = 0; i < 3; i++)
        come_and_speak(c, NET(9, 1 + i));
    for (unsigned i = 0; i < 3; i++)
        come(c, NET(1, 1 + i));
    settle(c);
    fixture_sleep(&c->fixture, AWHILE);
    struct end *newcomer = come(c, NET(2, 1));
    int free_one = dup(0);
    assert_true(free_one >= 0);
    close(free_one);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = (struct rlimit){.rlim_cur = (rlim_t)free_one, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    fixture_rounds(&c->fixture, 5);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_GIVE_WAY), 1);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_NO_DESCRIPTORS), 0);
    for (unsigned i = 0; i < 10; i++)
        settle(c);
    assert_true(end_is_greeted(newcomer) && !newcomer->over);
    assert_int_equal(over(c, 0, 3), 0);
    assert_int_equal(over(c, 3, 6), 1);
    fixture_clients_free(c);
}

static void a_gate_for_one_keeps_who_is_there(void **state)
{
    struct fixture_clients *c = clients_new(1);
    assert_true(gets_in(c, NET(1, 1)));
    fixture_sleep(&c->fixture, AWHILE);
    assert_false(gets_in(c, NET(2, 1)));
    assert_false(c->clients[0].over);
    fixture_clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_served_never_gives_way_to_the_idle),
        cmocka_unit_test(nobody_goes_while_there_is_room),
        cmocka_unit_test(an_unfinished_handshake_goes_first),
        cmocka_unit_test(the_largest_prefix_gives_way),
        cmocka_unit_test(among_the_served_the_newcomer_is_refused),
        cmocka_unit_test(room_is_kept_for_who_was_served),
        cmocka_unit_test(a_good_source_may_be_idle),
        cmocka_unit_test(who_was_of_no_use_pushes_nobody_out),
        cmocka_unit_test(a_source_with_most_of_the_gate_gives_way_where_it_is_idle),
        cmocka_unit_test(idle_connections_of_few_sources_give_way),
        cmocka_unit_test(who_has_just_come_is_not_the_one_that_goes),
        cmocka_unit_test(one_message_is_worth_ten_seconds),
        cmocka_unit_test(idle_connections_of_good_sources_give_way_to_the_good),
        cmocka_unit_test(who_was_served_more_stays_longer),
        cmocka_unit_test(room_is_kept_for_who_is_connected),
        cmocka_unit_test(who_stood_before_the_flood_goes_last),
        cmocka_unit_test(who_stood_awhile_may_come_again),
        cmocka_unit_test(who_was_never_useful_gives_its_descriptor),
        cmocka_unit_test(a_gate_for_one_keeps_who_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
