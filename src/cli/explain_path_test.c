/* SPDX-License-Identifier: MPL-2.0 */
/* The results of `weir explain`: by example for each step, and against plain arithmetic for sizes and rates. */
#include "cli/explain_path.h"

#include "base/property.h"
#include "base/units.h"
#include "config/config_testing.h"
#include "config/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct reading file;
static struct explain_path walked;
static struct explain_path_question question;

static int set_up(void **state)
{
    question = (struct explain_path_question){
        .from = {.kind = ADDR_V4, .bytes = {203, 0, 113, 7}}, .size = 1, .frames = 1, .connections = 1};
    return 0;
}

static int tear_down(void **state)
{
    reading_free(&file);
    file = (struct reading){0};
    return 0;
}

/* A gate with these keys, one a line. */
static void walk(const char *keys)
{
    char text[1024];
    tear_down(NULL);
    snprintf(text, sizeof(text), "gates:\n  - listen: tcp://127.0.0.1:5555\n    forward: ipc:///run/app\n%s", keys);
    file = reading_of(text);
    assert_string_equal(file.said, "");
    assert_true(explain_path_walk(&walked, file.config, &file.config->gates[0], &question));
}

static void decides(const char *path, enum explain_path_outcome o, enum verdict v)
{
    assert_non_null(walked.decides);
    assert_int_equal(walked.decides->outcome, o);
    assert_int_equal(walked.decides->verdict, v);
    assert_string_equal(walked.decides->key ? walked.decides->key->path : "none", path);
}

/* The step of a rule in shadow; NULL: none. */
static const struct explain_path_step *shadow_step(void)
{
    for (size_t i = 0; i < walked.count; i++)
        if (walked.steps[i].outcome == EXPLAIN_PATH_SHADOW)
            return &walked.steps[i];
    return NULL;
}

static void sends(uint64_t size, uint32_t frames, uint64_t rate)
{
    question.has_message = true;
    question.size = size;
    question.frames = frames;
    question.rate = (struct rate){.count = rate, .period_ns = NS_PER_S};
}

static void test_nothing_stands_in_the_way(void **state)
{
    walk("");
    assert_null(walked.decides);
    assert_true(walked.count >= 2);
    sends(1000, 3, 1000);
    walk("");
    assert_null(walked.decides);
}

static void test_connections(void **state)
{
    question.connections = 65;
    walk("    source: {connections: {max: 64}}\n");
    decides("source.connections.max", EXPLAIN_PATH_CLOSED, VERDICT_TOO_MANY_CONNECTIONS);
    question.connections = 64;
    walk("    source: {connections: {max: 64}}\n");
    assert_null(walked.decides);
    walk("    connections: {max: 63}\n");
    decides("connections.max", EXPLAIN_PATH_CLOSED, VERDICT_TABLE_FULL);
    walk("    source: {connections: {rate: 10/s, burst: 9}}\n");
    decides("source.connections.rate", EXPLAIN_PATH_WAITS, VERDICT_OVER_CONNECTION_RATE);
    walk("    source: {connections: {rate: 10/s, burst: 9, half_open: 53}}\n");
    decides("source.connections.rate", EXPLAIN_PATH_WAITS, VERDICT_OVER_CONNECTION_RATE); /* nobody is refused */
}

static void test_socket_types(void **state)
{
    question.has_type = true;
    question.type = SOCKET_PUB;
    walk("    socket: router\n");
    decides("socket", EXPLAIN_PATH_CLOSED, VERDICT_WRONG_SOCKET_TYPE);
    walk("    socket: sub\n");
    assert_null(walked.decides);
    walk("");
    assert_null(walked.decides);
}

static void test_routing_ids(void **state)
{
    static const uint8_t id[256] = {'a'};
    question.has_identity = true;
    question.identity = (struct bytes){id, 255};
    walk("");
    assert_null(walked.decides);
    question.identity.len = 256;
    walk("    enforce: off\n"); /* no key can change that */
    decides("none", EXPLAIN_PATH_CLOSED, VERDICT_BAD_ROUTING_ID);
    question.identity = (struct bytes){id + 1, 3};
    walk("");
    assert_null(walked.decides);
    question.identity = (struct bytes){id + 1, 5};
    walk("");
    decides("none", EXPLAIN_PATH_CLOSED, VERDICT_RESERVED_ROUTING_ID);
}

