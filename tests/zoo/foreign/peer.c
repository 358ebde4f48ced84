/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Peers of the zoo on libzmq in C, library defaults.
 *
 *   zoo_peer pool ENDPOINT THREADS WORK_US           binds a ROUTER before REP threads, joined by zmq_proxy
 *   zoo_peer ask  ENDPOINT CLIENTS THINK_US          REQ clients, one thread; prints "op DONE_NS LATENCY_NS"
 *
 * Clients end with the load (ZOO_END_NS); whatever happens, a peer ends after LIFE_SECONDS.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define LIFE_SECONDS 60
#define CLIENTS_MAX  256u
#define THREADS_MAX  64u

struct client {
    void *socket;
    uint64_t asked_ns;
    uint64_t due_ns;
    bool waits;
};

static void *context;
static uint64_t work_ns;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t environment(const char *name)
{
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 10) : 0;
}

static void *opened(int type, const char *endpoint, bool bind_it)
{
    void *socket = zmq_socket(context, type);
    if (socket && (bind_it ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint)) == 0)
        return socket;
    fprintf(stderr, "zoo_peer: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
    exit(1);
}

static void *serve(void *unused)
{
    char body[256];
    void *socket = opened(ZMQ_REP, "inproc://pool", false);
    while (true) {
        int size = zmq_recv(socket, body, sizeof(body), 0);
        if (size < 0)
            return unused;
        nanosleep(
            &(struct timespec){.tv_sec = (time_t)(work_ns / 1000000000u), .tv_nsec = (long)(work_ns % 1000000000u)},
            NULL);
        zmq_send(socket, body, (size_t)size < sizeof(body) ? (size_t)size : sizeof(body), 0);
    }
}

static int pool(const char *endpoint, unsigned threads)
{
    void *front = opened(ZMQ_ROUTER, endpoint, true);
    void *back = opened(ZMQ_DEALER, "inproc://pool", true);
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, NULL) != 0)
            return 1;
    }
    return zmq_proxy(front, back, NULL) != 0;
}

static void answered(struct client *c, uint64_t start_ns, uint64_t think_ns)
{
    uint64_t body = 0;
    zmq_recv(c->socket, &body, sizeof(body), 0);
    uint64_t now = now_ns();
    if (body != c->asked_ns)
        puts("broken an answer to another question");
    if (c->asked_ns >= start_ns)
        printf("op %" PRIu64 " %" PRIu64 "\n", now, now - c->asked_ns);
    c->waits = false;
    c->due_ns = now + think_ns / 2 + (uint64_t)rand() % (think_ns + 1);
}

static void ask_who_are_due(struct client *clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct client *c = &clients[i];
        if (c->waits || now_ns() < c->due_ns)
            continue;
        c->asked_ns = now_ns();
        c->waits = zmq_send(c->socket, &c->asked_ns, sizeof(c->asked_ns), 0) > 0;
    }
}

static int ask(const char *endpoint, unsigned count, uint64_t think_ns)
{
    static struct client clients[CLIENTS_MAX];
    static zmq_pollitem_t items[CLIENTS_MAX];
    uint64_t start_ns = environment("ZOO_START_NS"), end_ns = environment("ZOO_END_NS");
    for (unsigned i = 0; i < count; i++) {
        clients[i].socket = opened(ZMQ_REQ, endpoint, false);
        items[i] = (zmq_pollitem_t){.socket = clients[i].socket, .events = ZMQ_POLLIN};
    }
    while (now_ns() < end_ns) {
        ask_who_are_due(clients, count);
        if (zmq_poll(items, (int)count, 1) < 0)
            return 1;
        for (unsigned i = 0; i < count; i++) {
            if (items[i].revents & ZMQ_POLLIN)
                answered(&clients[i], start_ns, think_ns);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    alarm(LIFE_SECONDS);
    if (argc != 5)
        return 2;
    context = zmq_ctx_new();
    unsigned count = (unsigned)strtoul(argv[3], NULL, 10);
    uint64_t us = strtoull(argv[4], NULL, 10);
    if (strcmp(argv[1], "pool") == 0 && count <= THREADS_MAX) {
        work_ns = us * 1000;
        return pool(argv[2], count);
    }
    if (strcmp(argv[1], "ask") == 0 && count <= CLIENTS_MAX)
        return ask(argv[2], count, us * 1000);
    return 2;
}
