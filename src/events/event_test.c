/* SPDX-License-Identifier: MPL-2.0 */
#include "events/event.h"

#include "bans/bans.h"
#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WALL (UINT64_C(1795625627) * NS_PER_S + 123456789)
#define TIME "{\"time\":\"2026-11-25T16:53:47.123Z\","

static void assert_line(const struct event *e, const char *expected)
{
    char line[EVENT_LINE_MAX + 1];
    line[event_write(line, e)] = '\0';
    assert_string_equal(line, expected);
}

static struct addr addr_of(const char *text, uint16_t port)
{
    struct network n;
    struct addr a = {.port = port};
    assert_int_equal(network_parse(&n, text, NULL), 0);
    a.kind = (enum addr_kind)n.kind;
    memcpy(a.bytes, n.bytes, sizeof(a.bytes));
    return a;
}

static void an_offence(void **state)
{
    struct event e = {.wall_ns = WALL, .kind = EVENT_OFFENCE, .gate = "orders", .source = addr_of("192.0.2.7", 40112)};
    e.verdict = VERDICT_BAD_ROUTING_ID;
    e.strikes = 8;
    e.of = 10;
    e.done = EVENT_DEED_CLOSED;
    assert_line(&e, TIME "\"event\":\"offence\",\"gate\":\"orders\",\"source\":\"192.0.2.7\",\"port\":40112,"
                         "\"verdict\":\"bad_routing_id\",\"strikes\":8,\"of\":10,\"done\":\"closed\"}\n");
    e.suppressed = 12;
    event_set_text(&e, "\0\"x\\\n\x7f\xff", 7);
    assert_line(&e, TIME "\"event\":\"offence\",\"gate\":\"orders\",\"source\":\"192.0.2.7\",\"port\":40112,"
                         "\"verdict\":\"bad_routing_id\",\"strikes\":8,\"of\":10,\"done\":\"closed\",\"suppressed\":12,"
                         "\"identity\":\"\\u0000\\u0022x\\u005c\\u000a\\u007f\\u00ff\"}\n");
}

static void bans(void **state)
{
    struct event e = {.wall_ns = WALL, .kind = EVENT_BAN, .gate = "main", .source = addr_of("2001:db8::7", 5)};
    e.network = network_of(&e.source, 64);
    e.verdict = VERDICT_BAD_GREETING;
    e.reason = "protocol";
    e.level = 2;
    e.for_ns = 59 * NS_PER_S + 1;
    e.done = EVENT_DEED_BANNED;
    assert_line(&e,
                TIME "\"event\":\"ban\",\"gate\":\"main\",\"source\":\"2001:db8::7\",\"port\":5,"
                     "\"network\":\"2001:db8::/64\",\"verdict\":\"bad_greeting\",\"reason\":\"protocol\",\"level\":2,"
                     "\"seconds\":60,\"done\":\"banned\"}\n");
    struct event by_hand = {.wall_ns = WALL, .kind = EVENT_BAN, .reason = "operator", .for_ns = BAN_FOR_EVER};
    struct addr user = addr_of("uid:1000", 0);
    by_hand.network = network_of(&user, 32);
    by_hand.done = EVENT_DEED_BANNED;
    assert_line(&by_hand, TIME "\"event\":\"ban\",\"network\":\"uid:1000\",\"reason\":\"operator\",\"seconds\":null,"
                               "\"done\":\"banned\"}\n");
}

static void what_an_event_does_not_have_is_not_written(void **state)
{
    struct event e = {.wall_ns = WALL, .kind = EVENT_STOP, .gate = "main", .source = addr_of("192.0.2.7", 1)};
    e.verdict = VERDICT_BANNED;
    e.strikes = e.of = e.level = 3;
    event_set_text(&e, "SIGTERM", 7);
    assert_line(&e, TIME "\"event\":\"stop\",\"detail\":\"SIGTERM\"}\n");
}

static bool is_word(const char *s)
{
    return s[0] != '\0' && s[strspn(s, "abcdefghijklmnopqrstuvwxyz_")] == '\0';
}

