/* SPDX-License-Identifier: MPL-2.0 */
/* Frames of subscribers: subscriptions in both encodings, their limits, and messages that are none. */
#include "inspect/traffic_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MORE ZMTP_FLAG_MORE

enum encoding { COMMANDS, MESSAGES };

static struct stand stand;
static struct line line;
static struct stream sent, wanted;

static int set_up(void **state)
{
    stand_init(&stand);
    line_init(&line, &stand, LINE_SUBSCRIBER);
    return 0;
}

static int tear_down(void **state)
{
    line_fini(&line);
    stand_fini(&stand);
    stream_free(&sent);
    stream_free(&wanted);
    return 0;
}

static void again(void)
{
    struct limits l = stand.limits;
    line_fini(&line);
    stand_fini(&stand);
    stand_init(&stand);
    stand.limits = l;
    line_init(&line, &stand, LINE_SUBSCRIBER);
}

static void put(struct stream *st, enum encoding e, unsigned more, bool subscribe, const void *topic, size_t len)
{
    uint8_t body[70000];
    if (e == COMMANDS) {
        stream_command(st, subscribe ? "SUBSCRIBE" : "CANCEL", topic, len);
        return;
    }
    body[0] = subscribe;
    if (len)
        memcpy(body + 1, topic, len);
    stream_body(st, more, body, 1 + len);
}

static void put_text(struct stream *st, enum encoding e, bool subscribe, const char *topic)
{
    put(st, e, 0, subscribe, topic, strlen(topic));
}

/* Shows `sent` in pieces of every kind; each time the verdict, and `wanted` must have passed. */
static void expect(enum verdict v)
{
    size_t sizes[] = {sent.len, 1, 2, 3, 7, 64};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        again();
        line.patience = INSISTS;
        line_feed_by(&line, sent.bytes, sent.len, sizes[i]);
        assert_int_equal(line.verdict, v);
        assert_int_equal(line.out_len, wanted.len);
        if (wanted.len)
            assert_memory_equal(line.out, wanted.bytes, wanted.len);
    }
    sent.len = wanted.len = 0;
}

/* Everything that was sent up to here passes. */
static void pass_so_far(void)
{
    wanted.len = 0;
    stream_put(&wanted, sent.bytes, sent.len);
}

/* ---- counting ---- */

#define EACH (TOPIC_SET_BYTES + TOPIC_HOLDER_BYTES)

static void topics_are_counted_once_in_both_encodings(void **state)
{
    for (int e = COMMANDS; e <= MESSAGES; e++) {
        put_text(&sent, e, true, "weather");
        put_text(&sent, e, true, "weather");
        put_text(&sent, !e, true, "weather");
        put_text(&sent, e, true, "");
        put_text(&sent, e, true, "news");
        put_text(&sent, !e, false, "news");
        pass_so_far();
        expect(VERDICT_PASS);
        assert_int_equal(line.topics.count, 2);
        assert_int_equal(stand.source.topic_bytes, 7 + 2 * TOPIC_OVERHEAD_BYTES);
        assert_int_equal(topic_tree_cost(&stand.gate.topics), 7 * TOPIC_NODE_BYTES + 2 * EACH);
    }
}

static void cancels_of_topics_not_held_give_nothing_back(void **state)
{
    for (int e = COMMANDS; e <= MESSAGES; e++) {
        put_text(&sent, e, true, "held");
        for (int i = 0; i < 50; i++)
            put_text(&sent, e, false, "never");
        put_text(&sent, e, false, "");
        pass_so_far();
        expect(VERDICT_PASS);
        assert_int_equal(stand.source.topic_bytes, 4 + TOPIC_OVERHEAD_BYTES);
    }
}

