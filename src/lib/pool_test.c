/* SPDX-License-Identifier: MPL-2.0 */
/* A pool with its socket in this thread, and clients in this thread or another. Nothing waits for a time to pass,
 * except where the subject is a deadline. */
#include <weir/pool.h>

#include "base/attr.h"
#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>
#include <cmocka.h>

#define STEP NS_PER_MS

static void *context, *server, *client;
static int mark; /* 0: the sockets' default high-water marks */
static struct weir_pool *pool;

/* What handlers do. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool closed; /* tasks named "wait" wait until it is opened */
    _Atomic unsigned running, most, done;
} door = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};

static void set_door(bool closed)
{
    pthread_mutex_lock(&door.lock);
    door.closed = closed;
    pthread_cond_broadcast(&door.opened);
    pthread_mutex_unlock(&door.lock);
}

static enum weir_outcome work(struct weir_task *task, void *arg)
{
    size_t size;
    const char *word = weir_task_frame(task, 0, &size);
    unsigned running = ++door.running;
    if (running > door.most)
        door.most = running;
    if (size == 4 && memcmp(word, "wait", 4) == 0) {
        pthread_mutex_lock(&door.lock);
        while (door.closed)
            pthread_cond_wait(&door.opened, &door.lock);
        pthread_mutex_unlock(&door.lock);
    }
    (void)weir_task_reply(task, word, size);
    door.running--;
    door.done++;
    return size == 4 && memcmp(word, "fail", 4) == 0 ? WEIR_FAILED : WEIR_OK;
}

static struct weir_pool_options options(void)
{
    struct weir_pool_options o;
    weir_pool_options_init(&o);
    o.handler = work;
    o.workers_min = 2;
    return o;
}

static void make(int type, int client_type, const struct weir_pool_options *o)
{
    door.most = door.done = 0;
    set_door(true);
    context = zmq_ctx_new();
    server = zmq_socket(context, type);
    client = zmq_socket(context, client_type);
    for (unsigned i = 0; mark && i < 4; i++)
        zmq_setsockopt(i % 2 ? server : client, i < 2 ? ZMQ_SNDHWM : ZMQ_RCVHWM, &mark, sizeof(mark));
    assert_int_equal(zmq_bind(server, "inproc://pool"), 0);
    assert_int_equal(zmq_connect(client, "inproc://pool"), 0);
    pool = weir_pool_new(server, o);
    assert_non_null(pool);
}

static void close_socket(void *socket)
{
    int none = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
    zmq_close(socket);
}

static void finish(void)
{
    set_door(false);
    weir_pool_free(pool);
    close_socket(client);
    close_socket(server);
    zmq_ctx_term(context);
}

static struct weir_pool_stats stats(void)
{
    struct weir_pool_stats s = {.size = sizeof(s)};
    assert_int_equal(weir_pool_read(pool, &s), 0);
    return s;
}

static void client_sends(const char *word)
{
    assert_int_equal(zmq_send(client, word, strlen(word), 0), strlen(word));
}

/* Runs the pool until the condition holds. */
#define RUN_UNTIL(condition)                                                                                           \
    do                                                                                                                 \
        assert_int_equal(weir_pool_run(pool, STEP), -EAGAIN);                                                          \
    while (!(condition))

/* The next reply at the client; the pool runs meanwhile. */
static void client_gets(const char *expected)
{
    char word[64] = "";
    int n;
    RUN_UNTIL((n = zmq_recv(client, word, sizeof(word) - 1, ZMQ_DONTWAIT)) >= 0);
    assert_string_equal(word, expected);
}

static bool client_has_none(void)
{
    char byte;
    return zmq_recv(client, &byte, 1, ZMQ_DONTWAIT) < 0;
}

static void requests_are_answered(void **state)
{
    struct weir_pool_options o = options();
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    for (unsigned i = 0; i < 500; i++)
        client_sends("hello");
    for (unsigned i = 0; i < 500; i++)
        client_gets("hello");
    struct weir_pool_stats s = stats();
    assert_int_equal(s.received, 500);
    assert_int_equal(s.begun, 500);
    assert_int_equal(s.ok, 500);
    assert_int_equal(s.replies, 500);
    assert_int_equal(s.workers, 2);
    assert_int_equal(s.waiting + s.running, 0);
    finish();
}

