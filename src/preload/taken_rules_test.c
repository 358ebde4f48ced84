/* SPDX-License-Identifier: MPL-2.0 */
/* What --counter says, and which endpoints it means. */
#include "preload/taken_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void a_rule_has_a_path_and_perhaps_an_endpoint(void **state)
{
    static const struct {
        const char *text, *endpoint, *path;
    } cases[] = {
        {"/run/weir/main.taken", "", "/run/weir/main.taken"},
        {"a=b", "", "a=b"},
        {"tcp://127.0.0.1:5556=/x", "tcp://127.0.0.1:5556", "/x"},
        {"tcp://*:5556=/x=y", "tcp://*:5556", "/x=y"},
        {"ipc:///tmp/app=/x", "ipc:///tmp/app", "/x"},
        {"tcp://*:1", NULL, NULL},
        {"tcp://*:1=", NULL, NULL},
        {"", NULL, NULL},
        {"inproc://a=/x", NULL, NULL},
        {"/x\n/y", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct taken_rule r;
        const char *error = taken_rule_read(&r, cases[i].text, strlen(cases[i].text));
        assert_int_equal(error == NULL, cases[i].path != NULL);
        if (cases[i].path) {
            assert_string_equal(r.endpoint, cases[i].endpoint);
            assert_string_equal(r.path, cases[i].path);
        }
    }
}

static void a_long_rule_is_refused(void **state)
{
    struct taken_rule r;
    char text[600];
    memset(text, 'x', sizeof(text));
    assert_null(taken_rule_read(&r, text, 107));
    assert_non_null(taken_rule_read(&r, text, 108));
    memcpy(text, "tcp://", 6);
    text[300] = '=';
    assert_non_null(taken_rule_read(&r, text, 310));
    text[255] = '=';
    assert_null(taken_rule_read(&r, text, 300));
    assert_int_equal(strlen(r.endpoint), 255);
}

static void rules_come_one_a_line(void **state)
{
    struct taken_rules r;
    taken_rules_read(&r, NULL);
    assert_int_equal(r.count, 0);
    taken_rules_read(&r, "tcp://*:1=/a\n/b\n");
    assert_int_equal(r.count, 2);
    assert_string_equal(r.at[0].endpoint, "tcp://*:1");
    assert_string_equal(r.at[1].path, "/b");
    taken_rules_read(&r, "/a\n/b\n\ntcp://*:1=/c\ntcp://*:2=/c");
    assert_int_equal(r.count, 2);
    assert_string_equal(r.at[1].path, "/c");
}

static void rules_have_a_maximum(void **state)
{
    struct taken_rules r = {.count = 0};
    for (unsigned i = 0; i <= TAKEN_RULES_MOST; i++) {
        struct taken_rule rule = {.endpoint = "tcp://*:1"};
        (void)snprintf(rule.path, sizeof(rule.path), "/%u", i);
        assert_int_equal(taken_rules_add(&r, &rule) == NULL, i < TAKEN_RULES_MOST);
    }
}

static void endpoints_match(void **state)
{
    static const struct {
        const char *named, *bound;
        bool same;
    } cases[] = {
        {"tcp://127.0.0.1:5556", "tcp://127.0.0.1:5556", true},
        {"tcp://127.0.0.1:5556", "tcp://0.0.0.0:5556", true},
        {"tcp://127.0.0.1:5556", "tcp://[::]:5556", true},
        {"tcp://*:5556", "tcp://10.0.0.1:5556", true},
        {"tcp://localhost:5556", "tcp://127.0.0.1:5556", true},
        {"tcp://lo:5556", "tcp://127.0.0.1:5556", true},
        {"tcp://[::1]:5556", "tcp://[::1]:5556", true},
        {"tcp://127.0.0.1:5556", "tcp://127.0.0.2:5556", false},
        {"tcp://127.0.0.1:5556", "tcp://[::1]:5556", false},
        {"tcp://127.0.0.1:5556", "tcp://127.0.0.1:55567", false},
        {"tcp://127.0.0.1", "tcp://127.0.0.1:5556", false},
        {"ipc:///a", "ipc:///a", true},
        {"ipc:///a", "ipc:///b", false},
        {"ipc:///a", "tcp://127.0.0.1:1", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(taken_endpoint_matches(cases[i].named, cases[i].bound), cases[i].same);
        assert_int_equal(taken_endpoint_matches(cases[i].bound, cases[i].named), cases[i].same);
    }
}

static void only_tcp_and_ipc_are_behind_gates(void **state)
{
    assert_true(taken_endpoint_counts("tcp://*:1"));
    assert_true(taken_endpoint_counts("ipc:///a"));
    assert_false(taken_endpoint_counts("inproc://a"));
    assert_false(taken_endpoint_counts("pgm://eth0;239.0.0.1:1"));
    assert_false(taken_endpoint_counts(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_has_a_path_and_perhaps_an_endpoint),
        cmocka_unit_test(a_long_rule_is_refused),
        cmocka_unit_test(rules_come_one_a_line),
        cmocka_unit_test(rules_have_a_maximum),
        cmocka_unit_test(endpoints_match),
        cmocka_unit_test(only_tcp_and_ipc_are_behind_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
