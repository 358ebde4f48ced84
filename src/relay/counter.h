/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The application's message counter at a gate (include/weir/taken.h): accepts the application that provides it, and
 * reads it for the gate's limiter.
 *
 * The key `counter` names a Unix socket. A process that connects there receives a page of memory and an eventfd
 * (counter_door.c). From then on the gate's limiter reads the page (counter.c). counter_begin() takes any page and
 * eventfd; their origin is the concern of counter_door.c alone. The gates of `weir run` have no such socket: the
 * connection of a process that counts is handed over (counter_take()).
 *
 *   state      event                                                      next
 *   NOBODY     a process connects                                         ATTACHED, with a fresh page
 *   NOBODY     no memory or descriptors for a page                        NOBODY; it is told so, and comes again
 *   ATTACHED   the connection ends, or sends anything                     NOBODY
 *   ATTACHED   another process connects; this one's heartbeat is alive    ATTACHED; the other is told EBUSY
 *   ATTACHED   another process connects; this one's heartbeat is dead     ATTACHED, to the other, with a fresh page
 *
 * The other side is trusted with its own protection and nothing else:
 * - It cannot resize the page (a sealed memfd).
 * - It cannot make Weir wait: nothing shared is read(2). The eventfd is watched edge-triggered, and each write is an
 *   edge.
 * - It cannot wake Weir more often than COUNTER_WAKES a second. Beyond that, Weir looks each COUNTER_PAUSE_NS.
 * - It cannot connect more often than COUNTER_ACCEPTS each COUNTER_PAUSE_NS.
 * - Each page belongs to one connection. A previous process cannot disturb the next one.
 * - Log lines and events about it are rate-limited.
 *
 * Threads: worker 0. Memory: 500 bytes and COUNTER_DESCRIPTORS for each gate that has one. An application of
 * another user must be in the group of the socket; everybody of that group may write to it (0660).
 */
#ifndef WEIR_RELAY_COUNTER_H
#define WEIR_RELAY_COUNTER_H

#include "flow/taken_page.h"
#include "relay/worker.h"

#include <stddef.h>
#include <sys/stat.h>

#define COUNTER_WAKES    50000u /* per second */
#define COUNTER_PAUSE_NS (2 * NS_PER_MS)
#define COUNTER_ACCEPTS  4u
#define COUNTER_LOOK_NS  (250 * NS_PER_MS)

#define COUNTER_DESCRIPTORS 5u /* at most: door, line, eventfd, memory, and a process that is told EBUSY */

#define COUNTER_LASTING 2u /* without a door: line and eventfd */

enum counter_notice { COUNTER_CAME, COUNTER_WENT, COUNTER_DOUBTED, COUNTER_REFUSED, COUNTER_NOTICES };

/* The counter whose member `member` is at `at`. */
#define COUNTER_OF(member, at) ((struct counter *)(void *)(((char *)(at)) - offsetof(struct counter, member)))

struct counter {
    struct worker_gate *wg;
    struct taken_page *page; /* NULL: no application is attached */
    struct watch wake;       /* the eventfd */
    gcra_word wakes;
    struct alarm look;       /* reads its state and the count */
    struct alarm wake_again; /* the eventfd is not watched until then */
    uint64_t taken;          /* counted so far, from this page */
    uint32_t state;          /* enum taken_state, as last reported */
    bool quiet;              /* its coming and going is no line of the log */

    /* counter_door.c */
    struct watch door, line; /* the listening socket; the connection that has the page */
    struct alarm door_again;
    uint64_t pages; /* made so far; generations start there */
    char path[CONFIG_PATH_MAX];
    dev_t device;
    ino_t inode;

    struct log_limit notices[COUNTER_NOTICES];
};

/* Opens the gate's counter at `path`: a Unix socket, created now; a socket file that nobody listens on is replaced. 0,
 * or -errno. Before the worker has a thread. */
MUST_USE int counter_open(struct worker_gate *wg, const char *path);

/* Hands a page to the process at the other end of `line`, a connected Unix socket, which is taken over in any case. 0,
 * or -errno: -EBUSY when another process counts. While the worker stands still. */
MUST_USE int counter_take(struct worker_gate *wg, int line);

/* The process that counts is told that this has ended. Harmless when there is none. While the worker stands still. */
void counter_drop(struct worker_gate *wg);

/* Harmless when there is no counter. After the worker's thread has ended. */
void counter_close(struct worker_gate *wg);

void counter_on_event(struct watch *watch);

/* ---- between the two files ---- */

/* This page counts from now on, and `wake_fd` signals changes. Both are taken over. 0, or -errno; then neither is taken
 * over. */
MUST_USE int counter_begin(struct counter *c, struct taken_page *page, int wake_fd);
void counter_end(struct counter *c);

/* Whether its heart beats, or need not beat yet. */
MUST_USE bool counter_lives(const struct counter *c);

void counter_init(struct counter *c, struct worker_gate *wg);
void counter_on_wake(struct counter *c);

/* Writes a log line, unless there was one of its kind lately. */
void counter_note(struct counter *c, enum counter_notice n, const struct addr *who);

#endif
