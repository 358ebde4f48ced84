/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Where the flood goes when it goes nowhere: answers the handshake and throws away whatever comes. It runs beside the
 * application, so that the flood costs the machine what it costs, and the application nothing else.
 *
 *   sink ENDPOINT    "ready"; ends when it is killed, after LIFE_SECONDS at most
 */
#include "../raw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIFE_SECONDS    60
#define DESCRIPTORS_MAX 65536

static uint8_t seen[DESCRIPTORS_MAX]; /* bytes of the greeting; RAW_GREETING_BYTES: answered */
static int epoll_fd;

static void take_in(int listener)
{
    uint8_t greeting[RAW_GREETING_BYTES];
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    raw_greeting(greeting);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd >= DESCRIPTORS_MAX || send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        close(fd);
        return;
    }
    seen[fd] = 0;
}

static void greeted(int fd)
{
    uint8_t ready[RAW_READY_MAX_BYTES];
    size_t n = raw_ready(ready, "ROUTER");
    if (send(fd, ready, n, MSG_NOSIGNAL) < 0)
        shutdown(fd, SHUT_RDWR);
}

static void swallow(int fd)
{
    static uint8_t bytes[1 << 18];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(fd);
        return;
    }
    if (n < 0 || seen[fd] == RAW_GREETING_BYTES)
        return;
    size_t sum = seen[fd] + (size_t)n;
    seen[fd] = sum < RAW_GREETING_BYTES ? (uint8_t)sum : RAW_GREETING_BYTES;
    if (seen[fd] == RAW_GREETING_BYTES)
        greeted(fd);
}

int main(int argc, char **argv)
{
    struct raw_address at;
    if (argc != 2 || raw_parse(argv[1], &at) < 0) {
        fputs("usage: sink ENDPOINT\n", stderr);
        return 2;
    }
    alarm(LIFE_SECONDS);
    raw_raise_descriptors();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = raw_listen(&at);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
    if (listener < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) {
        perror(argv[1]);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 64, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                take_in(listener);
            else
                swallow(events[i].data.fd);
        }
    }
}
