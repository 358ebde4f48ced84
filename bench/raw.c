/* SPDX-License-Identifier: MPL-2.0 */
#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int refuse(const char *endpoint, const char *why)
{
    fprintf(stderr, "refused: %s: %s (tcp://127.x.y.z:PORT or ipc://PATH)\n", endpoint, why);
    return -1;
}

static int parse_ipc(const char *endpoint, struct raw_address *ret)
{
    const char *path = endpoint + strlen("ipc://");
    if (!*path || strlen(path) >= sizeof(ret->un.sun_path))
        return refuse(endpoint, "no path, or too long a one");
    ret->un.sun_family = AF_UNIX;
    memcpy(ret->un.sun_path, path, strlen(path) + 1);
    ret->len = sizeof(ret->un);
    return 0;
}

/* Numbers only: a name could resolve to somebody else's machine. */
static int parse_tcp(const char *endpoint, struct raw_address *ret)
{
    char host[INET_ADDRSTRLEN];
    const char *start = endpoint + strlen("tcp://");
    const char *colon = strrchr(start, ':');
    if (!colon || (size_t)(colon - start) >= sizeof(host))
        return refuse(endpoint, "not ADDRESS:PORT");
    memcpy(host, start, (size_t)(colon - start));
    host[colon - start] = 0;

    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || port == 0 || port > 65535)
        return refuse(endpoint, "not a port from 1 to 65535");
    if (inet_pton(AF_INET, host, &ret->in.sin_addr) != 1)
        return refuse(endpoint, "not an IPv4 address in numbers");
    if ((ntohl(ret->in.sin_addr.s_addr) >> 24) != IN_LOOPBACKNET)
        return refuse(endpoint, "not a loopback address of this machine");
    ret->in.sin_family = AF_INET;
    ret->in.sin_port = htons((uint16_t)port);
    ret->len = sizeof(ret->in);
    return 0;
}

int raw_parse(const char *endpoint, struct raw_address *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (strncmp(endpoint, "ipc://", 6) == 0)
        return parse_ipc(endpoint, ret);
    if (strncmp(endpoint, "tcp://", 6) == 0)
        return parse_tcp(endpoint, ret);
    return refuse(endpoint, "not an endpoint");
}

static int bind_source(int fd, unsigned source)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f4d0000u + source)};
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    return bind(fd, (struct sockaddr *)&from, sizeof(from));
}

int raw_connect(const struct raw_address *to, unsigned source)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (to->any.sa_family == AF_INET && source > 0 && bind_source(fd, source) < 0)
        goto fail;
    if (connect(fd, &to->any, to->len) < 0 && errno != EINPROGRESS)
        goto fail;
    return fd;
fail:;
    int error = -errno;
    close(fd);
    return error;
}

int raw_listen(const struct raw_address *at)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (at->any.sa_family == AF_UNIX)
        unlink(at->un.sun_path);
    if (bind(fd, &at->any, at->len) == 0 && listen(fd, 256) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

void raw_greeting(uint8_t out[RAW_GREETING_BYTES])
{
    memset(out, 0, RAW_GREETING_BYTES);
    out[0] = 0xff;
    out[8] = 1;
    out[9] = 0x7f;
    out[10] = 3;
    out[11] = 1;
    memcpy(out + 12, "NULL", 4);
}

size_t raw_ready(uint8_t out[RAW_READY_MAX_BYTES], const char *socket_type)
{
    size_t type_bytes = strlen(socket_type);
    size_t body = 6 + 1 + 11 + 4 + type_bytes;
    uint8_t *p = out;
    *p++ = RAW_COMMAND;
    *p++ = (uint8_t)body;
    memcpy(p, "\x05READY\x0bSocket-Type\0\0\0", 21);
    p += 21;
    *p++ = (uint8_t)type_bytes;
    memcpy(p, socket_type, type_bytes);
    return 2 + body;
}

size_t raw_header(uint8_t out[RAW_FRAME_HEADER_BYTES], uint8_t flags, uint64_t body_bytes)
{
    if (body_bytes <= 255) {
        out[0] = flags;
        out[1] = (uint8_t)body_bytes;
        return 2;
    }
    out[0] = flags | RAW_LONG;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)(body_bytes >> (56 - 8 * i));
    return 9;
}

enum raw_step raw_opening_feed(struct raw_opening *o, const uint8_t *bytes, size_t n)
{
    enum raw_step step = RAW_WAIT;
    for (size_t i = 0; i < n && !o->done; i++) {
        if (o->greeting_seen < RAW_GREETING_BYTES) {
            if (o->greeting_seen == 0 && bytes[i] != 0xff)
                return RAW_BROKEN;
            if (++o->greeting_seen == RAW_GREETING_BYTES)
                step = RAW_SEND_READY;
        } else if (o->header_seen == 0) {
            if (bytes[i] != RAW_COMMAND)
                return RAW_BROKEN;
            o->header_seen = 1;
        } else if (o->header_seen == 1) {
            o->header_seen = 2;
            o->ready_bytes = bytes[i];
        } else {
            o->ready_seen++;
        }
        o->done = o->header_seen == 2 && o->ready_seen == o->ready_bytes;
    }
    return step;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* Byte by byte: what follows READY belongs to the caller. */
int raw_open(int fd, const char *socket_type)
{
    uint8_t greeting[RAW_GREETING_BYTES], ready[RAW_READY_MAX_BYTES];
    struct raw_opening opening = {0};
    raw_greeting(greeting);
    if (write_all(fd, greeting, sizeof(greeting)) < 0)
        return -1;
    while (!opening.done) {
        uint8_t byte;
        if (recv(fd, &byte, 1, 0) != 1)
            return -1;
        enum raw_step step = raw_opening_feed(&opening, &byte, 1);
        if (step == RAW_BROKEN)
            return -1;
        if (step != RAW_SEND_READY)
            continue;
        size_t len = raw_ready(ready, socket_type);
        if (write_all(fd, ready, len) < 0)
            return -1;
    }
    return 0;
}

uint64_t raw_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void raw_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
