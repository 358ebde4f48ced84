/* SPDX-License-Identifier: MPL-2.0 */
/* Against a door that hands out a page as Weir does. */
#include <weir/counter.h>

#include "base/attr.h"
#include "flow/taken_page.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>
#include <cmocka.h>

struct door {
    char path[64];
    int listener, line, wake_fd;
    struct taken_page *page;
};

static struct door door;

static void hand_out(int line, int page_fd, int wake_fd)
{
    struct taken_hello hello = {.magic = TAKEN_MAGIC, .size = sizeof(struct taken_page)};
    int fds[2] = {page_fd, wake_fd};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(fds))];
    } control = {0};
    struct iovec bytes = {.iov_base = &hello, .iov_len = sizeof(hello)};
    struct msghdr m = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(h), fds, sizeof(fds));
    assert_int_equal(sendmsg(line, &m, 0), sizeof(hello));
}

static void *answer(void *arg)
{
    int page_fd = memfd_create("page", 0);
    assert_int_equal(ftruncate(page_fd, sizeof(struct taken_page)), 0);
    door.page = mmap(NULL, sizeof(*door.page), PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    door.wake_fd = eventfd(0, EFD_NONBLOCK);
    taken_page_wish(door.page, UINT64_MAX, false);
    door.line = accept(door.listener, NULL, NULL);
    assert_true(door.line >= 0);
    hand_out(door.line, page_fd, door.wake_fd);
    close(page_fd);
    return NULL;
}

static struct weir_counter *open_counter(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    pthread_t thread;
    snprintf(door.path, sizeof(door.path), "/tmp/weir-counter-test-%d", (int)getpid());
    (void)unlink(door.path);
    memcpy(at.sun_path, door.path, strlen(door.path) + 1);
    door.listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(door.listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(door.listener, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer, NULL), 0);
    struct weir_counter *c = weir_counter_open(door.path);
    pthread_join(thread, NULL);
    assert_non_null(c);
    return c;
}

static void close_counter(struct weir_counter *c)
{
    weir_counter_close(c);
    close(door.listener);
    close(door.line);
    close(door.wake_fd);
    munmap(door.page, sizeof(*door.page));
    unlink(door.path);
}

static uint64_t taken(void)
{
    return atomic_load(&door.page->taken);
}

static bool is_idle(void)
{
    return atomic_load(&door.page->idle_since_ns) != 0;
}

static void what_is_taken_is_counted(void **state)
{
    struct weir_counter *c = open_counter();
    weir_counter_asked(c);
    weir_counter_found_nothing(c, 1);
    assert_true(is_idle());
    weir_counter_took(c);
    assert_int_equal(taken(), 1);
    assert_false(is_idle());
    close_counter(c);
}

static void what_is_in_hand_is_not_taken(void **state)
{
    struct weir_counter *c = open_counter();
    weir_credit(c, 0);
    weir_counter_asked(c);
    weir_counter_found_nothing(c, 1);
    assert_true(is_idle());
    for (unsigned i = 0; i < 5; i++) {
        weir_counter_asked(c);
        weir_counter_took(c);
    }
    assert_int_equal(taken(), 0);
    assert_false(is_idle());
    weir_counter_found_nothing(c, 1); /* there is work in hand */
    assert_false(is_idle());
    weir_credit(c, 3);
    assert_int_equal(taken(), 2);
    weir_credit(c, 7); /* there cannot be so many */
    assert_int_equal(taken(), 2);
    weir_credit(c, 0);
    assert_int_equal(taken(), 5);
    weir_counter_found_nothing(c, 1);
    assert_true(is_idle());
    close_counter(c);
}

static void a_credit_wakes_weir(void **state)
{
    uint64_t wakes;
    struct weir_counter *c = open_counter();
    weir_credit(c, 0);
    weir_counter_asked(c);
    weir_counter_took(c);
    taken_page_wish(door.page, 1, false);
    assert_int_equal(read(door.wake_fd, &wakes, sizeof(wakes)), -1);
    weir_credit(c, 0);
    assert_int_equal(read(door.wake_fd, &wakes, sizeof(wakes)), sizeof(wakes));
    close_counter(c);
}

static void messages_are_received_and_counted(void **state)
{
    struct weir_counter *c = open_counter();
    void *context = zmq_ctx_new(), *pull = zmq_socket(context, ZMQ_PULL), *push = zmq_socket(context, ZMQ_PUSH);
    zmq_pollitem_t item = {.socket = pull, .events = ZMQ_POLLIN};
    zmq_msg_t msg;
    assert_int_equal(zmq_bind(pull, "inproc://a"), 0);
    assert_int_equal(zmq_connect(push, "inproc://a"), 0);
    assert_int_equal(zmq_send(push, "one", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(zmq_send(push, "two", 3, 0), 3);
    assert_int_equal(weir_counter_poll(c, pull, &item, 1, -1), 1);
    zmq_msg_init(&msg);
    assert_int_equal(weir_counter_recv(c, &msg, pull, 0), 3);
    assert_int_equal(taken(), 0);
    assert_int_equal(weir_counter_recv(c, &msg, pull, 0), 3);
    assert_int_equal(taken(), 1);
    assert_int_equal(weir_counter_recv(c, &msg, pull, ZMQ_DONTWAIT), -1);
    assert_int_equal(zmq_errno(), EAGAIN);
    zmq_msg_close(&msg);
    zmq_close(pull);
    zmq_close(push);
    zmq_ctx_term(context);
    close_counter(c);
}

static void without_a_counter_all_goes_on(void **state)
{
    weir_counter_asked(NULL);
    weir_counter_took(NULL);
    weir_counter_found_nothing(NULL, 0);
    weir_credit(NULL, 1);
    weir_counter_close(NULL);
    char path[256];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_null(weir_counter_open(path));
    assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_is_counted),      cmocka_unit_test(what_is_in_hand_is_not_taken),
        cmocka_unit_test(a_credit_wakes_weir),           cmocka_unit_test(messages_are_received_and_counted),
        cmocka_unit_test(without_a_counter_all_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
