/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/listening.h"

#include "preload/protocol.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct question {
    struct nlmsghdr header;
    struct inet_diag_req_v2 socket;
};

static struct question question_about(int family, uint16_t port)
{
    struct question q = {
        .header = {.nlmsg_len = sizeof(q), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .socket = {.sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1u << TCP_LISTEN},
    };
    struct inet_diag_sockid *id = &q.socket.id;
    id->idiag_sport = htons(port);
    id->idiag_src[0] = htonl(INADDR_LOOPBACK);
    if (family == AF_INET6)
        memcpy(id->idiag_src, &in6addr_loopback, sizeof(in6addr_loopback));
    memset(id->idiag_cookie, 0xff, sizeof(id->idiag_cookie)); /* none */
    return q;
}

/* One socket, or an error that says that there is none. */
static int listening_answer(int fd)
{
    union {
        struct nlmsghdr header;
        char bytes[4096];
    } a;
    ssize_t n = recv(fd, a.bytes, sizeof(a.bytes), 0);
    if (n < (ssize_t)sizeof(a.header))
        return n < 0 ? -errno : -EPROTO;
    if (a.header.nlmsg_type == SOCK_DIAG_BY_FAMILY && n >= (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
        return ((const struct inet_diag_msg *)NLMSG_DATA(&a.header))->idiag_state == TCP_LISTEN;
    if (a.header.nlmsg_type != NLMSG_ERROR || n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
        return -EPROTO;
    int error = ((const struct nlmsgerr *)NLMSG_DATA(&a.header))->error;
    return error == -ENOENT ? 0 : error ? error : -EPROTO;
}

/* Where netlink is forbidden: an address with a listener cannot be bound. Connections that are left of one do not
 * count, if they may be shared (SO_REUSEADDR). */
static int listening_by_bind(int family, uint16_t port)
{
    const struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const void *at = family == AF_INET ? (const void *)&v4 : &v6;
    int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    int error = bind(fd, at, family == AF_INET ? sizeof(v4) : sizeof(v6)) < 0 ? errno : 0;
    close(fd);
    return error == EADDRINUSE ? 1 : -error;
}

static int listening_by_netlink(int family, uint16_t port)
{
    const struct question q = question_about(family, port);
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -errno;
    int result = send(fd, &q, sizeof(q), 0) == (ssize_t)sizeof(q) ? listening_answer(fd) : -errno;
    close(fd);
    return result;
}

int listening_on_loopback(int family, uint16_t port)
{
    int listens = listening_by_netlink(family, port);
    return listens < 0 ? listening_by_bind(family, port) : listens;
}

/* A name in use cannot be bound. */
int listening_on_name(uint32_t number)
{
    struct sockaddr_un at;
    socklen_t len = run_name_to(&at, number);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = bind(fd, (const struct sockaddr *)&at, len) < 0 ? errno : 0;
    close(fd);
    return error == EADDRINUSE ? 1 : -error;
}
