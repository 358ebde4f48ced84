/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Waits for several sockets, with a libzmq that is a fake of the test: zmq_ppoll() and pollers are missing in many.
 */
#include "preload/taken_sockets.h"
#include "preload/zmq_wait.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

int zmq_poll(struct zmq_item *items, int count, long timeout_ms);
int zmq_ppoll(struct zmq_item *items, int count, long timeout_ms, const sigset_t *mask);
int zmq_getsockopt(void *socket, int option, void *value, size_t *bytes);
int zmq_poller_destroy(void **poller);
int zmq_poller_add(void *poller, void *socket, void *user_data, short events);
int zmq_poller_modify(void *poller, void *socket, short events);
int zmq_poller_remove(void *poller, void *socket);
int zmq_poller_wait(void *poller, struct zmq_event *event, long timeout_ms);
int zmq_poller_wait_all(void *poller, struct zmq_event *events, int count, long timeout_ms);

static char counted, other, poller, second_poller; /* their addresses are sockets and pollers */

/* ---- the fake ---- */

static struct {
    int now, later; /* how many events the call finds without waiting, and after it */
    void *ready;    /* the socket that these are of */
    int calls;
    bool idle_meanwhile; /* whether the counter said that the application waits, while it did */
    int error;
} fake;

static bool says_idle(void)
{
    return atomic_load(&taken_tallies[0].counter->page->idle_since_ns) != 0;
}

static int answer(long timeout_ms)
{
    fake.calls++;
    if (timeout_ms)
        fake.idle_meanwhile = says_idle();
    if (fake.error) {
        errno = fake.error;
        return -1;
    }
    return timeout_ms && !fake.now ? fake.later : fake.now;
}

static int fake_ppoll(struct zmq_item *items, int count, long timeout_ms, const sigset_t *mask)
{
    int ready = answer(timeout_ms);
    for (int i = 0; i < count; i++)
        items[i].revents = ready > 0 && items[i].socket == fake.ready ? API_POLLIN : 0;
    return ready;
}

static int fake_poll(struct zmq_item *items, int count, long timeout_ms)
{
    return fake_ppoll(items, count, timeout_ms, NULL);
}

static int fake_wait_all(void *p, struct zmq_event *events, int count, long timeout_ms)
{
    int ready = answer(timeout_ms);
    if (ready > 0)
        events[0] = (struct zmq_event){.socket = fake.ready, .events = API_POLLIN};
    if (ready == 0)
        errno = EAGAIN;
    return ready > 0 ? ready : -1;
}

/* libzmq's calls the other one by its name. */
static int fake_wait(void *p, struct zmq_event *event, long timeout_ms)
{
    return zmq_poller_wait_all(p, event, 1, timeout_ms) > 0 ? 0 : -1;
}

static int fake_change(void *p, void *socket, short events)
{
    return 0;
}

static int fake_add(void *p, void *socket, void *user_data, short events)
{
    return 0;
}

static int fake_remove(void *p, void *socket)
{
    return 0;
}

static int fake_destroy(void **p)
{
    return 0;
}

static int fake_getsockopt(void *socket, int option, void *value, size_t *bytes)
{
    int events = fake.now ? API_POLLIN : 0;
    memcpy(value, &events, sizeof(events));
    return answer(0) < 0 ? -1 : 0;
}

static const struct zmq_user user = {
    .bytes = SIZE_MAX,
    .zmq = {.more_at = -1,
            .poll = fake_poll,
            .ppoll = fake_ppoll,
            .getsockopt = fake_getsockopt,
            .poller_add = fake_add,
            .poller_modify = fake_change,
            .poller_remove = fake_remove,
            .poller_destroy = fake_destroy,
            .poller_wait = fake_wait,
            .poller_wait_all = fake_wait_all},
};

const struct zmq_user *_Atomic zmq_users = &user;
__thread unsigned zmq_depth;

const struct zmq_user *zmq_user_find(const void *caller)
{
    return &user;
}

void taken_sockets_waits_by_fd(const struct zmq_library *zmq, void *socket)
{
    taken_tallies[0].by_fd = true;
}

/* ---- what the counter says ---- */

static uint64_t empty_polls(void)
{
    return atomic_load(&taken_tallies[0].counter->page->empty_polls);
}

static int begin(void **state)
{
    memset(&fake, 0, sizeof(fake));
    return taken_tally_begin(0, "/nonexistent/taken", &user.zmq, &counted);
}

static int end(void **state)
{
    void *p = &poller;
    zmq_poller_destroy(&p);
    taken_tallies[0].by_fd = false;
    taken_tally_end(0);
    return 0;
}

/* ---- tests ---- */

typedef int wait_call(long timeout_ms);

static int wait_by_poll(long timeout_ms)
{
    struct zmq_item items[] = {{.socket = &other, .events = API_POLLIN}, {.socket = &counted, .events = API_POLLIN}};
    return zmq_poll(items, 2, timeout_ms);
}

static int wait_by_ppoll(long timeout_ms)
{
    struct zmq_item items[] = {{.socket = &other, .events = API_POLLIN}, {.socket = &counted, .events = API_POLLIN}};
    return zmq_ppoll(items, 2, timeout_ms, NULL);
}

