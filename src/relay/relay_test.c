/* SPDX-License-Identifier: MPL-2.0 */
/* The whole relay with its threads: made to be run under ThreadSanitizer too. */
#include "relay/relay.h"

#include "base/property.h"
#include "inspect/traffic_drive.h" /* struct stream */
#include "zmtp/greeting.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define THREADS  4u
#define RELOADS  1000
#define LIVES    60u
#define MESSAGES 40u

/* An application that echoes everything, after a greeting of its own: one thread for each connection. */
struct echo {
    int listener;
    _Atomic unsigned connections;
};

struct play {
    struct config *config;
    struct relay *relay;
    struct echo app;
    struct endpoint gate;
    _Atomic bool over;
    _Atomic unsigned answers;
};

static void put_ready(struct stream *s, const char *type)
{
    uint8_t greeting[ZMTP_GREETING_BYTES], metadata[64] = {11};
    zmtp_greeting_put(greeting, &(struct zmtp_greeting){.major = 3, .minor = 1, .mechanism = MECHANISM_NULL});
    stream_put(s, greeting, sizeof(greeting));
    memcpy(metadata + 1, "Socket-Type", 11);
    metadata[15] = (uint8_t)strlen(type);
    memcpy(metadata + 16, type, strlen(type));
    stream_command(s, "READY", metadata, 16 + strlen(type));
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool read_all(int fd, uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(fd, bytes, len, 0);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* The other side's greeting and READY. */
static bool read_hello(int fd)
{
    uint8_t bytes[512];
    if (!read_all(fd, bytes, ZMTP_GREETING_BYTES + 2) || bytes[ZMTP_GREETING_BYTES] != ZMTP_FLAG_COMMAND)
        return false;
    return read_all(fd, bytes, bytes[ZMTP_GREETING_BYTES + 1]);
}

struct echo_end {
    struct echo *app;
    int fd;
};

static void *echo_main(void *arg)
{
    struct echo_end e = *(struct echo_end *)arg;
    struct stream hello = {0};
    uint8_t bytes[4096];
    free(arg);
    put_ready(&hello, "ROUTER");
    if (write_all(e.fd, hello.bytes, hello.len) && read_hello(e.fd))
        for (ssize_t n; (n = recv(e.fd, bytes, sizeof(bytes), 0)) > 0;)
            if (!write_all(e.fd, bytes, (size_t)n))
                break;
    stream_free(&hello);
    close(e.fd);
    atomic_fetch_sub(&e.app->connections, 1);
    return NULL;
}

static void *app_main(void *arg)
{
    struct echo *app = arg;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (int fd; (fd = accept(app->listener, NULL, NULL)) >= 0;) {
        struct echo_end *e = malloc(sizeof(*e));
        pthread_t thread;
        *e = (struct echo_end){app, fd};
        atomic_fetch_add(&app->connections, 1);
        if (pthread_create(&thread, &attr, echo_main, e) != 0)
            abort();
    }
    pthread_attr_destroy(&attr);
    return NULL;
}

static int try_connect_from(const struct play *p, uint32_t host)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 || connect(fd, &p->gate.sa, p->gate.len) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A port that bind() finds free may still be remembered by an earlier connection between the same two ends. */
static int connect_from(const struct play *p, uint32_t host)
{
    int fd = -1;
    for (unsigned i = 0; i < 20 && fd < 0; i++)
        fd = try_connect_from(p, host);
    return fd;
}

/* Some messages there and back; true when every byte came back unchanged. */
static bool converse_on(int fd, struct property_rng *random)
{
    struct stream said = {0};
    for (unsigned i = 0; i < MESSAGES; i++)
        stream_frame(&said, i % 5 == 0 ? ZMTP_FLAG_MORE : 0, (uint8_t)i, property_magnitude(random, 11));
    stream_frame(&said, 0, 'z', 10);
    uint8_t *back = malloc(said.len);
    bool ok =
        write_all(fd, said.bytes, said.len) && read_all(fd, back, said.len) && memcmp(back, said.bytes, said.len) == 0;
    free(back);
    stream_free(&said);
    return ok;
}

/* The same after the handshake. */
static bool converse(int fd, struct property_rng *random)
{
    struct stream hello = {0};
    put_ready(&hello, "DEALER");
    bool ok = write_all(fd, hello.bytes, hello.len) && read_hello(fd) && converse_on(fd, random);
    stream_free(&hello);
    return ok;
}

struct client {
    struct play *play;
    struct property_rng random;
    uint32_t host;
};

/* Lives of many kinds: whole conversations, strangers, and clients that leave in the middle. */
static void *client_main(void *arg)
{
    struct client *c = arg;
    for (unsigned i = 0; i < LIVES; i++) {
        int fd = connect_from(c->play, c->host + i % 3);
        if (fd < 0)
            continue;
        uint64_t kind = property_below(&c->random, 8);
        if (kind == 0)
            (void)!write(fd, "GET / HTTP/1.0\r\n\r\n", 18);
        else if (kind == 1)
            (void)!write(fd, "\xff\0\0\0\0\0\0\0\1\x7f", 10);
        else if (converse(fd, &c->random))
            atomic_fetch_add(&c->play->answers, 1);
        else
            fprintf(stderr, "a conversation failed\n");
        close(fd);
    }
    return NULL;
}

static void *watch_main(void *arg)
{
    struct play *p = arg;
    while (!atomic_load(&p->over)) {
        struct gate_snapshot g;
        struct relay_snapshot r;
        relay_gate_snapshot(p->relay, 0, &g);
        relay_snapshot(p->relay, &r);
        /* Nothing is held beyond the limit, and no gauge is below zero, at any moment. */
        if (r.held_bytes > r.memory_limit_bytes || g.cells[CELL_OPEN] > 100000 ||
            g.cells[CELL_HELD] > r.memory_limit_bytes)
            abort();
        usleep(1000);
    }
    return NULL;
}

static void await_open(const struct relay *r, uint64_t n)
{
    while (relay_open_connections(r) != n)
        usleep(1000);
}

static void listen_app(struct play *p, char *url, size_t size)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int len = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "weir-relay-test-%d", (int)getpid());
    p->app.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->app.listener, (struct sockaddr *)&a,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)),
                     0);
    assert_int_equal(listen(p->app.listener, 512), 0);
    snprintf(url, size, "ipc://@weir-relay-test-%d", (int)getpid());
}

