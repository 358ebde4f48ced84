/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/routes.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* After the kernel's own table of local addresses (0), before all usual rules. */
#define PRIORITY 20570u

/* Assigned to no other program in /etc/iproute2/rt_protos. */
#define PROTOCOL 87u

#define TABLES 0x57000000u /* plus 24 bits of a hash */

/* Its index is the same in every network namespace (LOOPBACK_IFINDEX in the kernel). */
#define LOOPBACK       "lo"
#define LOOPBACK_INDEX 1u

struct message {
    struct nlmsghdr head;
    uint8_t rest[256];
};
_Static_assert(sizeof(struct message) == sizeof(struct nlmsghdr) + 256, "without padding");

/* ---- applications ---- */

/* FNV-1a is enough: the input is chosen by the operator. */
static uint32_t routes_table_of(const struct addr *a)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < sizeof(a->bytes); i++)
        h = (h ^ a->bytes[i]) * 16777619u;
    h = (h ^ (a->port & 0xff)) * 16777619u;
    h = (h ^ (a->port >> 8)) * 16777619u;
    return TABLES | (h >> 8);
}

int routes_add(struct routes *r, const struct endpoint *app)
{
    struct addr a;
    addr_from_sockaddr(&a, &app->sa);
    for (size_t i = 0; i < r->count; i++)
        if (r->at[i].app.kind == a.kind && r->at[i].app.port == a.port &&
            memcmp(r->at[i].app.bytes, a.bytes, sizeof(a.bytes)) == 0)
            return 0;
    if (r->count == ROUTES_MAX)
        return -E2BIG;
    r->at[r->count].app = a;
    r->at[r->count++].table = routes_table_of(&a);
    return 0;
}

/* ---- messages ---- */

static void routes_message_put(struct message *m, unsigned short type, const void *data, size_t len)
{
    struct rtattr a = {.rta_type = type, .rta_len = (unsigned short)RTA_LENGTH(len)};
    uint8_t *at = (uint8_t *)m + NLMSG_ALIGN(m->head.nlmsg_len);
    memcpy(at, &a, sizeof(a));
    memcpy(at + RTA_LENGTH(0), data, len);
    m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + RTA_LENGTH(len);
}

static void routes_message_begin(struct message *m, unsigned short type, unsigned short flags, const void *body,
                                 size_t len)
{
    memset(m, 0, sizeof(*m));
    m->head.nlmsg_type = type;
    m->head.nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
    m->head.nlmsg_len = (unsigned)NLMSG_LENGTH(len);
    memcpy(NLMSG_DATA(&m->head), body, len);
}

/* Sends it and waits for the kernel's answer. */
static int routes_ask_kernel(int fd, struct message *m)
{
    static uint32_t number;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    union {
        struct nlmsghdr head;
        uint8_t bytes[1024];
    } answer;
    struct nlmsgerr error;
    m->head.nlmsg_seq = ++number;
    if (sendto(fd, m, m->head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return -errno;
    for (;;) {
        ssize_t n = recv(fd, &answer, sizeof(answer), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < (ssize_t)NLMSG_LENGTH(sizeof(error)))
            return n < 0 ? -errno : -EPROTO;
        if (answer.head.nlmsg_seq != number || answer.head.nlmsg_type != NLMSG_ERROR)
            continue;
        memcpy(&error, NLMSG_DATA(&answer.head), sizeof(error));
        return error.error;
    }
}

static int say_rule(int fd, unsigned short type, unsigned short flags, const struct addr *app, uint32_t table)
{
    struct message m;
    bool v6 = app->kind == ADDR_V6;
    struct fib_rule_hdr body = {
        .family = v6 ? AF_INET6 : AF_INET, .src_len = v6 ? 128 : 32, .action = FR_ACT_TO_TBL, .table = RT_TABLE_UNSPEC};
    struct fib_rule_port_range port = {.start = app->port, .end = app->port};
    routes_message_begin(&m, type, flags, &body, sizeof(body));
    routes_message_put(&m, FRA_SRC, app->bytes, v6 ? 16 : 4);
    routes_message_put(&m, FRA_IIFNAME, LOOPBACK, sizeof(LOOPBACK));
    routes_message_put(&m, FRA_IP_PROTO, &(uint8_t){IPPROTO_TCP}, 1);
    routes_message_put(&m, FRA_SPORT_RANGE, &port, sizeof(port));
    routes_message_put(&m, FRA_PRIORITY, &(uint32_t){PRIORITY}, 4);
    routes_message_put(&m, FRA_PROTOCOL, &(uint8_t){PROTOCOL}, 1);
    routes_message_put(&m, FRA_TABLE, &table, 4);
    return routes_ask_kernel(fd, &m);
}

static int say_route(int fd, unsigned short type, unsigned short flags, const struct addr *app, uint32_t table)
{
    struct message m;
    bool v6 = app->kind == ADDR_V6;
    struct rtmsg body = {.rtm_family = v6 ? AF_INET6 : AF_INET,
                         .rtm_table = RT_TABLE_UNSPEC,
                         .rtm_protocol = PROTOCOL,
                         .rtm_scope = v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_HOST,
                         .rtm_type = RTN_LOCAL};
    uint32_t loopback = LOOPBACK_INDEX;
    routes_message_begin(&m, type, flags, &body, sizeof(body));
    routes_message_put(&m, RTA_OIF, &loopback, 4);
    routes_message_put(&m, RTA_TABLE, &table, 4);
    return routes_ask_kernel(fd, &m);
}

/* ---- all of them ---- */

int routes_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    return fd < 0 ? -errno : fd;
}

static int make_one(int fd, const struct addr *app, uint32_t table)
{
    /* The route first: a rule that leads nowhere is ignored. */
    int error = say_route(fd, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, app, table);
    if (!error || error == -EEXIST)
        error = say_rule(fd, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, app, table);
    return error == -EEXIST ? 0 : error;
}

int routes_make(int fd, const struct routes *r)
{
    int first = 0;
    for (size_t i = 0; i < r->count; i++) {
        int error = make_one(fd, &r->at[i].app, r->at[i].table);
        first = first ? first : error;
    }
    return first;
}

void routes_remove(int fd, const struct routes *r)
{
    for (size_t i = 0; i < r->count; i++) {
        (void)say_rule(fd, RTM_DELRULE, 0, &r->at[i].app, r->at[i].table);
        (void)say_route(fd, RTM_DELROUTE, 0, &r->at[i].app, r->at[i].table);
    }
}