/* Another connection holds it too: the application has one more in a set, the source counts it twice. */
static void the_gate_counts_a_topic_once(void **state)
{
    struct line other;
    line_init(&other, &stand, LINE_SUBSCRIBER);
    put_text(&sent, COMMANDS, true, "shared");
    assert_true(line_feed(&line, sent.bytes, sent.len) && line_feed(&other, sent.bytes, sent.len));
    assert_int_equal(topic_tree_cost(&stand.gate.topics), 6 * TOPIC_NODE_BYTES + EACH + TOPIC_HOLDER_BYTES);
    assert_int_equal(stand.source.topic_bytes, 2 * (6 + TOPIC_OVERHEAD_BYTES));
    line_fini(&other);
    assert_int_equal(topic_tree_cost(&stand.gate.topics), 6 * TOPIC_NODE_BYTES + EACH);
    assert_int_equal(stand.source.topic_bytes, 6 + TOPIC_OVERHEAD_BYTES);
}

/* ---- limits ---- */

static uint8_t letters[66000];

static void a_connection_holds_at_most_max(void **state)
{
    stand.limits.subscriptions.max = 3;
    for (int e = COMMANDS; e <= MESSAGES; e++) {
        put_text(&sent, e, true, "a");
        put_text(&sent, e, true, "b");
        put_text(&sent, e, true, "c");
        put_text(&sent, e, true, "a");
        put_text(&sent, e, false, "b");
        put_text(&sent, e, true, "d");
        pass_so_far();
        size_t fine = sent.len;
        put_text(&sent, e, true, "e");
        expect(VERDICT_SUBSCRIPTIONS_TOO_MANY);
        sent.len = fine;
        pass_so_far();
        expect(VERDICT_PASS);
    }
}

static void a_source_holds_at_most_its_bytes(void **state)
{
    stand.limits.subscriptions.source_bytes = 2 * (4 + TOPIC_OVERHEAD_BYTES);
    for (int e = COMMANDS; e <= MESSAGES; e++) {
        put_text(&sent, e, true, "1234");
        put_text(&sent, e, true, "5678");
        pass_so_far();
        size_t fine = sent.len;
        put_text(&sent, e, true, "");
        expect(VERDICT_TOPICS_TOO_LARGE);
        assert_int_equal(line.topics.count, 2); /* a refused one is forgotten */
        sent.len = fine;
        pass_so_far();
        expect(VERDICT_PASS);
    }
}

/* All its connections together. */
static void a_source_shares_its_bytes(void **state)
{
    struct line other;
    struct source elsewhere = {0};
    stand.limits.subscriptions.source_bytes = 4 + TOPIC_OVERHEAD_BYTES;
    put_text(&sent, COMMANDS, true, "1234");
    assert_true(line_feed(&line, sent.bytes, sent.len));
    line_init(&other, &stand, LINE_SUBSCRIBER);
    assert_false(line_feed(&other, sent.bytes, sent.len));
    assert_int_equal(other.verdict, VERDICT_TOPICS_TOO_LARGE);
    line_fini(&other);
    line_init(&other, &stand, LINE_SUBSCRIBER);
    other.source = &elsewhere;
    assert_true(line_feed(&other, sent.bytes, sent.len));
    line_fini(&other);
}

#define ONE (1 + TOPIC_OVERHEAD_BYTES)

/* In the application, but for tables. */
static const uint64_t one = TOPIC_NODE_BYTES + EACH;

/* A full gate is not the fault of a source that holds less than a share. The first topics of a newcomer are let in, and
 * then the caller is told to make room. */
