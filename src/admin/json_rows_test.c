/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/json_rows.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NOW  (1000 * NS_PER_S)
#define WALL (UINT64_C(1700000000) * NS_PER_S) /* 2023-11-14T22:13:20Z */

static const struct json_now now = {NOW, WALL};

/* The value as it is sent; takes over the value. NUL-terminated. */
static char *written(json_t *value)
{
    struct text_out o;
    size_t len;
    text_out_init(&o, 1 << 20);
    json_write(&o, value);
    json_decref(value);
    text_out_bytes(&o, "", 1);
    char *text = text_out_take(&o, &len);
    assert_non_null(text);
    assert_int_equal(strlen(text), len - 1);
    return text;
}

static void assert_written(json_t *value, const char *expected)
{
    char *text = written(value);
    assert_string_equal(text, expected);
    free(text);
}

static struct network network(const char *text)
{
    struct network n;
    assert_int_equal(network_parse(&n, text, NULL), 0);
    return n;
}

static void bans(void **state)
{
    struct ban b = {.who = network("192.0.2.1"), .reason = BAN_REASON_EXCESS, .level = 3};
    b.since_ns = NOW - 60 * NS_PER_S;
    b.until_ns = NOW + 90 * NS_PER_S + 1;
    assert_written(json_of_ban(&b, &now),
                   "{\"network\":\"192.0.2.1\",\"banned\":true,\"reason\":\"excess\",\"level\":3,"
                   "\"since\":\"2023-11-14T22:12:20Z\",\"until\":\"2023-11-14T22:14:50Z\",\"seconds_left\":91,"
                   "\"forever\":false}\n");
    b.until_ns = BAN_FOR_EVER;
    b.level = 0;
    b.reason = BAN_REASON_OPERATOR;
    assert_written(json_of_ban(&b, &now),
                   "{\"network\":\"192.0.2.1\",\"banned\":true,\"reason\":\"operator\",\"level\":0,"
                   "\"since\":\"2023-11-14T22:12:20Z\",\"until\":null,\"seconds_left\":null,\"forever\":true}\n");
    b.until_ns = 0;
    b.reason = 200; /* from a file of some other version */
    b.since_ns = 0;
    assert_written(json_of_ban(&b, &now),
                   "{\"network\":\"192.0.2.1\",\"banned\":false,\"reason\":\"unknown\",\"level\":0,"
                   "\"since\":\"2023-11-14T21:56:40Z\",\"until\":null,\"seconds_left\":null,\"forever\":false}\n");
}

static void connections_and_sources(void **state)
{
    struct connection_row c = {.id = 769,
                               .addr = {.kind = ADDR_V4, .port = 5, .bytes = {192, 0, 2, 1}},
                               .state = CONNECTION_OPEN,
                               .socket = SOCKET_DEALER,
                               .paused = true,
                               .age_ns = 1234567890123,
                               .idle_ns = 500 * NS_PER_MS,
                               .sums = {1, 2, 3, UINT64_MAX}};
    assert_written(json_of_connection(&c, "main"),
                   "{\"id\":769,\"gate\":\"main\",\"peer\":\"192.0.2.1:5\",\"state\":\"open\",\"socket\":\"dealer\","
                   "\"paused\":true,\"blocked\":false,\"hold\":null,\"age_seconds\":1234.567,\"idle_seconds\":0.5,"
                   "\"traffic\":{\"messages_in\":1,\"messages_out\":2,\"bytes_in\":3,"
                   "\"bytes_out\":9223372036854775807}}\n");
    c.hold = (struct reqlimit_hold){.proof = PROOF_COUNTER, .messages = 3, .waited_ns = 1500 * NS_PER_MS};
    json_t *held = json_of_connection(&c, "main");
    assert_written(json_incref(json_object_get(held, "hold")),
                   "{\"proof\":\"counter\",\"seconds\":1.5,\"messages\":3,\"established\":false}\n");
    json_decref(held);
    struct source_row s = {
        .text = "2001:db8::/64", .connections = 4, .paused = 1, .strikes = 7, .exempt = true, .probation = true};
    assert_written(
        json_of_source(&s, "main", true),
        "{\"source\":\"2001:db8::/64\",\"gate\":\"main\",\"connections\":4,\"paused\":1,\"strikes\":7,"
        "\"banned\":true,\"probation\":true,\"exempt\":true,\"traffic\":{\"messages_in\":0,\"messages_out\":0,"
        "\"bytes_in\":0,\"bytes_out\":0}}\n");
}

