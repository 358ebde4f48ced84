/* SPDX-License-Identifier: MPL-2.0 */
/* What an operator is told of connections, and which ones are closed on request. */
#include "relay/query.h"
#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct fixture_clients *scene_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    c.fixture.limits->concurrency.limit = CONCURRENCY_LIMIT_OFF;
    c.fixture.limits->source.connection_rate.count = 0;
    c.fixture.limits->handshake.within_ns = 3600 * NS_PER_S;
    fixture_start(&c.fixture);
    return &c;
}

static void scene_free(struct fixture_clients *c)
{
    fixture_clients_leave(c);
    fixture_clients_free(c);
}

static struct query_ask ask_for(enum query_kind kind, const char *network, size_t rows)
{
    struct query_ask ask = {.kind = kind, .gate = QUERY_ALL, .rows = rows};
    if (network)
        assert_int_equal(network_parse(&ask.network, network, NULL), 0);
    return ask;
}

static struct query_answer answer_to(struct fixture_clients *c, const struct query_ask *ask)
{
    struct query_answer answer;
    struct query *s = query_new(ask, 1);
    assert_non_null(s);
    query_give(s, &c->fixture.worker);
    fixture_rounds(&c->fixture, 20);
    query_await(s, 0);
    assert_int_equal(query_collect(s, &answer), 0);
    assert_true(answer.complete);
    assert_false(c->fixture.worker.query.current);
    query_release(s);
    return answer;
}

static void say(struct fixture_clients *c, struct end *e, unsigned messages)
{
    static const uint8_t a_message[] = {0x00, 1, 'x'};
    for (unsigned i = 0; i < messages; i++)
        stream_put(&e->out, a_message, sizeof(a_message));
    end_write(e, SIZE_MAX);
    settle(c);
}

static void connections_are_told_the_busiest_first(void **state)
{
    struct fixture_clients *c = scene_new();
    struct end *first = come(c, HOST(1)), *second;
    come(c, HOST(1));
    second = come(c, HOST(2));
    settle(c);
    say(c, first, 3);
    say(c, second, 8);
    struct query_ask ask = ask_for(QUERY_CONNECTIONS, NULL, 2);
    struct query_answer a = answer_to(c, &ask);
    const struct connection_row *row = a.rows.connections;
    assert_int_equal(a.matched, 3);
    assert_int_equal(a.count, 2);
    assert_int_equal(row[0].addr.bytes[3], 2);
    assert_int_equal(row[0].sums.messages_in, 8);
    assert_int_equal(row[0].sums.bytes_in, 24);
    assert_int_equal(row[0].state, CONNECTION_OPEN);
    assert_int_equal(row[0].socket, SOCKET_DEALER);
    assert_int_equal(row[0].gate, 0);
    assert_false(row[0].paused || row[0].blocked);
    assert_true(row[0].age_ns >= row[0].idle_ns);
    assert_int_equal(row[1].addr.bytes[3], 1);
    assert_int_equal(row[1].sums.messages_in, 3);

    ask = (struct query_ask){.kind = QUERY_CONNECTIONS, .gate = QUERY_ALL, .id = row[1].id, .rows = 10};
    struct query_answer one = answer_to(c, &ask);
    assert_int_equal(one.matched, 1);
    assert_int_equal(one.rows.connections[0].id, row[1].id);
    ask.gate = 1;
    struct query_answer none = answer_to(c, &ask);
    assert_int_equal(none.matched + none.count, 0);
    free(a.rows.any);
    free(one.rows.any);
    free(none.rows.any);
    scene_free(c);
}

static void handshakes_are_told_too(void **state)
{
    struct fixture_clients *c = scene_new();
    come_silently(c, HOST(7));
    settle(c);
    struct query_ask ask = ask_for(QUERY_CONNECTIONS, "127.0.0.7", 10);
    struct query_answer a = answer_to(c, &ask);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.rows.connections[0].state, CONNECTION_HANDSHAKE);
    assert_int_equal(a.rows.connections[0].socket, SOCKET_AUTO);
    free(a.rows.any);
    scene_free(c);
}

static void sources_are_told_with_all_their_connections(void **state)
{
    struct fixture_clients *c = scene_new();
    for (unsigned i = 0; i < 30; i++)
        come(c, HOST(1 + i % 3));
    settle(c);
    for (unsigned i = 0; i < 30; i++)
        say(c, &c->clients[i], 1 + i % 3);
    struct query_ask ask = ask_for(QUERY_SOURCES, NULL, 100);
    struct query_answer a = answer_to(c, &ask);
    assert_int_equal(a.matched, 3);
    assert_int_equal(a.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct source_row *row = &a.rows.sources[i];
        char expected[ADDR_TEXT_MAX];
        snprintf(expected, sizeof(expected), "127.0.0.%u", 3 - i);
        assert_string_equal(row->text, expected);
        assert_int_equal(row->connections, 10);
        assert_int_equal(row->sums.messages_in, 10 * (3 - i));
        assert_int_equal(row->paused + row->strikes, 0);
        assert_false(row->exempt);
    }
    free(a.rows.any);
    scene_free(c);
}