static void a_full_gate_lets_newcomers_in_and_says_so(void **state)
{
    struct line other;
    struct source elsewhere = {0};
    for (char topic[3] = "A "; topic[1] < ' ' + 90; topic[1]++)
        put_text(&sent, topic[1] % 2 ? COMMANDS : MESSAGES, true, topic);
    assert_true(line_feed(&line, sent.bytes, sent.len));
    line_init(&other, &stand, LINE_SUBSCRIBER);
    other.source = &elsewhere;
    sent.len = 0;
    put_text(&sent, COMMANDS, true, "B");
    assert_true(line_feed(&other, sent.bytes, sent.len));
    uint64_t full = stand.limits.subscriptions.trie_bytes = topic_tree_cost(&stand.gate.topics);
    assert_int_equal(traffic_topics_share(&stand.gate, &stand.limits), full / TOPIC_NODE_BYTES / 2);
    sent.len = 0;
    for (char topic[2] = "B"; topic[0] < 'B' + 8; topic[0]++)
        put_text(&sent, COMMANDS, true, topic);
    assert_true(line_feed(&other, sent.bytes, sent.len));
    assert_false(line.made_room || other.made_room);
    assert_true(topic_tree_cost(&stand.gate.topics) > full);
    sent.len = 0;
    put_text(&sent, COMMANDS, true, "c");
    assert_false(line_feed(&other, sent.bytes, sent.len));
    assert_true(other.made_room && other.waiting && other.wait_reason == VERDICT_TOPICS_FULL);
    assert_int_equal(other.topics.count, 8);
    line_fini(&other);
    assert_int_equal(traffic_topics_share(&stand.gate, &stand.limits), full / TOPIC_NODE_BYTES);
}

/* A source that holds a share waits, in both encodings and at every split, and nothing that waits is counted twice. */
static void who_holds_a_share_of_a_full_gate_waits(void **state)
{
    for (int e = COMMANDS; e <= MESSAGES; e++)
        for (size_t most = 1; most < 40; most++) {
            stand.limits.subscriptions.trie_bytes = 1 << 20;
            again();
            for (char topic[2] = "a"; topic[0] < 'a' + 8; topic[0]++)
                put_text(&sent, e, true, topic);
            size_t room_for = sent.len;
            put_text(&sent, e, true, "y");
            put_text(&sent, !e, true, "z");
            assert_true(line_feed(&line, sent.bytes, room_for));
            stand.limits.subscriptions.trie_bytes = topic_tree_cost(&stand.gate.topics) + one / 2;
            atomic_store(&stand.gate.topic_sources, 2); /* another source has some, too */
            size_t fed = room_for;
            while (fed < sent.len && line_feed_by(&line, sent.bytes + fed, 1, 1))
                fed++;
            assert_true(line.waiting && line.wait_reason == VERDICT_TOPICS_FULL);
            assert_false(line.made_room);
            assert_int_equal(line.out_len, room_for);
            fed++;
            /* Asked again without room: the same answer. */
            assert_false(line_feed_by(&line, sent.bytes + fed, sent.len - fed < most ? sent.len - fed : most, most));
            fed += sent.len - fed < most ? sent.len - fed : most;
            assert_int_equal(line.out_len, room_for);
            assert_int_equal(line.topics.count, 8);
            atomic_store(&stand.gate.topic_sources, 1);
            stand.limits.subscriptions.trie_bytes = 1 << 20;
            assert_true(line_feed(&line, sent.bytes + fed, sent.len - fed));
            assert_int_equal(line.out_len, sent.len);
            assert_memory_equal(line.out, sent.bytes, sent.len);
            assert_int_equal(line.topics.count, 10);
            assert_int_equal(line.messages + line.commands, 10);
            assert_int_equal(stand.source.topic_bytes, 10 * ONE);
            sent.len = 0;
        }
}

