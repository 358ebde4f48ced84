/* SPDX-License-Identifier: MPL-2.0 */
/* Gates in this process, with sockets of the system's libzmq on both sides. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <weir.h>
#include <zmq.h>

#define PATIENCE_MS 20000

static void *context;

static int set_up(void **state)
{
    context = zmq_ctx_new();
    return context ? 0 : -1;
}

static int tear_down(void **state)
{
    return zmq_ctx_term(context);
}

static void *socket_of(int type)
{
    int patience = PATIENCE_MS, none = 0;
    void *s = zmq_socket(context, type);
    assert_non_null(s);
    zmq_setsockopt(s, ZMQ_RCVTIMEO, &patience, sizeof(patience));
    zmq_setsockopt(s, ZMQ_SNDTIMEO, &patience, sizeof(patience));
    zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof(none));
    return s;
}

static void *client_of(const struct weir_gate *g, int type)
{
    void *s = socket_of(type);
    assert_int_equal(zmq_connect(s, weir_gate_endpoint(g)), 0);
    return s;
}

/* A question and its answer. */
static void ask(void *client, void *app)
{
    char text[16];
    assert_int_equal(zmq_send(client, "question", 8, 0), 8);
    assert_int_equal(zmq_recv(app, text, sizeof(text), 0), 8);
    assert_int_equal(zmq_send(app, "answer", 6, 0), 6);
    assert_int_equal(zmq_recv(client, text, sizeof(text), 0), 6);
}

/* Waits until a figure of the gate has at least this value. */
static void wait_stat(const struct weir_gate *g, size_t member, uint64_t least)
{
    struct weir_gate_stats s = {.size = sizeof(s)};
    for (int ms = 0; ms < PATIENCE_MS; ms++, usleep(1000)) {
        uint64_t value;
        assert_int_equal(weir_gate_read(g, &s), 0);
        memcpy(&value, (const char *)&s + member, sizeof(value));
        if (value >= least)
            return;
    }
    fail_msg("the figure at %zu stays below %llu", member, (unsigned long long)least);
}

static void a_line_protects_a_server(void **state)
{
    void *app = socket_of(ZMQ_REP);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", NULL);
    assert_non_null(g);
    assert_non_null(strstr(weir_gate_endpoint(g), "tcp://127.0.0.1:"));
    assert_null(strchr(weir_gate_endpoint(g), '*'));
    void *client = client_of(g, ZMQ_REQ);
    for (int i = 0; i < 10; i++)
        ask(client, app);
    wait_stat(g, offsetof(struct weir_gate_stats, messages_in), 10);
    wait_stat(g, offsetof(struct weir_gate_stats, messages_out), 10);
    wait_stat(g, offsetof(struct weir_gate_stats, connections), 1);
    zmq_close(client);
    weir_unbind(g, app);
    zmq_close(app);
}

static void the_client_is_named(void **state)
{
    void *app = socket_of(ZMQ_REP);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", NULL);
    void *client = client_of(g, ZMQ_REQ);
    zmq_msg_t m;
    zmq_msg_init(&m);
    assert_int_equal(zmq_send(client, "q", 1, 0), 1);
    assert_int_equal(zmq_msg_recv(&m, app, 0), 1);
    const char *peer = zmq_msg_gets(&m, "X-Weir-Peer");
    assert_non_null(peer);
    assert_memory_equal(peer, "127.0.0.1:", 10);
    zmq_msg_close(&m);
    zmq_close(client);
    weir_unbind(g, app);
    zmq_close(app);
}

static void errors_are_those_of_a_bind(void **state)
{
    void *app = socket_of(ZMQ_ROUTER), *stream = socket_of(ZMQ_STREAM);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", NULL);
    assert_non_null(g);
    assert_null(weir_bind(app, weir_gate_endpoint(g), NULL));
    assert_int_equal(errno, EADDRINUSE);
    assert_null(weir_bind(app, "tcp://203.0.113.1:5555", NULL));
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_null(weir_bind(app, "nonsense", NULL));
    assert_int_equal(errno, EINVAL);
    assert_null(weir_bind(stream, "tcp://127.0.0.1:*", NULL));
    assert_int_equal(errno, ENOTSUP);
    struct weir_gate_options o;
    weir_gate_options_init(&o);
    o.size = 3;
    assert_null(weir_bind(app, "tcp://127.0.0.1:*", &o));
    assert_int_equal(errno, EINVAL);
    void *client = client_of(g, ZMQ_DEALER);
    char text[8];
    assert_int_equal(zmq_send(client, "on", 2, 0), 2); /* and the first gate is as it was */
    assert_true(zmq_recv(app, text, sizeof(text), 0) > 0);
    zmq_close(client);
    weir_unbind(g, app);
    zmq_close(app);
    zmq_close(stream);
}