static void play_start_with(struct play *p, const char *listen, uint32_t connections)
{
    char url[64];
    struct gate_snapshot g;
    const char *why;
    memset(p, 0, sizeof(*p));
    log_set_level(LOG_LEVEL_ERROR);
    listen_app(p, url, sizeof(url));
    p->config = config_from_args(listen, url, stderr);
    assert_non_null(p->config);
    p->config->workers = 4;
    p->config->gates[0].limits.connections.max = connections;
    p->config->gates[0].limits.ban.strikes.strikes = 0; /* strangers come from the addresses of honest clients */
    p->relay = relay_new(p->config, stderr);
    assert_non_null(p->relay);
    assert_int_equal(relay_start(p->relay), 0);
    relay_gate_snapshot(p->relay, 0, &g);
    assert_int_equal(endpoint_parse(&p->gate, g.listen, false, &why), 0);
}

static void play_start(struct play *p, const char *listen)
{
    play_start_with(p, listen, 960);
}

static void play_end(struct play *p, pthread_t app)
{
    relay_free(p->relay);
    shutdown(p->app.listener, SHUT_RDWR);
    pthread_join(app, NULL);
    while (atomic_load(&p->app.connections) > 0)
        usleep(1000);
    close(p->app.listener);
    config_free(p->config);
}

/* Every gauge comes down to zero, except for learned facts. */
static void await_zero(const struct play *p)
{
    struct gate_snapshot g;
    for (unsigned c = 0; c < CELL_COUNT; c++)
        if (c != CELL_PLAIN_SERVICE && metric_cell_info((enum metric_cell)c)->type == METRIC_GAUGE)
            for (relay_gate_snapshot(p->relay, 0, &g); g.cells[c] != 0; relay_gate_snapshot(p->relay, 0, &g))
                usleep(1000);
}

static void check_end(struct play *p, unsigned answers)
{
    struct gate_snapshot g;
    struct relay_snapshot r;
    await_zero(p);
    relay_gate_snapshot(p->relay, 0, &g);
    relay_snapshot(p->relay, &r);
    assert_int_equal(g.cells[CELL_CLOSED], THREADS * LIVES);
    assert_int_equal(g.cells[CELL_ESTABLISHED], answers);
    assert_true(g.cells[CELL_MESSAGES_IN] >= (uint64_t)answers * (MESSAGES / 5 * 4));
    assert_true(g.cells[CELL_RECEIVED_OUT] > 0);
    assert_true(g.verdicts[VERDICT_BAD_GREETING] > 0);
    assert_int_equal(r.workers, 4);
}

