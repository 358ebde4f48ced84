/* SPDX-License-Identifier: MPL-2.0 */
/* Gates that come and go, of a whole relay with its threads: made to be run under ThreadSanitizer too. */
#include "preload/protocol.h"
#include "relay/client_book.h"
#include "relay/relay_inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <weir/taken.h>

#define ROUNDS 300u

struct scene {
    struct config *config;
    struct relay *relay;
    struct run_table *book;
    struct endpoint app; /* where the application listens */
    int listener;        /* the application's */
    pthread_t watcher;
    _Atomic bool over;
};

static int listen_on_any(struct endpoint *ret)
{
    *ret = (struct endpoint){.kind = ENDPOINT_TCP, .len = sizeof(ret->v4)};
    ret->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &ret->sa, ret->len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, &ret->sa, &ret->len), 0);
    return fd;
}

/* Reads what the admin thread reads, and looks at the traffic as the ban store's thread does. */
static void *watcher_main(void *arg)
{
    struct scene *s = arg;
    struct relay_snapshot all;
    struct gate_snapshot *g = malloc(sizeof(*g));
    struct gate_setting *settings = calloc(GATE_SETTINGS_MOST, sizeof(*settings));
    while (!atomic_load(&s->over)) {
        relay_snapshot(s->relay, &all);
        relay_look_at_traffic(s->relay);
        for (size_t i = 0; i < relay_gate_count(s->relay); i++) {
            relay_gate_snapshot(s->relay, i, g);
            if (!relay_gate_name(s->relay, i)[0] || !relay_gate_settings(s->relay, i, settings))
                abort();
        }
        usleep(500);
    }
    free(settings);
    free(g);
    return NULL;
}

static void scene_start(struct scene *s)
{
    *s = (struct scene){0};
    log_set_level(LOG_LEVEL_ERROR);
    s->config = config_load_patterns(NULL, stderr);
    assert_non_null(s->config);
    s->config->workers = 3;
    s->config->sources = 1024;
    s->relay = relay_new(s->config, stderr);
    assert_non_null(s->relay);
    assert_int_equal(relay_start(s->relay), 0);
    assert_int_equal(relay_gate_count(s->relay), 0);
    s->book = mmap(NULL, sizeof(*s->book), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(s->book, MAP_FAILED);
    s->listener = listen_on_any(&s->app);
    assert_int_equal(pthread_create(&s->watcher, NULL, watcher_main, s), 0);
}

static void scene_end(struct scene *s)
{
    atomic_store(&s->over, true);
    pthread_join(s->watcher, NULL);
    relay_free(s->relay);
    config_free(s->config);
    munmap(s->book, sizeof(*s->book));
    close(s->listener);
}

static int open_gate(struct scene *s, const char *name, struct endpoint *ret_real)
{
    struct gate_opening o = {.name = name, .listener = listen_on_any(ret_real), .forward = s->app, .book = s->book};
    return relay_open_gate(s->relay, &o);
}

static bool connects(const struct endpoint *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, &to->sa, to->len) == 0;
    close(fd);
    return ok;
}

/* While workers sleep and while they are awake: each is found at once, and each address is free when its gate is
 * closed. */
static void gates_open_and_close_again_and_again(void **state)
{
    struct scene s;
    struct endpoint real;
    char name[CONFIG_NAME_MAX + 1];
    scene_start(&s);
    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof(name), "gate-%u", i);
        int gate = open_gate(&s, name, &real);
        assert_in_range(gate, 0, CONFIG_GATES_MAX - 1);
        assert_string_equal(relay_gate_name(s.relay, (size_t)gate), name);
        if (i % 3)
            assert_true(connects(&real));
        relay_close_gate(s.relay, (size_t)gate);
        assert_false(connects(&real));
    }
    scene_end(&s);
}

static void a_gate_of_the_same_name_is_opened_again(void **state)
{
    struct scene s;
    struct endpoint real;
    struct gate_snapshot g;
    scene_start(&s);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(open_gate(&s, "tcp-1", &real), 0);
        assert_true(connects(&real));
        relay_close_gate(s.relay, 0);
        relay_gate_snapshot(s.relay, 0, &g);
        assert_string_equal(g.listen, "");
    }
    assert_int_equal(relay_gate_count(s.relay), 1);
    scene_end(&s);
}

