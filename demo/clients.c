/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The well-behaved clients of the demo: REQ clients, PUSH clients and newcomers, each from an address of its own, at a
 * fixed rate. A client that must wait does not stop the clock: each item of work has an intended time from the start,
 * and latency counts from it.
 *
 *   clients REQ-PORT PUSH-PORT SECONDS
 *
 * At the end: a line for each item of work: `req|new CLIENT INTENDED_NS LATENCY_NS|-1` and `push CLIENT SEQ
 * INTENDED_NS`.
 */
#include "demo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <zmq.h>

#define REQ_CLIENTS     4
#define REQ_PERIOD_NS   20000000u
#define PUSH_CLIENTS    4
#define PUSH_PERIOD_NS  10000000u
#define NEW_PERIOD_NS   100000000u
#define NEWCOMERS_MAX   64 /* waiting at once; beyond it the oldest is given up */
#define BODY_BYTES      64
#define ITEMS_MAX       200000
#define SETTLE_NS       300000000u /* for the first connections, before the clock starts */
#define LAST_REPLIES_NS 1000000000u

enum kind { KIND_REQ, KIND_NEW, KIND_PUSH };
static const char *const kind_names[] = {"req", "new", "push"};

struct item {
    enum kind kind;
    unsigned client, seq;
    uint64_t intended_ns;
    int64_t latency_ns;
};

static struct item items[ITEMS_MAX];
static size_t item_count;

static void *context;
static char req_port[8], push_port[8];

struct requester {
    void *socket;
    uint64_t next_ns; /* the intended time of the next request */
    size_t pending;   /* index of the item in flight, plus one */
};

static struct requester requesters[REQ_CLIENTS];
static void *pushers[PUSH_CLIENTS];
static uint64_t push_next_ns[PUSH_CLIENTS];
static unsigned push_seq[PUSH_CLIENTS];

struct newcomer {
    void *socket;
    size_t item;
};

static struct newcomer newcomers[NEWCOMERS_MAX];
static uint64_t newcomer_next_ns;
static unsigned newcomer_count;

static size_t add_item(enum kind kind, unsigned client, unsigned seq, uint64_t intended_ns)
{
    if (item_count == ITEMS_MAX) {
        fputs("clients: too much work for one run\n", stderr);
        exit(1);
    }
    items[item_count] = (struct item){kind, client, seq, intended_ns, -1};
    return item_count++;
}

/* `host`: the last two bytes of the address 127.50.x.y that the client comes from. */
static void *open_socket(int type, unsigned host, const char *port)
{
    char endpoint[80];
    int linger = 0;
    void *socket = zmq_socket(context, type);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.50.%u.%u:0;127.0.0.1:%s", host / 250, 1 + host % 250, port);
    if (!socket || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) < 0 ||
        zmq_connect(socket, endpoint) < 0) {
        fprintf(stderr, "clients: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
        exit(1);
    }
    return socket;
}

static void send_request(void *socket)
{
    char body[BODY_BYTES] = "request";
    zmq_send(socket, body, sizeof(body), ZMQ_DONTWAIT);
}

static bool take_reply(void *socket, size_t item)
{
    char reply[64];
    if (zmq_recv(socket, reply, sizeof(reply), ZMQ_DONTWAIT) < 0)
        return false;
    items[item].latency_ns = (int64_t)(demo_now_ns() - items[item].intended_ns);
    return true;
}

static void run_requester(unsigned i, uint64_t now_ns, uint64_t end_ns)
{
    struct requester *r = &requesters[i];
    if (r->pending && take_reply(r->socket, r->pending - 1))
        r->pending = 0;
    if (r->pending || now_ns < r->next_ns || r->next_ns >= end_ns)
        return;
    r->pending = add_item(KIND_REQ, i, 0, r->next_ns) + 1;
    r->next_ns += REQ_PERIOD_NS;
    send_request(r->socket);
}

static void run_pusher(unsigned i, uint64_t now_ns, uint64_t end_ns)
{
    while (now_ns >= push_next_ns[i] && push_next_ns[i] < end_ns) {
        char body[BODY_BYTES] = {0};
        struct demo_stamp stamp = {DEMO_MAGIC, i, push_seq[i]++, 0, push_next_ns[i]};
        memcpy(body, &stamp, sizeof(stamp));
        add_item(KIND_PUSH, i, stamp.seq, stamp.intended_ns);
        zmq_send(pushers[i], body, sizeof(body), ZMQ_DONTWAIT);
        push_next_ns[i] += PUSH_PERIOD_NS;
    }
}

static void end_newcomer(struct newcomer *n)
{
    zmq_close(n->socket);
    n->socket = NULL;
}

