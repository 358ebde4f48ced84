/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/source_routes.h"

#include "base/log.h"
#include "daemon/privileges.h"
#include "daemon/routes.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOCKET 3

/* The time between two checks that everything still exists. */
#define LOOK_EVERY_MS 2000

/* An earlier Weir may be about to end: this many tries, a tenth of a second apart. */
#define LOCK_TRIES 30

bool source_routes_wanted(const struct config *c)
{
    for (size_t i = 0; i < c->gate_count; i++)
        if (c->gates[i].upstream_source == UPSTREAM_SOURCE_CLIENT)
            return true;
    return false;
}

/* ---- the helper ---- */

/* Such names belong to the network namespace, as rules and routes do, and end with the process. */
static int lock(uint32_t table)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "weir-source-%08x", table);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    if (fd < 0)
        return -errno;
    for (int i = 0; bind(fd, (struct sockaddr *)&name, size) < 0; i++) {
        if (errno != EADDRINUSE || i == LOCK_TRIES)
            return -errno;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return 0; /* kept open */
}

static int source_routes_get_ready(const struct routes *r, pid_t parent, int fd, int *ret_netlink)
{
    int error = privileges_be_alone(parent, fd);
    for (size_t i = 0; i < r->count && !error; i++)
        error = lock(r->at[i].table);
    *ret_netlink = error ? -1 : routes_open();
    if (!error && *ret_netlink < 0)
        error = *ret_netlink;
    if (!error)
        error = privileges_confine(false);
    /* When its parent dies, it still has work to do. */
    if (!error && prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0)
        error = -errno;
    return error;
}

/* Waits for a while; false: the main process has ended. */
static bool is_needed(void)
{
    struct pollfd p = {.fd = SOCKET, .events = 0};
    int n = poll(&p, 1, LOOK_EVERY_MS);
    return n == 0 || (n < 0 && errno == EINTR);
}

static _Noreturn void source_routes_main(const struct routes *r, pid_t parent, int fd)
{
    int netlink, error = source_routes_get_ready(r, parent, fd, &netlink);
    (void)prctl(PR_SET_NAME, "weir-source", 0, 0, 0);
    if (!error)
        error = routes_make(netlink, r);
    if (send(SOCKET, &error, sizeof(error), MSG_NOSIGNAL) == sizeof(error) && !error)
        while (is_needed())
            routes_make(netlink, r); /* other programs tidy up: systemd-networkd removes rules that it does not know */
    if (netlink >= 0)
        routes_remove(netlink, r);
    _exit(error != 0);
}

/* ---- the main process ---- */

static const char *source_routes_advice(int error)
{
    switch (error) {
    case -EPERM:
        return "CAP_NET_ADMIN and CAP_NET_RAW are missing; start Weir as root, or with "
               "AmbientCapabilities=CAP_NET_ADMIN "
               "CAP_NET_RAW under systemd (client-source.conf)";
    case -EADDRNOTAVAIL:
        return "the application is not on this machine, and only from here the answers find their way";
    case -EADDRINUSE:
        return "another Weir on this machine connects to the same application in this way";
    case -E2BIG:
        return "too many different applications, 16 are allowed";
    default:
        return strerror(-error);
    }
}

/* Whether the address belongs to this machine. */
static int source_routes_look_at(const struct endpoint *app)
{
    struct endpoint here = *app;
    if (here.sa.sa_family == AF_INET6)
        here.v6.sin6_port = 0;
    else
        here.v4.sin_port = 0;
    int fd = socket(here.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = fd < 0 || bind(fd, &here.sa, here.len) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return error;
}

static int fork_helper(struct source_routes *ret, const struct routes *r)
{
    int fds[2], error = -EPIPE;
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        source_routes_main(r, parent, fds[1]);
    close(fds[1]);
    *ret = (struct source_routes){.pid = pid, .fd = fds[0]};
    if (pid < 0) {
        error = -errno;
        *ret = (struct source_routes){.pid = 0, .fd = -1};
        close(fds[0]);
        return error;
    }
    while (recv(ret->fd, &error, sizeof(error), MSG_WAITALL) < 0 && errno == EINTR)
        ;
    if (error)
        source_routes_stop(ret);
    return error;
}

static int source_routes_fail(FILE *errors, const char *gate, int error)
{
    fprintf(errors, "weir: gate %s: upstream.source: client: %s\n", gate, source_routes_advice(error));
    return -1;
}

int source_routes_start(struct source_routes *ret, const struct config *c, FILE *errors)
{
    struct routes r = {0};
    const char *gate = "";
    *ret = (struct source_routes){.pid = 0, .fd = -1};
    for (size_t i = 0; i < c->gate_count; i++) {
        if (c->gates[i].upstream_source != UPSTREAM_SOURCE_CLIENT)
            continue;
        gate = c->gates[i].name;
        int error = source_routes_look_at(&c->gates[i].forward);
        if (!error)
            error = routes_add(&r, &c->gates[i].forward);
        if (error)
            return source_routes_fail(errors, gate, error);
    }
    if (r.count == 0)
        return 0;
    int error = privileges_be_anybody() && privileges_filter_packets() ? fork_helper(ret, &r) : -EPERM;
    return error ? source_routes_fail(errors, gate, error) : 0;
}

void source_routes_settle(const struct source_routes *r)
{
    int kept = r->pid > 0 ? privileges_give_up(true) : 0;
    if (kept)
        LOG_WARN("upstream.source: the main process cannot give up its rights: %s", strerror(-kept));
}

void source_routes_stop(struct source_routes *r)
{
    if (r->pid <= 0)
        return;
    close(r->fd);
    while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *r = (struct source_routes){.pid = 0, .fd = -1};
}