/* Every row is whole, and no label stands twice. */
static void the_tables_are_complete(void **state)
{
    for (unsigned k = 0; k < EVENT_COUNT; k++) {
        const struct event_info *info = event_info((enum event_kind)k);
        assert_true(is_word(info->label) && info->sentence[0] && info->fields);
        for (unsigned other = 0; other < k; other++)
            assert_string_not_equal(info->label, event_info((enum event_kind)other)->label);
    }
    unsigned used = 0;
    for (unsigned k = 0; k < EVENT_COUNT; k++)
        used |= event_info((enum event_kind)k)->fields;
    assert_int_equal(used, (1u << EVENT_FIELD_COUNT) - 1);
    for (unsigned f = 0; f < EVENT_FIELD_COUNT; f++)
        assert_true(is_word(event_field_info((enum event_field)f)->key) &&
                    event_field_info((enum event_field)f)->meaning[0]);
    static const char *const deeds[EVENT_DEED_COUNT] = {
#define EVENT_TEST_DEED(NAME, label) [EVENT_DEED_##NAME] = (label),
        EVENT_DEEDS(EVENT_TEST_DEED)
#undef EVENT_TEST_DEED
    };
    for (unsigned d = 1; d < EVENT_DEED_COUNT; d++)
        assert_non_null(strstr(event_field_info(EVENT_FIELD_DONE)->meaning, deeds[d]));
    for (unsigned r = 0; r < BAN_REASON_COUNT; r++)
        assert_non_null(strstr(event_field_info(EVENT_FIELD_REASON)->meaning, ban_reason_label((enum ban_reason)r)));
}

static void bans_are_never_left_out(void **state)
{
    assert_true(event_is_limited(EVENT_OFFENCE) && event_is_limited(EVENT_CLOSED) && event_is_limited(EVENT_REFUSED));
    assert_true(event_is_limited(EVENT_WARNING) && event_is_limited(EVENT_BREAKER_OPENED));
    assert_false(event_is_limited(EVENT_BAN) || event_is_limited(EVENT_BAN_LIFTED) ||
                 event_is_limited(EVENT_BAN_ENDED));
    assert_false(event_is_limited(EVENT_SUPPRESSED) || event_is_limited(EVENT_LOST));
}

/* Weir's words about a peer and the peer's own name are not mixed up. */
static void words_and_an_id(void **state)
{
    char line[EVENT_LINE_MAX + 1];
    struct event e = {.kind = EVENT_CLOSED, .verdict = VERDICT_WRONG_SOCKET_TYPE, .note = "it is a SUB"};
    event_set_text(&e, "me", 2);
    line[event_write(line, &e)] = 0;
    assert_non_null(strstr(line, ",\"detail\":\"it is a SUB\",\"identity\":\"me\"}\n"));
}

/* With everything in it as long as it can be, and each byte of the text escaped. */
static void the_longest_line_fits(void **state)
{
    char line[EVENT_LINE_MAX];
    uint8_t text[EVENT_TEXT_MAX + 100];
    struct event e = {.wall_ns = UINT64_MAX,
                      .for_ns = BAN_FOR_EVER - 1,
                      .suppressed = UINT64_MAX,
                      .gate = "a_gate_with_a_name_of_32_letters",
                      .reason = "operator",
                      .strikes = UINT32_MAX,
                      .of = UINT32_MAX,
                      .level = UINT8_MAX,
                      .done = EVENT_DEED_TARPITTED,
                      .source = addr_of("2001:db8:1111:2222:3333:4444:5555:6666", UINT16_MAX)};
    e.network = network_of(&e.source, 127);
    memset(text, 0xff, sizeof(text));
    event_set_text(&e, text, sizeof(text));
    memset(e.note, 'x', sizeof(e.note) - 1); /* Weir's own words */
    assert_int_equal(e.text_len, EVENT_TEXT_MAX);
    for (unsigned k = 0; k < EVENT_COUNT; k++)
        for (unsigned v = 0; v < VERDICT_COUNT; v++) {
            e.kind = (uint8_t)k;
            e.of_kind = EVENT_BREAKER_HALF_OPEN;
            e.verdict = (uint8_t)v;
            assert_true(event_write(line, &e) < EVENT_LINE_MAX - 512); /* and as much again as is common */
        }
}

static void whatever_a_peer_calls_itself(void **state)
{
    static const char *const hostile[] = {
        "\",\"source\":\"203.0.113.1\"}\n{\"time\":\"2026-11-25T16:53:47.123Z\",\"event\":\"ban\"",
        "\\\",\"source\":\"203.0.113.1", "\r\n\x1b[2J", "\xc3\x28\xe2\x80\xa8\xf0\x9f\x92\xa9", "</script>"};
    struct property_rng rng = property_rng_new("event");
    uint8_t bytes[400];
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++)
        for (unsigned k = 0; k < EVENT_COUNT; k++) {
            memset(bytes, 7, 32);
            bytes[0] = (uint8_t)k;
            memcpy(bytes + 32, hostile[i], strlen(hostile[i]));
            LLVMFuzzerTestOneInput(bytes, 32 + strlen(hostile[i]));
        }
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = property_below(&rng, sizeof(bytes));
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)property_magnitude(&rng, 8);
        LLVMFuzzerTestOneInput(bytes, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offence),
        cmocka_unit_test(bans),
        cmocka_unit_test(what_an_event_does_not_have_is_not_written),
        cmocka_unit_test(the_tables_are_complete),
        cmocka_unit_test(bans_are_never_left_out),
        cmocka_unit_test(words_and_an_id),
        cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(whatever_a_peer_calls_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