static void mistakes_are_told_with_their_line(void **state)
{
    static const struct {
        const char *config, *said;
    } cases[] = {
        {"gates:\n  - message: {size: lots}\n", "config:2:21: "},
        {"gates:\n  - messages: 3\n", "config:2:5: "},
        {"gates:\n  - socket: pull\n", "the configuration says pull, the application's socket is a rep"},
    };
    void *app = socket_of(ZMQ_REP);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[500] = "";
        struct weir_gate_options o;
        weir_gate_options_init(&o);
        o.config = cases[i].config;
        o.why = why;
        o.why_size = sizeof(why);
        assert_null(weir_bind(app, "tcp://127.0.0.1:*", &o));
        assert_int_equal(errno, EINVAL);
        if (!strstr(why, cases[i].said))
            fail_msg("\"%s\" is not in: %s", cases[i].said, why);
    }
    zmq_close(app);
}

/* A message over the socket's own limit ends at the gate: the application's connection is never fed with it. */
static void the_sockets_limit_is_the_gates(void **state)
{
    int64_t most = 1000;
    char large[2000] = "";
    void *app = socket_of(ZMQ_PULL);
    assert_int_equal(zmq_setsockopt(app, ZMQ_MAXMSGSIZE, &most, sizeof(most)), 0);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", NULL);
    void *large_one = client_of(g, ZMQ_PUSH), *small_one = client_of(g, ZMQ_PUSH);
    assert_int_equal(zmq_send(small_one, large, 1000, 0), 1000);
    assert_int_equal(zmq_recv(app, large, sizeof(large), 0), 1000);
    assert_int_equal(zmq_send(large_one, large, 1001, 0), 1001);
    wait_stat(g, offsetof(struct weir_gate_stats, refused), 1);
    assert_int_equal(zmq_send(small_one, large, 7, 0), 7);
    assert_int_equal(zmq_recv(app, large, sizeof(large), 0), 7);
    zmq_close(large_one);
    zmq_close(small_one);
    weir_unbind(g, app);
    zmq_close(app);
}

/* A frame has that limit; a message may have many. */
static void many_frames_are_within_the_sockets_limit(void **state)
{
    int64_t most = 1000;
    char frame[1000] = "";
    void *app = socket_of(ZMQ_PULL);
    assert_int_equal(zmq_setsockopt(app, ZMQ_MAXMSGSIZE, &most, sizeof(most)), 0);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", NULL);
    void *client = client_of(g, ZMQ_PUSH);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(zmq_send(client, frame, sizeof(frame), i < 2 ? ZMQ_SNDMORE : 0), sizeof(frame));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(zmq_recv(app, frame, sizeof(frame), 0), sizeof(frame));
    zmq_close(client);
    weir_unbind(g, app);
    zmq_close(app);
}

/* What libzmq does not tell: two clients with one routing id, of which the second replaces the first. */
static void a_newcomer_takes_the_name_with_handover(void **state)
{
    int on = 1;
    char text[16];
    struct weir_gate_options o;
    void *app = socket_of(ZMQ_ROUTER), *clients[2];
    weir_gate_options_init(&o);
    o.handover = 1;
    assert_int_equal(zmq_setsockopt(app, ZMQ_ROUTER_HANDOVER, &on, sizeof(on)), 0);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", &o);
    assert_non_null(g);
    for (unsigned i = 0; i < 2; i++) {
        clients[i] = socket_of(ZMQ_DEALER);
        assert_int_equal(zmq_setsockopt(clients[i], ZMQ_ROUTING_ID, "name", 4), 0);
        assert_int_equal(zmq_connect(clients[i], weir_gate_endpoint(g)), 0);
        assert_int_equal(zmq_send(clients[i], i ? "b" : "a", 1, 0), 1);
        assert_int_equal(zmq_recv(app, text, sizeof(text), 0), 4);
        assert_int_equal(zmq_recv(app, text, sizeof(text), 0), 1);
        assert_int_equal(text[0], i ? 'b' : 'a');
    }
    zmq_close(clients[0]);
    zmq_close(clients[1]);
    weir_unbind(g, app);
    zmq_close(app);
}

