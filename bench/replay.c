/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Peers that cost next to nothing, so that the relay between them is what is measured.
 *
 *   replay send ENDPOINT SIZE
 *     A PUSH that writes pre-encoded messages of SIZE bytes as fast as the socket takes them.
 *   replay sink ENDPOINT SECONDS
 *     A PULL that throws away what it reads. Prints "ready", "first" after the warm-up, "done BYTES NANOSECONDS".
 *   replay hold ENDPOINT COUNT
 *     COUNT idle PUSH connections from 16 addresses. Prints "held N" when all are open, then waits.
 *   replay use ENDPOINT COUNT
 *     The same; each connection sends one message first.
 *
 * Whatever happens, each ends after LIFE_SECONDS.
 */
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIFE_SECONDS    60
#define WARM_UP_NS      200000000u
#define BLOCK_BYTES     (256u << 10)
#define BODY_MAX        (16u << 20)
#define CONNECTIONS_MAX 10000u
#define SOURCES         16

static atomic_uint_fast64_t received_bytes;

static int fail(const char *what, int error)
{
    fprintf(stderr, "replay: %s: %s\n", what, strerror(error));
    return 1;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    nanosleep(&t, NULL);
}

/* A blocking connection with its handshake done, or -1. */
static int open_peer(const struct raw_address *to, unsigned source, const char *socket_type)
{
    int fd = raw_connect(to, source);
    if (fd < 0)
        return -1;
    struct pollfd connected = {fd, POLLOUT, 0};
    if (poll(&connected, 1, 5000) == 1 && fcntl(fd, F_SETFL, 0) == 0 && raw_open(fd, socket_type) == 0)
        return fd;
    close(fd);
    return -1;
}

static int send_stream(const struct raw_address *to, size_t size)
{
    size_t room = size + RAW_FRAME_HEADER_BYTES > BLOCK_BYTES ? size + RAW_FRAME_HEADER_BYTES : BLOCK_BYTES;
    uint8_t *block = calloc(1, room);
    size_t bytes = 0, sent = 0;
    if (!block)
        return fail("block", ENOMEM);
    while (bytes + RAW_FRAME_HEADER_BYTES + size <= room)
        bytes += raw_header(block + bytes, 0, size) + size;

    int fd = open_peer(to, 0, "PUSH");
    if (fd < 0)
        return fail("connect", ECONNREFUSED);
    for (;;) {
        ssize_t n = send(fd, block + sent, bytes - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent = (sent + (size_t)n) % bytes;
    }
    close(fd);
    free(block);
    return 1;
}

static void *drain_connection(void *argument)
{
    int fd = (int)(intptr_t)argument;
    uint8_t *buffer = malloc(BLOCK_BYTES);
    if (buffer && raw_open(fd, "PULL") == 0) {
        ssize_t n;
        while ((n = recv(fd, buffer, BLOCK_BYTES, 0)) > 0)
            atomic_fetch_add_explicit(&received_bytes, (uint64_t)n, memory_order_relaxed);
    }
    free(buffer);
    close(fd);
    return NULL;
}

/* A thread for each connection: a relay may open one only to learn who is there. */
static void *accept_all(void *argument)
{
    int listener = (int)(intptr_t)argument;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd < 0)
            continue;
        if (pthread_create(&thread, NULL, drain_connection, (void *)(intptr_t)fd) != 0) {
            close(fd);
            continue;
        }
        pthread_detach(thread);
    }
    return NULL;
}

static int sink(const struct raw_address *at, double seconds)
{
    pthread_t acceptor;
    int listener = raw_listen(at);
    if (listener < 0)
        return fail("listen", -listener);
    if (pthread_create(&acceptor, NULL, accept_all, (void *)(intptr_t)listener) != 0)
        return fail("thread", EAGAIN);
    puts("ready");
    fflush(stdout);
    while (atomic_load(&received_bytes) < BLOCK_BYTES)
        sleep_ns(1000000);
    sleep_ns(WARM_UP_NS);
    puts("first");
    fflush(stdout);
    uint64_t start_ns = raw_now_ns(), start_bytes = atomic_load(&received_bytes);
    sleep_ns((uint64_t)(seconds * 1e9));
    uint64_t bytes = atomic_load(&received_bytes) - start_bytes;
    printf("done %llu %llu\n", (unsigned long long)bytes, (unsigned long long)(raw_now_ns() - start_ns));
    fflush(stdout);
    _exit(0);
}

/* `sends`: each connection sends one message first. */
static _Noreturn void hold(const struct raw_address *to, unsigned count, bool sends)
{
    static const uint8_t message[] = {0, 1, 'x'};
    unsigned held = 0;
    raw_raise_descriptors();
    for (unsigned i = 0; i < count; i++) {
        int fd = open_peer(to, 1 + i % SOURCES, "PUSH");
        held += fd >= 0 && (!sends || send(fd, message, sizeof(message), MSG_NOSIGNAL) == sizeof(message));
    }
    printf("held %u\n", held);
    fflush(stdout);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    struct raw_address address;
    double number = argc == 4 ? strtod(argv[3], NULL) : 0;
    if (argc != 4 || number <= 0) {
        fputs("usage: replay send ENDPOINT SIZE | sink ENDPOINT SECONDS | hold|use ENDPOINT COUNT\n", stderr);
        return 2;
    }
    if (raw_parse(argv[2], &address) < 0)
        return 2;
    alarm(LIFE_SECONDS);
    if (strcmp(argv[1], "send") == 0 && number <= BODY_MAX)
        return send_stream(&address, (size_t)number);
    if (strcmp(argv[1], "sink") == 0 && number <= LIFE_SECONDS)
        return sink(&address, number);
    if (strcmp(argv[1], "hold") == 0 && number <= CONNECTIONS_MAX)
        hold(&address, (unsigned)number, false);
    if (strcmp(argv[1], "use") == 0 && number <= CONNECTIONS_MAX)
        hold(&address, (unsigned)number, true);
    fputs("replay: out of range\n", stderr);
    return 2;
}
