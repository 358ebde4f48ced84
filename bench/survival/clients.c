/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The well-behaved clients: libzmq with library defaults, a steady rate, and ten newcomers a second, each from an
 * address of its own (127.50.x.y). A client that must wait does not stop the clock: each piece of work has an intended
 * time from the start, and latency counts from it.
 *
 *   clients rep|router|pull|dealer|mute|pub PORT SECONDS [-n CLIENTS] [-r RATE] [-z SIZE] [-b BURST] [-1]
 *
 * RATE: messages a second of each client, BURST at once. -1: all of them behind one address. A newcomer sends one
 * message, of 4 KiB at most. Prints "start NS", and at the end a line for each piece of work: "work CLIENT SEQ
 * INTENDED_NS LATENCY_NS|-1", "new ID INTENDED_NS LATENCY_NS|-1". What pull, dealer and mute received they know
 * themselves; the clients of pub print "got CLIENT SEQ LATENCY_NS".
 */
#include "../../demo/demo.h"
#include "curve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <zmq.h>

#define CLIENTS_MAX   200u
#define NEWCOMERS_MAX 64u /* waiting at once; beyond it the oldest is given up */
#define NEWCOMER_ID   1000u
#define NEW_PERIOD_NS 100000000u
#define NEW_BYTES_MAX 4096u /* a newcomer says little, whatever size the others send */
#define ITEMS_MAX     400000u
#define SECOND_NS     UINT64_C(1000000000)
#define SETTLE_NS     300000000u /* for the first connections, before the clock starts */
#define TOPIC_BYTES   8          /* before the stamp of a publication */
#define FETCH_NS      300000000u /* after the end, for what is still under way and that nobody here waits for */

enum kind { KIND_ECHO, KIND_PUSH, KIND_SUB };

struct item {
    unsigned client, seq;
    uint64_t intended_ns;
    int64_t latency_ns;
};

struct client {
    void *socket; /* of a newcomer: NULL when there is none */
    unsigned id, seq;
    uint64_t start_ns;
    size_t item; /* of a newcomer: its only one */
};

static struct item items[ITEMS_MAX];
static size_t item_count, answered;
static struct client clients[CLIENTS_MAX], newcomers[NEWCOMERS_MAX];
static unsigned newcomer_count;

static void *context;
static enum kind kind;
static int socket_type;
static const char *port;
static unsigned client_count = 8, burst = 1;
static uint64_t rate = 50;
static size_t size = 64;
static bool one_address;
static char *body;

static size_t add_item(unsigned client, unsigned seq, uint64_t intended_ns)
{
    if (item_count == ITEMS_MAX) {
        fputs("clients: too much work for one run\n", stderr);
        exit(1);
    }
    items[item_count] = (struct item){client, seq, intended_ns, -1};
    return item_count++;
}

/* `host`: the last two bytes of the address that the client comes from. */
static void *open_socket(unsigned host)
{
    char endpoint[80];
    int linger = 0;
    void *socket = zmq_socket(context, socket_type);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.50.%u.%u:0;127.0.0.1:%s", host / 250, 1 + host % 250, port);
    if (!socket || !curve_ask(socket) || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) < 0 ||
        (kind == KIND_SUB && zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "news", 4) < 0) ||
        zmq_connect(socket, endpoint) < 0) {
        fprintf(stderr, "clients: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
        exit(1);
    }
    return socket;
}

