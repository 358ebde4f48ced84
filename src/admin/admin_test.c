/* SPDX-License-Identifier: MPL-2.0 */
/* The admin address as its callers see it: real sockets, well-behaved and otherwise, in front of a fake relay. */
#include "admin/admin.h"

#include "admin/conn_slots.h"
#include "admin/fake_relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define PATIENCE_MS 60000 /* a limit for a stuck test, not a measure */
#define MARKER      "sTrAnGeR7"

static struct relay relay;

static enum admin_reloaded no_reload(void *context, char **ret_said)
{
    *ret_said = NULL;
    return ADMIN_RELOAD_ENDING;
}

static const struct admin_callbacks callees = {.reload = no_reload};

/* Allocations of Weir's own code (linked with --wrap): the call that counts down to 0 fails, and all calls after it. */
static atomic_int allocations_left = INT_MAX;

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool may_allocate(void)
{
    int left = atomic_load(&allocations_left);

    if (left > 0 && left < INT_MAX)
        atomic_fetch_sub(&allocations_left, 1);
    return left > 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t size)
{
    return may_allocate() ? __real_realloc(p, size) : NULL;
}

struct reply {
    unsigned status;
    char *text; /* header and body */
    const char *body;
    size_t len;
};

static struct config config_at(const char *address, int family, uint16_t port)
{
    struct config c = {.admin = {.enabled = true}};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&c.admin.addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&c.admin.addr;

    c.admin.addr.ss_family = (sa_family_t)family;
    c.admin.addr_len = family == AF_INET ? sizeof(*v4) : sizeof(*v6);
    *(family == AF_INET ? &v4->sin_port : &v6->sin6_port) = htons(port);
    assert_int_equal(inet_pton(family, address, family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr), 1);
    snprintf(c.admin.text, sizeof(c.admin.text), family == AF_INET ? "%s:%u" : "[%s]:%u", address, port);
    return c;
}

static struct admin *start_with(size_t gates)
{
    struct config c = config_at("127.0.0.1", AF_INET, 0);

    fake_relay_init(&relay, gates);
    struct admin *a = admin_start(&c, &relay, &callees, stderr);
    assert_non_null(a);
    return a;
}

static uint16_t port_of(const struct admin *a)
{
    return (uint16_t)strtoul(strrchr(admin_address(a), ':') + 1, NULL, 10);
}

static int dial(const struct admin *a, int receive_buffer)
{
    struct config c = config_at("127.0.0.1", AF_INET, port_of(a));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (receive_buffer)
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&c.admin.addr, c.admin.addr_len), 0);
    return fd;
}

/* Sends as much as the server takes; the server may close in the middle. */
static void say(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;

    while (len) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

static void say_text(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

/* Reads everything until the server closes; then closes too. */
static struct reply hear(int fd)
{
    size_t room = 4 << 20;
    struct reply r = {.text = malloc(room + 1)};

    assert_non_null(r.text);
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        ssize_t n = recv(fd, r.text + r.len, room - r.len, 0);
        if (n <= 0)
            break;
        r.len += (size_t)n;
    }
    close(fd);
    r.text[r.len] = '\0';
    if (strncmp(r.text, "HTTP/1.1 ", 9) == 0)
        r.status = (unsigned)strtoul(r.text + 9, NULL, 10);
    char *body = strstr(r.text, "\r\n\r\n");
    r.body = body ? body + 4 : "";
    return r;
}

static struct reply ask(const struct admin *a, const char *request)
{
    int fd = dial(a, 0);

    say_text(fd, request);
    return hear(fd);
}

static struct reply get(const struct admin *a, const char *method, const char *path)
{
    char request[512];

    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    return ask(a, request);
}

static void assert_works(const struct admin *a)
{
    struct reply r = get(a, "GET", "/version");

    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "weir " WEIR_VERSION "\n");
    free(r.text);
}

static size_t announced_length(const struct reply *r)
{
    const char *header = strstr(r->text, "\r\nContent-Length: ");

    assert_non_null(header);
    return (size_t)strtoul(header + 18, NULL, 10);
}

static void assert_safe_headers(const struct reply *r)
{
    static const char *const wanted[] = {
        "\r\nX-Content-Type-Options: nosniff\r\n",
        "\r\nCache-Control: no-store\r\n",
        "\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n",
        "\r\nX-Frame-Options: DENY\r\n",
        "\r\nReferrer-Policy: no-referrer\r\n",
        "\r\nContent-Type: text/plain; ",
    };

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        assert_non_null(strstr(r->text, wanted[i]));
}

