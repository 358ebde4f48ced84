/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The floods of the demo. Talks to this machine's loopback only (raw_parse() refuses the rest) and stops by itself:
 * after SECONDS, after BYTES_MAX bytes, or after CONNECTS_MAX connections. One thread; a closed connection comes back
 * after 100 ms, as libzmq's would.
 *
 *   flood messages|endless|halfopen REP-ENDPOINT PULL-ENDPOINT SECONDS
 */
#include "../bench/raw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECONDS_MAX     30
#define CONNECTS_MAX    50000u
#define CONNECTIONS_MAX 2000u
#define SOURCES         8
#define RETRY_NS        100000000u
#define OPENS_A_ROUND   16u /* so that the clients' kernel work on the same cores is not all behind ours */
#define BLOCK_BYTES     65536

/* One kind of flood: how many connections, whether they finish their handshake, and the bytes after which it stops. */
struct mode {
    const char *name;
    unsigned connections;
    bool opens;
    uint64_t bytes_max;
};

static const struct mode modes[] = {
    {"messages", 60, true, 4ull << 30},   /* whole, valid messages as fast as they are taken */
    {"endless", 8, true, 600ull << 20},   /* one multipart message each that never ends, frames of 1 KiB */
    {"halfopen", 2000, false, 1ull << 20} /* every other one silent, the rest after ten bytes of greeting */
};

/* What one connection repeats for ever. */
struct stream {
    const char *socket_type;
    struct raw_address to;
    uint8_t block[BLOCK_BYTES];
    size_t bytes;
};

struct connection {
    int fd; /* -1: closed */
    unsigned number;
    struct stream *stream;
    struct raw_opening opening;
    bool greeted, ready;
    size_t sent; /* of the block */
    uint64_t retry_ns;
};

static struct stream streams[2];
static struct connection connections[CONNECTIONS_MAX];
static const struct mode *mode;
static int epoll_fd;
static uint64_t bytes_sent, connects, closed_by_peer;

static void add_frame(struct stream *s, uint8_t flags, const uint8_t *body, size_t body_bytes)
{
    s->bytes += raw_header(s->block + s->bytes, flags, body_bytes);
    if (body_bytes > 0)
        memcpy(s->block + s->bytes, body, body_bytes);
    s->bytes += body_bytes;
}

/* Fills the block with whole messages (or, endless, whole frames), so that it can be repeated. */
static void fill(struct stream *s, bool requests, bool endless)
{
    uint8_t body[1024];
    memset(body, 'x', sizeof(body));
    size_t body_bytes = endless ? 1024 : 200;
    while (s->bytes + 2 * RAW_FRAME_HEADER_BYTES + body_bytes <= sizeof(s->block)) {
        if (requests && !endless)
            add_frame(s, RAW_MORE, NULL, 0);
        add_frame(s, endless ? RAW_MORE : 0, body, body_bytes);
    }
}

static void watch(struct connection *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll_fd, operation, c->fd, &event);
}

