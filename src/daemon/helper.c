/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/helper.h"

#include "daemon/nft.h"
#include "daemon/rights.h"
#include "daemon/xdp.h"
#include "policy/firewall_stage.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET 3

struct work {
    struct nft *nft; /* NULL: no gate asks for it; likewise the other */
    struct xdp *xdp;
    struct firewall_stage stage;
    uint8_t datagram[FIREWALL_WIRE_MAX + 1]; /* one byte more, so that a message that is too long is detected */
};

static int helper_answer(const struct work *w, uint32_t number, int error)
{
    uint8_t head[FIREWALL_WIRE_HEAD];
    uint64_t packets = 0, bytes = 0;
    struct firewall_message m = {.type = FIREWALL_ANSWER, .number = number, .error = (uint32_t)-error};
    if (w->nft)
        nft_dropped(w->nft, &m.packets, &m.bytes);
    if (w->xdp)
        xdp_dropped(w->xdp, &packets, &bytes);
    m.packets += packets;
    m.bytes += bytes;
    firewall_wire_head(head, &m);
    return send(SOCKET, head, sizeof(head), MSG_NOSIGNAL) == (ssize_t)sizeof(head) ? 0 : -EPIPE;
}

static int ask_nft(struct work *w, enum firewall_task task)
{
    const struct firewall_stage *s = &w->stage;
    switch (task) {
    case FIREWALL_TASK_REPLACE:
        return nft_replace(w->nft, &s->gates, s->entries, s->count);
    case FIREWALL_TASK_CHANGE:
        return nft_change(w->nft, s->changes, s->change_count);
    case FIREWALL_TASK_COUNT:
        return nft_count(w->nft);
    case FIREWALL_TASK_NONE:
        break;
    }
    return 0;
}

static int ask_xdp(struct work *w, enum firewall_task task)
{
    const struct firewall_stage *s = &w->stage;
    switch (task) {
    case FIREWALL_TASK_REPLACE:
        return xdp_replace(w->xdp, &s->gates, s->entries, s->count);
    case FIREWALL_TASK_CHANGE:
        return xdp_change(w->xdp, s->changes, s->change_count);
    case FIREWALL_TASK_COUNT:
        return xdp_count(w->xdp);
    case FIREWALL_TASK_NONE:
        break;
    }
    return 0;
}

static int carry_out(struct work *w, enum firewall_task task)
{
    int first = w->nft ? ask_nft(w, task) : 0;
    int second = w->xdp ? ask_xdp(w, task) : 0;
    return first ? first : second;
}

/* Serves one request. False: that was the last. */
static bool serve_one(struct work *w)
{
    enum firewall_task task;
    uint32_t number;
    ssize_t n = recv(SOCKET, w->datagram, sizeof(w->datagram), 0);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    int error = firewall_stage_take(&w->stage, w->datagram, (size_t)n, &number, &task);
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

static int open_means(struct work *w, const char *table, const struct firewall_gates *gates)
{
    if (any_gate(gates, FIREWALL_NFTABLES)) {
        w->nft = nft_open(table);
        if (!w->nft)
            return nft_version() ? -ENOMEM : -ENOSYS;
    }
    return any_gate(gates, FIREWALL_XDP) ? xdp_open(gates, &w->xdp) : 0;
}

static int helper_get_ready(struct work *w, const char *table, const struct firewall_gates *gates, pid_t parent, int fd)
{
    int error = rights_be_alone(parent, fd);
    if (!error)
        error = firewall_stage_init(&w->stage, gates);
    if (!error)
        error = open_means(w, table, gates);
    return error ? error : rights_confine(w->xdp != NULL);
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