/* Two workers have seen connections of one source, and each of another one: the rows of the first are joined. */
static void rows_of_several_workers_are_joined(void **state)
{
    int same, left, right;
    const struct query_ask ask = {.kind = QUERY_SOURCES, .gate = QUERY_ALL, .rows = 2};
    struct query *s = query_new(&ask, 3);
    struct query_answer a;
    assert_non_null(s);
    top_k_offer(&s->parts[0].kept, &(struct source_row){.weight = 10, .source = &same, .connections = 1});
    top_k_offer(&s->parts[0].kept, &(struct source_row){.weight = 15, .source = &left, .connections = 1});
    top_k_offer(&s->parts[1].kept, &(struct source_row){.weight = 12, .source = &same, .connections = 4});
    top_k_offer(&s->parts[1].kept, &(struct source_row){.weight = 16, .source = &right, .connections = 1});
    top_k_offer(&s->parts[2].kept, &(struct source_row){.weight = 99, .source = &right, .connections = 1});
    s->parts[0].matched = s->parts[1].matched = 2;
    atomic_store(&s->parts[0].done, true);
    atomic_store(&s->parts[1].done, true);
    query_await(s, 0);
    assert_int_equal(query_collect(s, &a), 0);
    assert_false(a.complete); /* the third has not finished: its results so far are not read */
    assert_int_equal(a.matched, 3);
    assert_int_equal(a.count, 2);
    assert_ptr_equal(a.rows.sources[0].source, &same);
    assert_int_equal(a.rows.sources[0].weight, 22);
    assert_int_equal(a.rows.sources[0].connections, 5);
    assert_ptr_equal(a.rows.sources[1].source, &right);
    free(a.rows.any);
    query_release(s);
}

static void kicking_closes_those_and_no_others(void **state)
{
    struct fixture_clients *c = scene_new();
    for (unsigned i = 0; i < 12; i++)
        come(c, HOST(1 + i % 4));
    settle(c);
    struct query_ask ask = ask_for(QUERY_KICK, "127.0.0.2", 0);
    struct query_answer a = answer_to(c, &ask);
    assert_int_equal(a.matched, 3);
    assert_int_equal(a.count, 0);
    settle(c);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(c->clients[i].over, i % 4 == 1);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_KICKED), 3);
    assert_int_equal(fixture_cell(&c->fixture, CELL_STRIKES_PROTOCOL) + fixture_cell(&c->fixture, CELL_STRIKES_EXCESS),
                     0);
    free(a.rows.any);
    scene_free(c);
}

/* More than a part of one source, over several rounds; a neighbour is served in between. */
static void kicking_many_goes_on_over_rounds(void **state)
{
    struct fixture_clients *c = scene_new();
    c->fixture.in_force->source.half_open = 1000;
    c->fixture.in_force->connections.half_open = 1000;
    for (unsigned i = 0; i < 700; i++)
        come_silently(c, HOST(9));
    struct end *neighbour = come(c, HOST(3));
    settle(c);
    uint64_t open = fixture_cell(&c->fixture, CELL_OPEN) - 1;
    assert_true(open > 512);
    struct query_ask ask = ask_for(QUERY_KICK, "127.0.0.9", 0);
    struct query_answer a = answer_to(c, &ask);
    assert_int_equal(a.matched, open);
    assert_int_equal(fixture_cell(&c->fixture, CELL_OPEN), 1);
    assert_false(neighbour->over);
    free(a.rows.any);
    scene_free(c);
}

static void whoever_gives_up_has_nothing_closed(void **state)
{
    struct fixture_clients *c = scene_new();
    struct end *client = come(c, HOST(1));
    settle(c);
    struct query_ask ask = ask_for(QUERY_KICK, "127.0.0.1", 0);
    struct query *s = query_new(&ask, 1);
    struct query_answer a;
    query_give(s, &c->fixture.worker);
    query_await(s, 0);
    assert_int_equal(query_collect(s, &a), 0);
    assert_false(a.complete);
    free(a.rows.any);
    query_release(s);
    settle(c);
    assert_false(client->over);
    assert_null(c->fixture.worker.query.current);
    scene_free(c);
}

/* The second replaces the first, which was not begun. A query not begun at the end is released. */
static void a_query_may_be_left_to_the_worker(void **state)
{
    struct fixture_clients *c = scene_new();
    struct query_ask ask = ask_for(QUERY_CONNECTIONS, NULL, 10);
    for (unsigned i = 0; i < 2; i++) {
        struct query *s = query_new(&ask, 1);
        query_give(s, &c->fixture.worker);
        query_release(s);
    }
    fixture_assert_empty(&c->fixture);
    fixture_fini(&c->fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_told_the_busiest_first),
        cmocka_unit_test(handshakes_are_told_too),
        cmocka_unit_test(sources_are_told_with_all_their_connections),
        cmocka_unit_test(rows_of_several_workers_are_joined),
        cmocka_unit_test(kicking_closes_those_and_no_others),
        cmocka_unit_test(kicking_many_goes_on_over_rounds),
        cmocka_unit_test(whoever_gives_up_has_nothing_closed),
        cmocka_unit_test(a_query_may_be_left_to_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
