/* SPDX-License-Identifier: MPL-2.0 */
#include "zmtp/socket_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* The table of RFC 37 ("legal combinations") as it is printed there: a row of names, then one line for each. */
static const char *const order[] = {"REQ", "REP",  "DEALER", "ROUTER", "PUB", "XPUB",
                                    "SUB", "XSUB", "PUSH",   "PULL",   "PAIR"};
static const char *const table[] = {
    /* REQ    */ " * *       ",
    /* REP    */ "* *        ",
    /* DEALER */ " ***       ",
    /* ROUTER */ "* **       ",
    /* PUB    */ "      **   ",
    /* XPUB   */ "      **   ",
    /* SUB    */ "    **     ",
    /* XSUB   */ "    **     ",
    /* PUSH   */ "         * ",
    /* PULL   */ "        *  ",
    /* PAIR   */ "          *",
};

#define TYPES (sizeof(order) / sizeof(order[0]))

static enum socket_type parse(const char *name)
{
    return socket_type_parse((struct bytes){(const uint8_t *)name, strlen(name)});
}

static void the_table_both_ways(void **state)
{
    for (size_t i = 0; i < TYPES; i++) {
        for (size_t j = 0; j < TYPES; j++) {
            bool legal = table[i][j] == '*';
            assert_int_equal(table[j][i] == '*', legal);
            if (socket_types_fit(parse(order[i]), parse(order[j])) != legal)
                fail_msg("%s with %s should be %s", order[i], order[j], legal ? "legal" : "illegal");
        }
    }
}

static void auto_fits_all(void **state)
{
    for (size_t i = 0; i < TYPES; i++) {
        assert_true(socket_types_fit(SOCKET_AUTO, parse(order[i])));
        assert_true(socket_types_fit(parse(order[i]), SOCKET_AUTO));
    }
    assert_true(socket_types_fit(SOCKET_AUTO, SOCKET_AUTO));
}

static void who_answers(void **state)
{
    static const char silent[] = "PUB XPUB SUB XSUB PULL";
    for (size_t i = 0; i < TYPES; i++) {
        const char *at = strstr(silent, order[i]); /* whole words: PUB is in XPUB, too, and both are silent */
        assert_int_equal(socket_type_answers(parse(order[i])), at == NULL);
    }
    assert_true(socket_type_answers(SOCKET_AUTO));
}

static void names(void **state)
{
    for (size_t i = 0; i < TYPES; i++) {
        assert_int_not_equal(parse(order[i]), SOCKET_AUTO);
        assert_int_equal(parse(socket_type_name(parse(order[i]))), parse(order[i]));
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(parse(order[i]), parse(order[j]));
    }
    assert_string_equal(socket_type_name(SOCKET_AUTO), "auto");
    static const char *const none[] = {"", "auto", "R", "RE", "REQS", "PUBX", "STREAM", "CLIENT", "REQ "};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_int_equal(parse(none[i]), SOCKET_AUTO);
    /* Not NUL-terminated, and with a NUL inside. */
    assert_int_equal(socket_type_parse((struct bytes){(const uint8_t *)"REQ...", 3}), SOCKET_REQ);
    assert_int_equal(socket_type_parse((struct bytes){(const uint8_t *)"REQ\0", 4}), SOCKET_AUTO);
}

/* RFC 15: "PAIR = %X00 ... PUSH = %X08"; libzmq sends 9 for XPUB and 10 for XSUB. */
static void codes_of_zmtp2(void **state)
{
    static const char *const codes[] = {"PAIR",   "PUB",  "SUB",  "REQ",  "REP", "DEALER",
                                        "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"};
    for (unsigned code = 0; code < 256; code++)
        assert_int_equal(socket_type_from_zmtp2((uint8_t)code), code < TYPES ? parse(codes[code]) : SOCKET_AUTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_both_ways), cmocka_unit_test(auto_fits_all),
        cmocka_unit_test(who_answers),         cmocka_unit_test(names),
        cmocka_unit_test(codes_of_zmtp2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
