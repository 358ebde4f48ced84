/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The event loop of one thread: its epoll, timers, clock, buffers, and the wake-up by other threads. It knows nothing
 * of what it waits for: its owner (worker.c) gets the events and gives them to whom they concern.
 *
 * Descriptors are watched edge-triggered and registered once. The time is read once in a round, and after each turn of
 * a session (loop_tick()): all decisions of a turn see the same time.
 *
 * Threads: belongs to one thread, except loop_signal() and the atomic member. Memory: the scratch buffer, and the pool
 * of buffers, which is charged to the memory account.
 */
#ifndef WEIR_LOOP_LOOP_H
#define WEIR_LOOP_LOOP_H

#include "base/attr.h"
#include "base/bufpool.h"
#include "base/timers.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What one read may bring, and the room before it for a message that began earlier. */
#define SCRATCH_READ_BYTES (256u * 1024u)
#define SCRATCH_HEAD_BYTES 65536u

/* Events taken in one round. */
#define LOOP_EVENTS 128

/* Who watches a descriptor. */
enum watch_kind {
    WATCH_WAKE,
    WATCH_LISTENER,
    WATCH_FRONT,
    WATCH_BACK,
    WATCH_LINGERING,
    WATCH_TARPIT,
    WATCH_PROXIED,
    WATCH_BLIND_FRONT,
    WATCH_BLIND_BACK,
    WATCH_COUNTER_DOOR,
    WATCH_COUNTER_LINE,
    WATCH_COUNTER_WAKE
};

/* What epoll hands back: the first member of everything that owns a descriptor. */
struct watch {
    uint8_t kind; /* enum watch_kind */
    int fd;       /* -1: none */
};

/* A timer with a function to call. */
struct alarm {
    struct timer timer;
    void (*ring)(struct alarm *);
};

struct epoll_event;

struct loop {
    struct watch wake;
    int epoll_fd;
    uint64_t now_ns;
    struct timers timers;
    struct bufpool pool;
    uint8_t *scratch; /* SCRATCH_HEAD_BYTES + SCRATCH_READ_BYTES */
    _Atomic bool asleep;
};

/* 0 or -errno; loop_fini() accepts what is there. */
MUST_USE int loop_init(struct loop *l, struct account *account);
void loop_fini(struct loop *l);

/* Waits for events, at most `most_ms` (-1: without a limit), and not at all if `work` is set: another thread has left
 * work without a signal. Returns the number of events in `ret`, at most LOOP_EVENTS. */
int loop_wait(struct loop *l, struct epoll_event *ret, int most_ms, const _Atomic bool *work);

/* Takes the signals that have come: they are not reported again. */
void loop_take_signals(struct loop *l);

/* Reads the clock. */
void loop_tick(struct loop *l);

/* Rings the alarms that are due. */
void loop_run_timers(struct loop *l);

/* Sets a flag and wakes the loop. Any thread. */
void loop_signal(struct loop *l, _Atomic bool *flag);

/* Adds a descriptor, edge-triggered. 0 or -errno. */
MUST_USE int loop_watch(struct loop *l, struct watch *watch, uint32_t events);

/* Removes a descriptor. No event of this round may still point to `watch`. */
void loop_unwatch(struct loop *l, const struct watch *watch);

/* Changes the watched events of a descriptor. Existing readiness is reported once more. */
void loop_watch_again(struct loop *l, struct watch *watch, uint32_t events);

#endif
