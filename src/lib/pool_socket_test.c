/* SPDX-License-Identifier: MPL-2.0 */
/* With sockets of libzmq, over inproc and loopback. */
#include "lib/pool_socket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#ifndef ZMQ_METADATA
#define ZMQ_METADATA 95 /* libzmq knows it, also where its header does not */
#endif

static void *context, *client;
static struct pool_socket s;

/* A server of one type and a client of another. */
static void make(int type, int client_type, const char *endpoint)
{
    char bound[64];
    size_t size = sizeof(bound);
    context = zmq_ctx_new();
    void *server = zmq_socket(context, type);
    client = zmq_socket(context, client_type);
    s = (struct pool_socket){.frames_most = 8};
    assert_int_equal(pool_socket_init(&s, server), 0);
    assert_int_equal(zmq_bind(server, endpoint), 0);
    assert_int_equal(zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, bound, &size), 0);
    assert_int_equal(zmq_connect(client, bound), 0);
}

static void finish(void)
{
    int none = 0;
    zmq_setsockopt(client, ZMQ_LINGER, &none, sizeof(none));
    zmq_setsockopt(s.socket, ZMQ_LINGER, &none, sizeof(none));
    zmq_close(client);
    zmq_close(s.socket);
    zmq_ctx_term(context);
}

/* Sends a message whose frames are the words of `text`; "-" is an empty frame. */
static void client_sends(const char *text)
{
    while (*text) {
        size_t size = strcspn(text, " ");
        const char *rest = text + size + (text[size] == ' ');
        bool empty = size == 1 && *text == '-';
        assert_true(zmq_send(client, text, empty ? 0 : size, *rest ? ZMQ_SNDMORE : 0) >= 0);
        text = rest;
    }
}

static void client_gets(const char *expected)
{
    char text[256] = "";
    int more = 1;
    size_t size = sizeof(more), len = 0;
    while (more) {
        char frame[64];
        int n = zmq_recv(client, frame, sizeof(frame), 0);
        assert_true(n >= 0);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s", len ? " " : "", n ? n : 1, n ? frame : "-");
        assert_int_equal(zmq_getsockopt(client, ZMQ_RCVMORE, &more, &size), 0);
    }
    assert_string_equal(text, expected);
}

static struct weir_task *server_gets(void)
{
    struct weir_task *t;
    zmq_pollitem_t item = {.socket = s.socket, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, -1), 1);
    assert_int_equal(pool_socket_receive(&s, 5, &t), 0);
    assert_int_equal(t->received_ns, 5);
    return t;
}

static void body_is(struct weir_task *t, size_t frames, const char *first)
{
    size_t size;
    assert_int_equal(weir_task_frames(t), frames);
    const char *at = weir_task_frame(t, 0, &size);
    assert_int_equal(size, strlen(first));
    assert_memory_equal(at, first, size);
    assert_null(weir_task_frame(t, frames, &size));
}

static void answer(struct weir_task *t, const char *reply)
{
    assert_int_equal(weir_task_reply(t, reply, strlen(reply)), 0);
    assert_int_equal(pool_socket_answer(&s, t), 1);
    task_free(t);
}

static void a_req_at_a_router(void **state)
{
    make(ZMQ_ROUTER, ZMQ_REQ, "inproc://a");
    client_sends("question more");
    struct weir_task *t = server_gets();
    assert_int_equal(t->envelope, 2);
    body_is(t, 2, "question");
    answer(t, "reply");
    client_gets("reply");
    client_sends("-");
    t = server_gets();
    assert_int_equal(t->envelope, 2);
    body_is(t, 1, "");
    answer(t, "");
    client_gets("-");
    finish();
}

static void a_dealer_at_a_router(void **state)
{
    make(ZMQ_ROUTER, ZMQ_DEALER, "inproc://a");
    client_sends("a - b");
    struct weir_task *t = server_gets();
    assert_int_equal(t->envelope, 1);
    body_is(t, 3, "a");
    answer(t, "reply");
    client_gets("reply");
    s.all_before_empty = true;
    client_sends("a - b");
    t = server_gets();
    body_is(t, 1, "b");
    answer(t, "reply");
    client_gets("a - reply");
    client_sends("-"); /* an empty message is no envelope */
    t = server_gets();
    assert_int_equal(t->envelope, 1);
    answer(t, "reply");
    client_gets("reply");
    finish();
}