static void limits_come_from_text(void **state)
{
    struct weir_gate_options o;
    weir_gate_options_init(&o);
    o.config = "gates:\n  - connections: {max: 1}\n";
    void *app = socket_of(ZMQ_REP);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", &o);
    assert_non_null(g);
    void *first = client_of(g, ZMQ_REQ);
    ask(first, app);
    void *second = client_of(g, ZMQ_REQ);
    wait_stat(g, offsetof(struct weir_gate_stats, refused), 1);
    ask(first, app);
    zmq_close(first);
    zmq_close(second);
    weir_unbind(g, app);
    zmq_close(app);
}

/* Of several gates the one with this port is meant, and what is said of the others is of no matter. */
static void the_gate_with_this_port_is_meant(void **state)
{
    char config[200], endpoint[50];
    struct weir_gate_options o;
    void *app = socket_of(ZMQ_REP);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", NULL); /* finds a free port */
    const unsigned port = (unsigned)strtoul(strrchr(weir_gate_endpoint(g), ':') + 1, NULL, 10);
    weir_unbind(g, app);
    weir_gate_options_init(&o);
    snprintf(config, sizeof(config),
             "gates:\n  - {name: other, listen: 'tcp://*:1', socket: pull}\n"
             "  - {name: this, listen: 'tcp://*:%u', socket: rep, connections: {max: 1}}\n",
             port);
    o.config = config;
    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u", port);
    g = weir_bind(app, endpoint, &o);
    assert_non_null(g);
    void *first = client_of(g, ZMQ_REQ);
    ask(first, app);
    void *second = client_of(g, ZMQ_REQ);
    wait_stat(g, offsetof(struct weir_gate_stats, refused), 1);
    zmq_close(first);
    zmq_close(second);
    weir_unbind(g, app);
    zmq_close(app);
}

static void an_address_is_free_after_unbind(void **state)
{
    char endpoint[128], inside[128];
    void *app = socket_of(ZMQ_REP);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", NULL);
    snprintf(endpoint, sizeof(endpoint), "%s", weir_gate_endpoint(g));
    snprintf(inside, sizeof(inside), "%s", weir_gate_inside(g) + strlen("ipc://"));
    assert_int_equal(access(inside, F_OK), 0);
    for (int i = 0; i < 5; i++) {
        void *client = client_of(g, ZMQ_REQ);
        ask(client, app);
        zmq_close(client);
        weir_unbind(g, app);
        g = weir_bind(app, endpoint, NULL);
        assert_non_null(g);
        assert_string_equal(weir_gate_endpoint(g), endpoint);
    }
    assert_int_equal(access(inside, F_OK), -1);
    zmq_close(app);
    weir_unbind(g, NULL); /* the socket is closed already */
}

static void what_is_taken_is_counted(void **state)
{
    struct weir_gate_options o;
    weir_gate_options_init(&o);
    o.counter = 1;
    void *app = socket_of(ZMQ_PULL);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", &o);
    assert_non_null(g);
    struct weir_counter *counter = weir_gate_counter(g);
    assert_non_null(counter);
    assert_ptr_equal(weir_gate_counter(g), counter);
    void *client = client_of(g, ZMQ_PUSH);
    zmq_msg_t m;
    zmq_msg_init(&m);
    for (int i = 0; i < 50; i++)
        assert_int_equal(zmq_send(client, "m", 1, 0), 1);
    wait_stat(g, offsetof(struct weir_gate_stats, untaken), 1);
    for (int i = 0; i < 50; i++)
        assert_int_equal(weir_counter_recv(counter, (struct zmq_msg_t *)(void *)&m, app, 0), 1);
    struct weir_gate_stats s = {.size = sizeof(s), .untaken = 1};
    for (int ms = 0; ms < PATIENCE_MS && s.untaken; ms++, usleep(1000))
        assert_int_equal(weir_gate_read(g, &s), 0);
    assert_int_equal(s.untaken, 0);
    zmq_msg_close(&m);
    zmq_close(client);
    weir_unbind(g, app);
    zmq_close(app);
}

