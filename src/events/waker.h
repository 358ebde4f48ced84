/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Wakes the one thread that empties a ring (events/ring.h) when an item was put into it.
 *
 * A thread that puts never waits, and pays for a system call only while the other thread sleeps. Owned by the owner of
 * the ring; holds one descriptor.
 */
#ifndef WEIR_EVENTS_WAKER_H
#define WEIR_EVENTS_WAKER_H

#include "base/attr.h"
#include "events/ring.h"

#include <stdatomic.h>
#include <stdbool.h>

struct waker {
    int fd;
    _Atomic bool asleep;
};

/* 0, or -errno. */
MUST_USE int waker_init(struct waker *w);
void waker_fini(struct waker *w);

/* After an item was put. Any thread. */
void waker_tell(struct waker *w);

/* Wakes the thread, whether the ring has something or not. Any thread. */
void waker_wake(struct waker *w);

/* Waits until the ring has something or waker_wake() was called, at most `most_ms`. The thread that empties. */
void waker_wait(struct waker *w, const struct ring *ring, int most_ms);

#endif
