/* SPDX-License-Identifier: MPL-2.0 */
/* Messages: whole, dropped, streaming, waiting for room; and the commands around and between their frames. */
#include "inspect/traffic_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define MORE ZMTP_FLAG_MORE

static struct stand stand;
static struct line line;
static struct stream sent, wanted;

static int set_up(void **state)
{
    stand_init(&stand);
    line_init(&line, &stand, 0);
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

/* Starts over, as another kind of line. */
static void again(unsigned flags)
{
    struct limits l = stand.limits;
    line_fini(&line);
    stand_fini(&stand);
    stand_init(&stand);
    stand.limits = l;
    line_init(&line, &stand, flags);
}

/* Feeds it as a whole and byte by byte, and expects the verdict, and `wanted` to have passed. */
static void expect(unsigned flags, enum verdict v)
{
    size_t sizes[] = {sent.len, 1, 2, 3, 7, 64};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        again(flags);
        line_feed_by(&line, sent.bytes, sent.len, sizes[i]);
        assert_int_equal(line.verdict, v);
        assert_int_equal(line.out_len, wanted.len);
        if (wanted.len)
            assert_memory_equal(line.out, wanted.bytes, wanted.len);
    }
    sent.len = wanted.len = 0;
}

/* ---- room ---- */

/* While others have all the room, a large message is gathered, and passes when it is whole, in any pieces. */
static void a_message_is_gathered_while_there_is_no_room(void **state)
{
    const size_t pieces[] = {5000, 1, 3, 64, 301};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        again(0);
        stand.gather_bytes = 2000;
        stand.limits.message.unfinished_bytes = 100;
        stream_frame(&wanted, MORE, 'a', 900);
        stream_frame(&wanted, 0, 'b', 900);
        stream_frame(&wanted, 0, 'c', 1500);
        assert_true(line_feed_by(&line, wanted.bytes, wanted.len, pieces[i]));
        assert_int_equal(line.messages, 2);
        assert_int_equal(line.waits, 0);
        assert_int_equal(line.out_len, wanted.len);
        assert_memory_equal(line.out, wanted.bytes, wanted.len);
        assert_int_equal(stand.gate.unfinished.pass, 0);
        wanted.len = 0;
    }
}

/* A message that is larger than that takes the pass. The next one waits with its beginning, and its pace is known. */
static void a_giant_waits_when_its_beginning_is_gathered(void **state)
{
    struct line giant;
    stand.gather_bytes = 2000;
    stand.limits.message.unfinished_bytes = 100;
    line_init(&giant, &stand, 0);
    stream_frame(&sent, 0, 'g', 50000);
    assert_true(line_feed_by(&giant, sent.bytes, 1999, 100));
    assert_int_equal(giant.out_len, 0);
    assert_true(line_feed_by(&giant, sent.bytes + 1999, 301, 100));
    assert_int_equal(giant.out_len, 2300);
    assert_int_equal(stream_budget_held(&stand.gate.unfinished), giant.traffic.reserved);
    line.patience = STOPS;
    assert_true(line_feed_by(&line, sent.bytes, 1900, 100));
    assert_false(line_feed_by(&line, sent.bytes + 1900, 300, 100));
    assert_true(line.waiting && line.out_len == 0);
    assert_true(line_feed_by(&giant, sent.bytes + 2300, sent.len - 2300, 1000));
    assert_int_equal(giant.messages, 1);
    assert_true(line_feed(&line, NULL, 0));
    assert_int_equal(line.traffic.reserved, 50000);
    line_fini(&giant);
}

/* When it fits into the pool again while it is gathered, it goes on from there. */
static void what_is_gathered_streams_when_there_is_room(void **state)
{
    stand.gather_bytes = 2000;
    stand.limits.message.unfinished_bytes = 1000;
    assert_true(stream_budget_take(&stand.gate.unfinished, 1000, 600));
    stream_frame(&sent, 0, 's', 800);
    assert_true(line_feed_by(&line, sent.bytes, 400, 50));
    assert_int_equal(line.out_len, 0);
    stream_budget_release(&stand.gate.unfinished, 999, 600);
    assert_true(line_feed_by(&line, sent.bytes + 400, 100, 50));
    assert_int_equal(line.out_len, 500);
    assert_true(line_feed_by(&line, sent.bytes + 500, sent.len - 500, 50));
    assert_int_equal(line.out_len, sent.len);
    assert_int_equal(line.messages, 1);
}