/* Unless another action is configured, a client over a limit of its own waits until its subscription fits. */
static void who_is_over_a_limit_waits(void **state)
{
    stand.limits.subscriptions.over = ACTION_PAUSE;
    stand.limits.subscriptions.max = 2;
    for (int e = COMMANDS; e <= MESSAGES; e++) {
        again();
        put_text(&sent, e, true, "a");
        put_text(&sent, e, true, "b");
        put_text(&sent, e, true, "a");
        size_t room_for = sent.len;
        put_text(&sent, e, true, "c");
        assert_false(line_feed(&line, sent.bytes, sent.len));
        assert_true(line.waiting && line.wait_reason == VERDICT_SUBSCRIPTIONS_TOO_MANY);
        assert_int_equal(line.out_len, room_for);
        stand.limits.subscriptions.max = 3;
        assert_true(line_feed(&line, NULL, 0));
        assert_int_equal(line.out_len, sent.len);
        stand.limits.subscriptions.max = 2;
        sent.len = 0;
    }
    /* A topic that is too long never fits. */
    again();
    put(&sent, COMMANDS, 0, true, letters, stand.limits.subscriptions.topic_bytes + 1);
    assert_false(line_feed(&line, sent.bytes, sent.len));
    assert_int_equal(line.verdict, VERDICT_TOPIC_TOO_LONG);
}

/* The gate's rate: others wait for the part that one has used, but not with their first topics; the wait is no longer
 * than the debt. */
static void all_sources_share_a_rate(void **state)
{
    struct line other;
    struct source elsewhere = {0};
    char topic[2] = "a";
    stand.limits.subscriptions.total_rate = (struct rate){.count = one, .period_ns = NS_PER_S, .burst = 20 * one};
    for (; topic[0] < 'a' + 16; topic[0]++)
        put_text(&sent, COMMANDS, true, topic);
    assert_true(line_feed(&line, sent.bytes, sent.len));
    line_init(&other, &stand, LINE_SUBSCRIBER);
    other.source = &elsewhere;
    sent.len = 0;
    put_text(&sent, MESSAGES, true, "a");
    put_text(&sent, MESSAGES, true, "b");
    assert_true(line_feed(&other, sent.bytes, sent.len));
    assert_int_equal(line.waits + other.waits, 0);
    sent.len = 0;
    put_text(&sent, MESSAGES, true, topic);
    assert_true(line_feed(&line, sent.bytes, sent.len));
    assert_int_equal(line.wait_reason, VERDICT_OVER_TOTAL_SUBSCRIPTIONS);
    assert_in_range(line.waited_ns, NS_PER_S / 100, 30 * NS_PER_S);
    sent.len = 0;
    put_text(&sent, COMMANDS, false, "a");
    assert_true(line_feed(&other, sent.bytes, sent.len));
    assert_int_equal(other.wait_reason, VERDICT_OVER_TOTAL_SUBSCRIPTIONS);
    line_fini(&other);
}

/* Many connections that each begin with long topics would stop a publisher together. */
static void long_topics_wait_from_the_first(void **state)
{
    char topic[65];
    memset(topic, 'l', sizeof(topic));
    for (size_t len = 64; len <= 65; len++) {
        again();
        sent.len = 0;
        stand.limits.subscriptions.topic_bytes = sizeof(topic);
        stand.limits.subscriptions.total_rate = (struct rate){.count = 20 * one, .period_ns = NS_PER_S, .burst = one};
        put(&sent, COMMANDS, 0, true, topic, len);
        put_text(&sent, COMMANDS, true, "z");
        assert_true(line_feed(&line, sent.bytes, sent.len));
        assert_int_equal(line.wait_reason, len > 64 ? VERDICT_OVER_TOTAL_SUBSCRIPTIONS : VERDICT_PASS);
    }
}

static void no_memory_for_a_topic_closes(void **state)
{
    stand.limits.subscriptions.over = ACTION_DROP; /* a topic that is not remembered could not be cancelled */
    stand.account.limit_bytes = 70;
    put_text(&sent, COMMANDS, true, "a");
    assert_false(line_feed(&line, sent.bytes, sent.len));
    assert_int_equal(line.verdict, VERDICT_NO_MEMORY);
    assert_int_equal(line.topics.count, 0);
    assert_int_equal(stand.source.topic_bytes, 0);
}