static void pages(void **state)
{
    struct admin *a = start_with(2);
    static const struct {
        const char *path, *needle;
        unsigned status;
    } cases[] = {
        {"/metrics", "weir_connections{gate=\"gate1\"} ", 200},
        {"/metrics?name=x", "weir_connections{gate=\"gate1\"} ", 200},
        {"/healthz", "ok\n", 200},
        {"/version", "weir " WEIR_VERSION "\n", 200},
        {"/", "/metrics", 200},
        {"/nothing", "There is no such page", 404},
        {"/metrics/", "There is no such page", 404},
        {"//metrics", "There is no such page", 404},
        {"/../../etc/passwd", "There is no such page", 404},
        {"/%2e%2e/%00" MARKER, "There is no such page", 404},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reply r = get(a, "GET", cases[i].path);
        assert_int_equal(r.status, cases[i].status);
        assert_non_null(strstr(r.body, cases[i].needle));
        assert_int_equal(strlen(r.body), announced_length(&r));
        assert_safe_headers(&r);
        free(r.text);
    }
    struct reply r = get(a, "GET", "/metrics");
    assert_non_null(strstr(r.text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(r.body, "\nprocess_open_fds "));
    free(r.text);
    admin_stop(a);
}

static void head_has_no_body(void **state)
{
    struct admin *a = start_with(1);
    static const char *const paths[] = {"/metrics", "/healthz", "/version", "/", "/nothing"};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct reply r = get(a, "HEAD", paths[i]);
        assert_int_equal(r.status, i < 4 ? 200 : 404);
        assert_string_equal(r.body, "");
        assert_true(announced_length(&r) > 0);
        assert_safe_headers(&r);
        free(r.text);
    }
    admin_stop(a);
}

static void health_follows_the_gates(void **state)
{
    struct admin *a = start_with(2);

    relay.gates[1].upstream_up = false;
    struct reply r = get(a, "GET", "/healthz");
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "ok\ngate gate1: the application at ipc:///run/1 is not up\n");
    free(r.text);
    relay.gates[0].listen[0] = '\0';
    r = get(a, "GET", "/healthz");
    assert_int_equal(r.status, 503);
    free(r.text);
    admin_stop(a);
}

static void only_get_and_head(void **state)
{
    struct admin *a = start_with(1);
    static const char *const methods[] = {"POST",  "PUT",     "DELETE", "PATCH", "OPTIONS",
                                          "TRACE", "CONNECT", "get",    MARKER};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct reply r = get(a, methods[i], "/metrics");
        assert_int_equal(r.status, 405);
        assert_non_null(strstr(r.text, "\r\nAllow: GET, HEAD\r\n"));
        assert_safe_headers(&r);
        assert_null(strstr(r.text, MARKER));
        free(r.text);
    }
    admin_stop(a);
}