static void a_dealer_behind_a_broker(void **state)
{
    make(ZMQ_DEALER, ZMQ_DEALER, "inproc://a");
    client_sends("id - question");
    struct weir_task *t = server_gets();
    body_is(t, 1, "question");
    answer(t, "reply");
    client_gets("id - reply");
    client_sends("bare");
    t = server_gets();
    body_is(t, 1, "bare");
    answer(t, "reply");
    client_gets("reply");
    finish();
}

static void a_rep_answers_in_any_case(void **state)
{
    make(ZMQ_REP, ZMQ_REQ, "inproc://a");
    client_sends("question");
    struct weir_task *t = server_gets();
    assert_int_equal(pool_socket_answer(&s, t), 1);
    task_free(t);
    client_gets("-");
    client_sends("1 2 3 4 5 6 7 8 9");
    zmq_pollitem_t item = {.socket = s.socket, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, -1), 1);
    assert_int_equal(pool_socket_receive(&s, 5, &t), -E2BIG);
    client_gets("-");
    finish();
}

static void a_pull_has_no_replies(void **state)
{
    make(ZMQ_PULL, ZMQ_PUSH, "inproc://a");
    assert_false(pool_socket_replies(&s));
    client_sends("work");
    struct weir_task *t = server_gets();
    body_is(t, 1, "work");
    assert_int_equal(weir_task_reply(t, "a", 1), -ENOTSUP);
    assert_int_equal(pool_socket_answer(&s, t), 0);
    task_free(t);
    assert_int_equal(pool_socket_receive(&s, 5, &t), -EAGAIN);
    finish();
}

static void too_many_frames_are_dropped_whole(void **state)
{
    struct weir_task *t;
    make(ZMQ_PULL, ZMQ_PUSH, "inproc://a");
    client_sends("1 2 3 4 5 6 7 8 9 10");
    client_sends("next");
    assert_int_equal(pool_socket_receive(&s, 5, &t), -E2BIG);
    t = server_gets();
    body_is(t, 1, "next");
    task_free(t);
    finish();
}

static void replies_have_a_limit(void **state)
{
    make(ZMQ_ROUTER, ZMQ_DEALER, "inproc://a");
    client_sends("a");
    struct weir_task *t = server_gets();
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(weir_task_reply(t, "x", 1), 0);
    assert_int_equal(weir_task_reply(t, "x", 1), -E2BIG);
    task_free(t);
    finish();
}

static void busy_is_said_twice_at_most(void **state)
{
    make(ZMQ_ROUTER, ZMQ_REQ, "inproc://a");
    s.busy = "busy";
    s.busy_size = 4;
    client_sends("a");
    struct weir_task *t = server_gets();
    assert_int_equal(pool_socket_say_busy(&s, t), 1);
    client_gets("busy");
    assert_int_equal(t->frames.count, 3);
    task_free(t);
    client_sends("b");
    t = server_gets();
    t->end = TASK_SHED_FULL;
    assert_int_equal(pool_socket_answer(&s, t), 1);
    task_free(t);
    client_gets("busy");
    finish();
}

static void a_client_that_has_left_is_no_error(void **state)
{
    int yes = 1;
    make(ZMQ_ROUTER, ZMQ_DEALER, "inproc://a");
    assert_int_equal(zmq_setsockopt(s.socket, ZMQ_ROUTER_MANDATORY, &yes, sizeof(yes)), 0);
    client_sends("a");
    struct weir_task *t = server_gets();
    assert_int_equal(zmq_msg_close(&t->frames.at[0]), 0);
    assert_int_equal(zmq_msg_init_size(&t->frames.at[0], 3), 0);
    memcpy(zmq_msg_data(&t->frames.at[0]), "who", 3);
    assert_int_equal(weir_task_reply(t, "x", 1), 0);
    assert_int_equal(pool_socket_answer(&s, t), -EHOSTUNREACH);
    task_free(t);
    finish();
}

static void key_is(const char *expected)
{
    char key[WEIR_POOL_KEY_MAX];
    struct weir_task *t = server_gets();
    size_t size = pool_socket_key(&s, t, key);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(key, expected, size);
    task_free(t);
}

