/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/listening.h"

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

int listening_on_loopback(int family, uint16_t port)
{
    const struct question q = question_about(family, port);
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -errno;
    int result = send(fd, &q, sizeof(q), 0) == (ssize_t)sizeof(q) ? listening_answer(fd) : -errno;
    close(fd);
    return result;
}
