/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/listening.h"

#include "base/addr.h"
#include "preload/protocol.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

static bool no_netlink;

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);

int __wrap_socket(int family, int type, int protocol)
{
    if (family != AF_NETLINK || !no_netlink)
        return __real_socket(family, type, protocol);
    errno = EPERM;
    return -1;
}

static int bound_to_loopback(int family, uint16_t *ret_port)
{
    struct endpoint e = {.kind = ENDPOINT_TCP};
    int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (family == AF_INET)
        e.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    else
        e.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = family == AF_INET ? sizeof(e.v4) : sizeof(e.v6);
    if (bind(fd, &e.sa, len) < 0 || getsockname(fd, &e.sa, &len) < 0) {
        close(fd);
        return -1;
    }
    *ret_port = endpoint_port(&e);
    return fd;
}

static void follows_a_socket(int family)
{
    uint16_t port = 0;
    int fd = bound_to_loopback(family, &port);
    if (fd < 0)
        skip(); /* no IPv6 here */
    assert_int_equal(listening_on_loopback(family, port), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(listening_on_loopback(family, port), 1);
    int copy = dup(fd);
    close(fd);
    assert_int_equal(listening_on_loopback(family, port), 1);
    close(copy);
    assert_int_equal(listening_on_loopback(family, port), 0);
}

static void it_listens_until_the_last_copy_is_closed(void **state)
{
    follows_a_socket(AF_INET);
}

static void the_same_over_ipv6(void **state)
{
    follows_a_socket(AF_INET6);
}

static void the_same_without_netlink(void **state)
{
    no_netlink = true;
    follows_a_socket(AF_INET);
    no_netlink = false;
}

static void a_name_is_free_when_its_last_copy_is_closed(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(at);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at.sun_family)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    uint32_t number = (uint32_t)run_number_of((struct sockaddr *)&at);
    assert_int_equal(listening_on_name(number), 1);
    int copy = dup(fd);
    close(fd);
    assert_int_equal(listening_on_name(number), 1);
    close(copy);
    assert_int_equal(listening_on_name(number), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_listens_until_the_last_copy_is_closed),
        cmocka_unit_test(the_same_over_ipv6),
        cmocka_unit_test(the_same_without_netlink),
        cmocka_unit_test(a_name_is_free_when_its_last_copy_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