static void run_newcomers(uint64_t now_ns, uint64_t end_ns)
{
    for (unsigned i = 0; i < NEWCOMERS_MAX; i++) {
        if (newcomers[i].socket && take_reply(newcomers[i].socket, newcomers[i].item))
            end_newcomer(&newcomers[i]);
    }
    if (now_ns < newcomer_next_ns || newcomer_next_ns >= end_ns)
        return;
    struct newcomer *n = &newcomers[newcomer_count % NEWCOMERS_MAX];
    if (n->socket)
        end_newcomer(n);
    n->socket = open_socket(ZMQ_REQ, 250 + newcomer_count, req_port);
    n->item = add_item(KIND_NEW, newcomer_count, 0, newcomer_next_ns);
    send_request(n->socket);
    newcomer_count++;
    newcomer_next_ns += NEW_PERIOD_NS;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_deadline_ns(uint64_t end_ns)
{
    uint64_t next = min_u64(end_ns, newcomer_next_ns);
    for (unsigned i = 0; i < REQ_CLIENTS; i++) {
        if (!requesters[i].pending)
            next = min_u64(next, requesters[i].next_ns);
    }
    for (unsigned i = 0; i < PUSH_CLIENTS; i++)
        next = min_u64(next, push_next_ns[i]);
    return next;
}

/* Sleeps until the next intended time, to the nanosecond, or until a reply is there: zmq_poll's own timeout counts
 * milliseconds. */
static void wait_until(int timer, uint64_t when_ns)
{
    zmq_pollitem_t polls[1 + REQ_CLIENTS + NEWCOMERS_MAX] = {{NULL, timer, ZMQ_POLLIN, 0}};
    int count = 1;
    struct itimerspec at = {.it_value = {(time_t)(when_ns / 1000000000u), (long)(when_ns % 1000000000u)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
    for (unsigned i = 0; i < REQ_CLIENTS; i++) {
        if (requesters[i].pending)
            polls[count++] = (zmq_pollitem_t){requesters[i].socket, 0, ZMQ_POLLIN, 0};
    }
    for (unsigned i = 0; i < NEWCOMERS_MAX; i++) {
        if (newcomers[i].socket)
            polls[count++] = (zmq_pollitem_t){newcomers[i].socket, 0, ZMQ_POLLIN, 0};
    }
    zmq_poll(polls, count, 1000);
}

static void run(uint64_t start_ns, uint64_t end_ns)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    for (unsigned i = 0; i < REQ_CLIENTS; i++)
        requesters[i].next_ns = start_ns + i * REQ_PERIOD_NS / REQ_CLIENTS;
    for (unsigned i = 0; i < PUSH_CLIENTS; i++)
        push_next_ns[i] = start_ns + i * PUSH_PERIOD_NS / PUSH_CLIENTS;
    newcomer_next_ns = start_ns;

    uint64_t last_ns = end_ns + LAST_REPLIES_NS;
    for (uint64_t now_ns = demo_now_ns(); now_ns < last_ns; now_ns = demo_now_ns()) {
        for (unsigned i = 0; i < REQ_CLIENTS; i++)
            run_requester(i, now_ns, end_ns);
        for (unsigned i = 0; i < PUSH_CLIENTS; i++)
            run_pusher(i, now_ns, end_ns);
        run_newcomers(now_ns, end_ns);
        wait_until(timer,
                   next_deadline_ns(end_ns) > now_ns ? next_deadline_ns(end_ns) : min_u64(now_ns + 1000000, last_ns));
    }
    close(timer);
}

/* Requests that were never sent, because an earlier one was never answered, count as well. */
static void add_unsent(uint64_t end_ns)
{
    for (unsigned i = 0; i < REQ_CLIENTS; i++) {
        for (; requesters[i].next_ns < end_ns; requesters[i].next_ns += REQ_PERIOD_NS)
            add_item(KIND_REQ, i, 0, requesters[i].next_ns);
    }
}

static void report(void)
{
    for (size_t i = 0; i < item_count; i++) {
        const struct item *t = &items[i];
        if (t->kind == KIND_PUSH)
            printf("push %u %u %llu\n", t->client, t->seq, (unsigned long long)t->intended_ns);
        else
            printf("%s %u %llu %lld\n", kind_names[t->kind], t->client, (unsigned long long)t->intended_ns,
                   (long long)t->latency_ns);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    double seconds = argc == 4 ? strtod(argv[3], NULL) : 0;
    if (seconds <= 0 || seconds > 60) {
        fputs("usage: clients REQ-PORT PUSH-PORT SECONDS (at most 60)\n", stderr);
        return 2;
    }
    snprintf(req_port, sizeof(req_port), "%s", argv[1]);
    snprintf(push_port, sizeof(push_port), "%s", argv[2]);
    context = zmq_ctx_new();
    for (unsigned i = 0; i < REQ_CLIENTS; i++)
        requesters[i].socket = open_socket(ZMQ_REQ, i, req_port);
    for (unsigned i = 0; i < PUSH_CLIENTS; i++)
        pushers[i] = open_socket(ZMQ_PUSH, REQ_CLIENTS + i, push_port);

    uint64_t start_ns = demo_now_ns() + SETTLE_NS;
    uint64_t end_ns = start_ns + (uint64_t)(seconds * 1e9);
    printf("start %llu\n", (unsigned long long)start_ns);
    fflush(stdout);
    run(start_ns, end_ns);
    add_unsent(end_ns);
    report();
    _exit(0);
}