static void what_is_over_a_limit_can_be_left_out(void **state)
{
    stand.limits.subscriptions.over = ACTION_DROP;
    stand.limits.subscriptions.max = 2;
    for (int e = COMMANDS; e <= MESSAGES; e++) {
        put_text(&sent, e, true, "a");
        put_text(&sent, e, true, "b");
        pass_so_far();
        put_text(&sent, e, true, "c");
        put_text(&sent, e, true, "a topic that is longer than the limit allows");
        put_text(&sent, e, false, "a");
        put_text(&wanted, e, false, "a");
        put_text(&sent, e, true, "d");
        put_text(&wanted, e, true, "d");
        expect(VERDICT_PASS);
        assert_int_equal(line.drops, 2);
        assert_int_equal(line.drop_reason, VERDICT_TOPIC_TOO_LONG);
        assert_int_equal(line.topics.count, 2);
    }
}

/* ---- long topics ---- */

static void a_long_topic_is_refused_by_its_first_byte(void **state)
{
    const size_t most = stand.limits.subscriptions.topic_bytes;
    for (int subscribe = 0; subscribe < 2; subscribe++) {
        put(&sent, MESSAGES, 0, subscribe, letters, most);
        pass_so_far();
        size_t fine = sent.len;
        put(&sent, MESSAGES, 0, subscribe, letters, most + 1);
        expect(VERDICT_TOPIC_TOO_LONG);
        put(&sent, MESSAGES, 0, subscribe, letters, most);
        pass_so_far();
        put(&sent, MESSAGES, 0, subscribe, letters, most + 1);
        sent.len = fine + 3; /* of the second one: header and first byte */
        expect(VERDICT_TOPIC_TOO_LONG);
        put(&sent, MESSAGES, 0, subscribe, letters, most);
        pass_so_far();
        put(&sent, MESSAGES, 0, subscribe, letters, most + 1);
        sent.len = fine + 2;
        expect(VERDICT_PASS);
    }
}

static void a_long_topic_in_a_command_is_refused(void **state)
{
    const size_t most = stand.limits.subscriptions.topic_bytes;
    for (int subscribe = 0; subscribe < 2; subscribe++) {
        put(&sent, COMMANDS, 0, subscribe, letters, most);
        pass_so_far();
        put(&sent, COMMANDS, 0, subscribe, letters, most + 1);
        expect(VERDICT_TOPIC_TOO_LONG);
    }
}

/* A topic may be longer than message.hold: it is counted all the same, and then cancelled. */
static void a_topic_above_the_hold_limit_counts(void **state)
{
    stand.limits.subscriptions.topic_bytes = 65536;
    stand.limits.subscriptions.trie_bytes = 1 << 24;
    for (int e = COMMANDS; e <= MESSAGES; e++) {
        put(&sent, e, 0, true, letters, 5000);
        put(&sent, e, 0, true, letters, 65536);
        pass_so_far();
        expect(VERDICT_PASS);
        assert_int_equal(stand.source.topic_bytes, 5000 + 65536 + 2 * TOPIC_OVERHEAD_BYTES);
        assert_int_equal(stream_budget_held(&stand.gate.unfinished), 0);
    }
    stand.limits.subscriptions.source_bytes = 10000;
    put(&sent, MESSAGES, 0, true, letters, 9000);
    pass_so_far();
    put(&sent, MESSAGES, 0, true, letters, 985);
    expect(VERDICT_TOPICS_TOO_LARGE);
}

/* ---- messages of several frames ---- */

