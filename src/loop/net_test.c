/* SPDX-License-Identifier: MPL-2.0 */
#include "loop/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

int __real_connect(int fd, const struct sockaddr *to, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len);

/* The next connect(2) comes from the port that it goes to, as the kernel may choose by chance. */
static bool from_same_port;

int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    if (from_same_port)
        assert_int_equal(bind(fd, to, len), 0);
    from_same_port = false;
    return __real_connect(fd, to, len);
}

static struct endpoint parse(const char *text)
{
    struct endpoint e;
    const char *why = "";
    if (endpoint_parse(&e, text, true, &why) < 0)
        fail_msg("%s: %s", text, why);
    return e;
}

/* Waits without a limit of its own: the test runner has one. */
static void await(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    assert_int_equal(poll(&p, 1, -1), 1);
}

static bool has_flags(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) && (fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* An accepted connection, both ends as the relay needs them. */
static void connect_to(const struct endpoint *e, int listener, struct addr *ret_peer)
{
    bool pending;
    assert_int_equal(net_accept(listener, e->kind, ret_peer), -EAGAIN);
    int fd = net_connect(e, &pending);
    assert_true(fd >= 0);
    if (pending)
        await(fd, POLLOUT);
    assert_int_equal(net_connect_result(fd), 0);
    await(listener, POLLIN);
    int accepted = net_accept(listener, e->kind, ret_peer);
    assert_true(accepted >= 0);
    assert_true(has_flags(fd) && has_flags(accepted) && has_flags(listener));
    if (e->kind == ENDPOINT_TCP) {
        assert_true(option(fd, IPPROTO_TCP, TCP_NODELAY) && option(accepted, IPPROTO_TCP, TCP_NODELAY));
        assert_true(option(accepted, SOL_SOCKET, SO_KEEPALIVE));
        assert_int_equal(option(accepted, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    }
    close(fd);
    close(accepted);
}

static void a_wildcard_port_becomes_a_real_one(void **state)
{
    struct endpoint e = parse("tcp://127.0.0.1:*");
    struct addr peer;
    char text[ENDPOINT_TEXT_MAX];
    int fd = net_listen(&e, true, false);
    assert_true(fd >= 0);
    assert_int_not_equal(e.v4.sin_port, 0);
    assert_null(strstr(endpoint_format(text, sizeof(text), &e), ":0"));
    connect_to(&e, fd, &peer);
    assert_int_equal(peer.kind, ADDR_V4);
    close(fd);
}

static void a_second_listener_is_refused(void **state)
{
    for (int first_shares = 0; first_shares < 2; first_shares++)
        for (int second_shares = 0; second_shares < 2; second_shares++) {
            struct endpoint e = parse("tcp://127.0.0.1:*");
            int first = net_listen(&e, true, first_shares);
            assert_true(first >= 0);
            struct endpoint again = e;
            assert_int_equal(net_listen(&again, true, second_shares), -EADDRINUSE);
            close(first);
        }
}

static void workers_share_a_port(void **state)
{
    struct endpoint e = parse("tcp://127.0.0.1:*");
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = net_listen(&e, i == 0, true);
        assert_true(fds[i] >= 0);
    }
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    /* Free again for the next one. */
    int next = net_listen(&e, true, false);
    assert_true(next >= 0);
    close(next);
}

static void a_port_is_free_again_in_spite_of_old_connections(void **state)
{
    struct endpoint e = parse("tcp://127.0.0.1:*");
    struct addr peer;
    int fd = net_listen(&e, true, false);
    connect_to(&e, fd, &peer);
    close(fd);
    fd = net_listen(&e, true, true);
    assert_true(fd >= 0);
    close(fd);
}

static void every_address_means_both_families(void **state)
{
    struct endpoint e = parse("tcp://*:*");
    struct addr peer;
    int fd = net_listen(&e, true, false);
    assert_true(fd >= 0);
    struct endpoint v4 = parse("tcp://127.0.0.1:*");
    v4.v4.sin_port = e.sa.sa_family == AF_INET6 ? e.v6.sin6_port : e.v4.sin_port;
    connect_to(&v4, fd, &peer);
    assert_int_equal(peer.kind, ADDR_V4);
    close(fd);
}

static void ipv6_is_served_where_there_is_any(void **state)
{
    struct endpoint e = parse("tcp://[::1]:*");
    struct addr peer;
    int fd = net_listen(&e, true, true);
    if (fd == -EADDRNOTAVAIL || fd == -EAFNOSUPPORT)
        skip();
    assert_true(fd >= 0);
    connect_to(&e, fd, &peer);
    assert_int_equal(peer.kind, ADDR_V6);
    close(fd);
}

static void abstract_names_are_served(void **state)
{
    char text[64];
    struct addr peer;
    snprintf(text, sizeof(text), "ipc://@weir-net-test-%d", (int)getpid());
    struct endpoint e = parse(text);
    int fd = net_listen(&e, true, false);
    assert_true(fd >= 0);
    connect_to(&e, fd, &peer);
    assert_int_equal(peer.kind, ADDR_UID);
    struct addr self;
    addr_from_uid(&self, getuid());
    assert_memory_equal(peer.bytes, self.bytes, 4);
    struct endpoint again = e;
    assert_int_equal(net_listen(&again, true, false), -EADDRINUSE);
    close(fd);
}

static char folder[] = "/tmp/weir-net-XXXXXX";

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    return rmdir(folder);
}

static struct endpoint in_folder(const char *name)
{
    char text[ENDPOINT_TEXT_MAX];
    snprintf(text, sizeof(text), "ipc://%s/%s", folder, name);
    return parse(text);
}

static void a_stale_socket_file_is_replaced(void **state)
{
    struct endpoint e = in_folder("stale");
    struct addr peer;
    int fd = net_listen(&e, true, false);
    assert_true(fd >= 0);
    assert_int_equal(net_listen(&e, true, false), -EADDRINUSE);     /* a process listens there */
    assert_int_equal(net_accept(fd, ENDPOINT_IPC, &peer), -EAGAIN); /* which notices nothing */
    close(fd);
    fd = net_listen(&e, true, false);
    assert_true(fd >= 0);
    connect_to(&e, fd, &peer);
    close(fd);
    unlink(e.un.sun_path);
}

/* A path that is no socket stays as it is: a file, a folder, a link to a stale socket. */
static void other_files_are_not_replaced(void **state)
{
    struct endpoint stale = in_folder("stale"), file = in_folder("file"), link = in_folder("link");
    struct stat st;
    close(net_listen(&stale, true, false));
    close(open(file.un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(symlink(stale.un.sun_path, link.un.sun_path), 0);
    assert_int_equal(net_listen(&file, true, false), -EADDRINUSE);
    assert_int_equal(net_listen(&link, true, false), -EADDRINUSE);
    assert_int_equal(lstat(file.un.sun_path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(lstat(link.un.sun_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(stale.un.sun_path, &st), 0);
    unlink(stale.un.sun_path);
    unlink(file.un.sun_path);
    unlink(link.un.sun_path);
}

static void refusals_have_their_names(void **state)
{
    struct endpoint none = in_folder("no/such"), nobody = in_folder("nobody"), far = parse("tcp://192.0.2.1:5555");
    bool pending;
    assert_int_equal(net_listen(&none, true, false), -ENOENT);
    assert_int_equal(net_listen(&far, true, false), -EADDRNOTAVAIL);
    assert_int_equal(net_connect(&nobody, &pending), -ENOENT);
    struct endpoint closed = parse("tcp://127.0.0.1:*");
    int fd = net_listen(&closed, true, false);
    close(fd);
    fd = net_connect(&closed, &pending);
    if (fd >= 0) {
        await(fd, POLLOUT);
        assert_int_equal(net_connect_result(fd), -ECONNREFUSED);
        close(fd);
    } else {
        assert_int_equal(fd, -ECONNREFUSED);
    }
}

/* A process that connects again and again to a port of the ephemeral range where nobody listens meets itself at some
 * time, and would keep the application from listening there. */
static void meeting_oneself_is_no_connection(void **state)
{
    struct endpoint e = parse("tcp://127.0.0.1:*");
    bool pending;
    close(net_listen(&e, true, false));
    from_same_port = true;
    int fd = net_connect(&e, &pending);
    if (fd >= 0) {
        if (pending)
            await(fd, POLLOUT);
        assert_int_equal(net_connect_result(fd), -ECONNREFUSED);
        close(fd);
    } else {
        assert_int_equal(fd, -ECONNREFUSED);
    }
    int listener = net_listen(&e, true, false);
    assert_true(listener >= 0);
    close(listener);
}

/* From another loopback address, which takes the right for transparent sockets, but no routes. */
static void connections_come_from_whom_they_are_for(void **state)
{
    struct endpoint e = parse("tcp://127.0.0.1:*"), unix_path = in_folder("source");
    struct addr from = {.kind = ADDR_V4, .bytes = {127, 9, 9, 9}, .port = 4711}, who;
    struct addr six = {.kind = ADDR_V6, .bytes = {[15] = 1}};
    bool pending;
    int listener = net_listen(&e, true, false);
    assert_int_equal(net_connect_from(&e, &six, &pending), -EADDRNOTAVAIL);
    assert_int_equal(net_connect_from(&unix_path, &from, &pending), -EADDRNOTAVAIL);
    assert_int_equal(net_connect_from(&e, &(struct addr){.kind = ADDR_V4}, &pending), -EADDRNOTAVAIL);
    assert_int_equal(net_connect_from(&e, &(struct addr){.kind = ADDR_V4, .bytes = {224, 0, 0, 1}}, &pending),
                     -EADDRNOTAVAIL);
    assert_int_equal(net_connect_from(&e, &(struct addr){.kind = ADDR_V4, .bytes = {255, 255, 255, 255}}, &pending),
                     -EADDRNOTAVAIL);
    int fd = net_connect_from(&e, &from, &pending);
    if (fd == -EADDRNOTAVAIL) {
        close(listener);
        skip(); /* without the right */
    }
    assert_true(fd >= 0);
    await(listener, POLLIN);
    int accepted = net_accept(listener, ENDPOINT_TCP, &who);
    assert_true(accepted >= 0 && who.kind == ADDR_V4 && who.port != 0);
    assert_memory_equal(who.bytes, from.bytes, 4);
    close(accepted);
    close(fd);
    close(listener);
}

static void the_limit_of_an_application_can_be_seen(void **state)
{
    struct endpoint e = in_folder("limit");
    struct rlimit l;
    bool pending;
    int listener = net_listen(&e, true, false), fd = net_connect(&e, &pending);
    assert_true(listener >= 0 && fd >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
    assert_int_equal(net_descriptor_limit(net_peer_process(fd)), l.rlim_cur);
    close(fd);
    close(listener);
    unlink(e.un.sun_path);
    struct endpoint tcp = parse("tcp://127.0.0.1:*");
    listener = net_listen(&tcp, true, false);
    fd = net_connect(&tcp, &pending);
    assert_int_equal(net_descriptor_limit(net_peer_process(fd)), 0);
    close(fd);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wildcard_port_becomes_a_real_one),
        cmocka_unit_test(a_second_listener_is_refused),
        cmocka_unit_test(workers_share_a_port),
        cmocka_unit_test(a_port_is_free_again_in_spite_of_old_connections),
        cmocka_unit_test(every_address_means_both_families),
        cmocka_unit_test(ipv6_is_served_where_there_is_any),
        cmocka_unit_test(abstract_names_are_served),
        cmocka_unit_test(a_stale_socket_file_is_replaced),
        cmocka_unit_test(other_files_are_not_replaced),
        cmocka_unit_test(refusals_have_their_names),
        cmocka_unit_test(meeting_oneself_is_no_connection),
        cmocka_unit_test(connections_come_from_whom_they_are_for),
        cmocka_unit_test(the_limit_of_an_application_can_be_seen),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
