/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/noted.h"
#include "preload/socket_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* As libzmq: an option of another size is refused, and one that it does not know too. */
static int fake_getter(void *socket, int option, void *value, size_t *bytes)
{
    int narrow = -1;
    int64_t wide = INT64_C(1) << 40;
    assert_null(socket);
    if (option == 22 && *bytes == sizeof(wide)) {
        memcpy(value, &wide, sizeof(wide));
        return 0;
    }
    if (option != 16 && option != 24)
        return -1;
    narrow = option == 16 ? 6 : -1;
    if (*bytes != sizeof(narrow))
        return -1;
    memcpy(value, &narrow, sizeof(narrow));
    return 0;
}

static void test_what_is_told_is_known_and_nothing_else(void **state)
{
    struct socket_options o;
    int64_t value = 77;
    (void)state;
    socket_options_read(&o, fake_getter, NULL);
    assert_true(socket_options_get(&o, SOCKET_OPTION_TYPE, &value));
    assert_int_equal(value, 6);
    assert_true(socket_options_get(&o, SOCKET_OPTION_MAXMSGSIZE, &value));
    assert_true(value == INT64_C(1) << 40);
    assert_true(socket_options_get(&o, SOCKET_OPTION_RCVHWM, &value));
    assert_true(value == -1);
    assert_false(socket_options_get(&o, SOCKET_OPTION_HANDSHAKE_IVL, &value));
    assert_true(value == -1);
    assert_int_equal(o.version, 0);
}

static void test_names_are_those_of_libzmq(void **state)
{
    (void)state;
    assert_string_equal(socket_option_name(SOCKET_OPTION_TYPE), "ZMQ_TYPE");
    assert_string_equal(socket_option_name(SOCKET_OPTION_HEARTBEAT_TIMEOUT), "ZMQ_HEARTBEAT_TIMEOUT");
}

static void test_an_option_is_noted_until_the_socket_closes(void **state)
{
    static char sockets[2 * NOTED_MOST];
    (void)state;
    noted_set(NOTED_ROUTER_HANDOVER, NULL, true);
    assert_false(noted_is_on(NOTED_ROUTER_HANDOVER, &sockets[0]));
    for (unsigned i = 0; i < 2 * NOTED_MOST; i++)
        noted_set(NOTED_ROUTER_HANDOVER, &sockets[i], true);
    for (unsigned i = 0; i < 2 * NOTED_MOST; i++)
        assert_int_equal(noted_is_on(NOTED_ROUTER_HANDOVER, &sockets[i]), i < NOTED_MOST);
    assert_false(noted_is_on(NOTED_ROUTER_RAW, &sockets[3]));
    noted_set(NOTED_ROUTER_HANDOVER, &sockets[3], true); /* once only */
    noted_forget(&sockets[3]);
    assert_false(noted_is_on(NOTED_ROUTER_HANDOVER, &sockets[3]));
    noted_set(NOTED_ROUTER_HANDOVER, &sockets[NOTED_MOST], true);
    assert_true(noted_is_on(NOTED_ROUTER_HANDOVER, &sockets[NOTED_MOST]));
    noted_set(NOTED_ROUTER_HANDOVER, &sockets[5], false);
    assert_false(noted_is_on(NOTED_ROUTER_HANDOVER, &sockets[5]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_told_is_known_and_nothing_else),
        cmocka_unit_test(test_names_are_those_of_libzmq),
        cmocka_unit_test(test_an_option_is_noted_until_the_socket_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
