/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_list.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "1 192.0.2.1|3:5 why" in one line, for comparing. */
static const char *told(const char *text, size_t len)
{
    static char out[1024];
    struct ban_list_reader r;
    struct ban_list_line l;
    size_t at = 0;
    out[0] = '\0';
    ban_list_begin(&r, text, len);
    for (enum ban_list_step s; (s = ban_list_next(&r, &l)) != BAN_LIST_END && at < sizeof(out);) {
        char who[NETWORK_TEXT_MAX];
        int n = s == BAN_LIST_NETWORK
                    ? snprintf(out + at, sizeof(out) - at, "%u %s|", l.line, network_format(who, sizeof(who), &l.who))
                    : snprintf(out + at, sizeof(out) - at, "%u:%u %.*s: %s|", l.line, l.column, (int)l.seen_len, l.seen,
                               l.why);
        at += (size_t)n;
    }
    return out;
}

static void assert_told(const char *text, const char *expected)
{
    assert_string_equal(told(text, strlen(text)), expected);
}

static void the_usual_forms(void **state)
{
    assert_told("", "");
    assert_told("\n\n  \t\n", "");
    assert_told("192.0.2.1", "1 192.0.2.1|");
    assert_told("# a list\n192.0.2.0/24\n\n2001:DB8::/32\nuid:1000\n", "2 192.0.2.0/24|4 2001:db8::/32|5 uid:1000|");
    assert_told("; Spamhaus DROP List\n1.10.16.0/20 ; SBL256894\n1.19.0.0/16 ; SBL434604\n",
                "2 1.10.16.0/20|3 1.19.0.0/16|");
    assert_told("192.0.2.1#tight\n  192.0.2.2;tight\n\t192.0.2.3\t# far\n", "1 192.0.2.1|2 192.0.2.2|3 192.0.2.3|");
    assert_told("\xef\xbb\xbf"
                "192.0.2.1\r\n192.0.2.2\r\n",
                "1 192.0.2.1|2 192.0.2.2|");
}

static void mistakes_have_a_place(void **state)
{
#define FORM "an address is written 192.0.2.0, 2001:db8:: or uid:1000"
    assert_told("\n  example.org\n192.0.2.1\n", "2:3 example.org: " FORM "|3 192.0.2.1|");
    assert_told("192.0.2.1-192.0.2.9\n", "1:1 192.0.2.1-192.0.2.9: " FORM "|");
    assert_told("192.0.2.0/33", "1:1 192.0.2.0/33: the prefix of an IPv4 network is a number from 0 to 32|");
    assert_told("192.0.2.1/24", "1:1 192.0.2.1/24: bits are set behind the prefix|");
    assert_told("0.0.0.0/0\n::/0", "1:1 0.0.0.0/0: that would ban everybody|2:1 ::/0: that would ban everybody|");
    assert_told("192.0.2.1 192.0.2.2",
                "1:11 192.0.2.2: a line has one network, and behind it nothing but a comment with # or ;|");
    assert_told("192.0.2.1,192.0.2.2", "1:1 192.0.2.1,192.0.2.2: " FORM "|");
    assert_string_equal(told("192.0.2.1\0", 10), "1:1 192.0.2.1: " FORM "|"); /* not taken for the bytes before NUL */
}

static void a_long_word_is_a_mistake(void **state)
{
    char text[5000];
    struct ban_list_reader r;
    struct ban_list_line l;
    memset(text, '1', sizeof(text));
    ban_list_begin(&r, text, sizeof(text));
    assert_int_equal(ban_list_next(&r, &l), BAN_LIST_MISTAKE);
    assert_int_equal(l.seen_len, sizeof(text));
    assert_int_equal(ban_list_next(&r, &l), BAN_LIST_END);
}

/* Lines of every form put together at random: each network that was written is read, at its line, and nothing else. */
static void whatever_stands_around_them(void **state)
{
    static const char *const around[] = {"%s\n", "  %s\n", "%s # x\n", "%s;y 192.0.2.9\n", "\t%s\r\n", "#%s\n", "\n"};
    struct property_rng rng = property_rng_new("ban_list lines");
    for (unsigned round = 0; round < 300; round++) {
        char text[2048], expected[2048];
        size_t at = 0, want = 0;
        text[0] = expected[0] = '\0';
        for (uint32_t line = 1; line <= 20; line++) {
            unsigned form = (unsigned)property_below(&rng, ARRAY_LEN(around));
            char who[NETWORK_TEXT_MAX];
            struct addr a = {.kind = ADDR_V4};
            uint64_t bits = property_next(&rng);
            memcpy(a.bytes, &bits, 4);
            struct network n = network_of(&a, (uint8_t)(8 + property_below(&rng, 25)));
            network_format(who, sizeof(who), &n);
            snprintf(text + at, sizeof(text) - at, around[form], who);
            at += strlen(text + at);
            if (form < 5)
                snprintf(expected + want, sizeof(expected) - want, "%u %s|", line, who);
            want += strlen(expected + want);
        }
        assert_string_equal(told(text, at), expected);
    }
}

static void any_bytes(void **state)
{
    static const char letters[] = "0123456789./:#; \t\r\nabcdefuid\xef\xbb\xbf\0-";
    struct property_rng rng = property_rng_new("ban_list bytes");
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t bytes[80];
        size_t len = property_below(&rng, sizeof(bytes));
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)letters[property_below(&rng, sizeof(letters))];
        LLVMFuzzerTestOneInput(bytes, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_forms),
        cmocka_unit_test(mistakes_have_a_place),
        cmocka_unit_test(a_long_word_is_a_mistake),
        cmocka_unit_test(whatever_stands_around_them),
        cmocka_unit_test(any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