/* ---- turns ---- */

#define LARGE 1000u /* bytes of a message that streams */

/* Feeds `sent` in pieces to a line that has no turns, as far as it goes. */
static void feed_without_turns(size_t most)
{
    line.stinted = true;
    line.patience = STOPS;
    (void)!line_feed_by(&line, sent.bytes, sent.len, most);
    assert_true(line.waiting && traffic_waits(&line.traffic));
}

static void give_turns(struct line *l, uint32_t n)
{
    l->turns += n;
    (void)!line_feed(l, NULL, 0);
}

static void expect_passed(size_t len)
{
    assert_int_equal(line.out_len, len);
    assert_memory_equal(line.out, sent.bytes, len);
}

/* `sent` holds a message that streams, and a small one behind it. */
static void expect_its_last_octet_to_wait(size_t large)
{
    const size_t pieces[] = {1, 2, 9, 301, 700}; /* one that comes all at once is held */
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        again(0);
        feed_without_turns(pieces[i]);
        expect_passed(large - 1);
        assert_true(traffic_end_waits(&line.traffic) && !traffic_at_boundary(&line.traffic));
        assert_int_equal(line.messages, 0);
        assert_int_equal(line.scanned, 1);
        assert_true(line.kept_len <= pieces[i]);
        give_turns(&line, 1);
        assert_int_equal(line.messages, 1);
        expect_passed(large);
        assert_true(traffic_at_boundary(&line.traffic));
    }
    sent.len = 0;
}

static void a_large_message_waits_at_its_end(void **state)
{
    stream_frame(&sent, 0, 'l', LARGE);
    size_t large = sent.len;
    stream_frame(&sent, 0, 's', 5);
    expect_its_last_octet_to_wait(large);
}

/* The unit is the message. */
static void of_many_parts_the_last_one_waits(void **state)
{
    for (size_t last = 0; last <= LARGE; last += LARGE / 2) {
        for (int i = 0; i < 5; i++)
            stream_frame(&sent, MORE, 'p', LARGE / 4);
        stream_frame(&sent, 0, 'l', last);
        size_t large = sent.len;
        stream_frame(&sent, 0, 's', 5);
        expect_its_last_octet_to_wait(large);
    }
}

static void commands_in_and_behind_a_large_message_keep_their_places(void **state)
{
    stream_frame(&sent, MORE, 'l', LARGE);
    stream_command(&sent, "PING", "\0\1abc", 5);
    stream_frame(&sent, 0, 'l', 10);
    size_t large = sent.len;
    stream_command(&sent, "PING", "\0\1def", 5);
    feed_without_turns(7);
    expect_passed(large - 1);
    assert_int_equal(line.commands, 1);
    size_t fed = line.out_len + line.kept_len;
    give_turns(&line, 1);
    assert_true(line_feed_by(&line, sent.bytes + fed, sent.len - fed, 7));
    expect_passed(sent.len);
    assert_int_equal(line.commands, 2);
}

/* A turn for each message of any size. */
static void turns_are_for_messages(void **state)
{
    for (int i = 0; i < 10; i++) {
        stream_frame(&sent, MORE, 'l', i % 2 ? LARGE : 3);
        stream_frame(&sent, 0, 'l', i % 3 ? LARGE : 3);
    }
    line.stinted = true;
    assert_true(line_feed_by(&line, sent.bytes, sent.len, 64));
    expect_passed(sent.len);
    assert_int_equal(line.turns_used, 10);
    assert_int_equal(line.turns_awaited, 10);
}

/* A message that waits for another client's turn is in nobody's way. */
static void whose_end_waits_has_given_its_room_back(void **state)
{
    struct line other;
    stand.limits.message.unfinished_bytes = 1500;
    stream_frame(&sent, 0, 'l', LARGE);
    feed_without_turns(100);
    assert_int_equal(stream_budget_ends(&stand.gate.unfinished), LARGE);
    line_init(&other, &stand, 0);
    assert_true(line_feed_by(&other, sent.bytes, 900, 100));
    assert_int_equal(stand.gate.unfinished.pass, 0);
    assert_true(line_feed_by(&other, sent.bytes + 900, sent.len - 900, 100));
    assert_int_equal(other.messages, 1);
    give_turns(&line, 1);
    assert_int_equal(stream_budget_held(&stand.gate.unfinished), 0);
    line_fini(&other);
}

