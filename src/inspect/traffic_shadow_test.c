/* SPDX-License-Identifier: MPL-2.0 */
/* Rules in shadow: everything passes, and a message that would not have passed is counted as if it had not. */
#include "base/property.h"
#include "inspect/traffic_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define MORE ZMTP_FLAG_MORE

static struct stand stand, twin;
static struct line line;
static struct limits in_shadow;
static struct stream sent;

static int set_up(void **state)
{
    stand_init(&stand);
    return 0;
}

/* Puts rules of the stand's limits into shadow. */
static void put_into_shadow(enum rule a, enum rule b, unsigned flags)
{
    struct limits configured = stand.limits;
    configured.enforce[a] = configured.enforce[b] = ENFORCE_SHADOW;
    assert_true(enforce_split(&configured, 0, &stand.limits, &in_shadow));
    line_init(&line, &stand, flags);
}

static int tear_down(void **state)
{
    line_fini(&line);
    stand_fini(&stand);
    stream_free(&sent);
    return 0;
}

static int set_up_line(void **state)
{
    stand_init(&stand);
    line_init(&line, &stand, 0);
    return 0;
}

static unsigned would(enum verdict v)
{
    return stand.shadow.verdicts[v];
}

static unsigned all_verdicts(void)
{
    unsigned n = 0;
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        n += stand.shadow.verdicts[v];
    return n;
}

static void everything_passes(void)
{
    assert_true(line_feed_by(&line, sent.bytes, sent.len, 1000));
    assert_int_equal(line.verdict, VERDICT_PASS);
    assert_int_equal(line.out_len, sent.len);
    assert_memory_equal(line.out, sent.bytes, sent.len);
    assert_int_equal(line.waits + line.drops + line.dropped, 0);
}

static void messages_over_a_rate_count_one_by_one(void **state)
{
    stand.limits.source.messages = (struct rate_limit){{.count = 10, .period_ns = NS_PER_S, .burst = 4}, ACTION_CLOSE};
    put_into_shadow(RULE_MESSAGES, RULE_MESSAGES, 0);
    for (unsigned i = 0; i < 30; i++)
        stream_frame(&sent, 0, 'x', 10);
    everything_passes();
    assert_int_equal(would(VERDICT_OVER_MESSAGES), 25); /* messages left out are charged to nobody */
    stand.now_ns += NS_PER_S / 10;
    assert_true(line_feed(&line, sent.bytes, 12));
    assert_int_equal(would(VERDICT_OVER_MESSAGES), 25); /* ... so that one passes as soon as the rate has one */
    assert_true(line_feed(&line, sent.bytes, 12));
    assert_int_equal(would(VERDICT_OVER_MESSAGES), 26);
    assert_int_equal(all_verdicts(), 26);
}

static void bytes_over_a_rate(void **state)
{
    stand.limits.source.bytes = (struct rate_limit){{.count = 1000, .period_ns = NS_PER_S, .burst = 999}, ACTION_PAUSE};
    put_into_shadow(RULE_BYTES, RULE_BYTES, 0);
    for (unsigned i = 0; i < 20; i++)
        stream_frame(&sent, 0, 'x', 300);
    everything_passes();
    assert_int_equal(would(VERDICT_OVER_BYTES), 16); /* the fourth begins before the limit and ends beyond it */
    assert_int_equal(all_verdicts(), 16);
}

static void a_message_offends_once(void **state)
{
    stand.limits.message.size_bytes = 1000;
    stand.limits.message.frames = 3;
    stand.limits.message.over = ACTION_CLOSE;
    put_into_shadow(RULE_MESSAGE, RULE_MESSAGE, 0);
    for (unsigned i = 0; i < 40; i++) /* too many frames, and later too large as well */
        stream_frame(&sent, i < 39 ? MORE : 0, 'x', 100);
    stream_frame(&sent, 0, 'y', 10);
    stream_frame(&sent, 0, 'z', 2000);
    stream_frame(&sent, 0, 'z', 900000); /* streams through */
    everything_passes();
    assert_int_equal(would(VERDICT_TOO_MANY_FRAMES), 1);
    assert_int_equal(would(VERDICT_FRAME_TOO_LARGE) + would(VERDICT_MESSAGE_TOO_LARGE), 2);
    assert_int_equal(all_verdicts(), 3);
}

