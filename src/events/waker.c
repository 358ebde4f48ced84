/* SPDX-License-Identifier: MPL-2.0 */
#include "events/waker.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int waker_init(struct waker *w)
{
    atomic_init(&w->asleep, false);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->fd < 0 ? -errno : 0;
}

void waker_fini(struct waker *w)
{
    close(w->fd);
}

void waker_wake(struct waker *w)
{
    uint64_t one = 1;
    /* A full counter means that the thread will wake anyway. */
    ssize_t ignored = write(w->fd, &one, sizeof(one));
    (void)ignored;
}

/* Either this thread sees `asleep`, or the other one sees the item: each fence stands between a store of one side and a
 * load of what the other stores. */
void waker_tell(struct waker *w)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&w->asleep, memory_order_relaxed) && atomic_exchange(&w->asleep, false))
        waker_wake(w);
}

void waker_wait(struct waker *w, const struct ring *ring, int most_ms)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    uint64_t n;
    atomic_store_explicit(&w->asleep, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (ring_is_empty(ring) && poll(&p, 1, most_ms) > 0) {
        ssize_t ignored = read(w->fd, &n, sizeof(n));
        (void)ignored;
    }
    atomic_store(&w->asleep, false);
}
