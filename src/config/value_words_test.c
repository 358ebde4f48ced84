/* SPDX-License-Identifier: MPL-2.0 */
/* What is stored comes back in words, and each row says its range. */
#include "config/value_words.h"

#include "config/config_testing.h"
#include "config/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const struct schema_key *key_of(const char *path)
{
    for (size_t i = 0; i < schema_gate.count; i++)
        if (strcmp(schema_gate.keys[i].path, path) == 0)
            return &schema_gate.keys[i];
    fail_msg("no key %s", path);
    return NULL;
}

static void what_is_stored_comes_back(void **state)
{
    static const char *const values[][2] = {
        {"message.size", "64KiB"},
        {"message.complete_within", "2m"},
        {"source.messages.rate", "10/m"},
        {"socket", "xpub"},
        {"message.enforce", "shadow"},
        {"message.enforce", "25%"},
        {"zmtp2", "true"},
        {"name", "orders"},
        {"source.messages.rate", "unlimited"},
        {"message.enforce", "off"},
    };
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct config_gate g = {0};
        char why[VALUE_WHY_MAX], text[VALUE_TEXT_MAX];
        const struct schema_key *k = key_of(values[i][0]);
        assert_int_equal(value_set(k, values[i][1], &g, why), 0);
        assert_string_equal(value_words_format(text, k, &g), values[i][1]);
    }
}

static void a_row_says_its_range(void **state)
{
    char text[VALUE_TEXT_MAX];
    assert_string_equal(value_words_range(text, key_of("message.size")), "256B to 1024GiB");
    assert_string_equal(value_words_range(text, key_of("source.messages.over")), "pause, drop or close");
    assert_non_null(strstr(value_words_range(text, key_of("source.messages.rate")), ", or unlimited"));
    assert_string_equal(value_words_preset(key_of("message.enforce")), "as enforce of the gate");
    assert_string_equal(value_words_preset(key_of("listen")), "required");
}

static void foreign_bytes_are_escaped_and_cut(void **state)
{
    char text[VALUE_SEEN_MAX], giant[300];
    assert_string_equal(value_words_quote(text, "ab\x01", 3), "\"ab\\x01\"");
    memset(giant, 'x', sizeof(giant));
    value_words_quote(text, giant, sizeof(giant));
    assert_in_range(strlen(text), 20, VALUE_SEEN_MAX - 1);
    assert_string_equal(text + strlen(text) - 4, "...\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_stored_comes_back),
        cmocka_unit_test(a_row_says_its_range),
        cmocka_unit_test(foreign_bytes_are_escaped_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
