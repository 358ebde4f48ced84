/* SPDX-License-Identifier: MPL-2.0 */
/* A side that is not read for a while, with real TCP connections. */
#include "relay/socket_side.h"

#include "loop/net.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define CHUNK 65536u

struct pair {
    struct worker worker;
    struct socket_side side; /* its end */
    int sender;
    size_t sent, got;
};

static int loopback_listener(struct sockaddr_in *a)
{
    socklen_t len = sizeof(*a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)a, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)a, &len), 0);
    return fd;
}

static void pair_init(struct pair *p)
{
    struct sockaddr_in a;
    int listener = loopback_listener(&a);
    memset(p, 0, sizeof(*p));
    p->worker.loop.epoll_fd = epoll_create1(0);
    p->worker.receive_buffer_most = net_receive_buffer_most();
    p->sender = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(p->sender, (struct sockaddr *)&a, sizeof(a)), 0);
    p->side.watch.fd = accept(listener, NULL, NULL);
    assert_true(p->side.watch.fd >= 0);
    assert_int_equal(loop_watch(&p->worker.loop, &p->side.watch, EPOLLIN), 0);
    close(listener);
}

static void pair_fini(struct pair *p)
{
    close(p->sender);
    close(p->side.watch.fd);
    close(p->worker.loop.epoll_fd);
}

/* As much as the kernel takes, at most `most` bytes. */
static void stuff(struct pair *p, size_t most)
{
    static const uint8_t zeros[CHUNK];
    for (ssize_t n; most > 0; most -= (size_t)n) {
        n = send(p->sender, zeros, most < CHUNK ? most : CHUNK, MSG_DONTWAIT);
        if (n < 0)
            return;
        p->sent += (size_t)n;
    }
}

/* Everything that is there. */
static void empty(struct pair *p)
{
    uint8_t bytes[CHUNK];
    for (ssize_t n; (n = recv(p->side.watch.fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;)
        p->got += (size_t)n;
    socket_side_was_emptied(&p->side, &p->worker);
}

static void hold(struct pair *p, unsigned times, size_t each)
{
    static const struct timespec while_held = {.tv_nsec = 2000000};
    for (unsigned i = 0; i < times; i++) {
        stuff(p, each);
        socket_side_note(&p->side, &p->worker, EPOLLIN, true);
        nanosleep(&while_held, NULL);
    }
}

static int receive_buffer(const struct pair *p)
{
    int size;
    socklen_t len = sizeof(size);
    assert_int_equal(getsockopt(p->side.watch.fd, SOL_SOCKET, SO_RCVBUF, &size, &len), 0);
    return size;
}

/* Data for which the kernel has announced room must have it, even if it is not read. Otherwise it is dropped, and comes
 * again only when the sender's timer has expired, seconds after reading has resumed. */
static void a_buffer_never_becomes_smaller(void **state)
{
    for (unsigned may_grow = 0; may_grow < 2; may_grow++) {
        struct pair p;
        pair_init(&p);
        for (unsigned i = 0; i < 500; i++) { /* it grows with reading */
            stuff(&p, 4 * CHUNK);
            empty(&p);
        }
        int before = receive_buffer(&p);
        /* Above the kernel's own bound it would shrink; a busy machine lets it grow that far. */
        int most = net_receive_buffer_most();
        p.worker.receive_buffer_most = !may_grow ? before : 4 * before < most ? 4 * before : most;
        hold(&p, 2 * SOCKET_SIDE_RX_WAKEUPS_MOST, 16 * CHUNK);
        assert_true(p.side.rx_disabled);
        assert_true(receive_buffer(&p) >= before);
        while (p.got < p.sent) {
            struct pollfd there = {.fd = p.side.watch.fd, .events = POLLIN};
            assert_int_equal(poll(&there, 1, 60000), 1);
            empty(&p);
        }
        assert_false(p.side.rx_disabled);
        pair_fini(&p);
    }
}

/* Segments of one byte each would let it grow to megabytes. */
static void small_segments_do_not_grow_it(void **state)
{
    static const int now = 1;
    struct pair p;
    pair_init(&p);
    assert_int_equal(setsockopt(p.sender, IPPROTO_TCP, TCP_NODELAY, &now, sizeof(now)), 0);
    int before = receive_buffer(&p);
    hold(&p, SOCKET_SIDE_RX_WAKEUPS_MOST, 1);
    for (unsigned i = 0; i < 20000; i++)
        stuff(&p, 1);
    hold(&p, 10, 1);
    assert_true(receive_buffer(&p) <= 2 * before);
    empty(&p);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_never_becomes_smaller),
        cmocka_unit_test(small_segments_do_not_grow_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