/* libzmq takes each frame for a subscription that begins like one, also behind others that stream. */
static void subscriptions_in_any_frame_count(void **state)
{
    static const size_t sizes[] = {10, 280, 5000};
    stand.limits.subscriptions.max = 2;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        stream_frame(&sent, MORE, 'u', sizes[i]);
        put(&sent, MESSAGES, MORE, true, "a", 1);
        put(&sent, MESSAGES, MORE, true, "a", 1);
        put(&sent, MESSAGES, 0, true, "b", 1);
        pass_so_far();
        expect(VERDICT_PASS);
        assert_int_equal(line.topics.count, 2);

        stream_frame(&sent, MORE, 'u', sizes[i]);
        put(&sent, MESSAGES, MORE, true, "a", 1);
        put(&sent, MESSAGES, MORE, true, "b", 1);
        if (sizes[i] > stand.limits.message.hold_bytes)
            pass_so_far();
        put(&sent, MESSAGES, 0, true, "c", 1);
        expect(VERDICT_SUBSCRIPTIONS_TOO_MANY);
    }
}

/* An application with ZMQ_ONLY_FIRST_SUBSCRIBE takes them for parts of a message, which they are. */
static void a_later_frame_may_be_long_and_counts_what_it_may_cost(void **state)
{
    stream_frame(&sent, MORE, 'u', 10);
    put(&sent, MESSAGES, MORE, true, letters, 2000);
    put(&sent, MESSAGES, 0, false, letters, 3000);
    pass_so_far();
    expect(VERDICT_PASS);
    assert_int_equal(stand.source.topic_bytes, 2000 + TOPIC_OVERHEAD_BYTES);
    stand.limits.subscriptions.source_bytes = 1000;
    stream_frame(&sent, MORE, 'u', 10);
    put(&sent, MESSAGES, MORE, true, letters, 2000);
    expect(VERDICT_TOPICS_TOO_LARGE);
}

/* ---- sizes without LONG ---- */

/* As the encoder of libzmq 4.3.2 to 4.3.4 writes topics of 246 to 255 bytes. It passes as RFC 37 has it. */
static void a_long_size_without_its_flag_is_understood(void **state)
{
    stand.limits.subscriptions.topic_bytes = 255;
    stand.limits.subscriptions.source_bytes = 10000;
    put_text(&sent, COMMANDS, true, "before");
    for (size_t len = 246; len <= 255; len++)
        put(&sent, COMMANDS, 0, true, letters, len);
    put(&sent, COMMANDS, 0, false, letters, 255);
    put_text(&sent, COMMANDS, true, "after");
    pass_so_far();
    for (size_t i = 0; i < sent.len; i++)
        if (sent.bytes[i] == (ZMTP_FLAG_COMMAND | ZMTP_FLAG_LONG) && sent.bytes[i + 1] == 0)
            sent.bytes[i] = ZMTP_FLAG_COMMAND;
    expect(VERDICT_PASS);
    assert_int_equal(line.topics.count, 2 + 9);
}

/* Any other size there, and any other command, is as wrong as before. */
static void nothing_else_is_understood_without_a_flag(void **state)
{
    static const uint8_t sizes[][7] = {{0, 0, 0, 0, 0, 1, 10},
                                       {0, 0, 0, 0, 0, 2, 0},
                                       {0, 0, 0, 0, 0, 0, 0},
                                       {1, 0, 0, 0, 0, 1, 0},
                                       {0, 0, 0, 0, 1, 1, 0}};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        sent.len = 0;
        stream_put(&sent, "\x04\0", 2);
        stream_put(&sent, sizes[i], 7);
        stream_frame(&sent, 0, 'x', 300);
        expect(VERDICT_BAD_COMMAND);
    }
    sent.len = 0;
    stream_command(&sent, "PING", letters, 251);
    sent.bytes[0] = ZMTP_FLAG_COMMAND;
    expect(VERDICT_BAD_PING);
}

/* Endless subscriptions inside one message are not held. The driver aborts when more is kept than may be. */
static void subscriptions_do_not_make_a_held_message_grow(void **state)
{
    for (int i = 0; i < 90; i++) {
        char topic[16];
        put(&sent, MESSAGES, MORE, true, topic, (size_t)snprintf(topic, sizeof(topic), "topic %d", i));
    }
    pass_so_far();
    expect(VERDICT_PASS);
    assert_int_equal(line.topics.count, 90);
    assert_true(line.traffic.reserved > 0);
}