static void a_slow_task_keeps_nobody_waiting(void **state)
{
    struct weir_pool_options o = options();
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    client_sends("wait");
    for (unsigned i = 0; i < 50; i++) {
        client_sends("quick");
        client_gets("quick");
    }
    set_door(false);
    client_gets("wait");
    finish();
}

static void a_rep_is_served(void **state)
{
    struct weir_pool_options o = options();
    make(ZMQ_REP, ZMQ_REQ, &o);
    for (unsigned i = 0; i < 50; i++) {
        client_sends("hello");
        client_gets("hello");
    }
    assert_int_equal(door.most, 1);
    finish();
}

static void messages_without_replies(void **state)
{
    struct weir_pool_options o = options();
    make(ZMQ_PULL, ZMQ_PUSH, &o);
    for (unsigned i = 0; i < 300; i++)
        client_sends("work");
    RUN_UNTIL(door.done == 300);
    assert_int_equal(stats().replies, 0);
    finish();
}

static void replies_that_find_no_room_do_not_pile_up(void **state)
{
    struct weir_pool_options o = options();
    mark = 2;
    make(ZMQ_DEALER, ZMQ_DEALER, &o);
    mark = 0;
    unsigned sent = 0;
    for (unsigned i = 0; i < 500; i++) {
        sent += zmq_send(client, "hello", 5, ZMQ_DONTWAIT) == 5;
        assert_int_equal(weir_pool_run(pool, STEP / 10), -EAGAIN);
    }
    assert_true(sent < 200);
    for (unsigned i = 0; i < sent; i++)
        client_gets("hello");
    assert_int_equal(stats().replies_lost, 0);
    finish();
}

static void a_full_pool_stops_receiving(void **state)
{
    struct weir_pool_options o = options();
    o.queue = 3;
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    for (unsigned i = 0; i < 20; i++)
        client_sends("wait");
    RUN_UNTIL(stats().running == 2 && stats().waiting == 3);
    RUN_UNTIL(stats().full >= 1);
    assert_int_equal(stats().received, 5);
    set_door(false);
    for (unsigned i = 0; i < 20; i++)
        client_gets("wait");
    assert_int_equal(stats().shed_full, 0);
    finish();
}

static void a_full_pool_may_shed(void **state)
{
    struct weir_pool_options o = options();
    o.queue = 3;
    o.full = WEIR_POOL_SHED;
    o.busy = "busy";
    o.busy_size = 4;
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    client_sends("wait");
    client_sends("wait");
    RUN_UNTIL(stats().running == 2);
    for (unsigned i = 0; i < 18; i++)
        client_sends("wait");
    for (unsigned i = 0; i < 15; i++)
        client_gets("busy");
    assert_int_equal(stats().shed_full, 15);
    set_door(false);
    for (unsigned i = 0; i < 5; i++)
        client_gets("wait");
    finish();
}

static size_t key_by_word(struct weir_task *task, void *key, size_t room, void *arg)
{
    size_t size;
    const char *word = weir_task_frame(task, 0, &size);
    memcpy(key, word, size < room ? size : room);
    return size < room ? size : room;
}

static void the_key_decides_who_is_shed(void **state)
{
    struct weir_pool_options o = options();
    o.queue = 10;
    o.full = WEIR_POOL_SHED;
    o.key = key_by_word;
    o.source_workers = 1;
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    for (unsigned i = 0; i < 50; i++) { /* two sources: one floods and is stuck, the other is served all the time */
        for (unsigned n = 0; n < 3; n++)
            client_sends("wait");
        client_sends("nice");
        client_gets("nice");
    }
    struct weir_pool_stats s = stats();
    assert_int_equal(s.running, 1);
    assert_int_equal(s.received, 200);
    assert_in_range(s.shed_full, 139, 140);
    assert_int_equal(s.sources, 2);
    finish();
}

