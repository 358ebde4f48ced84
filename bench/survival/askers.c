/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A flood of valid requests by libzmq itself, for mechanisms that the flood tool does not speak: with SURVIVAL_CURVE in
 * the environment, CURVE with the keys of curve.h. It sends to this machine alone.
 *
 *   askers PORT SECONDS CONNECTIONS SIZE
 *
 * Each connection is a DEALER with library defaults, from an address of its own (127.66.x.y), that asks as fast as its
 * socket takes. Ends by itself or on SIGTERM, and prints its figures as the flood tool does.
 */
#include "../../demo/demo.h"
#include "curve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define CONNECTIONS_MAX 500u
#define SIZE_MAX_BYTES  (1u << 20)
#define SECONDS_MAX     60.0
#define SENDS_A_TURN    16

static volatile sig_atomic_t told_to_stop;
static void *sockets[CONNECTIONS_MAX];
static unsigned connections;
static size_t size;
static unsigned long long sent_bytes;
static char *body;

static void on_signal(int number)
{
    told_to_stop = 1;
}

static void *open_socket(void *context, const char *port, unsigned n)
{
    char endpoint[80];
    int linger = 0;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.66.%u.%u:0;127.0.0.1:%s", n / 250, 1 + n % 250, port);
    if (!socket || !curve_ask(socket) || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) < 0 ||
        zmq_connect(socket, endpoint) < 0) {
        fprintf(stderr, "askers: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
        exit(1);
    }
    return socket;
}

/* Asks while the socket takes, and drops what came back. False when nothing moved. */
static bool turn(void *socket)
{
    bool moved = false;
    for (int i = 0; i < SENDS_A_TURN; i++) {
        if (zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 || zmq_send(socket, body, size, 0) < 0)
            break;
        sent_bytes += size;
        moved = true;
    }
    for (char reply[64]; zmq_recv(socket, reply, sizeof(reply), ZMQ_DONTWAIT) >= 0;)
        moved = true;
    return moved;
}

static void run(uint64_t end_ns)
{
    while (!told_to_stop && demo_now_ns() < end_ns) {
        bool moved = false;
        for (unsigned i = 0; i < connections; i++)
            moved |= turn(sockets[i]);
        if (!moved)
            zmq_poll(NULL, 0, 1);
    }
}

static bool parse(int argc, char **argv, double *ret_seconds)
{
    if (argc != 5)
        return false;
    *ret_seconds = strtod(argv[2], NULL);
    connections = (unsigned)strtoul(argv[3], NULL, 10);
    size = strtoul(argv[4], NULL, 10);
    return *ret_seconds > 0 && *ret_seconds <= SECONDS_MAX && connections > 0 && connections <= CONNECTIONS_MAX &&
           size <= SIZE_MAX_BYTES;
}

int main(int argc, char **argv)
{
    double seconds;
    if (!parse(argc, argv, &seconds)) {
        fputs("usage: askers PORT SECONDS CONNECTIONS SIZE (at most 60, 500, 1048576)\n", stderr);
        return 2;
    }
    signal(SIGTERM, on_signal);
    void *context = zmq_ctx_new();
    body = calloc(1, size + 1);
    if (!context || !body)
        return 1;
    for (unsigned i = 0; i < connections; i++)
        sockets[i] = open_socket(context, argv[1], i);
    run(demo_now_ns() + (uint64_t)(seconds * 1e9));
    printf("{\"opened\": %u, \"established\": %u, \"sent_bytes\": %llu}\n", connections, connections, sent_bytes);
    fflush(stdout);
    _Exit(0);
}
