/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/setting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define NAME  "0123456789abcdef0123456789abcdef"
#define TOKEN "fedcba9876543210fedcba9876543210"

static void what_weir_writes_is_read(void **state)
{
    struct setting s;
    assert_true(setting_parse(&s, NAME " " TOKEN " "));
    assert_int_equal(s.port_count, 0);
    assert_memory_equal(s.weir.sun_path + 1, NAME, RUN_NAME_BYTES);
    assert_int_equal(s.weir.sun_path[0], 0);
    assert_memory_equal(s.token, TOKEN, RUN_TOKEN_BYTES);

    assert_true(setting_parse(&s, NAME " " TOKEN " 1,65535,-5555"));
    assert_int_equal(s.port_count, 3);
    assert_int_equal(s.ports[0], 1);
    assert_int_equal(s.ports[1], 65535);
    assert_int_equal(s.ports[2], -5555);
    assert_int_equal(s.marks.count, 0);
    assert_true(setting_names(&s, -5555) && setting_names(&s, 1) && !setting_names(&s, 5555));

    assert_true(setting_parse(&s, NAME " " TOKEN " 1,-5555 5555=50/,100"));
    assert_int_equal(s.port_count, 2);
    assert_int_equal(s.marks.count, 2);
    assert_int_equal(hwm_rules_find(&s.marks, 5555)->receive, 50);

    assert_true(setting_parse(&s, NAME " " TOKEN "  100"));
    assert_int_equal(s.port_count, 0);
    assert_int_equal(hwm_rules_find(&s.marks, 1)->send, 100);

    assert_true(setting_parse(&s, NAME " " TOKEN "  "));
    assert_int_equal(s.marks.count, 0);
}

static void unix_sockets_have_gates_by_choice(void **state)
{
    struct setting s;
    assert_true(setting_parse(&s, NAME " " TOKEN " 5555"));
    assert_false(s.ipc);
    assert_true(setting_parse(&s, NAME " " TOKEN " ipc"));
    assert_true(s.ipc);
    assert_true(setting_parse(&s, NAME " " TOKEN " 5555,-6666,ipc 100"));
    assert_true(s.ipc);
    assert_int_equal(s.port_count, 2);
    assert_false(setting_parse(&s, NAME " " TOKEN " ipcs"));
}

static void anything_else_is_none(void **state)
{
    static const char *const wrong[] = {"",
                                        " ",
                                        NAME,
                                        NAME " " TOKEN,
                                        NAME "x " TOKEN " ",
                                        NAME " " TOKEN "x ",
                                        NAME " " TOKEN " 0",
                                        NAME " " TOKEN " 65536",
                                        NAME " " TOKEN " -65536",
                                        NAME " " TOKEN " 1;2",
                                        NAME " " TOKEN " ,",
                                        NAME " " TOKEN " 1 0",
                                        NAME " " TOKEN " 1 5 5",
                                        NAME " " TOKEN " 1 x",
                                        NAME " " TOKEN " x"};
    struct setting s;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (setting_parse(&s, wrong[i]))
            fail_msg("taken: \"%s\"", wrong[i]);
}

static void there_is_room_for_so_many_ports(void **state)
{
    char text[1024];
    struct setting s;
    int len = snprintf(text, sizeof(text), "%s %s ", NAME, TOKEN);
    for (unsigned i = 0; i < RUN_PORTS_MOST; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%u", i ? "," : "", 5000 + i);
    assert_true(setting_parse(&s, text));
    assert_int_equal(s.port_count, RUN_PORTS_MOST);
    snprintf(text + len, sizeof(text) - (size_t)len, ",1");
    assert_false(setting_parse(&s, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_weir_writes_is_read),
        cmocka_unit_test(unix_sockets_have_gates_by_choice),
        cmocka_unit_test(anything_else_is_none),
        cmocka_unit_test(there_is_room_for_so_many_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
