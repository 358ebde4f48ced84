/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/request.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* How often somebody who waits looks whether Weir is still there. */
#define LOOK_MS 200

/* The C library's functions of these names are cancellation points, and may be replaced by the program. */
static int raw_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

union attachment {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static bool request_send(int s, const struct run_request *q, int fd)
{
    struct iovec iov = {.iov_base = (void *)q, .iov_len = sizeof(*q)};
    union attachment a = {{0}};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = a.bytes;
        m.msg_controllen = sizeof(a.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    ssize_t n;
    do
        n = syscall(SYS_sendmsg, s, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*q);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whether an answer is there in time. Signals may interrupt a look as often as they like. */
static bool await(int s, const struct setting *to)
{
    for (int64_t until_ms = now_ms() + REQUEST_PATIENCE_MS; now_ms() < until_ms;) {
        struct pollfd p = {.fd = s, .events = POLLIN};
        struct timespec t = {.tv_nsec = LOOK_MS * 1000000L};
        if (syscall(SYS_ppoll, &p, 1, &t, NULL, 0) > 0)
            return true;
        if (syscall(SYS_connect, s, &to->weir, to->weir_len) < 0)
            return false;
    }
    return false;
}

static int request_receive(int s, const struct setting *to, uint32_t kind, int *ret_fd)
{
    struct run_reply r = {0};
    struct iovec iov = {.iov_base = &r, .iov_len = sizeof(r)};
    union attachment a = {{0}};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = a.bytes, .msg_controllen = sizeof(a.bytes)};
    if (syscall(SYS_recvmsg, s, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != (ssize_t)sizeof(r))
        return REQUEST_UNANSWERED;
    int fd = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    bool answers = r.protocol == RUN_PROTOCOL && r.kind == kind && !memcmp(r.token, to->token, sizeof(r.token));
    if (answers && ret_fd)
        *ret_fd = fd;
    else if (fd >= 0)
        raw_close(fd);
    return answers ? r.error : REQUEST_UNANSWERED;
}

static int request_exchange(int s, const struct setting *to, const struct run_request *q, int fd, int *ret_fd)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX}; /* the kernel gives it a name, for the answer */
    const struct timeval patience = {.tv_sec = REQUEST_PATIENCE_MS / 1000};
    (void)syscall(SYS_setsockopt, s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (syscall(SYS_bind, s, &any, offsetof(struct sockaddr_un, sun_path)) < 0 ||
        syscall(SYS_connect, s, &to->weir, to->weir_len) < 0 || !request_send(s, q, fd) || !await(s, to))
        return REQUEST_UNANSWERED;
    return request_receive(s, to, q->kind, ret_fd);
}

static int request_ask(const struct setting *to, struct run_request *q, int fd, int *ret_fd)
{
    int before = errno, result = REQUEST_UNANSWERED;
    q->protocol = RUN_PROTOCOL;
    memcpy(q->token, to->token, sizeof(q->token));
    if (ret_fd)
        *ret_fd = -1;
    int s = (int)syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s >= 0) {
        result = request_exchange(s, to, q, fd, ret_fd);
        raw_close(s);
    }
    errno = before;
    return result;
}

int request_make(const struct setting *to, enum run_request_kind kind, int family, uint32_t number, int fd, int *ret_fd)
{
    struct run_request q = {.kind = (uint32_t)kind, .family = (uint32_t)family, .number = number};
    return request_ask(to, &q, fd, ret_fd);
}

int request_tell(const struct setting *to, enum run_request_kind kind, int family, uint32_t number, int fd,
                 const struct socket_options *told)
{
    struct run_request q = {.kind = (uint32_t)kind, .family = (uint32_t)family, .number = number};
    if (told)
        q.told = *told;
    return request_ask(to, &q, fd, NULL);
}