/* It stays for those who read numbers every few minutes, and longer while it has connections. */
static void a_closed_gate_is_no_fault_and_is_not_shown_for_ever(void **state)
{
    struct scene s;
    struct endpoint real;
    struct gate_snapshot g;
    scene_start(&s);
    assert_int_equal(open_gate(&s, "tcp-1", &real), 0);
    relay_gate_snapshot(s.relay, 0, &g);
    assert_false(g.closed || g.is_past);
    relay_close_gate(s.relay, 0);
    relay_gate_snapshot(s.relay, 0, &g);
    assert_true(g.closed);
    assert_false(g.is_past);
    s.relay->slots[0].closed_ns -= 301 * NS_PER_S;
    relay_gate_snapshot(s.relay, 0, &g);
    assert_true(g.is_past);
    assert_int_equal(open_gate(&s, "tcp-1", &real), 0);
    relay_gate_snapshot(s.relay, 0, &g);
    assert_false(g.closed || g.is_past);
    scene_end(&s);
}

static uint64_t busiest_of(struct scene *s, size_t gate)
{
    struct gate_snapshot g;
    relay_gate_snapshot(s->relay, gate, &g);
    return g.cells[CELL_BUSIEST_IN];
}

/* What was seen at a gate is its own: it stays while it is closed and opened again, and goes when its slot does. */
static void the_busiest_second_is_that_of_the_gate(void **state)
{
    struct scene s;
    struct endpoint real;
    char name[CONFIG_NAME_MAX + 1];
    scene_start(&s);
    for (unsigned i = 0; i < CONFIG_GATES_MAX; i++) {
        snprintf(name, sizeof(name), "gate-%u", i);
        assert_int_equal(open_gate(&s, name, &real), i);
    }
    pthread_mutex_lock(&s.relay->reading);
    s.relay->busiest[7].in.most = 5;
    pthread_mutex_unlock(&s.relay->reading);
    relay_close_gate(s.relay, 7);
    assert_int_equal(busiest_of(&s, 7), 5);
    assert_int_equal(open_gate(&s, "gate-7", &real), 7);
    assert_int_equal(busiest_of(&s, 7), 5);
    relay_close_gate(s.relay, 7);
    assert_int_equal(open_gate(&s, "one-more", &real), 7);
    assert_int_equal(busiest_of(&s, 7), 0);
    scene_end(&s);
}

static void there_is_an_end_to_them(void **state)
{
    struct scene s;
    struct relay_snapshot all;
    struct endpoint real;
    char name[CONFIG_NAME_MAX + 1];
    scene_start(&s);
    for (unsigned i = 0; i < CONFIG_GATES_MAX; i++) {
        snprintf(name, sizeof(name), "gate-%u", i);
        assert_int_equal(open_gate(&s, name, &real), i);
    }
    assert_int_equal(open_gate(&s, "one-more", &real), -EMFILE);
    relay_close_gate(s.relay, 7);
    assert_int_equal(open_gate(&s, "one-more", &real), 7);
    relay_snapshot(s.relay, &all);
    assert_int_equal(all.gates_open, CONFIG_GATES_MAX);
    assert_int_equal(all.gates_opened, CONFIG_GATES_MAX + 1);
    assert_int_equal(all.gates_refused, 1);
    scene_end(&s);
}

static void a_port_without_a_pattern_gets_none(void **state)
{
    struct scene s;
    struct endpoint real;
    scene_start(&s);
    s.config->gates[0].listen.v6.sin6_port = htons(1);
    assert_int_equal(open_gate(&s, "tcp-2", &real), -ENOENT);
    scene_end(&s);
}

/* The application finds the client under the port that the connection comes from, as soon as it has accepted it. */
static void the_application_finds_out_who_its_client_is(void **state)
{
    static const uint8_t version[] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3};
    struct scene s;
    struct endpoint real, own = {.len = sizeof(own.un)}, from = {.len = sizeof(from.un)};
    struct run_address me, there;
    scene_start(&s);
    assert_true(open_gate(&s, "tcp-1", &real) >= 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &real.sa, real.len), 0);
    assert_int_equal(write(fd, version, sizeof(version)), sizeof(version));
    int accepted = accept(s.listener, &from.sa, &from.len);
    assert_true(accepted >= 0);
    assert_int_equal(getsockname(fd, &own.sa, &own.len), 0);

    int source = run_source_of(&from.sa);
    assert_in_range(source, 0, RUN_SOURCES - 1);
    const struct run_client *c = &s.book->clients[source][run_port_of(&from.sa)];
    assert_int_equal(run_client_port(c), endpoint_port(&s.app));
    run_address_from(&me, &own.sa);
    run_address_from(&there, &real.sa);
    assert_memory_equal(&c->client, &me, sizeof(me));
    assert_memory_equal(&c->local, &there, sizeof(there));
    close(accepted);
    close(fd);
    scene_end(&s);
}