static void open_connection(struct connection *c, uint64_t now_ns)
{
    c->retry_ns = now_ns + RETRY_NS;
    if (connects >= CONNECTS_MAX)
        return;
    connects++;
    c->fd = raw_connect(&c->stream->to, 1 + c->number / 2 % SOURCES);
    if (c->fd < 0) {
        c->fd = -1;
        return;
    }
    memset(&c->opening, 0, sizeof(c->opening));
    c->greeted = c->ready = false;
    c->sent = 0;
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void close_connection(struct connection *c, uint64_t now_ns)
{
    close(c->fd);
    c->fd = -1;
    c->retry_ns = now_ns + RETRY_NS;
    closed_by_peer++;
}

/* The first write: the whole greeting, or, of a half-open connection, ten bytes of it or none. */
static bool greet(struct connection *c)
{
    uint8_t greeting[RAW_GREETING_BYTES];
    raw_greeting(greeting);
    size_t n = mode->opens ? sizeof(greeting) : c->number / 2 % 2 ? 10 : 0;
    c->greeted = true;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    return n == 0 || send(c->fd, greeting, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool pump(struct connection *c)
{
    ssize_t n = send(c->fd, c->stream->block + c->sent, c->stream->bytes - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN;
    bytes_sent += (uint64_t)n;
    c->sent = (c->sent + (size_t)n) % c->stream->bytes;
    return true;
}

static bool on_opening(struct connection *c, const uint8_t *bytes, size_t n)
{
    uint8_t ready[RAW_READY_MAX_BYTES];
    enum raw_step step = raw_opening_feed(&c->opening, bytes, n);
    if (step == RAW_BROKEN)
        return false;
    if (step == RAW_SEND_READY) {
        size_t ready_bytes = raw_ready(ready, c->stream->socket_type);
        if (send(c->fd, ready, ready_bytes, MSG_NOSIGNAL) != (ssize_t)ready_bytes)
            return false;
    }
    if (c->opening.done) {
        c->ready = true;
        watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    return true;
}

static bool on_readable(struct connection *c)
{
    uint8_t bytes[16384];
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN;
    if (n == 0)
        return false;
    return !mode->opens || c->ready || on_opening(c, bytes, (size_t)n);
}

static void on_event(struct connection *c, uint32_t events, uint64_t now_ns)
{
    bool alive = !(events & (EPOLLERR | EPOLLHUP));
    if (alive && (events & EPOLLOUT))
        alive = c->greeted ? pump(c) : greet(c);
    if (alive && (events & EPOLLIN))
        alive = on_readable(c);
    if (!alive)
        close_connection(c, now_ns);
}

static void run(uint64_t end_ns)
{
    struct epoll_event events[64];
    for (uint64_t now_ns = raw_now_ns(); now_ns < end_ns && bytes_sent < mode->bytes_max; now_ns = raw_now_ns()) {
        unsigned opens = 0;
        for (unsigned i = 0; i < mode->connections && opens < OPENS_A_ROUND; i++) {
            if (connections[i].fd < 0 && now_ns >= connections[i].retry_ns) {
                open_connection(&connections[i], now_ns);
                opens++;
            }
        }
        int n = epoll_wait(epoll_fd, events, 64, opens == OPENS_A_ROUND ? 1 : 20);
        for (int i = 0; i < n; i++)
            on_event(events[i].data.ptr, events[i].events, now_ns);
    }
}

static unsigned count_open(void)
{
    unsigned open = 0;
    for (unsigned i = 0; i < mode->connections; i++)
        open += connections[i].fd >= 0 && (connections[i].ready || !mode->opens);
    return open;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 5 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(argv[1], modes[i].name) == 0)
            mode = &modes[i];
    }
    double seconds = argc == 5 ? strtod(argv[4], NULL) : 0;
    if (!mode || seconds <= 0 || seconds > SECONDS_MAX) {
        fputs("usage: flood messages|endless|halfopen REP-ENDPOINT PULL-ENDPOINT SECONDS (at most 30)\n", stderr);
        return 2;
    }
    for (int i = 0; i < 2; i++) {
        if (raw_parse(argv[2 + i], &streams[i].to) < 0)
            return 2;
        streams[i].socket_type = i == 0 ? "DEALER" : "PUSH";
        fill(&streams[i], i == 0, strcmp(mode->name, "endless") == 0);
    }
    raw_raise_descriptors();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < mode->connections; i++)
        connections[i] = (struct connection){.fd = -1, .number = i, .stream = &streams[i % 2]};
    run(raw_now_ns() + (uint64_t)(seconds * 1e9));
    printf("flood: %u of %u connections held at the end, %llu opened, %llu closed by the other side, %.1f MB sent\n",
           count_open(), mode->connections, (unsigned long long)connects, (unsigned long long)closed_by_peer,
           (double)bytes_sent / 1e6);
    return 0;
}