static void deadlines_are_kept(void **state)
{
    struct weir_pool_options o = options();
    o.workers_min = 1;
    o.deadline_ns = 200 * NS_PER_MS;
    o.busy = "late";
    o.busy_size = 4;
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    client_sends("wait");
    RUN_UNTIL(stats().running == 1);
    client_sends("next"); /* never begins */
    client_gets("late");
    client_gets("late");
    assert_int_equal(stats().shed_deadline, 1);
    set_door(false);
    RUN_UNTIL(stats().late == 1);
    assert_true(client_has_none());
    client_sends("good");
    client_gets("good");
    finish();
}

static void a_stage_slows_it_down(void **state)
{
    struct weir_backpressure *stage = weir_backpressure_new(NULL);
    struct weir_pool_options o = options();
    o.stage = stage;
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    weir_backpressure_mark(stage, UINT64_MAX);
    for (unsigned i = 0; i < 3; i++)
        client_sends("hello");
    RUN_UNTIL(stats().waiting == 3);
    assert_int_equal(stats().begun, 0);
    weir_backpressure_clear(stage);
    for (unsigned i = 0; i < 3; i++)
        client_gets("hello");
    weir_backpressure_mark(stage, 5 * NS_PER_MS);
    client_sends("later");
    client_gets("later");
    finish();
    weir_backpressure_free(stage);
}

static void it_grows_for_tasks_that_wait(void **state)
{
    struct weir_pool_options o = options();
    o.workers_min = 1;
    o.workers_max = 4;
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    for (unsigned i = 0; i < 200; i++) { /* tasks take time and no processor time: of that it hears when they end */
        client_sends("wait");
        if (i % 4 == 3) {
            RUN_UNTIL(stats().running >= 1);
            set_door(false);
            RUN_UNTIL(stats().ok == i + 1);
            set_door(true);
        }
    }
    for (unsigned i = 0; i < 8; i++)
        client_sends("wait");
    RUN_UNTIL(stats().running >= 2);
    assert_true(stats().workers >= 2 && stats().workers <= 4);
    finish();
}

static void *stop_it(void *arg)
{
    weir_pool_stop(pool, UINT64_MAX);
    return NULL;
}

static void it_drains(void **state)
{
    pthread_t thread;
    struct weir_pool_options o = options();
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    for (unsigned i = 0; i < 10; i++)
        client_sends("wait");
    RUN_UNTIL(stats().received == 10);
    assert_int_equal(pthread_create(&thread, NULL, stop_it, NULL), 0);
    pthread_join(thread, NULL);
    client_sends("too late");
    assert_int_equal(weir_pool_run(pool, STEP), -EAGAIN);
    set_door(false);
    assert_int_equal(weir_pool_run(pool, UINT64_MAX), 0);
    struct weir_pool_stats s = stats();
    assert_int_equal(s.ok, 10);
    assert_int_equal(s.replies, 10);
    assert_int_equal(s.received, 10);
    assert_int_equal(weir_pool_run(pool, UINT64_MAX), 0);
    finish();
}

static void a_drain_has_an_end(void **state)
{
    struct weir_pool_options o = options();
    o.busy = "bye";
    o.busy_size = 3;
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    for (unsigned i = 0; i < 10; i++)
        client_sends("wait");
    RUN_UNTIL(stats().running == 2 && stats().received == 10);
    weir_pool_stop(pool, 0);
    client_gets("bye");
    set_door(false);
    assert_int_equal(weir_pool_run(pool, UINT64_MAX), 0);
    assert_int_equal(stats().shed_drain, 8);
    assert_int_equal(stats().ok, 2);
    finish();
}