static void test_topics(void **state)
{
    static const uint8_t topic[70000];
    question.has_topic = true;
    question.topic = (struct bytes){topic, 255};
    walk("    socket: xpub\n");
    assert_null(walked.decides);
    question.topic.len = 256;
    walk("    socket: xpub\n");
    assert_null(walked.decides);
    walk("    socket: xpub\n    subscriptions: {topic: 255B}\n");
    decides("subscriptions.topic", EXPLAIN_PATH_CLOSED, VERDICT_TOPIC_TOO_LONG);
    walk("    socket: xpub\n    subscriptions: {topic: 255B, over: drop}\n");
    decides("subscriptions.topic", EXPLAIN_PATH_DROPPED, VERDICT_TOPIC_TOO_LONG);
    walk("    socket: xpub\n    subscriptions: {topic: 255B, enforce: shadow}\n");
    assert_null(walked.decides);
    assert_int_equal(shadow_step()->verdict, VERDICT_TOPIC_TOO_LONG);
    walk("    socket: router\n");
    decides("none", EXPLAIN_PATH_CLOSED, VERDICT_NOT_A_SUBSCRIBER);
}

/* Plain arithmetic, in the order in which a frame is checked. */
static enum verdict size_by_hand(const struct limits *l)
{
    uint64_t left = question.size, sum = 0;
    for (uint32_t n = 0; n < question.frames; n++) {
        uint64_t frame = left / (question.frames - n), charged = frame > 64 ? frame : 64;
        if (n >= l->message.frames)
            return VERDICT_TOO_MANY_FRAMES;
        if (frame > l->message.frame_bytes)
            return VERDICT_FRAME_TOO_LARGE;
        if (sum + charged > l->message.size_bytes)
            return VERDICT_MESSAGE_TOO_LARGE;
        left -= frame;
        sum += charged;
    }
    return VERDICT_PASS;
}

static void test_sizes(void **state)
{
    struct property_rng rng = property_rng_new("sizes");
    unsigned passed = 0;
    for (unsigned run = 0; run < 300; run++) {
        char keys[256];
        unsigned size = 1000 + (unsigned)property_below(&rng, 300000);
        snprintf(keys, sizeof(keys), "    message: {size: %uB, frame: %uB, frames: %u}\n", size,
                 256 + (unsigned)property_below(&rng, size - 256), 1 + (unsigned)property_below(&rng, 30));
        sends(property_magnitude(&rng, 20), 1 + (uint32_t)property_below(&rng, 40), 0);
        walk(keys);
        enum verdict v = size_by_hand(&file.config->gates[0].limits);
        assert_int_equal(walked.decides ? walked.decides->verdict : VERDICT_PASS, v);
        passed += v == VERDICT_PASS;
    }
    assert_in_range(passed, 10, 290);
}

/* Refused by the announced size: the bytes need not be sent. */
static void test_sizes_that_nobody_would_send(void **state)
{
    sends(EXPLAIN_PATH_SIZE_MAX, 1, 0);
    walk("");
    decides("message.frame", EXPLAIN_PATH_CLOSED, VERDICT_FRAME_TOO_LARGE);
    sends(100000, 10, 0);
    walk("    message: {size: 80kB, over: drop}\n"); /* a message that streams cannot be dropped */
    decides("message.size", EXPLAIN_PATH_CLOSED, VERDICT_MESSAGE_TOO_LARGE);
    sends(2000, 1, 0);
    walk("    message: {size: 1KiB, over: drop}\n");
    decides("message.frame", EXPLAIN_PATH_DROPPED, VERDICT_FRAME_TOO_LARGE);
}

/* burst + 1 at once, and one more for each period / count that the messages take. */
static void test_rates(void **state)
{
    unsigned long long passed;
    sends(10, 1, 1000);
    walk("    source: {messages: {rate: 500/s, burst: 99}}\n");
    decides("source.messages.rate", EXPLAIN_PATH_WAITS, VERDICT_OVER_MESSAGES);
    assert_int_equal(sscanf(walked.decides->said, "%llu", &passed), 1);
    assert_in_range(passed, 198, 200);
    walk("    source: {messages: {rate: 500/s, burst: 99, over: drop}}\n");
    decides("source.messages.rate", EXPLAIN_PATH_DROPPED, VERDICT_OVER_MESSAGES);
    walk("    source: {messages: {rate: 500/s, burst: 99, over: close}}\n");
    decides("source.messages.rate", EXPLAIN_PATH_CLOSED, VERDICT_OVER_MESSAGES);
    sends(10, 1, 500);
    walk("    source: {messages: {rate: 500/s, burst: 99}}\n");
    assert_null(walked.decides);
    /* A single message is charged the buffer that it pins: 8 KiB. */
    sends(10, 1, 1);
    walk("    source: {bytes: {rate: 8KiB/s, burst: 64KiB, over: close}}\n");
    assert_null(walked.decides);
    sends(10, 1, 2);
    walk("    source: {bytes: {rate: 8KiB/s, burst: 64KiB, over: close}}\n");
    decides("source.bytes.rate", EXPLAIN_PATH_CLOSED, VERDICT_OVER_BYTES);
}