/* The message may still be dropped; then the application holds what Weir would no longer count. */
static void a_cancel_in_a_message_of_several_frames_gives_nothing_back(void **state)
{
    stand.limits.subscriptions.over = ACTION_DROP;
    put_text(&sent, MESSAGES, true, "a");
    pass_so_far();
    put(&sent, MESSAGES, MORE, false, "a", 1);
    put(&sent, MESSAGES, 0, true, letters, TRAFFIC_LATER_TOPIC_BYTES + 1);
    expect(VERDICT_PASS);
    assert_int_equal(line.dropped, 1);
    assert_int_equal(line.topics.count, 1);

    put_text(&sent, MESSAGES, true, "a");
    put(&sent, MESSAGES, MORE, true, "b", 1);
    put(&sent, MESSAGES, 0, false, "a", 1);
    pass_so_far();
    expect(VERDICT_PASS);
    assert_int_equal(line.topics.count, 2);
}

/* ---- messages that are no subscriptions ---- */

static void limit_user_messages(enum action over)
{
    stand.limits.subscriptions.messages = (struct rate_limit){{10, NS_PER_S, 2}, over};
}

static void user_messages_pause(void **state)
{
    limit_user_messages(ACTION_PAUSE);
    line.patience = SLEEPS;
    for (int i = 0; i < 8; i++)
        stream_frame(&sent, 0, 'u', i % 2 ? 20 : 0);
    uint64_t from = stand.now_ns;
    assert_true(line_feed(&line, sent.bytes, sent.len));
    assert_int_equal(line.messages, 8);
    assert_int_equal(line.wait_reason, VERDICT_SUBSCRIBER_MESSAGE);
    assert_int_equal(stand.now_ns - from, 5 * 100 * NS_PER_MS); /* 3 pass at once, one each 100 ms */
    /* Subscriptions are no such messages. */
    again();
    sent.len = 0;
    for (int i = 0; i < 8; i++)
        put_text(&sent, MESSAGES, true, "topic");
    assert_true(line_feed(&line, sent.bytes, sent.len));
    assert_int_equal(line.waits, 0);
}