/* The same with the pass: of a message that is larger than the pool. */
static void whose_end_waits_has_given_the_pass_back(void **state)
{
    stand.limits.message.unfinished_bytes = 100;
    stream_frame(&sent, 0, 'l', LARGE);
    feed_without_turns(100);
    assert_int_equal(stand.gate.unfinished.pass, 0);
    assert_int_equal(stream_budget_ends(&stand.gate.unfinished), LARGE);
    line_fini(&line);
    assert_int_equal(stream_budget_held(&stand.gate.unfinished), 0);
    line_init(&line, &stand, 0);
}

/* While so much waits at its end no more comes to it, except messages that need not wait. */
static void what_would_wait_at_its_end_does_not_begin_without_bounds(void **state)
{
    struct line second, third, free_one;
    stand.limits.message.unfinished_bytes = 1500;
    stream_frame(&sent, 0, 'l', LARGE);
    feed_without_turns(100);
    line_init(&second, &stand, 0);
    line_init(&third, &stand, 0);
    line_init(&free_one, &stand, 0);
    second.stinted = third.stinted = true;
    second.patience = third.patience = STOPS;
    assert_false(line_feed_by(&second, sent.bytes, sent.len, 100));
    assert_true(traffic_end_waits(&second.traffic));
    assert_false(line_feed_by(&third, sent.bytes, sent.len, 100));
    assert_true(third.waiting && third.out_len == 0);
    assert_true(line_feed_by(&free_one, sent.bytes, sent.len, 100));
    give_turns(&line, 1);
    assert_true(line_feed(&third, NULL, 0));
    assert_true(third.out_len > 0);
    line_fini(&second);
    line_fini(&third);
    line_fini(&free_one);
}

/* A message that has begun to go on waits where others are left out, or is closed. */
static void what_waits_at_its_end_is_not_left_out(void **state)
{
    stream_frame(&sent, 0, 'l', LARGE);
    feed_without_turns(100);
    line.shed = SHED_DROP;
    give_turns(&line, 0);
    assert_true(line.waiting);
    assert_int_equal(line.verdict, VERDICT_PASS);
    line.shed = SHED_CLOSE;
    give_turns(&line, 0);
    assert_int_equal(line.verdict, VERDICT_OVERLOADED);
    assert_int_equal(line.out_len, sent.len - 1);
}

/* ---- the pace of commands ---- */

/* So many PINGs, over `seconds`. Returns how long the line had to wait in all. */
static uint64_t beats(struct line *l, unsigned count, unsigned seconds)
{
    static const uint8_t ping[2] = {0};
    uint64_t before = l->waited_ns, from_ns = stand.now_ns;
    for (unsigned i = 0; i < count; i++) {
        uint64_t due_ns = from_ns + (uint64_t)seconds * NS_PER_S / count * i;
        stand.now_ns = due_ns > stand.now_ns ? due_ns : stand.now_ns;
        sent.len = 0;
        stream_command(&sent, "PING", ping, sizeof(ping));
        assert_true(line_feed(l, sent.bytes, sent.len));
    }
    sent.len = 0;
    return l->waited_ns - before;
}

/* Heartbeats every 10 ms from both ends are never held back; a flood is, as soon as the commands of all are many. */
static void commands_are_paced_while_there_are_many(void **state)
{
    struct line quiet;
    stand.limits.source.commands.rate = (struct rate){1000000, NS_PER_S, 1000000};
    again(0);
    line_init(&quiet, &stand, 0);
    line.paced = quiet.paced = true;
    line.patience = quiet.patience = SLEEPS;
    assert_int_equal(beats(&line, TRAFFIC_COMMANDS, 0), 0);
    assert_int_equal(beats(&quiet, 200, 1), 0);
    assert_int_equal(beats(&line, TRAFFIC_COMMANDS, 0), 0);
    assert_true(beats(&line, 2 * TRAFFIC_COMMANDS, 0) > NS_PER_S / 4);
    assert_int_equal(beats(&quiet, 200, 1), 0);
    line_fini(&quiet);
}

/* ---- envelopes ---- */