/* The refused header is followed by an unrequested body: it must not be answered as a request. */
static void bodies_are_refused(void **state)
{
    struct admin *a = start_with(1);
    static const struct {
        unsigned status;
        const char *header;
    } cases[] = {
        {413, "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n"},
        {413, "GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {413, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\nExpect: 100-continue\r\n\r\n"},
        {405, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n"},
        {405, "PUT /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {405, "DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = dial(a, 0);
        say_text(fd, cases[i].header);
        say_text(fd, "GET /version HTTP/1.1\r\nHost: " MARKER "\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n");
        struct reply r = hear(fd);
        if (r.len) { /* the unread body may have reset the connection before the answer was read */
            assert_int_equal(r.status, cases[i].status);
            assert_null(strstr(r.text + 1, "HTTP/1.1 "));
            assert_null(strstr(r.text, MARKER));
        }
        free(r.text);
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) { /* and if the body is never sent, the answer is sure to come */
        struct reply r = ask(a, cases[i].header);
        assert_int_equal(r.status, cases[i].status);
        free(r.text);
    }
    assert_works(a);
    admin_stop(a);
}

static void requests_on_one_connection(void **state)
{
    struct admin *a = start_with(1);
    struct reply r = ask(a, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
                            "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
                            "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const char *second = strstr(r.text + 1, "HTTP/1.1 200");
    assert_int_equal(r.status, 200);
    assert_non_null(second);
    assert_non_null(strstr(second, "HTTP/1.1 404"));
    free(r.text);
    admin_stop(a);
}

/* Malformed requests of every kind we could think of: no answer shows a byte of them, and the next caller is served. */
static void garbage_is_not_reflected(void **state)
{
    struct admin *a = start_with(1);
    static const char *const requests[] = {
        MARKER "\r\n\r\n",
        "\r\n\r\n\r\n" MARKER "\r\n\r\n",
        "GET " MARKER "\r\n\r\n",
        "GET / HTTP/9.9\r\n" MARKER ": x\r\nConnection: close\r\n\r\n",
        "GET / " MARKER "\r\n\r\n",
        "GET / HTTP/1.1\r\n" MARKER "\r\n\r\n",
        "GET / HTTP/1.1\r\n" MARKER ": no host\r\nConnection: close\r\n\r\n",
        "GET /" MARKER " HTTP/1.1\r\nHost: " MARKER "\r\nCookie: " MARKER "\r\nConnection: close\r\n\r\n",
        "GET /?" MARKER " HTTP/1.1\r\nHost: x\r\nOrigin: http://" MARKER "\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: " MARKER "\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nX: " MARKER "\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" MARKER "\r\n",
        "\x16\x03\x01\x02" MARKER,
        "\xff\x01\x01\x01\x01\x01\x01\x01\x01\x7f\x03\x01NULL" MARKER "\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        int fd = dial(a, 0);
        say_text(fd, requests[i]);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        struct reply r = hear(fd);
        assert_null(strstr(r.text, MARKER));
        free(r.text);
    }
    assert_works(a);
    admin_stop(a);
}

static void random_bytes(void **state)
{
    struct admin *a = start_with(1);
    unsigned seed = (unsigned)time(NULL);
    static const char *const parts[] = {"GET ",
                                        "/metrics",
                                        " HTTP/1.1",
                                        "\r\n",
                                        "\r\n\r\n",
                                        "Host: x",
                                        ":",
                                        "%",
                                        "%00",
                                        "?",
                                        "chunked",
                                        "Content-Length: ",
                                        "Transfer-Encoding: ",
                                        "99999999999999999999",
                                        "\xff",
                                        " "};

    print_message("seed %u\n", seed);
    for (int round = 0; round < 400; round++) {
        int fd = dial(a, 0);
        for (int i = rand_r(&seed) % 40; i > 0; i--) {
            unsigned char byte = (unsigned char)rand_r(&seed);
            if (rand_r(&seed) % 2)
                say_text(fd, parts[(unsigned)rand_r(&seed) % ARRAY_LEN(parts)]);
            else
                say(fd, &byte, 1);
        }
        (void)shutdown(fd, SHUT_WR);
        struct reply r = hear(fd);
        assert_true(r.len == 0 || r.status >= 200);
        free(r.text);
    }
    assert_works(a);
    admin_stop(a);
}

static void huge_headers_are_refused(void **state)
{
    struct admin *a = start_with(1);
    static char huge[1 << 20];

    memset(huge, 'a', sizeof(huge));
    static const char *const starts[] = {"GET /", "GET / HTTP/1.1\r\nHost: x\r\nX: ", "", "GET / HTTP/1.1\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        int fd = dial(a, 0);
        say_text(fd, starts[i]);
        say(fd, huge, sizeof(huge));
        struct reply r = hear(fd); /* an answer or a reset, but an end */
        assert_true(r.len == 0 || r.status >= 400);
        assert_null(strstr(r.text, "aaaaaaaa"));
        free(r.text);
    }
    int fd = dial(a, 0);
    say_text(fd, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (size_t i = 0; i < 100000; i++)
        say(fd, "a:b\r\n", 5);
    struct reply r = hear(fd);
    assert_true(r.len == 0 || r.status >= 400);
    free(r.text);
    assert_works(a);
    admin_stop(a);
}

static void a_slow_request_keeps_nobody_waiting(void **state)
{
    struct admin *a = start_with(1);
    static const char request[] = "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    int fd = dial(a, 0);

    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        say(fd, request + i, 1);
        if (i % 8 == 0)
            assert_works(a);
    }
    struct reply r = hear(fd);
    assert_int_equal(r.status, 200);
    free(r.text);
    admin_stop(a);
}

static void the_silent_are_closed(void **state)
{
    struct admin *a = start_with(1);
    int silent = dial(a, 0), halfway = dial(a, 0);

    say_text(halfway, "GET / HTT");
    struct reply r = hear(silent);
    assert_int_equal(r.len, 0);
    free(r.text);
    r = hear(halfway);
    assert_true(r.len == 0 || r.status >= 400);
    free(r.text);
    admin_stop(a);
}

struct holders {
    int fds[2 * CONN_SLOTS];
    atomic_bool done;
};

/* Sends a byte now and then, so that no connection is idle for long. */
static void *trickle(void *arg)
{
    struct holders *h = arg;

    while (!atomic_load(&h->done)) {
        for (size_t i = 0; i < ARRAY_LEN(h->fds); i++)
            (void)send(h->fds[i], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        usleep(50000);
    }
    return NULL;
}

/* More connections than there are places, never silent, from the scraper's own address: the scraper is still served. */
static void holding_connections_locks_nobody_out(void **state)
{
    struct admin *a = start_with(1);
    struct holders h = {.done = false};
    pthread_t thread;

    for (size_t i = 0; i < ARRAY_LEN(h.fds); i++) {
        h.fds[i] = dial(a, 0);
        say_text(h.fds[i], "GET /");
    }
    assert_int_equal(pthread_create(&thread, NULL, trickle, &h), 0);
    for (int i = 0; i < 20; i++)
        assert_works(a);
    atomic_store(&h.done, true);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < ARRAY_LEN(h.fds); i++)
        close(h.fds[i]);
    admin_stop(a);
}

static void a_connect_storm_locks_nobody_out(void **state)
{
    struct admin *a = start_with(1);
    int held[400];

    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        held[i] = dial(a, 0);
        if (i % 10 == 0)
            assert_works(a);
    }
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        close(held[i]);
    admin_stop(a);
}

/* The same with pages that are requested and never read. */
static void slow_readers_lock_nobody_out(void **state)
{
    struct admin *a = start_with(FAKE_GATES_MAX);
    int held[3 * CONN_SLOTS];

    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        held[i] = dial(a, 2048);
        say_text(held[i], "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        if (i % 8 == 0)
            assert_works(a);
    }
    struct reply r = get(a, "GET", "/metrics");
    assert_int_equal(r.status, 200);
    assert_int_equal(strlen(r.body), announced_length(&r));
    free(r.text);
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        close(held[i]);
    admin_stop(a);
}

static void stops_under_its_callers(void **state)
{
    int held[2 * CONN_SLOTS];

    for (int round = 0; round < 5; round++) {
        struct admin *a = start_with(FAKE_GATES_MAX);
        for (size_t i = 0; i < ARRAY_LEN(held); i++) {
            held[i] = dial(a, 2048);
            if (i % 3 == 0)
                say_text(held[i], i % 2 ? "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" : "GET /metr");
        }
        admin_stop(a);
        for (size_t i = 0; i < ARRAY_LEN(held); i++)
            close(held[i]);
    }
    admin_stop(NULL);
}

static void memory_short_at_the_start_is_told(void **state)
{
    struct config c = config_at("127.0.0.1", AF_INET, 0);
    struct admin *a = NULL;
    int failures = 0;

    fake_relay_init(&relay, 1);
    for (; !a; failures++) {
        char *text = NULL;
        size_t len = 0;
        FILE *errors = open_memstream(&text, &len);

        assert_true(failures < 100);
        atomic_store(&allocations_left, failures);
        a = admin_start(&c, &relay, &callees, errors);
        atomic_store(&allocations_left, INT_MAX);
        fclose(errors);
        assert_int_equal(!a, len > 0 && strstr(text, "no memory"));
        free(text);
    }
    assert_true(failures > 1);
    assert_works(a);
    admin_stop(a);
}

/* Then the page is not half there: the caller gets an error, and the next one is served. */
static void memory_short_at_a_request_is_told(void **state)
{
    struct admin *a = start_with(FAKE_GATES_MAX);
    static const char *const paths[] = {"/metrics", "/healthz"};
    bool whole = false;

    for (int calls = 0; !whole; calls++) {
        assert_true(calls < 100);
        atomic_store(&allocations_left, calls);
        struct reply r = get(a, "GET", paths[calls == 0]);
        atomic_store(&allocations_left, INT_MAX);
        whole = r.status == 200;
        assert_true(whole || r.status == 503);
        assert_int_equal(whole, strstr(r.body, "There is no memory") == NULL);
        assert_int_equal(strlen(r.body), announced_length(&r));
        assert_safe_headers(&r);
        free(r.text);
    }
    assert_works(a);
    admin_stop(a);
}

#define TOKEN "0123456789abcdef-0123456789abcdef"

static struct admin *start_with_token(char path[static 32])
{
    struct config c = config_at("127.0.0.1", AF_INET, 0);

    snprintf(path, 32, "/tmp/weir-admin-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, TOKEN "\n", sizeof(TOKEN)), sizeof(TOKEN));
    close(fd);
    snprintf(c.admin.token_file, sizeof(c.admin.token_file), "%s", path);
    fake_relay_init(&relay, 1);
    fake_relay_begin_bans(&relay);
    struct admin *a = admin_start(&c, &relay, &callees, stderr);
    assert_non_null(a);
    return a;
}

static void end_with_token(struct admin *a, const char *path)
{
    admin_stop(a);
    bans_free(relay.bans);
    unlink(path);
}

static struct reply ask_api(const struct admin *a, const char *method, const char *path, const char *token,
                            const char *rest)
{
    char request[8192];

    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%s%s%s", method, path,
             token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "", rest);
    return ask(a, request);
}

static void expect_api(const struct admin *a, const char *method, const char *path, const char *token, const char *rest,
                       unsigned status, const char *holds)
{
    struct reply r = ask_api(a, method, path, token, rest);

    assert_int_equal(r.status, status);
    assert_non_null(strstr(r.text, holds));
    assert_non_null(strstr(r.text, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(r.text, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_int_equal(strlen(r.body), announced_length(&r));
    assert_null(strstr(r.text, MARKER));
    free(r.text);
}

static void the_api_wants_a_token(void **state)
{
    char path[32];
    struct admin *a = start_with(1);

    expect_api(a, "GET", "/v1/bans", TOKEN, "\r\n", 403, "admin.token_file");
    admin_stop(a);
    a = start_with_token(path);
    expect_api(a, "GET", "/v1/bans", TOKEN, "\r\n", 200, "{\"bans\":[],\"next\":null}\n");
    expect_api(a, "GET", "/v1/bans", NULL, "\r\n", 401, "\r\nWWW-Authenticate: Bearer realm=\"weir\"\r\n");
    expect_api(a, "GET", "/v1/" MARKER, MARKER, "\r\n", 401, "not the token");
    expect_api(a, "BREW", "/v1/bans?" MARKER, TOKEN "x", "X: " MARKER "\r\n\r\n", 401, "not the token");
    expect_api(a, "BREW", "/v1/bans", TOKEN, "\r\n", 405, "\r\nAllow: GET, PUT, POST, DELETE\r\n");
    expect_api(a, "GET", "/v1/" MARKER, TOKEN, "\r\n", 404, "no such page");
    struct reply r = get(a, "GET", "/metrics");
    assert_non_null(strstr(r.body, "\nweir_admin_unauthorized_total 3\n"));
    free(r.text);
    end_with_token(a, path);
}

static void bodies_of_the_api(void **state)
{
    char path[32];
    struct admin *a = start_with_token(path);

    expect_api(a, "PUT", "/v1/bans", TOKEN, "Content-Length: 26\r\n\r\n{\"network\": \"203.0.113.9\"}", 200,
               "203.0.113.9");
    expect_api(a, "PUT", "/v1/bans", TOKEN,
               "Transfer-Encoding: chunked\r\n\r\nd\r\n{\"network\": \"\r\nd\r\n203.0.113.9\"}\r\n0\r\n\r\n", 200,
               "203.0.113.9");
    expect_api(a, "PUT", "/v1/bans", TOKEN, "Content-Length: 4097\r\n\r\n", 413, "up to 4096 bytes");
    expect_api(a, "PUT", "/v1/bans", TOKEN, "Content-Length: 9223372036854775807\r\n\r\n", 413, "too large");
    expect_api(a, "GET", "/v1/bans", TOKEN, "Content-Length: 1\r\n\r\nx", 413, "no body is taken here");
    expect_api(a, "PUT", "/v1/bans", NULL, "Content-Length: 4000\r\n\r\n", 401, "token"); /* before the body comes */
    expect_api(a, "PUT", "/v1/bans", TOKEN, "\r\n", 400, "not JSON");
    end_with_token(a, path);
}

static void memory_short_at_a_request_of_the_api_is_told(void **state)
{
    char path[32];
    struct admin *a = start_with_token(path);
    bool whole = false;

    for (int calls = 0; !whole; calls++) {
        assert_true(calls < 100);
        atomic_store(&allocations_left, calls);
        struct reply r = ask_api(a, "GET", "/v1/bans", TOKEN, "\r\n");
        atomic_store(&allocations_left, INT_MAX);
        whole = r.status == 200;
        assert_true(whole || r.status == 503);
        free(r.text);
    }
    assert_works(a);
    end_with_token(a, path);
}

static void a_token_that_cannot_be_read_is_told(void **state)
{
    struct config c = config_at("127.0.0.1", AF_INET, 0);
    char *text = NULL, why[TOKEN_WHY_MAX];
    size_t len = 0;
    FILE *errors = open_memstream(&text, &len);

    fake_relay_init(&relay, 1);
    snprintf(c.admin.token_file, sizeof(c.admin.token_file), "/nonexistent/token");
    assert_null(admin_start(&c, &relay, &callees, errors));
    fclose(errors);
    assert_string_equal(text, "admin: token file /nonexistent/token cannot be read: No such file or directory\n");
    free(text);
    assert_int_equal(admin_read_token(NULL, "/nonexistent/token", why), 0); /* there is no API to open */
    admin_take_token(NULL);
}

static void serves_ipv6(void **state)
{
    struct config c = config_at("::1", AF_INET6, 0);

    fake_relay_init(&relay, 1);
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has_v6 = probe >= 0 && bind(probe, (struct sockaddr *)&c.admin.addr, c.admin.addr_len) == 0;
    if (probe >= 0)
        close(probe);
    if (!has_v6)
        skip();
    struct admin *a = admin_start(&c, &relay, &callees, stderr);
    assert_non_null(a);
    assert_int_equal(strncmp(admin_address(a), "[::1]:", 6), 0);
    struct config there = config_at("::1", AF_INET6, port_of(a));
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&there.admin.addr, there.admin.addr_len), 0);
    say_text(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    struct reply r = hear(fd);
    assert_string_equal(r.body, "ok\n");
    free(r.text);
    admin_stop(a);
}

static void a_taken_port_is_told(void **state)
{
    struct admin *a = start_with(1);
    struct config c = config_at("127.0.0.1", AF_INET, port_of(a));
    char *text = NULL;
    size_t len = 0;

    assert_true(port_of(a) > 0);
    FILE *errors = open_memstream(&text, &len);
    assert_null(admin_start(&c, &relay, &callees, errors));
    fclose(errors);
    assert_non_null(strstr(text, c.admin.text));
    assert_non_null(strstr(text, strerror(EADDRINUSE)));
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
    free(text);
    assert_works(a);
    admin_stop(a);

    a = admin_start(&c, &relay, &callees, stderr); /* and it is free again, whatever connections were just closed */
    assert_non_null(a);
    assert_string_equal(admin_address(a), c.admin.text);
    assert_works(a);
    admin_stop(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(health_follows_the_gates),
        cmocka_unit_test(only_get_and_head),
        cmocka_unit_test(bodies_are_refused),
        cmocka_unit_test(requests_on_one_connection),
        cmocka_unit_test(garbage_is_not_reflected),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(huge_headers_are_refused),
        cmocka_unit_test(a_slow_request_keeps_nobody_waiting),
        cmocka_unit_test(the_silent_are_closed),
        cmocka_unit_test(holding_connections_locks_nobody_out),
        cmocka_unit_test(a_connect_storm_locks_nobody_out),
        cmocka_unit_test(slow_readers_lock_nobody_out),
        cmocka_unit_test(stops_under_its_callers),
        cmocka_unit_test(memory_short_at_the_start_is_told),
        cmocka_unit_test(memory_short_at_a_request_is_told),
        cmocka_unit_test(the_api_wants_a_token),
        cmocka_unit_test(bodies_of_the_api),
        cmocka_unit_test(memory_short_at_a_request_of_the_api_is_told),
        cmocka_unit_test(a_token_that_cannot_be_read_is_told),
        cmocka_unit_test(serves_ipv6),
        cmocka_unit_test(a_taken_port_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