/* What libzmq says of the socket counts where it is stricter, and costs nobody anything. */
static void test_options_of_the_socket(void **state)
{
    static const uint8_t id[] = "name";
    char cost[160];
    socket_options_set(&question.told, SOCKET_OPTION_MAXMSGSIZE, 1000);
    socket_options_set(&question.told, SOCKET_OPTION_TYPE, 7);
    sends(1000, 1, 0);
    walk("");
    assert_null(walked.decides);
    sends(1001, 1, 0);
    walk("    message: {over: drop}\n");
    decides("message.frame", EXPLAIN_PATH_CLOSED, VERDICT_OVER_MAXMSGSIZE);
    assert_string_equal(walked.decides->option, "ZMQ_MAXMSGSIZE");
    assert_string_equal(walked.decides->value, "1kB");
    explain_path_cost(cost, sizeof(cost), &walked, &question, walked.decides);
    assert_string_equal(cost, "no strike");
    walk("    message: {frame: 500B}\n");
    decides("message.frame", EXPLAIN_PATH_CLOSED, VERDICT_FRAME_TOO_LARGE);
    assert_null(walked.decides->option);
    sends(2000, 2, 0);
    walk("");
    assert_null(walked.decides);
    question.has_type = true;
    question.type = SOCKET_REQ;
    walk("    socket: rep\n");
    decides("socket", EXPLAIN_PATH_CLOSED, VERDICT_WRONG_SOCKET_TYPE);
    assert_string_equal(walked.decides->option, "ZMQ_TYPE");
    assert_string_equal(walked.decides->value, "pull");
    question = (struct explain_path_question){.from = question.from, .frames = 1, .connections = 1};
    question.has_identity = true;
    question.identity = (struct bytes){id, 4};
    socket_options_set(&question.told, SOCKET_OPTION_ROUTER_HANDOVER, 1);
    walk("");
    assert_string_equal(walked.steps[walked.count - 1].option, "ZMQ_ROUTER_HANDOVER");
    walk("    routing_ids: {duplicates: refuse}\n");
    assert_null(walked.steps[walked.count - 1].option);
}

static void test_shadow_and_off(void **state)
{
    char cost[160];
    sends(2000, 1, 0);
    walk("    message: {size: 1KiB, enforce: shadow}\n");
    assert_null(walked.decides);
    assert_int_equal(shadow_step()->verdict, VERDICT_FRAME_TOO_LARGE);
    explain_path_cost(cost, sizeof(cost), &walked, &question, shadow_step());
    assert_string_equal(cost, "no strike");
    walk("    enforce: shadow\n    message: {size: 1KiB}\n");
    explain_path_cost(cost, sizeof(cost), &walked, &question, shadow_step());
    assert_non_null(strstr(cost, "in shadow"));
    walk("    message: {size: 1KiB, enforce: off}\n");
    assert_null(walked.decides);
    assert_null(shadow_step());
}

/* The share that the walked finds is the one that the percentage means. */
static void test_percentages(void **state)
{
    unsigned limited = 0, seen = 0;
    sends(2000, 1, 0);
    for (unsigned i = 0; i < 250; i++) {
        question.from.bytes[3] = (uint8_t)i;
        walk("    message: {size: 1KiB, enforce: 40%}\n");
        assert_int_equal(walked.decides != NULL, walked.cohort < 40);
        limited += walked.decides != NULL;
        seen += shadow_step() != NULL;
    }
    assert_int_equal(limited + seen, 250);
    assert_in_range(limited, 70, 130);
}