static void another_language_binds_itself(void **state)
{
    struct weir_gate_options o;
    weir_gate_options_init(&o);
    o.socket = "rep";
    struct weir_gate *g = weir_gate_new(&o);
    assert_non_null(g);
    assert_string_equal(weir_gate_endpoint(g), "");
    assert_null(weir_gate_counter(g));
    void *app = socket_of(ZMQ_REP);
    assert_int_equal(zmq_bind(app, weir_gate_inside(g)), 0);
    assert_int_equal(weir_gate_listen(g, "nonsense"), -EINVAL);
    assert_int_equal(weir_gate_listen(g, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(weir_gate_listen(g, "tcp://127.0.0.1:*"), -EISCONN);
    void *client = client_of(g, ZMQ_REQ);
    ask(client, app);
    weir_gate_close(g);
    zmq_close(client);
    zmq_close(app);
    weir_gate_free(g);
    o.socket = "nonsense";
    char why[200] = "";
    o.why = why;
    o.why_size = sizeof(why);
    assert_null(weir_gate_new(&o));
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(why, "nonsense"));
}

static _Atomic int elsewhere, here;

static void on_signal(int sig)
{
    atomic_fetch_add(gettid() == getpid() ? &here : &elsewhere, 1);
}

static void signals_stay_with_the_program(void **state)
{
    void *app = socket_of(ZMQ_REP);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", NULL);
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    signal(SIGUSR1, on_signal);
    /* While this thread takes none, any other that did would have it. libzmq's take none. */
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    usleep(50000);
    assert_int_equal(atomic_load(&here) + atomic_load(&elsewhere), 0);
    sigprocmask(SIG_UNBLOCK, &usr1, NULL);
    assert_int_equal(atomic_load(&here), 1);
    assert_int_equal(atomic_load(&elsewhere), 0);
    signal(SIGUSR1, SIG_DFL);
    weir_unbind(g, app);
    zmq_close(app);
}

static _Atomic int lines;

static void on_line(void *arg, const char *text)
{
    assert_null(strchr(text, '\n'));
    if (strstr(text, arg) || strstr(text, ": opened: tcp://127.0.0.1:") || strstr(text, ": closed: tcp://127.0.0.1:"))
        atomic_fetch_add(&lines, 1);
}

static void the_log_goes_where_it_is_wanted(void **state)
{
    static char wanted[] = "is there (ZMTP 3.";
    assert_int_equal(weir_gate_log(on_line, wanted), 0);
    void *app = socket_of(ZMQ_REP);
    struct weir_gate *g = weir_bind(app, "tcp://127.0.0.1:*", NULL);
    assert_int_equal(weir_gate_log(NULL, NULL), -EBUSY);
    void *client = client_of(g, ZMQ_REQ);
    ask(client, app);
    zmq_close(client);
    weir_unbind(g, app);
    zmq_close(app);
    assert_int_equal(atomic_load(&lines), 3);
    assert_int_equal(weir_gate_log(NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_protects_a_server),
        cmocka_unit_test(the_client_is_named),
        cmocka_unit_test(errors_are_those_of_a_bind),
        cmocka_unit_test(mistakes_are_told_with_their_line),
        cmocka_unit_test(the_sockets_limit_is_the_gates),
        cmocka_unit_test(many_frames_are_within_the_sockets_limit),
        cmocka_unit_test(a_newcomer_takes_the_name_with_handover),
        cmocka_unit_test(limits_come_from_text),
        cmocka_unit_test(the_gate_with_this_port_is_meant),
        cmocka_unit_test(an_address_is_free_after_unbind),
        cmocka_unit_test(what_is_taken_is_counted),
        cmocka_unit_test(another_language_binds_itself),
        cmocka_unit_test(signals_stay_with_the_program),
        cmocka_unit_test(the_log_goes_where_it_is_wanted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
