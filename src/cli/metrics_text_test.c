/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/metrics_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void samples_come_one_after_the_other(void **state)
{
    const char *at = "# HELP weir_a Text {gate=\"x\"} 5\n# TYPE weir_a counter\n"
                     "weir_a{gate=\"main\",direction=\"in\"} 31\n\nweir_b 1.25\nweir_c{} 7\nweir_d{gate=\"last\"} 2";
    struct metrics_sample s;
    char text[32];
    assert_true(metrics_text_next(&at, &s));
    assert_true(metrics_text_is(&s, "weir_a") && !metrics_text_is(&s, "weir_") && !metrics_text_is(&s, "weir_ab"));
    assert_int_equal(metrics_text_number(&s), 31);
    assert_true(metrics_text_label(&s, "gate", text, sizeof(text)));
    assert_string_equal(text, "main");
    assert_true(metrics_text_label(&s, "direction", text, sizeof(text)));
    assert_string_equal(text, "in");
    assert_false(metrics_text_label(&s, "irection", text, sizeof(text)));
    assert_string_equal(text, "");
    assert_true(metrics_text_next(&at, &s));
    assert_true(metrics_text_is(&s, "weir_b") && s.value > 1.2 && metrics_text_number(&s) == 1);
    assert_false(metrics_text_label(&s, "gate", text, sizeof(text)));
    assert_true(metrics_text_next(&at, &s));
    assert_true(metrics_text_is(&s, "weir_c") && metrics_text_number(&s) == 7);
    assert_true(metrics_text_next(&at, &s));
    assert_true(metrics_text_is(&s, "weir_d") && metrics_text_number(&s) == 2);
    assert_false(metrics_text_next(&at, &s));
    assert_false(metrics_text_next(&at, &s));
}

static void labels_may_hold_anything(void **state)
{
    const char *at = "m{a=\"x\\\"},b=\\\\\",gate=\"one\\ntwo, }=\\\"\"} 9\n";
    struct metrics_sample s;
    char text[32], little[4];
    assert_true(metrics_text_next(&at, &s));
    assert_int_equal(metrics_text_number(&s), 9);
    assert_true(metrics_text_label(&s, "a", text, sizeof(text)));
    assert_string_equal(text, "x\"},b=\\");
    assert_true(metrics_text_label(&s, "gate", text, sizeof(text)));
    assert_string_equal(text, "one\ntwo, }=\"");
    assert_true(metrics_text_label(&s, "gate", little, sizeof(little)));
    assert_string_equal(little, "one");
    assert_false(metrics_text_label(&s, "b", text, sizeof(text)));
}

static void what_is_no_sample_is_passed_over(void **state)
{
    static const char *const wrong[] = {"",
                                        "\n\n",
                                        "m",
                                        "m ",
                                        "m{",
                                        "m{} ",
                                        "m{a=\"",
                                        "m{a=\"} 1",
                                        "m{a=\"\\\"} 1",
                                        " 5",
                                        "{} 5",
                                        "m 5 6",
                                        "m five",
                                        "m{}5",
                                        "m{a=\"b\" 5",
                                        "m 0x",
                                        "m 1111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const char *at = wrong[i];
        struct metrics_sample s;
        if (metrics_text_next(&at, &s))
            fail_msg("taken: \"%s\"", wrong[i]);
    }
}

static void numbers_are_whole_and_not_below_zero(void **state)
{
    static const struct {
        const char *text;
        uint64_t number;
    } cases[] = {{"m -5", 0}, {"m 0.9", 0}, {"m 1e3", 1000}, {"m NaN", 0}, {"m +Inf", 1000000000000000000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *at = cases[i].text;
        struct metrics_sample s;
        assert_true(metrics_text_next(&at, &s));
        assert_int_equal(metrics_text_number(&s), cases[i].number);
    }
}

/* Broken labels end a search, whatever they are. */
static void broken_labels_have_no_values(void **state)
{
    static const char *const wrong[] = {"m{a} 1", "m{a=b} 1", "m{=} 1", "m{,,} 1", "m{a=\"x\"b} 1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const char *at = wrong[i];
        struct metrics_sample s;
        char text[8];
        assert_true(metrics_text_next(&at, &s));
        assert_false(metrics_text_label(&s, "b", text, sizeof(text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_come_one_after_the_other), cmocka_unit_test(labels_may_hold_anything),
        cmocka_unit_test(what_is_no_sample_is_passed_over), cmocka_unit_test(numbers_are_whole_and_not_below_zero),
        cmocka_unit_test(broken_labels_have_no_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
