/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Sends one of the floods that a gate must survive, to this machine alone (target.c refuses anything else), within hard
 * bounds of connections, bytes and seconds (flood.h). Ends by itself: at its bounds, on SIGTERM or SIGINT, or when its
 * standard input closes. Prints its figures as one line of JSON, four times a second and at the end.
 */
#include "flood.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define REPORT_EVERY_NS (250 * NS_PER_MS)

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
    told_to_stop = 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * NS_PER_MS + (uint64_t)t.tv_nsec;
}

static void report(bool is_last)
{
    printf("{\"opened\": %llu, \"failed\": %llu, \"established\": %llu, \"ended_by_peer\": %llu, \"finished\": %llu, "
           "\"open\": %u, \"holding\": %u, "
           "\"sent_bytes\": %llu, \"received_bytes\": %llu, \"units\": %llu, \"done\": %s}\n",
           (unsigned long long)figures.opened, (unsigned long long)figures.failed,
           (unsigned long long)figures.established, (unsigned long long)figures.ended_by_peer,
           (unsigned long long)figures.finished, figures.open, figures.holding, (unsigned long long)figures.sent_bytes,
           (unsigned long long)figures.received_bytes, (unsigned long long)figures.units, is_last ? "true" : "false");
    fflush(stdout);
}

/* No faster than --rate: what overflows the other side's backlog is lost without a sign. */
static uint64_t opens_due(const struct options *o, uint64_t elapsed_ns)
{
    if (o->rate == 0)
        return o->opens;
    return 1 + elapsed_ns / NS_PER_MS * o->rate / 1000;
}

static void open_missing(int ep, struct peer *peers, const struct options *o, uint64_t now, uint64_t start_ns)
{
    uint64_t due = opens_due(o, now - start_ns);

    for (uint32_t i = 0; i < o->connections && figures.opened + figures.failed < due; i++) {
        if (peers[i].stage == PEER_CLOSED && now >= peers[i].next_ns)
            peer_open(ep, &peers[i], o, now);
    }
}

static bool is_over(const struct options *o, uint64_t now, uint64_t end_ns)
{
    return told_to_stop || now >= end_ns || figures.sent_bytes >= o->bytes ||
           (figures.open == 0 && figures.opened + figures.failed >= o->opens);
}

static void run(int ep, struct peer *peers, const struct options *o)
{
    struct epoll_event events[256];
    uint64_t start_ns = now_ns(), now = start_ns, end_ns = now + o->within_ns, report_ns = now;

    while (!is_over(o, now, end_ns)) {
        open_missing(ep, peers, o, now, start_ns);
        for (uint32_t i = 0; (o->every_ns || o->read_every_ns) && i < o->connections; i++)
            peer_on_time(ep, &peers[i], o, now);
        int n = epoll_wait(ep, events, 256, 10);

        for (int i = 0; i < n; i++) {
            if (!events[i].data.ptr)
                return;
            peer_on_event(ep, events[i].data.ptr, o, events[i].events, now);
        }
        now = now_ns();
        if (now >= report_ns) {
            report(false);
            report_ns = now + REPORT_EVERY_NS;
        }
    }
}

static int flood(const struct options *o)
{
    struct peer *peers = calloc(o->connections, sizeof(*peers));
    struct epoll_event stdin_event = {.events = EPOLLIN | EPOLLHUP, .data.ptr = NULL};
    int ep = epoll_create1(EPOLL_CLOEXEC);

    if (!peers || ep < 0) {
        perror("flood");
        return 1;
    }
    for (uint32_t i = 0; i < o->connections; i++)
        peers[i].random = 0x9e3779b97f4a7c15u * (i + 1);
    epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &stdin_event); /* refused for files, which is as well */
    run(ep, peers, o);
    report(true);
    close(ep);
    free(peers);
    return 0;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct options o = {
        .socket_type = "DEALER",
        .mechanism = "NULL",
        .minor = 1,
        .connections = 1,
        .opens = FLOOD_OPENS_MAX,
        .bytes = FLOOD_BYTES_MAX,
        .within_ns = 10 * 1000 * NS_PER_MS,
        .chunk = PEER_OUT_BYTES,
        .frames = 1,
    };
    struct sigaction stop = {.sa_handler = on_signal};
    const char *mistake;
    int rc;

    o.flood = argc > 1 ? flood_find(argv[1]) : NULL;
    if (!o.flood)
        return options_usage("which flood?");
    o.start = o.flood->start;
    mistake = options_parse(&o, argc - 1, argv + 1);
    if (mistake)
        return options_usage(mistake);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    raise_descriptor_limit();
    rc = flood(&o);
    free((void *)o.raw);
    return rc;
}
