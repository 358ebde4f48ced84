/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Runs of messages that are counted together, with a libzmq that is a fake of the test.
 */
#include "preload/taken_tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

int zmq_msg_recv(void *msg, void *socket, int flags);
int zmq_recv(void *socket, void *buffer, size_t bytes, int flags);

static char counted;

/* ---- the fake: a message is its first byte, 1 if more parts follow ---- */

static struct {
    unsigned parts_each; /* of a message */
    unsigned left, received;
    int last_flags;
} fake;

static int fake_msg_recv(void *msg, void *socket, int flags)
{
    fake.last_flags = flags;
    if (!fake.left) {
        errno = EAGAIN;
        return -1;
    }
    fake.left--;
    fake.received++;
    *(unsigned char *)msg = fake.received % fake.parts_each != 0;
    return 7;
}

static int fake_msg_more(const void *msg)
{
    return *(const unsigned char *)msg;
}

static int fake_nothing(void *msg)
{
    return 0;
}

static void *fake_data(void *msg)
{
    static char content[] = "content";
    return content;
}

static const struct zmq_user user = {
    .bytes = SIZE_MAX,
    .zmq = {.more_at = 0,
            .msg_recv = fake_msg_recv,
            .msg_more = fake_msg_more,
            .msg_init = fake_nothing,
            .msg_close = fake_nothing,
            .msg_data = fake_data},
};

const struct zmq_user *_Atomic zmq_users = &user;

const struct zmq_user *zmq_user_find(const void *caller)
{
    return &user;
}

static struct taken_page *page(void)
{
    return taken_tallies[0].counter->page;
}

static uint64_t taken(void)
{
    return atomic_load(&page()->taken);
}

static int begin(void **state)
{
    memset(&fake, 0, sizeof(fake));
    fake.parts_each = 1;
    return taken_tally_begin(0, "/nonexistent/taken", &user.zmq, &counted);
}

static int end(void **state)
{
    taken_tally_end(0);
    return 0;
}

static int receive_any(bool by_buffer)
{
    char buffer[4];
    void *msg[API_MSG_WORDS];
    return by_buffer ? zmq_recv(&counted, buffer, sizeof(buffer), 0) : zmq_msg_recv(msg, &counted, 0);
}

/* Receives all that is there. Returns how many messages were reported late at most. */
static uint64_t receive_all(bool by_buffer, unsigned messages)
{
    uint64_t late = 0;
    fake.left = messages * fake.parts_each;
    while (fake.left) {
        assert_int_equal(receive_any(by_buffer), 7);
        uint64_t whole = fake.received / fake.parts_each;
        assert_true(taken() <= whole);
        late = whole - taken() > late ? whole - taken() : late;
    }
    return late;
}

static void check_all(bool by_buffer, unsigned parts)
{
    fake.parts_each = parts;
    uint64_t late = receive_all(by_buffer, 100000);
    assert_in_range(late, 1, WEIR_TAKEN_SAMPLE - 1);
    assert_int_equal(receive_any(by_buffer), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(fake.last_flags, 0); /* it waited as the application meant it */
    assert_int_equal(taken(), 100000);
    assert_int_equal(atomic_load(&page()->empty_polls), 1);
}

static void messages_of_a_run_count_together(void **state)
{
    check_all(false, 1);
}

static void parts_of_a_run_do_not_count(void **state)
{
    check_all(false, 3);
}

static void buffers_count_as_messages(void **state)
{
    check_all(true, 2);
}

static void a_run_ends_with_the_counter(void **state)
{
    (void)receive_all(false, 10000 + WEIR_TAKEN_SAMPLE / 2);
    struct taken_tally *t = &taken_tallies[0];
    taken_tally_settle(t);
    assert_int_equal(taken(), 10000 + WEIR_TAKEN_SAMPLE / 2);
    taken_tally_settle(t);
    assert_int_equal(taken(), 10000 + WEIR_TAKEN_SAMPLE / 2);
}

static void a_run_wakes_weir(void **state)
{
    atomic_store(&page()->wake_taken, 500);
    (void)receive_all(false, 10000);
    assert_int_equal(taken_tallies[0].counter->woken_for, 500);
}

/* An application that works between messages is not in a run: each take is seen at once. */
static void slow_messages_count_at_once(void **state)
{
    for (unsigned i = 1; i <= 40; i++) {
        struct timespec pause = {.tv_nsec = 100000};
        nanosleep(&pause, NULL);
        fake.left = 1;
        assert_int_equal(receive_any(false), 7);
        assert_int_equal(taken(), i);
        assert_int_equal(taken_tallies[0].run, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_of_a_run_count_together),
        TEST(parts_of_a_run_do_not_count),
        TEST(buffers_count_as_messages),
        TEST(a_run_ends_with_the_counter),
        TEST(a_run_wakes_weir),
        TEST(slow_messages_count_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