/* Of any length, and in any frame of a message, whether it is whole in one window or not. */
static void user_messages_are_dropped_or_close(void **state)
{
    static const size_t sizes[] = {0, 1, 20, 290, 5000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (unsigned more = 0; more < 2; more++) {
            limit_user_messages(ACTION_DROP);
            for (int n = 0; n < 3; n++)
                stream_frame(&sent, 0, 'u', sizes[i]);
            pass_so_far();
            size_t fine = sent.len;
            stream_frame(&sent, more, 'v', sizes[i]);
            if (more)
                put(&sent, MESSAGES, 0, true, "not this", 8);
            put_text(&sent, MESSAGES, true, "yes");
            put_text(&wanted, MESSAGES, true, "yes");
            expect(VERDICT_PASS);
            assert_int_equal(line.dropped, 1);
            assert_int_equal(line.drop_reason, VERDICT_SUBSCRIBER_MESSAGE);
            assert_int_equal(line.topics.count, 1);

            limit_user_messages(ACTION_CLOSE);
            for (int n = 0; n < 4; n++)
                stream_frame(&sent, n == 3 && more, 'u', sizes[i]);
            stream_put(&wanted, sent.bytes, fine);
            expect(VERDICT_SUBSCRIBER_MESSAGE);
        }
}

/* In the sum over all subscribers, before they begin, whether whole in one window or streaming; nothing counts twice.
 */
static void user_messages_of_all_have_a_pace(void **state)
{
    static const size_t sizes[] = {0, 20, 290, 5000};
    struct line other;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (size_t most = 1; most < 400; most = 3 * most + 1) {
            uint64_t each = sizes[i] + 96;
            stand.limits.subscriptions.messages_total = (struct rate){each, NS_PER_S, 0};
            again();
            atomic_store(&stand.gate.user_bytes, 0);
            line_init(&other, &stand, LINE_SUBSCRIBER);
            sent.len = 0;
            stream_frame(&sent, 0, 'u', sizes[i]);
            size_t first = sent.len;
            assert_true(line_feed_by(&other, sent.bytes, sent.len, most));
            put_text(&sent, MESSAGES, true, "topic");
            size_t fed = 0;
            while (fed < sent.len && line_feed(&line, sent.bytes + fed, 1))
                fed++;
            assert_true(line.waiting && line.wait_reason == VERDICT_OVER_SUBSCRIBER_MESSAGES);
            assert_int_equal(line.out_len, 0);
            assert_true(fed <= 9 && fed < first);
            fed++;
            assert_false(line_feed(&line, NULL, 0));
            stand.now_ns += NS_PER_S;
            assert_true(line_feed(&line, NULL, 0));
            assert_true(line_feed_by(&line, sent.bytes + fed, sent.len - fed, most));
            assert_int_equal(line.out_len, sent.len);
            assert_memory_equal(line.out, sent.bytes, sent.len);
            assert_int_equal(
                gcra_wait_ns(&stand.gate.user_bytes, &stand.limits.subscriptions.messages_total, 1, stand.now_ns),
                NS_PER_S);
            line_fini(&other);
        }
}

static void others_may_not_subscribe(void **state)
{
    static const char *const names[] = {"SUBSCRIBE", "CANCEL"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        line_fini(&line);
        line_init(&line, &stand, 0);
        sent.len = 0;
        stream_command(&sent, names[i], "a", 1);
        assert_false(line_feed(&line, sent.bytes, sent.len));
        assert_int_equal(line.verdict, VERDICT_NOT_A_SUBSCRIBER);
    }
    /* Nor do their messages count as subscriptions, with any first byte. */
    line_fini(&line);
    line_init(&line, &stand, 0);
    sent.len = 0;
    put(&sent, MESSAGES, 0, true, letters, 5000);
    assert_true(line_feed(&line, sent.bytes, sent.len));
    assert_int_equal(line.out_len, sent.len);
    assert_int_equal(stand.source.topic_bytes, 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(topics_are_counted_once_in_both_encodings),
        TEST(cancels_of_topics_not_held_give_nothing_back),
        TEST(the_gate_counts_a_topic_once),
        TEST(a_connection_holds_at_most_max),
        TEST(a_source_holds_at_most_its_bytes),
        TEST(a_source_shares_its_bytes),
        TEST(a_full_gate_lets_newcomers_in_and_says_so),
        TEST(who_holds_a_share_of_a_full_gate_waits),
        TEST(who_is_over_a_limit_waits),
        TEST(all_sources_share_a_rate),
        TEST(long_topics_wait_from_the_first),
        TEST(no_memory_for_a_topic_closes),
        TEST(what_is_over_a_limit_can_be_left_out),
        TEST(a_long_topic_is_refused_by_its_first_byte),
        TEST(a_long_topic_in_a_command_is_refused),
        TEST(a_topic_above_the_hold_limit_counts),
        TEST(subscriptions_in_any_frame_count),
        TEST(subscriptions_do_not_make_a_held_message_grow),
        TEST(a_later_frame_may_be_long_and_counts_what_it_may_cost),
        TEST(a_long_size_without_its_flag_is_understood),
        TEST(nothing_else_is_understood_without_a_flag),
        TEST(a_cancel_in_a_message_of_several_frames_gives_nothing_back),
        TEST(user_messages_pause),
        TEST(user_messages_are_dropped_or_close),
        TEST(user_messages_of_all_have_a_pace),
        TEST(others_may_not_subscribe),
    };
    memset(letters, 'x', sizeof(letters));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