/* RFC 28: REP discards messages without a delimiter. Weir must not wait for those, then. */
static void a_request_without_a_delimiter_is_left_out(void **state)
{
    line.traffic.wants_delimiter = true;
    stream_frame(&sent, 0, 'a', 5);
    stream_frame(&sent, 0, 'a', 0); /* the last frame is no delimiter */
    stream_frame(&sent, MORE, 'a', 5);
    stream_frame(&sent, 0, 'a', 5);
    stream_frame(&wanted, MORE, 'a', 0);
    stream_frame(&wanted, 0, 'b', 5);
    stream_frame(&wanted, MORE, 'c', 5);
    stream_frame(&wanted, MORE, 'c', 0);
    stream_frame(&wanted, MORE, 'c', 5);
    stream_frame(&wanted, 0, 'c', 0);
    stream_put(&sent, wanted.bytes, wanted.len);
    stream_frame(&sent, 0, 'd', 5);
    assert_true(line_feed_by(&line, sent.bytes, sent.len, 3));
    assert_int_equal(line.out_len, wanted.len);
    assert_memory_equal(line.out, wanted.bytes, wanted.len);
    assert_int_equal(line.messages, 2);
    assert_int_equal(line.dropped, 4);
    assert_int_equal(line.drop_reason, VERDICT_NO_DELIMITER);
}

/* A message that streams already cannot be left out. */
static void a_long_request_without_a_delimiter_closes(void **state)
{
    line.traffic.wants_delimiter = true;
    stream_frame(&sent, 0, 'a', stand.limits.message.hold_bytes + 100);
    line_feed_by(&line, sent.bytes, sent.len, 50);
    assert_int_equal(line.verdict, VERDICT_NO_DELIMITER);
}

/* ---- dropping ---- */

/* Bytes that were admitted before must not go with it. */
static void a_message_cut_short_is_dropped_alone(void **state)
{
    stand.limits.message.over = ACTION_DROP;
    stand.limits.message.frame_bytes = 100;
    stream_frame(&sent, 0, 'a', 10);
    stream_frame(&wanted, 0, 'a', 10);
    stream_frame(&sent, 0, 'b', 101);
    sent.len -= 50;
    expect(0, VERDICT_PASS);
}

/* ---- commands between the frames of a message ---- */

static void put_ping(struct stream *st)
{
    stream_command(st, "PING", "\0\1abc", 5);
}

static void pings_between_frames_pass_in_their_place(void **state)
{
    static const size_t sizes[] = {0, 10, 250, 400, 3000}; /* held, held up to the last frame, streaming */
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        stream_frame(&sent, MORE, 'a', sizes[i]);
        put_ping(&sent);
        stream_frame(&sent, MORE, 'b', 20);
        put_ping(&sent);
        put_ping(&sent);
        stream_frame(&sent, 0, 'c', 60);
        put_ping(&sent);
        stream_put(&wanted, sent.bytes, sent.len);
        expect(0, VERDICT_PASS);
        assert_int_equal(line.messages, 1);
        assert_int_equal(line.commands, 4);
        assert_int_equal(line.ping.context_len, 3);
        assert_memory_equal(line.ping.context, "abc", 3);
        assert_int_equal(line.ping.ttl, 1);
    }
}

/* The driver aborts when more than message.hold and one command is kept. */
static void pings_do_not_make_a_held_message_grow(void **state)
{
    stream_frame(&sent, MORE, 'a', 1);
    for (int i = 0; i < 500; i++)
        put_ping(&sent);
    stream_put(&wanted, sent.bytes, sent.len);
    expect(0, VERDICT_PASS);
    assert_int_equal(line.commands, 500);
    assert_true(line.most_kept <= stand.limits.message.hold_bytes + ZMTP_HEADER_MAX);
    assert_true(line.traffic.reserved > 0);
}

/* A SUBSCRIBE or CANCEL would end the message early at the application. */
static void other_commands_between_frames_are_refused(void **state)
{
    static const char *const names[] = {"SUBSCRIBE", "CANCEL"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t size = 10; size <= 1000; size += 990) {
            stream_frame(&sent, MORE, 'a', size);
            if (size > stand.limits.message.hold_bytes)
                stream_frame(&wanted, MORE, 'a', size);
            stream_command(&sent, names[i], "topic", 5);
            expect(LINE_SUBSCRIBER, VERDICT_BAD_COMMAND);
        }
    stream_frame(&sent, 0, 'a', 10);
    stream_command(&sent, "SUBSCRIBE", "topic", 5);
    stream_put(&wanted, sent.bytes, sent.len);
    expect(LINE_SUBSCRIBER, VERDICT_PASS);
}

