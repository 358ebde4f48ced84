/* SPDX-License-Identifier: MPL-2.0 */
#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOPBACK_FIRST 0x7f000000u
#define LOOPBACK_LAST  0x7fffffffu

static bool is_loopback4(uint32_t host_order)
{
    return host_order >= LOOPBACK_FIRST && host_order <= LOOPBACK_LAST;
}

static bool parse_port(const char *text, uint16_t *ret)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || port == 0 || port > 65535)
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool parse_ipc(struct target *t, const char *path)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&t->addr;

    if (path[0] == '\0' || strlen(path) >= sizeof(un->sun_path))
        return false;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    t->addr_len = sizeof(*un);
    return true;
}

static bool parse_host4(struct target *t, const char *host, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&t->addr;

    if (inet_pton(AF_INET, host, &in->sin_addr) != 1 || !is_loopback4(ntohl(in->sin_addr.s_addr)))
        return false;
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    t->addr_len = sizeof(*in);
    return true;
}

static bool parse_host6(struct target *t, const char *host, uint16_t port)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&t->addr;

    if (strcmp(host, "[::1]") != 0)
        return false;
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = in6addr_loopback;
    in6->sin6_port = htons(port);
    t->addr_len = sizeof(*in6);
    return true;
}

static bool parse_tcp(struct target *t, const char *text)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    uint16_t port;

    if (!colon || (size_t)(colon - text) >= sizeof(host) || !parse_port(colon + 1, &port))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    return parse_host4(t, host, port) || parse_host6(t, host, port);
}

bool target_parse(struct target *t, const char *url)
{
    memset(t, 0, sizeof(*t));
    if (strncmp(url, "ipc://", 6) == 0)
        return parse_ipc(t, url + 6);
    if (strncmp(url, "tcp://", 6) == 0)
        return parse_tcp(t, url + 6);
    return false;
}

bool target_set_sources(struct target *t, const char *first, uint32_t count)
{
    struct in_addr addr;

    if (count == 0 || count > 65536 || inet_pton(AF_INET, first, &addr) != 1)
        return false;
    t->source = ntohl(addr.s_addr);
    t->sources = count;
    return is_loopback4(t->source) && is_loopback4(t->source + count - 1);
}

static int bind_source(int fd, const struct target *t, uint64_t n)
{
    int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(t->source + (uint32_t)(n % t->sources))};

    /* The port is chosen at connect(), so that one source may hold as many connections as it has ports for this very
     * target. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ? -errno : 0;
}

int target_connect(const struct target *t, uint64_t n, int rcvbuf_bytes)
{
    int on = 1, error = 0;
    int fd = socket(t->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (rcvbuf_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf_bytes, sizeof(rcvbuf_bytes));
    if (t->addr.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (t->addr.ss_family == AF_INET && t->source != 0)
        error = bind_source(fd, t, n);
    if (error == 0 && connect(fd, (const struct sockaddr *)&t->addr, t->addr_len) < 0 && errno != EINPROGRESS)
        error = -errno;
    if (error == 0)
        return fd;
    close(fd);
    return error;
}