static void a_message_left_out_is_charged_to_nobody(void **state)
{
    stand.limits.message.size_bytes = 1000;
    stand.limits.source.bytes = (struct rate_limit){{.count = 1, .period_ns = NS_PER_S, .burst = 99}, ACTION_DROP};
    put_into_shadow(RULE_MESSAGE, RULE_BYTES, 0);
    stream_frame(&sent, 0, 'x', 5000);
    stream_frame(&sent, 0, 'x', 64);
    everything_passes();
    assert_int_equal(all_verdicts(), 1);
}

/* A rule in force closes as usual, with any rules in shadow beside it. */
static void rules_in_force_are_in_force(void **state)
{
    stand.limits.message.frames = 3;
    stand.limits.message.over = ACTION_CLOSE;
    stand.limits.source.messages = (struct rate_limit){{.count = 1, .period_ns = NS_PER_S, .burst = 0}, ACTION_CLOSE};
    put_into_shadow(RULE_MESSAGES, RULE_MESSAGES, 0);
    for (unsigned i = 0; i < 5; i++)
        stream_frame(&sent, 0, 'x', 10);
    size_t good = sent.len;
    for (unsigned i = 0; i < 5; i++)
        stream_frame(&sent, MORE, 'x', 10);
    assert_false(line_feed(&line, sent.bytes, sent.len));
    assert_int_equal(line.verdict, VERDICT_TOO_MANY_FRAMES);
    assert_int_equal(line.out_len, good);
    assert_int_equal(would(VERDICT_OVER_MESSAGES), 5);
    assert_int_equal(would(VERDICT_TOO_MANY_FRAMES), 0);
}

static void what_is_left_out_in_force_does_not_count_in_shadow(void **state)
{
    stand.limits.source.messages = (struct rate_limit){{.count = 1, .period_ns = NS_PER_S, .burst = 0}, ACTION_DROP};
    stand.limits.message.size_bytes = 100;
    put_into_shadow(RULE_MESSAGE, RULE_MESSAGE, 0);
    stream_frame(&sent, 0, 'x', 10);
    stream_frame(&sent, 0, 'x', 300);
    assert_true(line_feed(&line, sent.bytes, sent.len));
    assert_int_equal(line.dropped, 1);
    assert_int_equal(all_verdicts(), 0);
}

static void commands_over_a_rate(void **state)
{
    stand.limits.source.commands = (struct rate_limit){{.count = 1, .period_ns = NS_PER_S, .burst = 4}, ACTION_CLOSE};
    put_into_shadow(RULE_COMMANDS, RULE_COMMANDS, 0);
    for (unsigned i = 0; i < 20; i++)
        stream_command(&sent, "PING", "\0\0", 2);
    everything_passes();
    assert_int_equal(would(VERDICT_OVER_COMMANDS), 15);
}

static void subscribe(const char *topic)
{
    stream_command(&sent, "SUBSCRIBE", topic, strlen(topic));
}

static void subscriptions_over_their_limits(void **state)
{
    stand.limits.subscriptions.max = 3;
    stand.limits.subscriptions.topic_bytes = 5;
    put_into_shadow(RULE_SUBSCRIPTIONS, RULE_SUBSCRIPTIONS, LINE_SUBSCRIBER);
    for (const char *topic = "abcde"; *topic; topic++)
        subscribe((char[]){*topic, '\0'});
    subscribe("a"); /* known */
    subscribe("longer than that");
    everything_passes();
    assert_int_equal(would(VERDICT_SUBSCRIPTIONS_TOO_MANY), 2);
    assert_int_equal(would(VERDICT_TOPIC_TOO_LONG), 1);
    assert_int_equal(all_verdicts(), 3);
}