static void sources_are_addresses(void **state)
{
    make(ZMQ_PULL, ZMQ_PUSH, "tcp://127.0.0.1:*");
    client_sends("a");
    key_is("127.0.0.1");
    finish();
    context = zmq_ctx_new();
    client = zmq_socket(context, ZMQ_DEALER);
    s = (struct pool_socket){.frames_most = 8};
    assert_int_equal(pool_socket_init(&s, zmq_socket(context, ZMQ_ROUTER)), 0);
    assert_int_equal(zmq_setsockopt(client, ZMQ_ROUTING_ID, "me", 2), 0);
    assert_int_equal(zmq_bind(s.socket, "inproc://a"), 0);
    assert_int_equal(zmq_connect(client, "inproc://a"), 0);
    client_sends("a");
    key_is("me");
    finish();
}

static void sources_on_ipc_are_users(void **state)
{
    char expected[32], endpoint[64];
    snprintf(expected, sizeof(expected), "uid:%u", (unsigned)getuid());
    snprintf(endpoint, sizeof(endpoint), "ipc:///tmp/weir-pool-socket-test-%d", (int)getpid());
    make(ZMQ_PULL, ZMQ_PUSH, endpoint);
    client_sends("a");
    key_is(expected);
    finish();
}

static void claimed_to(enum weir_pool_peer peer_property, const char *peer, const char *expected)
{
    char name[64];
    context = zmq_ctx_new();
    client = zmq_socket(context, ZMQ_PUSH);
    s = (struct pool_socket){.frames_most = 8, .peer_property = peer_property};
    assert_int_equal(pool_socket_init(&s, zmq_socket(context, ZMQ_PULL)), 0);
    snprintf(name, sizeof(name), "X-Weir-Peer:%s", peer);
    char bound[64];
    size_t size = sizeof(bound);
    assert_int_equal(zmq_setsockopt(client, ZMQ_METADATA, name, strlen(name)), 0);
    assert_int_equal(zmq_bind(s.socket, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(s.socket, ZMQ_LAST_ENDPOINT, bound, &size), 0);
    assert_int_equal(zmq_connect(client, bound), 0);
    client_sends("a");
    key_is(expected);
    finish();
}

static void claimed(const char *peer, const char *expected)
{
    claimed_to(WEIR_POOL_PEER_LOCAL, peer, expected);
}

static void nobody_names_himself(void **state)
{
    claimed_to(WEIR_POOL_PEER_NEVER, "192.0.2.7:40112", "127.0.0.1");
}

static void the_gate_knows_better(void **state)
{
    claimed("192.0.2.7:40112", "192.0.2.7");
    claimed("[2001:db8:1:2:3:4:5:6]:40112", "2001:db8:1:2::");
    claimed("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    claimed("[::ffff:192.0.2.7]:1", "192.0.2.7");
    claimed("uid:1000", "uid:1000");
    claimed("strange", "strange");
    claimed_to(WEIR_POOL_PEER_ALWAYS, "192.0.2.7:40112", "192.0.2.7");
}

static void other_sockets_are_refused(void **state)
{
    context = zmq_ctx_new();
    void *pub = zmq_socket(context, ZMQ_PUB);
    assert_int_equal(pool_socket_init(&s, pub), -ENOTSUP);
    assert_int_equal(pool_socket_init(&s, NULL), -ENOTSOCK);
    zmq_close(pub);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_req_at_a_router),
        cmocka_unit_test(a_dealer_at_a_router),
        cmocka_unit_test(a_dealer_behind_a_broker),
        cmocka_unit_test(a_rep_answers_in_any_case),
        cmocka_unit_test(a_pull_has_no_replies),
        cmocka_unit_test(too_many_frames_are_dropped_whole),
        cmocka_unit_test(replies_have_a_limit),
        cmocka_unit_test(busy_is_said_twice_at_most),
        cmocka_unit_test(a_client_that_has_left_is_no_error),
        cmocka_unit_test(sources_are_addresses),
        cmocka_unit_test(sources_on_ipc_are_users),
        cmocka_unit_test(the_gate_knows_better),
        cmocka_unit_test(nobody_names_himself),
        cmocka_unit_test(other_sockets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