/* False when the socket takes nothing now. */
static bool send_item(void *socket, size_t item, size_t bytes)
{
    const struct item *t = &items[item];
    struct demo_stamp stamp = {DEMO_MAGIC, t->client, t->seq, (uint32_t)item, t->intended_ns};
    memcpy(body, &stamp, sizeof(stamp));
    if (kind == KIND_ECHO && zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return false;
    return zmq_send(socket, body, bytes, ZMQ_DONTWAIT) >= 0;
}

static uint64_t intended_ns(const struct client *c)
{
    return c->start_ns + c->seq / burst * (SECOND_NS * burst / rate);
}

/* A client whose socket is full waits with the rest of its work. */
static void send_due(struct client *c, uint64_t now_ns, uint64_t end_ns)
{
    for (; intended_ns(c) <= now_ns && intended_ns(c) < end_ns; c->seq++) {
        size_t item = add_item(c->id, c->seq, intended_ns(c));
        if (send_item(c->socket, item, size))
            continue;
        item_count--;
        return;
    }
}

/* What came for a client or a newcomer. False when there is nothing. */
static bool take(struct client *c, bool is_new)
{
    static char bytes[1 << 19];
    struct demo_stamp stamp;
    int n = zmq_recv(c->socket, bytes, sizeof(bytes), ZMQ_DONTWAIT);
    size_t at = kind == KIND_SUB ? TOPIC_BYTES : 0;
    if (n < 0)
        return false;
    if ((size_t)n < at + sizeof(stamp))
        return true;
    memcpy(&stamp, bytes + at, sizeof(stamp));
    if (stamp.magic != DEMO_MAGIC)
        return true;
    uint64_t now_ns = demo_now_ns();
    if (kind == KIND_ECHO || is_new) {
        struct item *t = &items[is_new ? c->item : stamp.unused];
        answered += t->latency_ns < 0;
        t->latency_ns = (int64_t)(now_ns - t->intended_ns);
        return !is_new;
    }
    items[add_item(c->id, stamp.seq, stamp.intended_ns)].latency_ns = (int64_t)(now_ns - stamp.intended_ns);
    return true;
}

static void end_newcomer(struct client *n)
{
    zmq_close(n->socket);
    n->socket = NULL;
}

static void start_newcomer(uint64_t intended)
{
    struct client *n = &newcomers[newcomer_count % NEWCOMERS_MAX];
    if (n->socket)
        end_newcomer(n);
    n->id = NEWCOMER_ID + newcomer_count;
    n->socket = open_socket(250 + newcomer_count);
    n->item = add_item(n->id, 0, intended);
    if (kind != KIND_SUB)
        send_item(n->socket, n->item, size < NEW_BYTES_MAX ? size : NEW_BYTES_MAX);
    newcomer_count++;
}

/* Newcomers leave when they have what they came for; those of pull, after a second. */
static void run_newcomers(uint64_t now_ns, uint64_t start_ns, uint64_t end_ns)
{
    for (unsigned i = 0; i < NEWCOMERS_MAX; i++) {
        struct client *n = &newcomers[i];
        while (n->socket && kind != KIND_PUSH && take(n, true))
            continue;
        if (n->socket &&
            (items[n->item].latency_ns >= 0 || (kind == KIND_PUSH && now_ns > items[n->item].intended_ns + SECOND_NS)))
            end_newcomer(n);
    }
    uint64_t due_ns = start_ns + newcomer_count * (uint64_t)NEW_PERIOD_NS;
    if (due_ns <= now_ns && due_ns < end_ns)
        start_newcomer(due_ns);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The next intended time that is still to come. */
static uint64_t next_ns(uint64_t now_ns, uint64_t start_ns, uint64_t end_ns)
{
    uint64_t next = min_u64(now_ns + 10000000, start_ns + newcomer_count * (uint64_t)NEW_PERIOD_NS);
    for (unsigned i = 0; i < client_count && kind != KIND_SUB; i++) {
        if (intended_ns(&clients[i]) < end_ns)
            next = min_u64(next, intended_ns(&clients[i]));
    }
    return next > now_ns ? next : now_ns + 500000;
}

/* zmq_poll's own timeout counts milliseconds. */
static void wait_until(int timer, uint64_t when_ns)
{
    zmq_pollitem_t polls[1 + CLIENTS_MAX + NEWCOMERS_MAX] = {{NULL, timer, ZMQ_POLLIN, 0}};
    int count = 1;
    struct itimerspec at = {.it_value = {(time_t)(when_ns / SECOND_NS), (long)(when_ns % SECOND_NS)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
    for (unsigned i = 0; i < client_count && kind != KIND_PUSH; i++)
        polls[count++] = (zmq_pollitem_t){clients[i].socket, 0, ZMQ_POLLIN, 0};
    for (unsigned i = 0; i < NEWCOMERS_MAX && kind != KIND_PUSH; i++) {
        if (newcomers[i].socket)
            polls[count++] = (zmq_pollitem_t){newcomers[i].socket, 0, ZMQ_POLLIN, 0};
    }
    zmq_poll(polls, count, 1000);
}

static bool is_over(uint64_t now_ns, uint64_t end_ns)
{
    if (kind != KIND_ECHO)
        return now_ns >= end_ns + FETCH_NS;
    return now_ns >= end_ns + SECOND_NS || (now_ns >= end_ns && answered == item_count);
}

static void run(uint64_t start_ns, uint64_t end_ns)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    for (uint64_t now_ns = demo_now_ns(); !is_over(now_ns, end_ns); now_ns = demo_now_ns()) {
        for (unsigned i = 0; i < client_count; i++) {
            while (kind != KIND_PUSH && take(&clients[i], false))
                continue;
            if (kind != KIND_SUB)
                send_due(&clients[i], now_ns, end_ns);
        }
        run_newcomers(now_ns, start_ns, end_ns);
        wait_until(timer, next_ns(now_ns, start_ns, end_ns));
    }
    close(timer);
}

/* Work that was never sent, because the socket stayed full, counts as well. */
static void add_unsent(uint64_t end_ns)
{
    for (unsigned i = 0; i < client_count && kind != KIND_SUB; i++) {
        for (; intended_ns(&clients[i]) < end_ns; clients[i].seq++)
            add_item(i, clients[i].seq, intended_ns(&clients[i]));
    }
}

static void report(void)
{
    for (size_t i = 0; i < item_count; i++) {
        const struct item *t = &items[i];
        if (t->client >= NEWCOMER_ID)
            printf("new %u %llu %lld\n", t->client, (unsigned long long)t->intended_ns, (long long)t->latency_ns);
        else if (kind == KIND_SUB)
            printf("got %u %u %lld\n", t->client, t->seq, (long long)t->latency_ns);
        else
            printf("work %u %u %llu %lld\n", t->client, t->seq, (unsigned long long)t->intended_ns,
                   (long long)t->latency_ns);
    }
    fflush(stdout);
}

static bool set_kind(const char *word)
{
    static const struct {
        const char *word;
        enum kind kind;
        int socket_type;
    } words[] = {
        {"rep", KIND_ECHO, ZMQ_DEALER},    {"router", KIND_ECHO, ZMQ_DEALER},  {"router-some", KIND_ECHO, ZMQ_DEALER},
        {"pool", KIND_ECHO, ZMQ_DEALER},   {"pool8", KIND_ECHO, ZMQ_DEALER},   {"pull", KIND_PUSH, ZMQ_PUSH},
        {"dealer", KIND_PUSH, ZMQ_DEALER}, {"router8", KIND_ECHO, ZMQ_DEALER}, {"mute", KIND_PUSH, ZMQ_DEALER},
        {"pub", KIND_SUB, ZMQ_SUB},        {"xpub", KIND_SUB, ZMQ_SUB},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i].word) != 0)
            continue;
        kind = words[i].kind;
        socket_type = words[i].socket_type;
        return true;
    }
    return false;
}

