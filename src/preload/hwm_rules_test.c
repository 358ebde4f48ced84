/* SPDX-License-Identifier: MPL-2.0 */
/* What --hwm says, and which ports it means. */
#include "preload/hwm_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void a_rule_has_two_marks_and_perhaps_a_port(void **state)
{
    static const struct {
        const char *text;
        struct hwm_rule rule;
    } cases[] = {
        {"1", {0, 1, 1}},
        {"100", {0, 100, 100}},
        {"2147483647", {0, 2147483647, 2147483647}},
        {"50/1000", {0, 50, 1000}},
        {"50/", {0, 50, 0}},
        {"/1000", {0, 0, 1000}},
        {"5555=20", {5555, 20, 20}},
        {"65535=2147483647/2147483647", {65535, 2147483647, 2147483647}},
        {"1=/7", {1, 0, 7}},
        {"ipc=50/1000", {HWM_RULE_IPC, 50, 1000}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hwm_rule r;
        assert_null(hwm_rule_read(&r, cases[i].text, strlen(cases[i].text)));
        assert_int_equal(r.port, cases[i].rule.port);
        assert_int_equal(r.receive, cases[i].rule.receive);
        assert_int_equal(r.send, cases[i].rule.send);
        assert_true(strlen(cases[i].text) < HWM_RULE_BYTES);
    }
}

static void anything_else_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"", "missing"},        {"/", "missing"},
        {"5555=", "missing"},   {"5555=/", "missing"},
        {"0", "no limit"},      {"5/0", "no limit"},
        {"0/5", "no limit"},    {"5555=0", "no limit"},
        {"000", "no limit"},    {"x", "messages"},
        {"-1", "messages"},     {"+1", "messages"},
        {"1 ", "messages"},     {"1k", "messages"},
        {"1/2/3", "messages"},  {"2147483648", "messages"},
        {"1=2=3", "messages"},  {"0=5", "no port"},
        {"=5", "no port"},      {"65536=5", "no port"},
        {"*=5", "no port"},     {"tcp://a=5", "no port"},
        {"ipcs=5", "no port"},  {"ipc=", "missing"},
        {"-5555=5", "no port"}, {"00000000000000000000000000000005", "too long"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hwm_rule r;
        const char *wrong = hwm_rule_read(&r, cases[i].text, strlen(cases[i].text));
        if (!wrong || !strstr(wrong, cases[i].word))
            fail_msg("\"%s\": %s", cases[i].text, wrong ? wrong : "taken");
    }
}

static void a_port_has_its_own_marks_before_those_of_all(void **state)
{
    struct hwm_rules r;
    assert_null(hwm_rules_read(&r, "5555=1/2,100,5556=/7"));
    assert_int_equal(r.count, 3);
    assert_int_equal(hwm_rules_find(&r, 5555)->send, 2);
    assert_int_equal(hwm_rules_find(&r, 5556)->receive, 0);
    assert_int_equal(hwm_rules_find(&r, 5557)->send, 100);
    assert_int_equal(hwm_rules_find(&r, 0)->send, 100);
    assert_null(hwm_rules_read(&r, "5555=1"));
    assert_null(hwm_rules_find(&r, 5556));
    assert_null(hwm_rules_find(&r, 0));
    assert_null(hwm_rules_read(&r, ""));
    assert_null(hwm_rules_find(&r, 5555));
    assert_null(hwm_rules_read(&r, "5555=1,ipc=3,7"));
    assert_int_equal(hwm_rules_find(&r, HWM_RULE_IPC)->send, 3);
    assert_int_equal(hwm_rules_find(&r, 5556)->send, 7);
    assert_null(hwm_rules_read(&r, "ipc=3"));
    assert_null(hwm_rules_find(&r, 5555));
    assert_non_null(hwm_rules_read(&r, "ipc=3,ipc=4"));
}

static void no_port_has_two_rules_and_there_is_a_maximum(void **state)
{
    struct hwm_rules r;
    assert_non_null(hwm_rules_read(&r, "5,6"));
    assert_non_null(hwm_rules_read(&r, "1=5,2=5,1=6"));
    assert_non_null(hwm_rules_read(&r, "5,x"));
    char text[512] = "7";
    size_t len = 1;
    for (unsigned i = 1; i < HWM_RULES_MOST; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ",%u=1", i);
    assert_null(hwm_rules_read(&r, text));
    assert_int_equal(r.count, HWM_RULES_MOST);
    (void)snprintf(text + len, sizeof(text) - len, ",99=1");
    assert_non_null(hwm_rules_read(&r, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_has_two_marks_and_perhaps_a_port),
        cmocka_unit_test(anything_else_is_refused_with_a_reason),
        cmocka_unit_test(a_port_has_its_own_marks_before_those_of_all),
        cmocka_unit_test(no_port_has_two_rules_and_there_is_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