/* ---- commands ---- */

static void a_command_too_large_is_refused_by_its_header(void **state)
{
    stream_frame(&sent, ZMTP_FLAG_COMMAND, 'x', TRAFFIC_COMMAND_BYTES + 1);
    expect(0, VERDICT_COMMAND_TOO_LARGE);
    stream_frame(&sent, ZMTP_FLAG_COMMAND, 'x', TRAFFIC_COMMAND_BYTES + 1);
    sent.len = ZMTP_HEADER_MAX;
    expect(0, VERDICT_COMMAND_TOO_LARGE);
    uint8_t most[TRAFFIC_COMMAND_BYTES] = {0};
    stream_command(&sent, "Nosuch", most, sizeof(most) - 7);
    expect(0, VERDICT_UNKNOWN_COMMAND);
}

/* ---- what the application itself refuses ---- */

/* As libzmq does: the connection ends at the header of a frame, whatever message.over says; what came before passes. */
static void a_frame_over_the_applications_own_limit_closes(void **state)
{
    stand.limits.message.over = ACTION_DROP;
    stand.gate.app_frame_bytes = 100;
    const uint64_t most = stand.gate.app_frame_bytes;
    const unsigned flags[] = {0, ZMTP_FLAG_MORE};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        line_fini(&line);
        line_init(&line, &stand, 0);
        sent.len = wanted.len = 0;
        stream_frame(&sent, 0, 'x', most);
        stream_frame(&wanted, 0, 'x', most);
        stream_frame(&sent, (uint8_t)flags[i], 'x', most + 1);
        line_feed_by(&line, sent.bytes, sent.len, 7);
        assert_int_equal(line.verdict, VERDICT_OVER_MAXMSGSIZE);
        assert_int_equal(line.out_len, wanted.len);
    }
    /* Not the sum of a message's frames. */
    line_fini(&line);
    line_init(&line, &stand, 0);
    sent.len = 0;
    for (unsigned i = 0; i < 5; i++)
        stream_frame(&sent, i < 4 ? ZMTP_FLAG_MORE : 0, 'x', most);
    line_feed_by(&line, sent.bytes, sent.len, 64);
    assert_int_equal(line.verdict, VERDICT_PASS);
    assert_int_equal(line.out_len, sent.len);
    /* A stricter limit of the configuration comes first. */
    stand.limits.message.frame_bytes = 50;
    line_fini(&line);
    line_init(&line, &stand, 0);
    sent.len = wanted.len = 0;
    stream_frame(&sent, 0, 'x', most + 1);
    line_feed_by(&line, sent.bytes, sent.len, 64);
    assert_int_equal(line.verdict, VERDICT_PASS);
    assert_int_equal(line.out_len, 0);
    sent.len = 0;
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_gathered_while_there_is_no_room),
        TEST(a_giant_waits_when_its_beginning_is_gathered),
        TEST(what_is_gathered_streams_when_there_is_room),
        TEST(commands_are_paced_while_there_are_many),
        TEST(a_request_without_a_delimiter_is_left_out),
        TEST(pings_between_frames_pass_in_their_place),
        TEST(a_long_request_without_a_delimiter_closes),
        TEST(a_message_cut_short_is_dropped_alone),
        TEST(a_frame_over_the_applications_own_limit_closes),
        TEST(pings_do_not_make_a_held_message_grow),
        TEST(other_commands_between_frames_are_refused),
        TEST(a_command_too_large_is_refused_by_its_header),
        TEST(a_large_message_waits_at_its_end),
        TEST(of_many_parts_the_last_one_waits),
        TEST(whose_end_waits_has_given_its_room_back),
        TEST(turns_are_for_messages),
        TEST(whose_end_waits_has_given_the_pass_back),
        TEST(what_waits_at_its_end_is_not_left_out),
        TEST(commands_in_and_behind_a_large_message_keep_their_places),
        TEST(what_would_wait_at_its_end_does_not_begin_without_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
