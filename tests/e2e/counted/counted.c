/* SPDX-License-Identifier: MPL-2.0 */
/*
 * An ordinary libzmq application, one thread and one socket with library defaults, that says with weir/taken.h what it
 * has taken.
 *
 *   counted rep|router|pull ENDPOINT WORK_US [--large WORK_US] [--counter PATH] [--lie double|half|none] [--curve KEY]
 *           [--blocking]
 *
 * It sleeps WORK_US on each message (on one of more than LARGE_BYTES: that of --large), then sends it back (pull: not).
 * --curve: it is a CURVE server with this secret key (Z85) and lets everybody in. --lie: it counts each message twice,
 * each second one, or none at all. --blocking: it waits in zmq_msg_recv() in place of zmq_poll(), and then hears no
 * commands.
 *
 * Says "counter ok" or "counter ERROR", and "ready ENDPOINT". Answers each line on stdin with a line of JSON: "stats";
 * "stall MS" stands still for so long afterwards; "close" and "open" the counter; "quit" ends it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include <weir/taken.h>

#define PARTS_MAX    16
#define LARGE_BYTES  128
#define LIFE_SECONDS 120

enum lie { HONEST, DOUBLE, HALF, NONE };

struct counted {
    void *socket;
    bool answers, blocking;
    unsigned work_us, large_us;
    const char *path, *curve_key;
    enum lie lie;
    struct weir_taken *counter;
    unsigned long long messages, bytes, large;
};

static void sleep_us(unsigned us)
{
    struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};
    while (us && nanosleep(&t, &t) < 0 && errno == EINTR)
        continue;
}

static void open_counter(struct counted *a)
{
    a->counter = weir_taken_open(a->path);
    printf("counter %s\n", a->counter ? "ok" : strerror(errno));
    fflush(stdout);
}

/* ---- messages ---- */

static int receive_part(struct counted *a, zmq_msg_t *part, int flags)
{
    if (a->lie != HALF && a->lie != NONE)
        return weir_taken_recv(a->counter, part, a->socket, flags);
    return zmq_msg_recv(part, a->socket, flags);
}

static void lie(struct counted *a)
{
    if (a->lie == DOUBLE || (a->lie == HALF && a->messages % 2 == 0))
        weir_taken_took(a->counter);
}

/* False: there is none. */
static bool serve_one(struct counted *a, int flags)
{
    zmq_msg_t parts[PARTS_MAX];
    int count = 0, more = 1;
    size_t bytes = 0;
    while (more && count < PARTS_MAX) {
        zmq_msg_init(&parts[count]);
        if (receive_part(a, &parts[count], flags) < 0)
            return false;
        more = zmq_msg_more(&parts[count]);
        bytes = zmq_msg_size(&parts[count++]);
    }
    a->messages++;
    a->bytes += bytes;
    a->large += bytes > LARGE_BYTES;
    lie(a);
    sleep_us(bytes > LARGE_BYTES ? a->large_us : a->work_us);
    for (int i = 0; i < count; i++)
        if (!a->answers || zmq_msg_send(&parts[i], a->socket, ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0)) < 0)
            zmq_msg_close(&parts[i]);
    return true;
}

/* ---- commands ---- */

static bool command(struct counted *a, const char *line)
{
    if (strcmp(line, "quit") == 0)
        return false;
    if (strcmp(line, "close") == 0) {
        weir_taken_close(a->counter);
        a->counter = NULL;
    }
    if (strcmp(line, "open") == 0)
        open_counter(a);
    printf("{\"messages\": %llu, \"bytes\": %llu, \"large\": %llu}\n", a->messages, a->bytes, a->large);
    fflush(stdout);
    if (strncmp(line, "stall ", 6) == 0)
        sleep_us(1000 * (unsigned)strtoul(line + 6, NULL, 10));
    return true;
}

/* One line, unbuffered, so that poll and the reader never disagree. */
static bool read_command(struct counted *a)
{
    char line[64];
    size_t n = 0;
    while (n < sizeof(line) - 1 && read(STDIN_FILENO, line + n, 1) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
    return n > 0 && command(a, line);
}

static void serve(struct counted *a)
{
    zmq_pollitem_t items[] = {{.socket = a->socket, .events = ZMQ_POLLIN}, {.fd = STDIN_FILENO, .events = ZMQ_POLLIN}};
    if (a->blocking)
        while (serve_one(a, 0))
            continue;
    for (;;) {
        int ready = a->lie == HONEST || a->lie == DOUBLE ? weir_taken_poll(a->counter, a->socket, items, 2, -1)
                                                         : zmq_poll(items, 2, -1);
        if (ready < 0 || (items[1].revents && !read_command(a)))
            return;
        if (items[0].revents)
            (void)serve_one(a, ZMQ_DONTWAIT);
    }
}

/* ---- the beginning ---- */

static bool read_options(struct counted *a, char **argv)
{
    static const char *const lies[] = {[DOUBLE] = "double", [HALF] = "half", [NONE] = "none"};
    a->work_us = a->large_us = (unsigned)strtoul(argv[3], NULL, 10);
    for (char **o = argv + 4; *o; o++) {
        if (strcmp(*o, "--blocking") == 0)
            a->blocking = true;
        else if (!o[1])
            return false;
        else if (strcmp(*o, "--large") == 0)
            a->large_us = (unsigned)strtoul(*++o, NULL, 10);
        else if (strcmp(*o, "--counter") == 0)
            a->path = *++o;
        else if (strcmp(*o, "--curve") == 0)
            a->curve_key = *++o;
        else if (strcmp(*o, "--lie") == 0)
            for (enum lie l = (o++, DOUBLE); l <= NONE; l++)
                a->lie = strcmp(*o, lies[l]) == 0 ? l : a->lie;
        else
            return false;
    }
    return true;
}

static int type_of(const char *name)
{
    return strcmp(name, "rep") == 0      ? ZMQ_REP
           : strcmp(name, "router") == 0 ? ZMQ_ROUTER
           : strcmp(name, "pull") == 0   ? ZMQ_PULL
                                         : -1;
}

static void *open_socket(const struct counted *a, void *context, int type)
{
    void *socket = zmq_socket(context, type);
    int yes = 1;
    if (socket && a->curve_key &&
        (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof(yes)) < 0 ||
         zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, a->curve_key, strlen(a->curve_key) + 1) < 0))
        return NULL;
    return socket;
}

int main(int argc, char **argv)
{
    struct counted a = {0};
    char endpoint[256];
    size_t size = sizeof(endpoint);
    if (argc < 4 || type_of(argv[1]) < 0 || !read_options(&a, argv)) {
        fputs("usage: counted rep|router|pull ENDPOINT WORK_US [--large WORK_US] [--counter PATH] "
              "[--lie double|half|none] [--curve KEY] [--blocking]\n",
              stderr);
        return 2;
    }
    alarm(LIFE_SECONDS);
    if (a.path)
        open_counter(&a);
    a.answers = type_of(argv[1]) != ZMQ_PULL;
    void *context = zmq_ctx_new();
    a.socket = open_socket(&a, context, type_of(argv[1]));
    if (!a.socket || zmq_bind(a.socket, argv[2]) < 0 ||
        zmq_getsockopt(a.socket, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0) {
        perror(argv[2]);
        return 1;
    }
    printf("ready %s\n", endpoint);
    fflush(stdout);
    serve(&a);
    weir_taken_close(a.counter);
    return 0;
}