static void test_what_an_offence_costs(void **state)
{
    char cost[160];
    sends(2000, 1, 0);
    walk("    message: {size: 1KiB}\n");
    explain_path_cost(cost, sizeof(cost), &walked, &question, walked.decides);
    assert_string_equal(cost, "2 strikes; 10 within 10s get it banned for 1m, or put on probation where it "
                              "serves well-behaved clients too");
    walk("    message: {size: 1KiB}\n    ban: {exempt: [203.0.113.0/24]}\n");
    explain_path_cost(cost, sizeof(cost), &walked, &question, walked.decides);
    assert_string_equal(cost, "no strike: the source is exempt");
    walk("    message: {size: 1KiB}\n    ban: {for_excess: false}\n");
    explain_path_cost(cost, sizeof(cost), &walked, &question, walked.decides);
    assert_string_equal(cost, "no strike: such offences do not count");
    sends(10, 1, 1000);
    walk("    source: {messages: {rate: 1/s}}\n");
    explain_path_cost(cost, sizeof(cost), &walked, &question, walked.decides);
    assert_string_equal(cost, "no strike: who waits offends nobody");
}

static void test_a_load_balancer(void **state)
{
    static const char says[] = "a load balancer: it begins with a PROXY protocol header";
    walk("    proxy_protocol: {from: [203.0.113.0/24]}\n");
    assert_true(walked.count > 0);
    assert_non_null(walked.steps[0].key);
    assert_string_equal(walked.steps[0].key->path, "proxy_protocol.from");
    assert_memory_equal(walked.steps[0].said, says, sizeof(says) - 1);
    walk("    proxy_protocol: {from: [203.0.114.0/24]}\n");
    for (size_t i = 0; i < walked.count; i++)
        assert_true(!walked.steps[i].key || strcmp(walked.steps[i].key->path, "proxy_protocol.from") != 0);
}

static const struct explain_path_step *upstream_step(void)
{
    for (size_t i = 0; i < walked.count; i++)
        if (walked.steps[i].key && !strcmp(walked.steps[i].key->path, "upstream.source"))
            return &walked.steps[i];
    return NULL;
}

static void from_v6(const uint8_t bytes[static 16])
{
    question.from = (struct addr){.kind = ADDR_V6};
    memcpy(question.from.bytes, bytes, 16);
}

/* The address from which the application sees the client. Another gate than walk() has: the application is on tcp. */
static void test_upstream_source(void **state)
{
    static const char head[] = "gates:\n  - listen: tcp://0.0.0.0:5555\n    upstream: {source: client}\n    forward: ";
    static const struct {
        const char *forward;
        uint8_t v6[16]; /* all zero: the IPv4 address below */
        uint8_t v4[4];
        enum explain_path_outcome outcome;
    } rows[] = {
        {"tcp://127.0.0.1:5556", {0}, {203, 0, 113, 7}, EXPLAIN_PATH_PASSES},
        {"tcp://127.0.0.1:5556", {0}, {127, 0, 0, 5}, EXPLAIN_PATH_PASSES},
        {"tcp://127.0.0.1:5556", {[15] = 1}, {0}, EXPLAIN_PATH_PASSES}, /* loopback: Weir's own address */
        {"tcp://127.0.0.1:5556", {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, {0}, EXPLAIN_PATH_CLOSED},
        {"tcp://[::1]:5556", {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, {0}, EXPLAIN_PATH_PASSES},
        {"tcp://[::1]:5556", {0xfe, 0x80, [15] = 1}, {0}, EXPLAIN_PATH_CLOSED},
        {"tcp://[::1]:5556", {0}, {203, 0, 113, 7}, EXPLAIN_PATH_CLOSED},
        {"tcp://[::ffff:127.0.0.1]:5556", {0}, {203, 0, 113, 7}, EXPLAIN_PATH_PASSES},
    };
    static const uint8_t zeros[16];
    char text[256];
    walk("");
    assert_null(upstream_step()); /* the key has its value without a configuration */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tear_down(NULL);
        set_up(NULL);
        memcpy(question.from.bytes, rows[i].v4, 4);
        if (memcmp(rows[i].v6, zeros, 16) != 0)
            from_v6(rows[i].v6);
        snprintf(text, sizeof(text), "%s%s\n", head, rows[i].forward);
        file = reading_of(text);
        assert_true(explain_path_walk(&walked, file.config, &file.config->gates[0], &question));
        assert_non_null(upstream_step());
        assert_int_equal(upstream_step()->outcome, rows[i].outcome);
        if (rows[i].outcome == EXPLAIN_PATH_CLOSED)
            decides("upstream.source", EXPLAIN_PATH_CLOSED, VERDICT_NO_UPSTREAM_SOURCE);
        else
            assert_null(walked.decides);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_stands_in_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_socket_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_routing_ids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_topics, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sizes_that_nobody_would_send, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_options_of_the_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shadow_and_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_percentages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_an_offence_costs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_load_balancer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_upstream_source, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
