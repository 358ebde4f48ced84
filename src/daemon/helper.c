/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/helper.h"

#include "daemon/firewall_backend.h"
#include "daemon/privileges.h"
#include "firewall/firewall_validate.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET 3

static const struct firewall_backend *const backends[] = {
    [FIREWALL_NFTABLES] = &nft_backend,
    [FIREWALL_XDP] = &xdp_backend,
};
#define BACKENDS ARRAY_LEN(backends)

struct work {
    void *opened[BACKENDS]; /* NULL: no gate asks for it */
    struct firewall_validate checks;
    uint8_t datagram[FIREWALL_WIRE_MAX + 1]; /* one byte more, so that a message that is too long is detected */
};

static int helper_answer(const struct work *w, uint32_t number, int error)
{
    uint8_t head[FIREWALL_WIRE_HEAD];
    struct firewall_message m = {.type = FIREWALL_ANSWER, .number = number, .error = (uint32_t)-error};
    for (size_t b = 0; b < BACKENDS; b++) {
        uint64_t packets = 0, bytes = 0;
        if (w->opened[b])
            backends[b]->dropped(w->opened[b], &packets, &bytes);
        m.packets += packets;
        m.bytes += bytes;
    }
    firewall_wire_head(head, &m);
    return send(SOCKET, head, sizeof(head), MSG_NOSIGNAL) == (ssize_t)sizeof(head) ? 0 : -EPIPE;
}

static int carry_out_by(const struct firewall_backend *how, void *opened, const struct firewall_validate *s,
                        enum firewall_task task)
{
    switch (task) {
    case FIREWALL_TASK_REPLACE:
        return how->replace(opened, &s->gates, s->entries, s->count);
    case FIREWALL_TASK_CHANGE:
        return how->change(opened, s->changes, s->change_count);
    case FIREWALL_TASK_COUNT:
        return how->count(opened);
    case FIREWALL_TASK_NONE:
        break;
    }
    return 0;
}

/* Returns the first error; one backend's keeps nothing from the other. */
static int carry_out(struct work *w, enum firewall_task task)
{
    int first = 0;
    for (size_t b = 0; b < BACKENDS; b++) {
        int error = w->opened[b] ? carry_out_by(backends[b], w->opened[b], &w->checks, task) : 0;
        first = first ? first : error;
    }
    return first;
}

/* Serves one request. False: that was the last. */
static bool serve_one(struct work *w)
{
    enum firewall_task task;
    uint32_t number;
    ssize_t n = recv(SOCKET, w->datagram, sizeof(w->datagram), 0);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    int error = firewall_validate_take(&w->checks, w->datagram, (size_t)n, &number, &task);
    if (error == -EBADMSG)
        return false;
    if (!error)
        error = carry_out(w, task);
    return helper_answer(w, number, error) == 0;
}

static bool any_gate(const struct firewall_gates *gates, enum firewall_means means)
{
    for (size_t i = 0; i < gates->count; i++)
        if (gates->at[i].means == means)
            return true;
    return false;
}

static int open_backends(struct work *w, const char *table, const struct firewall_gates *gates)
{
    int error = 0;
    for (size_t b = 0; b < BACKENDS && !error; b++)
        if (any_gate(gates, (enum firewall_means)b))
            error = backends[b]->version ? backends[b]->open(table, gates, &w->opened[b]) : -ENOSYS;
    return error;
}

static int helper_get_ready(struct work *w, const char *table, const struct firewall_gates *gates, pid_t parent, int fd)
{
    int error = privileges_be_alone(parent, fd);
    if (!error)
        error = firewall_validate_init(&w->checks, gates);
    if (!error)
        error = open_backends(w, table, gates);
    return error ? error : privileges_confine(any_gate(gates, FIREWALL_XDP));
}

static _Noreturn void helper_main(const char *table, const struct firewall_gates *gates, pid_t parent, int fd)
{
    struct work *w = calloc(1, sizeof(*w));
    if (!w)
        _exit(1);
    int error = helper_get_ready(w, table, gates, parent, fd);
    if (helper_answer(w, 0, error) == 0 && !error)
        while (serve_one(w))
            ;
    _exit(error != 0);
}

/* ---- in the parent ---- */

/* The helper's first message. */
static int hear(int fd)
{
    uint8_t head[FIREWALL_WIRE_HEAD + 1];
    struct firewall_message m;
    ssize_t n;
    do
        n = recv(fd, head, sizeof(head), 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0 || !firewall_wire_read(head, (size_t)n, &m) || m.type != FIREWALL_ANSWER)
        return -EPIPE;
    return -(int)m.error;
}

int helper_start(const char *table, const struct firewall_gates *gates, struct helper *ret)
{
    int fds[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        helper_main(table, gates, parent, fds[1]);
    int error = pid < 0 ? -errno : 0;
    close(fds[1]);
    if (!error)
        error = hear(fds[0]);
    *ret = (struct helper){.pid = pid, .fd = fds[0]};
    if (error)
        helper_stop(ret);
    return error;
}

void helper_stop(struct helper *h)
{
    close(h->fd);
    if (h->pid > 0)
        (void)kill(h->pid, SIGKILL);
    if (h->pid > 0)
        while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    *h = (struct helper){.pid = -1, .fd = -1};
}
