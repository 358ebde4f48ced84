/* SPDX-License-Identifier: MPL-2.0 */
/* What the main process can do after it has given up its rights, in separate processes. Skips without the rights. */
#include "daemon/privileges.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* In the process of a test, where cmocka's longjmp() must not be used. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s does not hold (errno %d)\n", __FILE__, __LINE__, #condition, errno);            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static void apart(void (*body)(void))
{
    int status = 0;
    if (!privileges_be_anybody() || !privileges_filter_packets())
        skip();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int error_of_socket(int family, int type, int protocol)
{
    int fd = socket(family, type, protocol);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int transparent(int family)
{
    int one = 1, fd = socket(family, SOCK_STREAM, 0);
    bool v6 = family == AF_INET6;
    if (fd < 0)
        return errno == EAFNOSUPPORT ? 0 : errno; /* a kernel without IPv6 */
    int error =
        setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one, sizeof(one)) < 0
            ? errno
            : 0;
    close(fd);
    return error;
}

static void who_is_anybody(void)
{
    REQUIRE(privileges_give_up(true) == 0);
    REQUIRE(privileges_be_anybody() && !privileges_filter_packets() && !privileges_load_programs());
    REQUIRE(transparent(AF_INET) == 0 && transparent(AF_INET6) == 0);
    REQUIRE(error_of_socket(AF_INET, SOCK_RAW, IPPROTO_TCP) == EPERM);
    REQUIRE(error_of_socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW) == EPERM);
    REQUIRE(error_of_socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6) == EPERM);
    REQUIRE(error_of_socket(AF_PACKET, SOCK_DGRAM, 0) == EPERM);
    REQUIRE(error_of_socket(AF_PACKET, SOCK_RAW, 0) == EPERM);
    REQUIRE(error_of_socket(AF_INET, SOCK_PACKET, 0) == EPERM);
    REQUIRE(error_of_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) == 0);
    REQUIRE(error_of_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) == 0);
    REQUIRE(error_of_socket(AF_INET, SOCK_DGRAM, 0) == 0);
    REQUIRE(error_of_socket(AF_UNIX, SOCK_STREAM, 0) == 0);
}

static void who_is_not(void)
{
    REQUIRE(privileges_give_up(false) == 0);
    REQUIRE(!privileges_be_anybody() && !privileges_filter_packets());
    REQUIRE(transparent(AF_INET) == EPERM);
    REQUIRE(error_of_socket(AF_INET, SOCK_RAW, IPPROTO_TCP) == EPERM);
}

/* As when both ban.kernel and upstream.source ask for it. */
static void twice(void)
{
    REQUIRE(privileges_give_up(true) == 0);
    who_is_anybody();
}

static void test_keeping_the_source(void **state)
{
    apart(who_is_anybody);
}

static void test_keeping_nothing(void **state)
{
    apart(who_is_not);
}

static void test_giving_up_twice(void **state)
{
    apart(twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeping_the_source),
        cmocka_unit_test(test_keeping_nothing),
        cmocka_unit_test(test_giving_up_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
