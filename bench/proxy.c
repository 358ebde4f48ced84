/* SPDX-License-Identifier: MPL-2.0 */
/*
 * libzmq's own zmq_proxy() as a contender:
 *
 *   proxy push-pull|req-rep|pub-sub FRONT BACK    binds FRONT, connects to BACK; "ready"; runs until it is ended, at
 * most LIFE_SECONDS
 */
#include "raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define LIFE_SECONDS 60

static void *socket_of(void *context, int type, const char *endpoint, bool bind_it)
{
    struct raw_address loopback_only;
    if (raw_parse(endpoint, &loopback_only) < 0)
        exit(2);
    void *socket = zmq_socket(context, type);
    if (socket && (bind_it ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint)) == 0)
        return socket;
    fprintf(stderr, "proxy: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
    exit(1);
}

struct pattern {
    const char *name;
    int front, back;
};

static const struct pattern patterns[] = {
    {"push-pull", ZMQ_PULL, ZMQ_PUSH}, {"req-rep", ZMQ_ROUTER, ZMQ_DEALER}, {"pub-sub", ZMQ_XPUB, ZMQ_XSUB}};

int main(int argc, char **argv)
{
    const struct pattern *pattern = NULL;
    for (size_t i = 0; argc == 4 && i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        if (strcmp(argv[1], patterns[i].name) == 0)
            pattern = &patterns[i];
    }
    if (!pattern) {
        fputs("usage: proxy push-pull|req-rep|pub-sub FRONT BACK\n", stderr);
        return 2;
    }
    alarm(LIFE_SECONDS);
    void *context = zmq_ctx_new();
    void *front = socket_of(context, pattern->front, argv[2], true);
    void *back = socket_of(context, pattern->back, argv[3], false);
    puts("ready");
    fflush(stdout);
    zmq_proxy(front, back, NULL);
    return 1;
}