static void many_lives_over_four_workers(void **state)
{
    struct play p;
    struct client clients[THREADS];
    pthread_t app, watch, threads[THREADS];
    struct property_rng random = property_rng_new("relay");
    play_start(&p, "tcp://127.0.0.1:*");
    pthread_create(&app, NULL, app_main, &p.app);
    pthread_create(&watch, NULL, watch_main, &p);
    for (unsigned i = 0; i < THREADS; i++) {
        clients[i] = (struct client){.play = &p, .random = {property_next(&random)}, .host = 0x7f000001u + 3 * i};
        pthread_create(&threads[i], NULL, client_main, &clients[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    await_open(p.relay, 0);
    atomic_store(&p.over, true);
    pthread_join(watch, NULL);
    assert_true(atomic_load(&p.answers) > THREADS * LIVES / 2);
    check_end(&p, atomic_load(&p.answers));
    play_end(&p, app);
}

/* Replaces the configuration again and again until the play is over, and counts how often. */
static void *reload_main(void *arg)
{
    struct play *p = arg;
    char url[64];
    uintptr_t n = 0;
    snprintf(url, sizeof(url), "ipc://@weir-relay-test-%d", (int)getpid());
    while (n < RELOADS || !atomic_load(&p->over)) {
        struct config *c = config_from_args("tcp://127.0.0.1:*", url, stderr);
        assert_non_null(c);
        c->gates[0].limits.ban.strikes.strikes = 0; /* as at the start: play_start() */
        c->gates[0].limits.source.messages.rate.count = n % 2 ? 0 : 1000000000;
        c->gates[0].limits.source.messages.rate.period_ns = NS_PER_S;
        c->gates[0].limits.source.messages.rate.burst = 1000000; /* a pause could put PONGs among the echoes */
        struct ban_lists_result lists;
        int error = relay_reload(p->relay, c, &lists);
        assert_true(error == 0 || error == -EBUSY); /* a machine that stands still for a second */
        if (error)
            config_free(c);
        n += error == 0;
    }
    return (void *)n;
}

/* Each client checks that every message comes back. */
static void a_thousand_reloads_disturb_nobody(void **state)
{
    struct play p;
    struct client clients[THREADS];
    struct relay_snapshot r;
    pthread_t app, reloader, threads[THREADS];
    void *reloads;
    struct property_rng random = property_rng_new("reloads");
    play_start(&p, "tcp://127.0.0.1:*");
    pthread_create(&app, NULL, app_main, &p.app);
    pthread_create(&reloader, NULL, reload_main, &p);
    for (unsigned i = 0; i < THREADS; i++) {
        clients[i] = (struct client){.play = &p, .random = {property_next(&random)}, .host = 0x7f000001u + 3 * i};
        pthread_create(&threads[i], NULL, client_main, &clients[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&p.over, true);
    pthread_join(reloader, &reloads);
    await_open(p.relay, 0);
    relay_snapshot(p.relay, &r);
    assert_true((uintptr_t)reloads >= RELOADS);
    assert_int_equal(r.generation, 1 + (uintptr_t)reloads);
    assert_true(atomic_load(&p.answers) > THREADS * LIVES / 2);
    check_end(&p, atomic_load(&p.answers));
    play_end(&p, app);
}

/* Quiet connections end at once. Those in the middle of a message stay until it is complete. */
static void draining_lets_messages_end(void **state)
{
    struct play p;
    pthread_t app;
    struct property_rng random = property_rng_new("relay");
    struct stream half = {0};
    uint8_t byte;
    int quiet[8], busy;
    play_start(&p, "tcp://127.0.0.1:*");
    pthread_create(&app, NULL, app_main, &p.app);
    for (unsigned i = 0; i < 8; i++) {
        quiet[i] = connect_from(&p, 0x7f000001u + i);
        assert_true(converse(quiet[i], &random));
    }
    busy = connect_from(&p, 0x7f000001u);
    assert_true(converse(busy, &random));
    stream_frame(&half, 0, 'h', 1000);
    assert_true(write_all(busy, half.bytes, 500));
    usleep(50000); /* so that the relay has most likely seen it; the test holds either way */
    relay_drain(p.relay);
    for (int late; (late = connect_from(&p, 0x7f000001u)) >= 0;)
        close(late);
    await_open(p.relay, 1);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(recv(quiet[i], &byte, 1, 0), 0);
    assert_true(write_all(busy, half.bytes + 500, half.len - 500));
    uint8_t back[1009];
    assert_true(read_all(busy, back, half.len));
    assert_memory_equal(back, half.bytes, half.len);
    await_open(p.relay, 0);
    for (unsigned i = 0; i < 8; i++)
        close(quiet[i]);
    close(busy);
    stream_free(&half);
    play_end(&p, app);
}

/* With connections open and traffic under way. */
static void ending_at_once_leaves_nothing(void **state)
{
    struct play p;
    pthread_t app;
    struct property_rng random = property_rng_new("relay");
    int fds[16];
    play_start(&p, "tcp://127.0.0.1:*");
    pthread_create(&app, NULL, app_main, &p.app);
    for (unsigned i = 0; i < 16; i++) {
        fds[i] = connect_from(&p, 0x7f000001u + i % 4);
        assert_true(i % 2 || converse(fds[i], &random));
    }
    play_end(&p, app);
    for (unsigned i = 0; i < 16; i++)
        close(fds[i]);
}

/* An operator's ban, from a thread that is no worker, reaches connections of all workers; so does its end. */
static void bans_reach_every_worker(void **state)
{
    struct play p;
    pthread_t app;
    struct property_rng random = property_rng_new("relay bans");
    struct network all, one;
    int fds[16], stuck;
    uint8_t byte;
    assert_int_equal(network_parse(&all, "127.0.0.0/8", NULL), 0);
    assert_int_equal(network_parse(&one, "127.0.0.1", NULL), 0);
    play_start(&p, "tcp://127.0.0.1:*");
    pthread_create(&app, NULL, app_main, &p.app);
    for (unsigned i = 0; i < 16; i++) {
        fds[i] = connect_from(&p, 0x7f000001u + i % 4);
        assert_true(converse(fds[i], &random));
    }
    relay_ban(p.relay, &one, BAN_FOR_EVER);
    for (unsigned i = 0; i < 16; i += 4)
        assert_true(recv(fds[i], &byte, 1, 0) <= 0);
    await_open(p.relay, 12);
    relay_ban(p.relay, &all, BAN_FOR_EVER);
    await_open(p.relay, 0);
    for (unsigned i = 0; i < 16; i++)
        close(fds[i]);
    stuck = connect_from(&p, 0x7f000005u);
    assert_true(relay_unban(p.relay, &all));
    assert_false(relay_unban(p.relay, &all));
    close(stuck);
    fds[0] = connect_from(&p, 0x7f000005u);
    assert_true(converse(fds[0], &random));
    close(fds[0]);
    await_open(p.relay, 0);
    play_end(&p, app);
}

/* Idle connections give way at each of the four workers; a client that was served stays. */
static void idle_connections_give_way_at_every_worker(void **state)
{
    struct play p;
    pthread_t app;
    struct property_rng random = property_rng_new("relay strangers");
    struct stream hello = {0};
    int idle[24], served[24];
    play_start_with(&p, "tcp://127.0.0.1:*", 24);
    pthread_create(&app, NULL, app_main, &p.app);
    put_ready(&hello, "DEALER");
    for (unsigned i = 0; i < 24; i++) {
        idle[i] = connect_from(&p, 0x7f010001u + i);
        assert_true(write_all(idle[i], hello.bytes, hello.len) && read_hello(idle[i]));
    }
    for (unsigned i = 0; i < 24; i++) {
        served[i] = connect_from(&p, 0x7f020001u + 256 * i);
        assert_true(converse(served[i], &random));
    }
    for (unsigned i = 0; i < 24; i++) {
        uint8_t byte;
        assert_true(recv(idle[i], &byte, 1, 0) <= 0);
        close(idle[i]);
        assert_true(converse_on(served[i], &random));
    }
    for (unsigned i = 0; i < 24; i++)
        close(served[i]);
    await_open(p.relay, 0);
    play_end(&p, app);
    stream_free(&hello);
}

static uint64_t query(struct play *p, enum query_kind kind, const char *network, struct query_answer *ret)
{
    struct query_ask ask = {.kind = kind, .gate = QUERY_ALL, .rows = 100};
    if (network)
        assert_int_equal(network_parse(&ask.network, network, NULL), 0);
    assert_int_equal(relay_query(p->relay, &ask, 60 * NS_PER_S, ret), 0);
    assert_true(ret->complete);
    return ret->matched;
}

/* Connections of all workers are listed while they are busy, and closed for an operator; the others go on. */
static void surveys_reach_every_worker(void **state)
{
    struct play p;
    pthread_t app;
    struct property_rng random = property_rng_new("relay queries");
    struct query_answer a;
    int fds[16];
    uint8_t byte;
    play_start(&p, "tcp://127.0.0.1:*");
    pthread_create(&app, NULL, app_main, &p.app);
    for (unsigned i = 0; i < 16; i++) {
        fds[i] = connect_from(&p, 0x7f000001u + i % 4);
        assert_true(converse(fds[i], &random));
    }
    for (unsigned round = 0; round < 200; round++) {
        assert_int_equal(query(&p, round % 2 ? QUERY_CONNECTIONS : QUERY_SOURCES, NULL, &a), round % 2 ? 16 : 4);
        assert_int_equal(a.count, a.matched);
        free(a.rows.any);
    }
    assert_int_equal(query(&p, QUERY_SOURCES, "127.0.0.2", &a), 1);
    assert_string_equal(a.rows.sources[0].text, "127.0.0.2");
    assert_int_equal(a.rows.sources[0].connections, 4);
    free(a.rows.any);
    assert_int_equal(query(&p, QUERY_KICK, "127.0.0.3", &a), 4);
    free(a.rows.any);
    for (unsigned i = 2; i < 16; i += 4)
        assert_true(recv(fds[i], &byte, 1, 0) <= 0);
    for (unsigned i = 0; i < 16; i++) {
        assert_true(i % 4 == 2 || converse_on(fds[i], &random));
        close(fds[i]);
    }
    await_open(p.relay, 0);
    play_end(&p, app);
}

static struct relay *relay_with_exemption(struct config **ret_c, const char *network)
{
    *ret_c = config_from_args("tcp://127.0.0.1:*", "tcp://192.0.2.7:5555", stderr);
    assert_non_null(*ret_c);
    struct networks *exempt = &(*ret_c)->gates[0].limits.ban.exempt;
    assert_int_equal(network_parse(&exempt->at[exempt->count++], network, NULL), 0);
    struct relay *r = relay_new(*ret_c, stderr);
    assert_non_null(r);
    return r;
}

static void some_must_not_be_banned(void **state)
{
    static const struct {
        const char *who, *why; /* NULL: may be banned */
    } cases[] = {
        {"203.0.113.1", NULL},
        {"0.0.0.0/0", "everybody"},
        {"::/0", "everybody"},
        {"128.0.0.0/1", "a large part of the world"},
        {"2000::/15", "a large part of the world"},
        {"10.0.0.0/8", NULL},
        {"192.0.2.7", "the application of gate main answers at tcp://192.0.2.7:5555"},
        {"192.0.2.0/24", "the application of gate main answers at tcp://192.0.2.7:5555, which lies in 192.0.2.0/24"},
        {"192.0.2.8", NULL},
        {"198.51.100.0/25", "exempt at every gate"},
        {"198.51.100.9", "exempt at every gate"},
        {"198.51.0.0/16", NULL}, /* the exempt part of it is let in all the same */
        {"uid:1000", NULL},
        {"2001:db8::1", NULL},
    };
    struct config *c;
    struct relay *r = relay_with_exemption(&c, "198.51.100.0/24");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct network who;
        char why[256] = "";
        assert_int_equal(network_parse(&who, cases[i].who, NULL), 0);
        assert_int_equal(relay_ban_objection(r, &who, why, sizeof(why)), cases[i].why != NULL);
        assert_true(!cases[i].why || strstr(why, cases[i].why));
    }
    relay_free(r);
    config_free(c);
}

static void a_relay_that_was_never_started_is_freed(void **state)
{
    struct config *c = config_from_args("tcp://127.0.0.1:*", "ipc://@weir-nobody", stderr);
    assert_non_null(c);
    struct relay *r = relay_new(c, stderr);
    assert_non_null(r);
    relay_free(r);
    relay_free(NULL);
    config_free(c);
}

static void what_cannot_be_listened_on_is_told(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *errors = open_memstream(&text, &len);
    struct config *c = config_from_args("ipc:///nowhere/at/all.sock", "ipc://@weir-nobody", errors);
    assert_non_null(c);
    assert_null(relay_new(c, errors));
    fclose(errors);
    assert_non_null(strstr(text, "/nowhere/at/all.sock"));
    assert_non_null(strstr(text, "No such file or directory"));
    free(text);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_lives_over_four_workers),
        cmocka_unit_test(a_thousand_reloads_disturb_nobody),
        cmocka_unit_test(draining_lets_messages_end),
        cmocka_unit_test(ending_at_once_leaves_nothing),
        cmocka_unit_test(a_relay_that_was_never_started_is_freed),
        cmocka_unit_test(what_cannot_be_listened_on_is_told),
        cmocka_unit_test(bans_reach_every_worker),
        cmocka_unit_test(idle_connections_give_way_at_every_worker),
        cmocka_unit_test(surveys_reach_every_worker),
        cmocka_unit_test(some_must_not_be_banned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