static void subscriptions_over_a_rate(void **state)
{
    stand.limits.subscriptions.rate = (struct rate){.count = 1, .period_ns = NS_PER_S, .burst = 1299};
    put_into_shadow(RULE_SUBSCRIPTIONS, RULE_SUBSCRIPTIONS, LINE_SUBSCRIBER);
    for (const char *topic = "abcdefgh"; *topic; topic++)
        subscribe((char[]){*topic, '\0'}); /* 209 each, and some have a table */
    everything_passes();
    assert_int_equal(would(VERDICT_OVER_SUBSCRIPTIONS), 3);
}

static void messages_of_a_subscriber(void **state)
{
    stand.limits.subscriptions.messages =
        (struct rate_limit){{.count = 1, .period_ns = NS_PER_S, .burst = 4}, ACTION_CLOSE};
    put_into_shadow(RULE_SUBSCRIBER_MESSAGES, RULE_SUBSCRIBER_MESSAGES, LINE_SUBSCRIBER);
    for (unsigned i = 0; i < 20; i++)
        stream_frame(&sent, 0, 'x', 10);
    everything_passes();
    assert_int_equal(would(VERDICT_SUBSCRIBER_MESSAGE), 15);
}

/* A shared entry may have sources for whom the rule is in force: their allowance is not touched. */
static void a_shared_entry_is_left_alone(void **state)
{
    stand.limits.source.messages = (struct rate_limit){{.count = 1, .period_ns = NS_PER_S, .burst = 4}, ACTION_CLOSE};
    put_into_shadow(RULE_MESSAGES, RULE_MESSAGES, 0);
    stand.source.kind = SOURCE_V4_24;
    for (unsigned i = 0; i < 20; i++)
        stream_frame(&sent, 0, 'x', 10);
    everything_passes();
    assert_int_equal(all_verdicts(), 0);
    assert_int_equal(atomic_load(&stand.source.limiters[SOURCE_MESSAGES]), 0);
}

/* At any times and in any pieces, shadow counts as dropped the same messages as `drop` drops in force. */
static void shadow_foretells_what_drop_does(void **state)
{
    struct property_rng rng = property_rng_new("shadow");
    for (unsigned run = 0; run < 200; run++) {
        struct line real;
        stand_init(&stand);
        stand.limits.source.messages = (struct rate_limit){
            {.count = 1 + property_below(&rng, 50), .period_ns = NS_PER_S, .burst = property_below(&rng, 20)},
            ACTION_DROP};
        stand.limits.message.hold_bytes = 65536;
        stand.limits.message.size_bytes = 256 + property_below(&rng, 1000);
        stand.limits.message.over = ACTION_DROP;
        stand_init(&twin);
        twin.limits = stand.limits;
        line_init(&real, &twin, 0);
        put_into_shadow(RULE_MESSAGES, RULE_MESSAGE, 0);
        for (unsigned i = 0; i < 60; i++) {
            unsigned frames = 1 + (unsigned)property_below(&rng, 3);
            size_t most = 1 + (size_t)property_below(&rng, 400);
            sent.len = 0;
            for (unsigned f = 0; f < frames; f++)
                stream_frame(&sent, f + 1 < frames ? MORE : 0, 'x', (size_t)property_below(&rng, 800));
            stand.now_ns += property_below(&rng, NS_PER_S / 10);
            twin.now_ns = stand.now_ns;
            assert_true(line_feed_by(&real, sent.bytes, sent.len, most));
            assert_true(line_feed_by(&line, sent.bytes, sent.len, most));
        }
        assert_int_equal(line.messages, 60);
        assert_int_equal(all_verdicts(), real.dropped);
        assert_int_equal(line.messages - real.messages, real.dropped);
        line_fini(&real);
        stand_fini(&twin);
        if (run < 199) {
            line_fini(&line);
            stand_fini(&stand);
        }
    }
}

