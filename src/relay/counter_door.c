/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/counter.h"

#include "flow/taken_counter.h"
#include "loop/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a page ---- */

/* Memory that cannot be made smaller: reading a part that is gone would end Weir (SIGBUS). */
static int make_memory(void)
{
    int fd = memfd_create("weir-taken", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, sizeof(struct taken_page)) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

static struct taken_page *map_page(int fd, uint64_t generation)
{
    void *at = mmap(NULL, sizeof(struct taken_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED)
        return NULL;
    struct taken_page *page = at;
    atomic_store(&page->generation, generation);
    taken_page_wish(page, UINT64_MAX, false);
    return page;
}

/* ---- connections ---- */

static int say(int fd, int error, const int *descriptors)
{
    struct taken_hello hello = {.magic = TAKEN_MAGIC, .size = sizeof(struct taken_page), .error = error};
    struct iovec bytes = {.iov_base = &hello, .iov_len = sizeof(hello)};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (descriptors) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(2 * sizeof(int));
        memcpy(CMSG_DATA(h), descriptors, 2 * sizeof(int));
    }
    /* The buffer is empty: either all of it is sent, or the other side has gone. */
    return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(hello) ? 0 : -EPIPE;
}

static void hang_up(struct counter *c)
{
    if (c->line.fd < 0)
        return;
    loop_unwatch(&c->wg->worker->loop, &c->line);
    close(c->line.fd);
    c->line.fd = -1;
    counter_end(c);
}

/* The other side sends nothing: any readable byte is nonsense, and zero bytes are the end. */
static bool has_ended(const struct counter *c)
{
    char byte;
    return c->line.fd < 0 || recv(c->line.fd, &byte, 1, MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR);
}

/* 0, or -errno; on an error nothing is left of it, and the caller still owns `fd`. */
static int hand_over(struct counter *c, int fd)
{
    int wake = -1, memory = make_memory();
    struct taken_page *page = memory < 0 ? NULL : map_page(memory, c->pages);
    int error = memory < 0 ? memory : page ? 0 : -ENOMEM;
    if (!error)
        wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!error && wake < 0)
        error = -errno;
    if (!error)
        error = counter_begin(c, page, wake);
    if (error < 0 && page)
        munmap(page, sizeof(*page));
    if (error < 0 && wake >= 0)
        close(wake);
    if (!error) {
        c->line.fd = fd;
        error = loop_watch(&c->wg->worker->loop, &c->line, EPOLLIN | EPOLLRDHUP);
        if (!error)
            error = say(fd, 0, (const int[]){memory, wake});
        if (error < 0) {
            c->line.fd = -1;
            counter_end(c);
        }
    }
    c->pages++;
    if (memory >= 0)
        close(memory);
    return error;
}

/* 0, or -errno, which the process has been told. */
static int welcome(struct counter *c, int fd, const struct addr *who)
{
    int error = 0;
    if (has_ended(c) || !counter_lives(c))
        hang_up(c);
    else
        error = -EBUSY;
    if (error)
        counter_note(c, COUNTER_REFUSED, who);
    else
        error = hand_over(c, fd);
    if (error) {
        (void)say(fd, -error, NULL);
        close(fd);
    }
    return error;
}

static void on_door(struct counter *c)
{
    struct worker *w = c->wg->worker;
    for (unsigned i = 0; i < COUNTER_ACCEPTS; i++) {
        struct addr who;
        int fd = net_accept(c->door.fd, ENDPOINT_IPC, &who);
        if (fd == -EAGAIN)
            return;
        if (fd < 0)
            break;
        (void)welcome(c, fd, &who);
    }
    timer_arm(&w->loop.timers, &c->door_again.timer, w->loop.now_ns + COUNTER_PAUSE_NS);
}

static void on_door_again(struct alarm *a)
{
    on_door(COUNTER_OF(door_again, a));
}

void counter_on_event(struct watch *watch)
{
    struct counter *c;
    switch (watch->kind) {
    case WATCH_COUNTER_WAKE:
        counter_on_wake(COUNTER_OF(wake, watch));
        break;
    case WATCH_COUNTER_DOOR:
        c = COUNTER_OF(door, watch);
        /* A storm of connections is served at the door's own pace. */
        if (!c->door_again.timer.expires_ns)
            on_door(c);
        break;
    default:
        c = COUNTER_OF(line, watch);
        if (has_ended(c))
            hang_up(c);
    }
}

/* ---- the door ---- */

/* For this user and its group, regardless of the umask. */
static int listen_at(struct counter *c)
{
    char text[CONFIG_PATH_MAX + 8];
    struct endpoint e;
    struct stat st;
    snprintf(text, sizeof(text), "ipc://%s", c->path);
    int error = endpoint_parse(&e, text, true, NULL), fd = error ? error : net_listen(&e, true, false);
    if (fd < 0)
        return fd;
    c->door.fd = fd;
    if (chmod(c->path, 0660) < 0 || lstat(c->path, &st) < 0)
        return -errno;
    c->device = st.st_dev;
    c->inode = st.st_ino;
    return loop_watch(&c->wg->worker->loop, &c->door, EPOLLIN);
}

static struct counter *make_counter(struct worker_gate *wg)
{
    struct counter *c = malloc(sizeof(*c));
    if (!c)
        return NULL;
    counter_init(c, wg);
    c->door = (struct watch){.kind = WATCH_COUNTER_DOOR, .fd = -1};
    c->line = (struct watch){.kind = WATCH_COUNTER_LINE, .fd = -1};
    timer_init(&c->door_again.timer);
    c->door_again.ring = on_door_again;
    wg->counter = c;
    return c;
}

int counter_open(struct worker_gate *wg, const char *path)
{
    struct counter *c = make_counter(wg);
    if (!c)
        return -ENOMEM;
    snprintf(c->path, sizeof(c->path), "%s", path);
    return listen_at(c);
}

int counter_take(struct worker_gate *wg, int line)
{
    struct counter *c = wg->counter ? wg->counter : make_counter(wg);
    if (!c) {
        close(line);
        return -ENOMEM;
    }
    c->quiet = true;
    return welcome(c, line, NULL);
}

void counter_drop(struct worker_gate *wg)
{
    if (wg->counter)
        hang_up(wg->counter);
}

/* Leaves a socket that another Weir has put there meanwhile. */
static void remove_socket(const struct counter *c)
{
    struct stat st;
    if (c->inode && lstat(c->path, &st) == 0 && st.st_dev == c->device && st.st_ino == c->inode)
        unlink(c->path);
}

void counter_close(struct worker_gate *wg)
{
    struct counter *c = wg->counter;
    if (!c)
        return;
    c->state = TAKEN_ABSENT; /* its end now is not reported */
    hang_up(c);
    counter_end(c);
    timer_disarm(&c->door_again.timer);
    remove_socket(c);
    if (c->door.fd >= 0)
        close(c->door.fd);
    free(c);
    wg->counter = NULL;
}