static void gates(void **state)
{
    struct gate_snapshot g = {
        .name = "main", .listen = "tcp://127.0.0.1:5", .forward = "ipc:///a", .upstream_up = true};
    g.cells[CELL_OPEN] = 9;
    g.limiter = (struct reqlimit_report){.connections = 9, .established = 4, .plain = PLAIN_NO};
    assert_written(json_of_gate(&g),
                   "{\"gate\":\"main\",\"listen\":\"tcp://127.0.0.1:5\",\"forward\":\"ipc:///a\",\"up\":true,"
                   "\"connections\":9,\"limiter\":{\"state\":\"none\",\"proof\":\"none\",\"why_not\":\"no counter, "
                   "and it was seen not to be a plain request/reply service\",\"counter\":\"none\",\"plain\":\"no\","
                   "\"established\":4,\"strangers\":5,\"in_line\":0,\"held\":0,\"held_seconds\":null,\"window\":0,"
                   "\"without_progress\":0}}\n");
    g.limiter = (struct reqlimit_report){.state = LIMIT_ACTIVE,
                                         .proof = PROOF_COUNTER,
                                         .counter = TAKEN_BELIEVED,
                                         .in_line = 2,
                                         .waiting = 5,
                                         .untaken_window = 3,
                                         .without_progress = 1};
    g.held_ns = 2500 * NS_PER_MS;
    json_t *row = json_of_gate(&g);
    assert_written(json_incref(json_object_get(row, "limiter")),
                   "{\"state\":\"active\",\"proof\":\"counter\",\"why_not\":null,\"counter\":\"believed\",\"plain\":"
                   "\"unknown\",\"established\":0,\"strangers\":0,\"in_line\":2,\"held\":5,\"held_seconds\":2.5,"
                   "\"window\":3,\"without_progress\":1}\n");
    json_decref(row);
    g.limiter_off = true;
    row = json_of_gate(&g);
    json_t *limiter = json_object_get(row, "limiter");
    assert_string_equal(json_string_value(json_object_get(limiter, "state")), "off");
    assert_string_equal(json_string_value(json_object_get(limiter, "why_not")), "concurrency.limit is off");
    assert_string_equal(json_string_value(json_object_get(limiter, "proof")), "counter"); /* connections in line stay
                                                                                           * there */
    json_decref(row);
}

static void settings(void **state)
{
    struct gate_setting s = {.key = "message.frame", .from = SETTING_FROM_DEFAULT, .value = "256MiB"};
    assert_written(json_of_setting(&s, "main"), "{\"gate\":\"main\",\"key\":\"message.frame\",\"value\":\"256MiB\","
                                                "\"from\":\"default\",\"option\":null}\n");
    s = (struct gate_setting){.option = "ZMQ_RCVHWM", .from = SETTING_FROM_OPTION, .value = "1000"};
    assert_written(json_of_setting(&s, "main"),
                   "{\"gate\":\"main\",\"key\":null,\"value\":\"1000\",\"from\":\"option\","
                   "\"option\":\"ZMQ_RCVHWM\"}\n");
}

/* Any bytes: the output is ASCII without control characters. It reads as JSON with the same text if they were UTF-8, or
 * with their escapes if they were not. */
static void hostile_bytes(void **state)
{
    static const char *const parts[] = {
        "\"",           "\\",           "\n",        "\x1b[2J",          "\xc2\x9b", "\xff", "\xc3\xa9",
        "\xe2\x80\xae", "\xed\xa0\x80", "</script>", "\xf0\x9f\x92\xa9", "\xc0\x80", "a"};
    struct property_rng rng = property_rng_new("hostile_bytes");
    for (int i = 0; i < 20000; i++) {
        char bytes[256];
        size_t len = 0;
        for (uint64_t n = property_below(&rng, 12); n; n--) {
            const char *part = parts[property_below(&rng, ARRAY_LEN(parts))];
            size_t part_len = property_below(&rng, 3) ? strlen(part) : 1;
            memcpy(bytes + len, part, part_len);
            if (part_len == 1 && property_below(&rng, 2))
                bytes[len] = (char)property_next(&rng);
            len += part_len;
        }
        json_t *plain = memchr(bytes, 0x7f, len) ? NULL : json_stringn(bytes, len);
        char *text = written(json_pack("{s: o}", "error", json_of_text(bytes, len)));
        size_t out = strlen(text);
        for (size_t n = 0; n < out; n++)
            assert_true((text[n] >= ' ' && text[n] <= '~') || (text[n] == '\n' && n + 1 == out));
        json_t *again = json_loads(text, JSON_ALLOW_NUL, NULL);
        assert_non_null(again);
        json_t *value = json_object_get(again, "error");
        assert_true(json_is_string(value));
        if (plain) {
            assert_int_equal(json_string_length(value), len);
            assert_memory_equal(json_string_value(value), bytes, len);
        } else {
            assert_non_null(strstr(json_string_value(value), "\\x"));
        }
        json_decref(plain);
        json_decref(again);
        free(text);
    }
}

static void times(void **state)
{
    assert_written(json_pack("[o]", json_of_time(0)), "[\"1970-01-01T00:00:00Z\"]\n");
    assert_written(json_pack("[o]", json_of_time(BAN_FOR_EVER)), "[null]\n");
    assert_written(json_pack("[o]", json_of_time(UINT64_MAX - 1)), "[\"2554-07-21T23:34:33Z\"]\n");
}

/* A page that could not be made is not sent in part. */
static void memory_out_is_no_page(void **state)
{
    struct text_out o;
    size_t len;
    text_out_init(&o, 1 << 20);
    text_out_str(&o, "begun");
    json_write(&o, NULL);
    assert_null(text_out_take(&o, &len));
    json_t *long_list = json_array();
    for (int i = 0; i < 1000; i++)
        json_array_append_new(long_list, json_integer(i));
    text_out_init(&o, 100);
    json_write(&o, long_list);
    assert_null(text_out_take(&o, &len));
    json_decref(long_list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bans),
        cmocka_unit_test(connections_and_sources),
        cmocka_unit_test(gates),
        cmocka_unit_test(settings),
        cmocka_unit_test(hostile_bytes),
        cmocka_unit_test(times),
        cmocka_unit_test(memory_out_is_no_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