/* Anything that a client may say, and some that it may not. */
static void say_anything(struct property_rng *rng)
{
    static uint8_t topic[70];
    topic[0] = (uint8_t)('a' + property_below(rng, 8));
    switch (property_below(rng, 12)) {
    case 0:
        stream_command(&sent, "PING", "\0\0", 2);
        break;
    case 1:
        stream_command(&sent, "SUBSCRIBE", topic, (size_t)property_below(rng, 40));
        break;
    case 2:
        stream_command(&sent, "CANCEL", topic, 1);
        break;
    case 3:
        if (property_below(rng, 60) == 0)
            stream_frame(&sent, 0x80, 'x', 5);
        break;
    default:
        stream_frame(&sent, 0, (uint8_t)property_below(rng, 3), (size_t)property_magnitude(rng, 12));
    }
}

static void limit_everything(struct limits *l)
{
    const struct rate rate = {.count = 5, .period_ns = NS_PER_S, .burst = 3};
    l->message.frame_bytes = 500;
    l->message.size_bytes = 900;
    l->message.frames = 2;
    l->source.messages = l->source.commands = l->subscriptions.messages = (struct rate_limit){rate, ACTION_CLOSE};
    l->source.bytes = (struct rate_limit){{.count = 500, .period_ns = NS_PER_S, .burst = 999}, ACTION_PAUSE};
    l->subscriptions.rate = (struct rate){.count = 50, .period_ns = NS_PER_S, .burst = 99};
    l->subscriptions.max = 3;
    l->subscriptions.topic_bytes = 10;
    l->subscriptions.source_bytes = 60;
}

/* Two gates with the same limits, all rules in shadow at one and off at the other, get the same bytes and do the
 * same. */
static void in_shadow_is_as_if_it_were_not_there(void **state)
{
    struct property_rng rng = property_rng_new("as if");
    unsigned verdicts = 0;
    for (unsigned run = 0; run < 300; run++) {
        unsigned flags = property_below(&rng, 2) ? LINE_SUBSCRIBER : 0;
        struct limits configured, unused;
        struct line off;
        line_fini(&line);
        stand_fini(&stand);
        stand_init(&stand);
        stand_init(&twin);
        configured = stand.limits;
        limit_everything(&configured);
        for (unsigned r = 0; r < RULE_COUNT; r++)
            configured.enforce[r] = ENFORCE_SHADOW;
        assert_true(enforce_split(&configured, 0, &stand.limits, &in_shadow));
        for (unsigned r = 0; r < RULE_COUNT; r++)
            configured.enforce[r] = ENFORCE_OFF;
        assert_false(enforce_split(&configured, 0, &twin.limits, &unused));
        line_init(&line, &stand, flags);
        line_init(&off, &twin, flags);
        sent.len = 0;
        for (unsigned i = 0; i < 60; i++)
            say_anything(&rng);
        size_t most = 1 + (size_t)property_below(&rng, 2000);
        assert_int_equal(line_feed_by(&line, sent.bytes, sent.len, most),
                         line_feed_by(&off, sent.bytes, sent.len, most));
        assert_int_equal(line.verdict, off.verdict);
        assert_int_equal(line.messages, off.messages);
        assert_int_equal(line.commands, off.commands);
        assert_int_equal(line.drops + line.dropped, off.drops + off.dropped);
        assert_int_equal(line.waited_ns, off.waited_ns);
        assert_int_equal(line.out_len, off.out_len);
        if (off.out_len)
            assert_memory_equal(line.out, off.out, off.out_len);
        verdicts += all_verdicts();
        line_fini(&off);
        stand_fini(&twin);
    }
    assert_true(verdicts > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_over_a_rate_count_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_over_a_rate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_offends_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_left_out_is_charged_to_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rules_in_force_are_in_force, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_left_out_in_force_does_not_count_in_shadow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(commands_over_a_rate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(subscriptions_over_their_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(subscriptions_over_a_rate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages_of_a_subscriber, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_shared_entry_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shadow_foretells_what_drop_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_shadow_is_as_if_it_were_not_there, set_up_line, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