static void the_meter_is_filled_in(void **state)
{
    struct weir_meter *meter = weir_meter_new("pool");
    struct weir_meter_stats m = {.size = sizeof(m)};
    struct weir_pool_options o = options();
    o.meter = meter;
    o.queue = 2;
    o.full = WEIR_POOL_SHED;
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    client_sends("wait");
    client_sends("wait");
    RUN_UNTIL(stats().running == 2);
    for (unsigned i = 0; i < 6; i++)
        client_sends("fail");
    RUN_UNTIL(stats().shed_full == 4);
    assert_int_equal(weir_meter_read(meter, &m), 0);
    assert_int_equal(m.queue, 2);
    set_door(false);
    RUN_UNTIL(stats().failed == 2);
    assert_int_equal(weir_meter_read(meter, &m), 0);
    assert_int_equal(m.queue, 0);
    assert_int_equal(m.ok, 2);
    assert_int_equal(m.failed, 2);
    assert_int_equal(m.shed, 4);
    finish();
    weir_meter_free(meter);
}

static void it_may_be_freed_at_work(void **state)
{
    struct weir_pool_options o = options();
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    for (unsigned i = 0; i < 100; i++)
        client_sends(i % 2 ? "wait" : "hello");
    RUN_UNTIL(stats().running == 2);
    finish();
}

static void *end_context(void *arg)
{
    zmq_ctx_shutdown(context);
    return NULL;
}

static void the_end_of_the_context_ends_it(void **state)
{
    pthread_t thread;
    struct weir_pool_options o = options();
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    client_sends("hello");
    client_gets("hello");
    assert_int_equal(pthread_create(&thread, NULL, end_context, NULL), 0);
    assert_int_equal(weir_pool_run(pool, UINT64_MAX), -ETERM);
    pthread_join(thread, NULL);
    finish();
}

static enum weir_outcome ask_about_itself(struct weir_task *task, void *arg)
{
    size_t size;
    const char *source = weir_task_source(task, &size);
    assert_int_equal(size, 2);
    assert_string_equal(source, "me");
    assert_true(weir_task_left_ns(task) > 0 && weir_task_left_ns(task) <= 60 * NS_PER_S);
    assert_true(weir_task_waited_ns(task) < 60 * NS_PER_S);
    assert_null(weir_task_property(task, "X-Nothing"));
    assert_int_equal(weir_task_frames(task), 1);
    return weir_task_reply(task, "yes", 3) ? WEIR_FAILED : WEIR_OK;
}

static size_t key_me(struct weir_task *task, void *key, size_t room, void *arg)
{
    memcpy(key, "me", 2);
    return 2;
}

static void a_task_knows_itself(void **state)
{
    struct weir_pool_options o = options();
    o.handler = ask_about_itself;
    o.key = key_me;
    o.deadline_ns = 60 * NS_PER_S;
    make(ZMQ_ROUTER, ZMQ_DEALER, &o);
    client_sends("hello");
    client_gets("yes");
    finish();
}

static void wrong_options_are_refused(void **state)
{
    struct weir_pool_options o = options();
    o.handler = NULL;
    assert_null(weir_pool_new(NULL, &o));
    assert_int_equal(errno, EINVAL);
    o = options();
    o.workers_max = 1;
    assert_null(weir_pool_new(NULL, &o));
    assert_int_equal(errno, EINVAL);
    o = options();
    assert_null(weir_pool_new(NULL, &o));
    assert_int_equal(errno, ENOTSOCK);
    assert_null(weir_pool_new(NULL, NULL));
    weir_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(a_slow_task_keeps_nobody_waiting),
        cmocka_unit_test(a_rep_is_served),
        cmocka_unit_test(messages_without_replies),
        cmocka_unit_test(replies_that_find_no_room_do_not_pile_up),
        cmocka_unit_test(a_full_pool_stops_receiving),
        cmocka_unit_test(a_full_pool_may_shed),
        cmocka_unit_test(the_key_decides_who_is_shed),
        cmocka_unit_test(deadlines_are_kept),
        cmocka_unit_test(a_stage_slows_it_down),
        cmocka_unit_test(it_grows_for_tasks_that_wait),
        cmocka_unit_test(it_drains),
        cmocka_unit_test(a_drain_has_an_end),
        cmocka_unit_test(the_meter_is_filled_in),
        cmocka_unit_test(it_may_be_freed_at_work),
        cmocka_unit_test(the_end_of_the_context_ends_it),
        cmocka_unit_test(a_task_knows_itself),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
