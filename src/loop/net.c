/* SPDX-License-Identifier: MPL-2.0 */
#include "loop/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A dead peer is noticed after about two minutes: 60 s of silence, then a probe every 10 s. */
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES     6

static void set_int(int fd, int level, int option, int value)
{
    /* These options only improve service; a kernel that refuses one is no reason to refuse it. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static int open_socket(const struct endpoint *e)
{
    int fd = socket(e->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static int fail_closed(int fd, int error)
{
    close(fd);
    return -error;
}

/* Connections inherit these from the listening socket, at no cost. */
static void set_for_clients(int fd)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

void net_listen_for_clients(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    set_for_clients(fd);
}

void net_keepalive(int fd, enum net_keepalive how)
{
    bool closely = how == NET_KEEPALIVE_CLOSELY;
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, closely ? 1 : KEEPALIVE_INTERVAL_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE,
            closely                     ? 1
            : how == NET_KEEPALIVE_SOON ? KEEPALIVE_INTERVAL_S
                                        : KEEPALIVE_IDLE_S);
}

static int bind_and_listen(int fd, const struct endpoint *e)
{
    if (bind(fd, &e->sa, e->len) < 0 || listen(fd, SOMAXCONN) < 0)
        return fail_closed(fd, errno);
    return fd;
}

static int listen_tcp(const struct endpoint *e, bool share)
{
    int fd = open_socket(e);
    if (fd < 0)
        return fd;
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (share)
        set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (e->sa.sa_family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, !IN6_IS_ADDR_UNSPECIFIED(&e->v6.sin6_addr));
    set_for_clients(fd);
    return bind_and_listen(fd, e);
}

/* Where IPv6 is switched off, "*" means all IPv4 addresses. */
static bool fall_back_to_v4(struct endpoint *e, int error)
{
    if (error != -EAFNOSUPPORT && error != -EADDRNOTAVAIL)
        return false;
    if (e->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&e->v6.sin6_addr))
        return false;
    in_port_t port = e->v6.sin6_port;
    memset(&e->v4, 0, sizeof(e->v4));
    e->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_ANY)};
    e->len = sizeof(e->v4);
    return true;
}

/* A socket file whose owner is gone may be replaced. A socket that has one, or any other file, may not. A socket of the
 * wrong type asks the kernel (EPROTOTYPE: there is an owner), and the owner gets no connection. */
static bool is_stale_socket(const struct endpoint *e)
{
    struct stat st;
    if (e->un.sun_path[0] == '\0' || lstat(e->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool stale = connect(fd, &e->sa, e->len) < 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static int listen_unix(const struct endpoint *e)
{
    if (is_stale_socket(e))
        unlink(e->un.sun_path);
    int fd = open_socket(e);
    return fd < 0 ? fd : bind_and_listen(fd, e);
}

static int read_back(struct endpoint *e, int fd)
{
    socklen_t len = sizeof(e->un);
    if (getsockname(fd, &e->sa, &len) < 0)
        return fail_closed(fd, errno);
    e->len = len;
    return fd;
}

int net_listen(struct endpoint *e, bool first, bool share)
{
    if (e->kind == ENDPOINT_IPC)
        return listen_unix(e);
    if (first) {
        int alone = listen_tcp(e, false);
        if (alone < 0 && fall_back_to_v4(e, alone))
            alone = listen_tcp(e, false);
        if (alone < 0)
            return alone;
        alone = read_back(e, alone);
        if (!share || alone < 0)
            return alone;
        /* The port is free and its number is known now; it is taken again in shared mode at once. */
        close(alone);
    }
    return listen_tcp(e, share);
}

static void addr_from_unix_peer(int fd, struct addr *ret)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0;
    addr_from_uid(ret, known ? cred.uid : UINT32_MAX);
}

int net_accept(int listen_fd, enum endpoint_kind kind, struct addr *ret_peer)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    int fd = accept4(listen_fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (kind == ENDPOINT_IPC) {
        addr_from_unix_peer(fd, ret_peer);
        return fd;
    }
    addr_from_sockaddr(ret_peer, (struct sockaddr *)&ss);
    return fd;
}

int net_receive_buffer_most(void)
{
    int most = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(most);
    if (fd < 0)
        return 0;
    set_int(fd, SOL_SOCKET, SO_RCVBUF, INT_MAX / 2);
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &most, &len) < 0)
        most = 0;
    close(fd);
    return most;
}

void net_shrink(int fd)
{
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 1);
}

/* More than any receive buffer holds. With MSG_TRUNC, TCP discards instead of copying; other sockets would copy. */
#define DISCARD_BYTES (64u << 20)

