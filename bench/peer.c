/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The libzmq peers of the benchmark, one process each, library defaults.
 *
 *   peer pull ENDPOINT SIZE SECONDS   binds; "ready", "first" when the warm-up is over, "done MESSAGES NANOSECONDS"
 *   peer push ENDPOINT SIZE [SECONDS] connects and sends until it is ended, or for SECONDS and then until all has gone
 *   peer rep  ENDPOINT                binds; "ready"; sends every request back until it is ended
 *   peer req  ENDPOINT SIZE SECONDS   connects; "done ROUNDS NANOSECONDS MEDIAN-NS P99-NS"
 *
 * Whatever happens, a peer ends after LIFE_SECONDS.
 */
#include "raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define LIFE_SECONDS 60
#define WARM_UP_NS   200000000u
#define BODY_MAX     (16u << 20)
#define ROUNDS_MAX   1000000u

static void *context;

static void *socket_of(int type, const char *endpoint, bool bind_it)
{
    struct raw_address loopback_only;
    if (raw_parse(endpoint, &loopback_only) < 0)
        exit(2);
    context = zmq_ctx_new();
    void *socket = zmq_socket(context, type);
    if (socket && (bind_it ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint)) == 0)
        return socket;
    fprintf(stderr, "peer: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
    exit(1);
}

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

/* Receives until `until_ns`, or one message when that is 0. The clock is asked only now and then: it costs as much as a
 * small message. */
static uint64_t receive(void *socket, uint64_t until_ns, unsigned per_look)
{
    uint64_t count = 0;
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    do {
        for (unsigned i = 0; i < (until_ns ? per_look : 1); i++, count++) {
            if (zmq_msg_recv(&msg, socket, 0) < 0)
                exit(1);
        }
    } while (raw_now_ns() < until_ns);
    zmq_msg_close(&msg);
    return count;
}

static int pull(const char *endpoint, size_t size, double seconds)
{
    void *socket = socket_of(ZMQ_PULL, endpoint, true);
    unsigned per_look = size < 4096 ? 64 : 1;
    say("ready");
    receive(socket, 0, 1);
    receive(socket, raw_now_ns() + WARM_UP_NS, per_look);
    say("first");
    uint64_t start_ns = raw_now_ns();
    uint64_t count = receive(socket, start_ns + (uint64_t)(seconds * 1e9), per_look);
    printf("done %llu %llu\n", (unsigned long long)count, (unsigned long long)(raw_now_ns() - start_ns));
    return 0;
}

static int push(const char *endpoint, size_t size, double seconds)
{
    void *socket = socket_of(ZMQ_PUSH, endpoint, false);
    uint64_t end_ns = seconds > 0 ? raw_now_ns() + (uint64_t)(seconds * 1e9) : UINT64_MAX;
    char *body = calloc(1, size);
    bool sending = body;
    while (sending && raw_now_ns() < end_ns) {
        for (int i = 0; sending && i < 64; i++)
            sending = zmq_send(socket, body, size, 0) >= 0;
    }
    free(body);
    zmq_close(socket);
    zmq_ctx_term(context);
    return sending ? 0 : 1;
}

static int rep(const char *endpoint)
{
    void *socket = socket_of(ZMQ_REP, endpoint, true);
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    say("ready");
    while (zmq_msg_recv(&msg, socket, 0) >= 0 && zmq_msg_send(&msg, socket, 0) >= 0)
        ;
    return 1;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t round_trip_ns(void *socket, char *body, size_t size)
{
    uint64_t start_ns = raw_now_ns();
    if (zmq_send(socket, body, size, 0) < 0 || zmq_recv(socket, body, size, 0) < 0)
        exit(1);
    return (uint32_t)(raw_now_ns() - start_ns);
}

static int req(const char *endpoint, size_t size, double seconds)
{
    static uint32_t rounds_ns[ROUNDS_MAX];
    void *socket = socket_of(ZMQ_REQ, endpoint, false);
    char *body = calloc(1, size);
    if (!body)
        return 1;
    for (uint64_t until_ns = raw_now_ns() + WARM_UP_NS; raw_now_ns() < until_ns;)
        round_trip_ns(socket, body, size);
    uint64_t start_ns = raw_now_ns(), end_ns = start_ns + (uint64_t)(seconds * 1e9);
    uint32_t count = 0;
    while (raw_now_ns() < end_ns && count < ROUNDS_MAX)
        rounds_ns[count++] = round_trip_ns(socket, body, size);
    uint64_t took_ns = raw_now_ns() - start_ns;
    free(body);
    qsort(rounds_ns, count, sizeof(*rounds_ns), compare_u32);
    printf("done %u %llu %u %u\n", count, (unsigned long long)took_ns, rounds_ns[count / 2],
           rounds_ns[(uint32_t)((double)count * 0.99)]);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    double seconds = argc > 4 ? strtod(argv[4], NULL) : 0;
    alarm(LIFE_SECONDS);
    if (size > BODY_MAX || seconds < 0 || seconds > LIFE_SECONDS)
        what = "";
    if (strcmp(what, "pull") == 0 && seconds > 0)
        return pull(argv[2], size, seconds);
    if (strcmp(what, "push") == 0 && size > 0)
        return push(argv[2], size, seconds);
    if (strcmp(what, "rep") == 0)
        return rep(argv[2]);
    if (strcmp(what, "req") == 0 && size > 0 && seconds > 0)
        return req(argv[2], size, seconds);
    fputs("usage: peer pull|push|rep|req ENDPOINT [SIZE [SECONDS]]\n", stderr);
    return 2;
}
