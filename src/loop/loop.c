/* SPDX-License-Identifier: MPL-2.0 */
#include "loop/loop.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int open_descriptors(struct loop *l)
{
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return -errno;
    l->wake = (struct watch){.kind = WATCH_WAKE, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (l->wake.fd < 0)
        return -errno;
    return loop_watch(l, &l->wake, EPOLLIN);
}

int loop_init(struct loop *l, struct account *account)
{
    memset(l, 0, sizeof(*l));
    l->epoll_fd = l->wake.fd = -1;
    bufpool_init(&l->pool, account);
    l->now_ns = clock_now_ns();
    timers_init(&l->timers, l->now_ns);
    l->scratch = malloc(SCRATCH_HEAD_BYTES + SCRATCH_READ_BYTES);
    return l->scratch ? open_descriptors(l) : -ENOMEM;
}

void loop_fini(struct loop *l)
{
    if (l->wake.fd >= 0)
        close(l->wake.fd);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    bufpool_fini(&l->pool);
    free(l->scratch);
}

/* ---- a round ---- */

int loop_wait(struct loop *l, struct epoll_event *ret, int most_ms, const _Atomic bool *work)
{
    atomic_store(&l->asleep, true);
    if (atomic_load(work))
        most_ms = 0;
    int n = epoll_wait(l->epoll_fd, ret, LOOP_EVENTS, most_ms);
    atomic_store(&l->asleep, false);
    loop_tick(l);
    return n;
}

void loop_take_signals(struct loop *l)
{
    uint64_t n;
    ssize_t ignored = read(l->wake.fd, &n, sizeof(n));
    (void)ignored;
}

void loop_tick(struct loop *l)
{
    l->now_ns = clock_now_ns();
}

void loop_run_timers(struct loop *l)
{
    for (struct timer *t; (t = timers_pop(&l->timers, l->now_ns));) {
        struct alarm *a = (struct alarm *)(void *)t;
        a->ring(a);
    }
}

void loop_signal(struct loop *l, _Atomic bool *flag)
{
    uint64_t one = 1;
    atomic_store(flag, true);
    /* A full eventfd counter means that the loop will wake anyway. */
    ssize_t ignored = write(l->wake.fd, &one, sizeof(one));
    (void)ignored;
}

/* ---- descriptors ---- */

int loop_watch(struct loop *l, struct watch *watch, uint32_t events)
{
    struct epoll_event e = {.events = events | EPOLLET, .data.ptr = watch};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, watch->fd, &e) < 0 ? -errno : 0;
}

void loop_unwatch(struct loop *l, const struct watch *watch)
{
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

void loop_watch_again(struct loop *l, struct watch *watch, uint32_t events)
{
    struct epoll_event e = {.events = events | EPOLLET, .data.ptr = watch};
    /* It needs no memory and cannot fail. */
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, watch->fd, &e);
}