static bool is_believed(struct scene *s, size_t gate)
{
    struct gate_snapshot *g = malloc(sizeof(*g));
    relay_gate_snapshot(s->relay, gate, g);
    bool believed = g->limiter.counter == TAKEN_BELIEVED;
    free(g);
    return believed;
}

/* One process at a time counts for a gate, until it hangs up or the gate closes. */
static void a_program_counts_for_its_gate(void **state)
{
    struct scene s;
    struct endpoint real;
    scene_start(&s);
    for (unsigned i = 0; i < 50; i++) {
        int gate = open_gate(&s, "tcp-1", &real), ends[2], others[2];
        assert_true(gate >= 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, others), 0);
        assert_int_equal(relay_count_at(s.relay, (size_t)gate, ends[1]), 0);
        struct weir_taken *counter = weir_taken_open_on(ends[0]);
        assert_non_null(counter);
        while (!is_believed(&s, (size_t)gate))
            usleep(1000);
        assert_int_equal(relay_count_at(s.relay, (size_t)gate, others[1]), -EBUSY);
        assert_null(weir_taken_open_on(others[0]));
        assert_int_equal(errno, EBUSY);
        if (i % 2)
            weir_taken_close(counter);
        relay_close_gate(s.relay, (size_t)gate);
        assert_false(is_believed(&s, (size_t)gate));
        if (!(i % 2))
            weir_taken_close(counter);
    }
    scene_end(&s);
}

static enum setting_from origin_of(struct scene *s, const char *key)
{
    struct gate_setting *settings = calloc(GATE_SETTINGS_MOST, sizeof(*settings));
    size_t count = relay_gate_settings(s->relay, 0, settings), i = 0;
    while (i < count && (!settings[i].key || strcmp(settings[i].key, key) != 0))
        i++;
    assert_true(i < count);
    enum setting_from from = settings[i].from;
    free(settings);
    return from;
}

/* It is told when it opens, and what it was told before does not hold any more. */
static void a_gate_is_told_what_its_socket_is(void **state)
{
    struct scene s;
    struct endpoint real;
    struct socket_options told = {.version = 40304};
    struct gate_opening o = {.name = "tcp-1", .told = &told};
    socket_options_set(&told, SOCKET_OPTION_TYPE, 6);
    socket_options_set(&told, SOCKET_OPTION_MECHANISM, 0);
    socket_options_set(&told, SOCKET_OPTION_MAXMSGSIZE, 1000);
    scene_start(&s);
    for (unsigned i = 0; i < 50; i++) {
        bool tells = i % 2 == 0;
        o.listener = listen_on_any(&real);
        o.forward = s.app;
        o.book = s.book;
        o.told = tells ? &told : NULL;
        assert_int_equal(relay_open_gate(s.relay, &o), 0);
        assert_true(connects(&real));
        assert_int_equal(origin_of(&s, "message.frame"), tells ? SETTING_FROM_OPTION : SETTING_FROM_DEFAULT);
        assert_int_equal(origin_of(&s, "socket"), tells ? SETTING_FROM_OPTION : SETTING_FROM_DEFAULT);
        assert_int_equal(origin_of(&s, "routing_ids.duplicates"), SETTING_FROM_DEFAULT);
        relay_hand_over(s.relay, 0, true);
        assert_int_equal(origin_of(&s, "routing_ids.duplicates"), SETTING_FROM_OPTION);
        relay_close_gate(s.relay, 0);
    }
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_counts_for_its_gate),
        cmocka_unit_test(gates_open_and_close_again_and_again),
        cmocka_unit_test(a_gate_of_the_same_name_is_opened_again),
        cmocka_unit_test(a_gate_is_told_what_its_socket_is),
        cmocka_unit_test(a_closed_gate_is_no_fault_and_is_not_shown_for_ever),
        cmocka_unit_test(the_busiest_second_is_that_of_the_gate),
        cmocka_unit_test(there_is_an_end_to_them),
        cmocka_unit_test(a_port_without_a_pattern_gets_none),
        cmocka_unit_test(the_application_finds_out_who_its_client_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