void net_discard(int fd)
{
    int domain = 0;
    socklen_t len = sizeof(domain);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain == AF_UNIX)
        return;
    ssize_t ignored = recv(fd, NULL, DISCARD_BYTES, MSG_TRUNC | MSG_DONTWAIT);
    (void)ignored;
}

/* A process that asks again and again for a port of the ephemeral range where nobody listens may at some point get that
 * port as its own. It is then connected with itself (TCP's simultaneous open), which keeps the application from
 * listening there. Such a connection is reset, so that the port is free at once. */
static bool refuse_oneself(int fd)
{
    struct sockaddr_storage own = {0}, peer = {0};
    socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
    if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0 ||
        getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
        return false;
    if (own.ss_family == AF_UNIX || own_len != peer_len || memcmp(&own, &peer, own_len) != 0)
        return false;
    net_close_with_reset(fd);
    return true;
}

/* The address `from`, in the form that a socket towards `e` needs. False: it cannot be used there. */
static bool source_for(const struct endpoint *e, const struct addr *from, struct endpoint *ret)
{
    bool mapped = from->kind == ADDR_V4; /* an IPv4 address on an IPv6 socket */
    if (endpoint_refuses_source(e, from))
        return false;
    *ret = *e;
    if (e->sa.sa_family == AF_INET) {
        ret->v4.sin_port = 0;
        memcpy(&ret->v4.sin_addr, from->bytes, 4);
        return true;
    }
    ret->v6.sin6_port = 0;
    memcpy(ret->v6.sin6_addr.s6_addr + (mapped ? 12 : 0), from->bytes, mapped ? 4 : 16);
    return true;
}

/* Any port: a client's own port may be in use here for another gate. connect(2) chooses it, when the destination is
 * known, so that there are enough of them. */
static int take_address(int fd, const struct endpoint *e, const struct addr *from)
{
    struct endpoint own;
    int one = 1;
    if (!source_for(e, from, &own))
        return -EADDRNOTAVAIL;
    bool v6 = own.sa.sa_family == AF_INET6;
    set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one, sizeof(one)) < 0 ||
        bind(fd, &own.sa, own.len) < 0)
        return -EADDRNOTAVAIL;
    return 0;
}

int net_connect_on(int fd, const struct endpoint *e, bool *ret_pending)
{
    if (e->kind == ENDPOINT_TCP)
        set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    *ret_pending = connect(fd, &e->sa, e->len) < 0;
    if (*ret_pending && errno != EINPROGRESS)
        return fail_closed(fd, errno);
    return !*ret_pending && e->kind == ENDPOINT_TCP && refuse_oneself(fd) ? fail_closed(fd, ECONNREFUSED) : fd;
}

int net_connect(const struct endpoint *e, bool *ret_pending)
{
    int fd = open_socket(e);
    return fd < 0 ? fd : net_connect_on(fd, e, ret_pending);
}

int net_connect_from(const struct endpoint *e, const struct addr *from, bool *ret_pending)
{
    int fd = open_socket(e);
    if (fd < 0)
        return fd;
    if (take_address(fd, e, from) < 0)
        return fail_closed(fd, EADDRNOTAVAIL);
    return net_connect_on(fd, e, ret_pending);
}

int net_open_from(const struct endpoint *to, struct endpoint *from)
{
    int fd = open_socket(to);
    if (fd < 0)
        return fd;
    if (bind(fd, &from->sa, from->len) < 0)
        return fail_closed(fd, errno);
    return read_back(from, fd);
}

int net_connect_result(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return -errno;
    return error == 0 && refuse_oneself(fd) ? -ECONNREFUSED : -error;
}

static size_t limit_from_proc(FILE *f)
{
    char line[256];
    while (fgets(line, sizeof(line), f)) {
        static const char name[] = "Max open files";
        if (strncmp(line, name, sizeof(name) - 1) != 0)
            continue;
        return strtoull(line + sizeof(name) - 1, NULL, 10);
    }
    return 0;
}

size_t net_unread(int fd)
{
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) < 0 || bytes < 0 ? 0 : (size_t)bytes;
}

int net_peer_process(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.pid <= 0 ? 0 : (int)cred.pid;
}

size_t net_descriptor_limit(int process)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/limits", process);
    FILE *f = fopen(path, "re"); /* the kernel generates it on the spot: no disk access */
    if (!f)
        return 0;
    size_t limit = limit_from_proc(f);
    fclose(f);
    return limit;
}

void net_close_with_reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}
