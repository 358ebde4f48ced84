/* SPDX-License-Identifier: MPL-2.0 */
#include "base/text.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void escapes_what_could_do_harm(void **state)
{
    char out[128];
    assert_string_equal(text_escape(out, sizeof(out), "plain text!", 11), "plain text!");
    assert_string_equal(text_escape(out, sizeof(out), "a\nb\x1b[0m", 7), "a\\x0ab\\x1b[0m");
    assert_string_equal(text_escape(out, sizeof(out), "\\\"'", 3), "\\x5c\\x22\\x27");
    assert_string_equal(text_escape(out, sizeof(out), "\0\x7f\xff", 3), "\\x00\\x7f\\xff");
    assert_string_equal(text_escape(out, sizeof(out), "", 0), "");
}

static void cuts_with_an_ellipsis_and_never_inside_an_escape(void **state)
{
    char out[16];
    assert_string_equal(text_escape(out, 8, "1234567", 7), "1234567");
    assert_string_equal(text_escape(out, 8, "12345678", 8), "1234...");
    assert_string_equal(text_escape(out, 8, "\n\n", 2), "\\x0a...");
    assert_string_equal(text_escape(out, 8, "1\n\n", 3), "1...");
    assert_string_equal(text_escape(out, 9, "\n\n", 2), "\\x0a\\x0a");
}

/* The inverse, as a naive reader would write it; the number of bytes, or -1 for text that no escaping makes. */
static int unescape(const char *s, size_t len, uint8_t *ret)
{
    int n = 0;
    for (size_t i = 0; i < len; n++) {
        unsigned byte;
        if (s[i] != '\\') {
            if (s[i] < 0x20 || s[i] > 0x7e || s[i] == '"' || s[i] == '\'')
                return -1;
            ret[n] = (uint8_t)s[i++];
            continue;
        }
        if (len - i < 4 || sscanf(s + i, "\\x%2x", &byte) != 1)
            return -1;
        ret[n] = (uint8_t)byte;
        i += 4;
    }
    return n;
}

static void what_is_shown_is_the_beginning_of_what_came(void **state)
{
    struct property_rng rng = property_rng_new("text");
    for (int round = 0; round < 20000; round++) {
        uint8_t in[40], back[64];
        char out[64];
        size_t len = property_below(&rng, sizeof(in) + 1), size = 8 + property_below(&rng, sizeof(out) - 7);
        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)property_next(&rng);
        memset(out, '#', sizeof(out));
        assert_ptr_equal(text_escape(out, size, in, len), out);
        size_t shown = strnlen(out, sizeof(out));
        assert_true(shown < size);
        for (size_t i = size; i < sizeof(out); i++)
            assert_int_equal(out[i], '#');
        int whole = unescape(out, shown, back);
        if (whole == (int)len && memcmp(in, back, len) == 0)
            continue;
        assert_true(shown >= 3);
        assert_string_equal(out + shown - 3, "...");
        whole = unescape(out, shown - 3, back);
        assert_true(whole >= 0 && whole < (int)len);
        assert_memory_equal(in, back, (size_t)whole);
        assert_true(shown + 8 > size); /* no more is cut than must be */
    }
}

static void times(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } known[] = {
        {0, "1970-01-01T00:00:00.007Z"},          {951782399, "2000-02-28T23:59:59.007Z"},
        {951782400, "2000-02-29T00:00:00.007Z"},  {1795625627, "2026-11-25T16:53:47.007Z"},
        {4107542399, "2100-02-28T23:59:59.007Z"}, {4107542400, "2100-03-01T00:00:00.007Z"},
    };
    char text[TEXT_TIME_MAX];
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        assert_string_equal(text_time(text, known[i].seconds * NS_PER_S + 7 * NS_PER_MS), known[i].text);
    assert_string_equal(text_time(text, UINT64_MAX), "2554-07-21T23:34:33.709Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(escapes_what_could_do_harm),
        cmocka_unit_test(cuts_with_an_ellipsis_and_never_inside_an_escape),
        cmocka_unit_test(what_is_shown_is_the_beginning_of_what_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