static int wait_by_poller(long timeout_ms)
{
    struct zmq_event events[4];
    int ready = zmq_poller_wait_all(&poller, events, 4, timeout_ms);
    return ready < 0 && errno == EAGAIN ? 0 : ready;
}

static int wait_for_one(long timeout_ms)
{
    struct zmq_event event;
    int error = zmq_poller_wait(&poller, &event, timeout_ms);
    return error ? (errno == EAGAIN ? 0 : -1) : 1;
}

static void check_wait(wait_call *wait)
{
    zmq_poller_add(&poller, &other, NULL, API_POLLIN);
    zmq_poller_add(&poller, &counted, NULL, API_POLLIN);
    fake.ready = &counted;

    fake.now = 1; /* a message is there */
    assert_int_equal(wait(-1), 1);
    assert_int_equal(fake.calls, 1);
    assert_int_equal(empty_polls(), 0);
    assert_false(says_idle());

    fake.now = 0; /* it comes while the application waits */
    fake.later = 1;
    assert_int_equal(wait(-1), 1);
    assert_int_equal(fake.calls, 3);
    assert_true(fake.idle_meanwhile);
    assert_int_equal(empty_polls(), 0);

    fake.later = 0; /* none comes */
    assert_int_equal(wait(10), 0);
    assert_false(says_idle());
    assert_int_equal(empty_polls(), 1);

    fake.calls = 0; /* the application does not wait */
    assert_int_equal(wait(0), 0);
    assert_int_equal(fake.calls, 1);
    assert_int_equal(empty_polls(), 2);

    fake.error = EFAULT;
    assert_int_equal(wait(-1), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(empty_polls(), 2);
}

static void polls_say_what_they_find(void **state)
{
    check_wait(wait_by_poll);
}

static void ppolls_say_what_they_find(void **state)
{
    check_wait(wait_by_ppoll);
}

static void pollers_say_what_they_find(void **state)
{
    check_wait(wait_by_poller);
}

static void pollers_that_wait_for_one_say_it_once(void **state)
{
    check_wait(wait_for_one);
}

static void another_socket_is_ready(void **state)
{
    zmq_poller_add(&poller, &other, NULL, API_POLLIN);
    zmq_poller_add(&poller, &counted, NULL, API_POLLIN);
    fake.now = 1;
    fake.ready = &other;
    assert_int_equal(wait_by_poll(-1), 1);
    assert_int_equal(empty_polls(), 1);
    assert_int_equal(wait_by_poller(-1), 1);
    assert_int_equal(empty_polls(), 2);
    assert_int_equal(wait_for_one(-1), 1); /* there may be more than the one place shows */
    assert_int_equal(empty_polls(), 2);
    assert_false(says_idle());
}

static void who_does_not_wait_for_messages_says_nothing(void **state)
{
    struct zmq_item items[] = {{.socket = &counted, .events = 2}, {.socket = &other, .events = API_POLLIN}};
    assert_int_equal(zmq_poll(items, 2, 10), 0);
    assert_int_equal(zmq_poll(NULL, 0, 0), 0);
    zmq_poller_add(&second_poller, &counted, NULL, API_POLLIN);
    assert_int_equal(wait_by_poller(10), 0);
    zmq_poller_add(&poller, &counted, NULL, API_POLLIN);
    zmq_poller_modify(&poller, &counted, 2);
    assert_int_equal(wait_by_poller(10), 0);
    zmq_poller_modify(&poller, &counted, API_POLLIN);
    zmq_poller_remove(&poller, &counted);
    assert_int_equal(wait_by_poller(10), 0);
    assert_int_equal(empty_polls(), 0);
    zmq_poller_remove(&second_poller, &counted);
}

static void an_event_loop_waits_after_it_has_asked(void **state)
{
    int value;
    size_t bytes = sizeof(value);
    assert_int_equal(zmq_getsockopt(&counted, API_EVENTS, &value, &bytes), 0);
    assert_int_equal(empty_polls(), 1);
    assert_false(says_idle());
    assert_int_equal(zmq_getsockopt(&counted, API_FD, &value, &bytes), 0);
    assert_int_equal(zmq_getsockopt(&counted, API_EVENTS, &value, &bytes), 0);
    assert_true(says_idle());
    fake.now = 1;
    assert_int_equal(zmq_getsockopt(&counted, API_EVENTS, &value, &bytes), 0);
    assert_int_equal(value, API_POLLIN);
}

static void calls_of_libzmq_itself_say_nothing(void **state)
{
    int value;
    size_t bytes = sizeof(value);
    zmq_depth++;
    assert_int_equal(zmq_getsockopt(&counted, API_EVENTS, &value, &bytes), 0);
    assert_int_equal(zmq_getsockopt(&counted, API_FD, &value, &bytes), 0);
    assert_int_equal(wait_by_poll(10), 0);
    zmq_depth--;
    assert_int_equal(empty_polls(), 0);
    assert_false(taken_tallies[0].by_fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(polls_say_what_they_find),
        TEST(ppolls_say_what_they_find),
        TEST(pollers_say_what_they_find),
        TEST(pollers_that_wait_for_one_say_it_once),
        TEST(another_socket_is_ready),
        TEST(who_does_not_wait_for_messages_says_nothing),
        TEST(an_event_loop_waits_after_it_has_asked),
        TEST(calls_of_libzmq_itself_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