static bool set_options(int argc, char **argv)
{
    for (int c; (c = getopt(argc, argv, "n:r:z:b:1")) != -1;) {
        uint64_t value = optarg ? strtoull(optarg, NULL, 10) : 1;
        if (c == 'n')
            client_count = (unsigned)value;
        else if (c == 'r')
            rate = value;
        else if (c == 'z')
            size = value;
        else if (c == 'b')
            burst = (unsigned)value;
        else if (c == '1')
            one_address = true;
        else
            return false;
    }
    return client_count <= CLIENTS_MAX && rate > 0 && burst > 0 && size >= sizeof(struct demo_stamp) &&
           optind + 3 == argc && set_kind(argv[optind]);
}

int main(int argc, char **argv)
{
    bool good = set_options(argc, argv);
    double seconds = good ? strtod(argv[optind + 2], NULL) : 0;
    if (seconds <= 0 || seconds > 50) {
        fputs("usage: clients [-n N] [-r RATE] [-z SIZE] [-b BURST] [-1] rep|router|pull|dealer|mute|pub PORT SECONDS "
              "(at most 50)\n",
              stderr);
        return 2;
    }
    port = argv[optind + 1];
    body = calloc(1, size);
    context = zmq_ctx_new();
    uint64_t start_ns = demo_now_ns() + SETTLE_NS;
    for (unsigned i = 0; body && i < client_count; i++)
        clients[i] =
            (struct client){open_socket(one_address ? 0 : i), i, 0, start_ns + i * SECOND_NS / rate / client_count, 0};

    uint64_t end_ns = start_ns + (uint64_t)(seconds * 1e9);
    printf("start %llu\n", (unsigned long long)start_ns);
    fflush(stdout);
    run(start_ns, end_ns);
    add_unsent(end_ns);
    report();
    _exit(0);
}
