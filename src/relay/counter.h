/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The counter of a gate's application (include/weir/taken.h): where it comes from, and what becomes of what it says.
 * The key `counter` names a Unix socket; whoever connects gets a page of memory and an eventfd (counter_door.c), from
 * then on the gate's limiter reads the page (counter.c). How the two descriptors have come about is the door's affair
 * alone: counter_begin() takes any.
 *
 *   state    event                                                     next
 *   NOBODY   somebody connects                                         ATTACHED, with a new page
 *   NOBODY   no memory or descriptors for a page                       NOBODY; it is told so, and comes again
 *   ATTACHED the connection ends, or says anything                     NOBODY
 *   ATTACHED somebody else connects, and the heart of this one beats   ATTACHED; the other is told EBUSY
 *   ATTACHED somebody else connects, the heart does not beat           ATTACHED, to the other, with a new page
 *
 * The other side is trusted with its own protection and nothing else: it can neither resize the page (a sealed memfd)
 * nor make Weir wait (nothing of what is shared is read(2): the eventfd is watched edge-triggered, and each write is an
 * edge), nor wake it more often than COUNTER_WAKES (then it is looked at each COUNTER_PAUSE_NS), nor connect more often
 * than COUNTER_ACCEPTS each COUNTER_PAUSE_NS. Each page belongs to one connection: who comes next cannot be disturbed
 * by who was there before. What is logged and told is limited.
 *
 * Worker 0; 500 bytes and COUNTER_DESCRIPTORS for each gate that has the key. An application that is to reach it from
 * another user must be in the group of the socket, which everybody of that group may write to (0660).
 */
#ifndef WEIR_RELAY_COUNTER_H
#define WEIR_RELAY_COUNTER_H

#include "flow/taken_page.h"
#include "relay/worker.h"

#include <stddef.h>
#include <sys/stat.h>

#define COUNTER_WAKES    50000u /* a second */
#define COUNTER_PAUSE_NS (2 * NS_PER_MS)
#define COUNTER_ACCEPTS  4u
#define COUNTER_LOOK_NS  (250 * NS_PER_MS)

#define COUNTER_DESCRIPTORS 5u /* at most: door, line, eventfd, memory, and who is told EBUSY */

enum counter_notice { COUNTER_CAME, COUNTER_WENT, COUNTER_DOUBTED, COUNTER_REFUSED, COUNTER_NOTICES };

/* The counter of which `at` is the member. */
#define COUNTER_OF(member, at) ((struct counter *)(void *)((char *)(at)-offsetof(struct counter, member)))

struct counter {
    struct worker_gate *wg;
    struct taken_page *page; /* NULL: nobody's */
    struct watch wake;       /* the eventfd */
    gcra_word wakes;
    struct alarm look;       /* what its state is, and what was taken */
    struct alarm wake_again; /* it is not watched until then */
    uint64_t taken;          /* counted so far, of this page */
    uint32_t state;          /* enum taken_state, as it was last told */

    /* counter_door.c */
    struct watch door, line; /* where it is to connect; the connection that has the page */
    struct alarm door_again;
    uint64_t pages; /* made so far: generations begin there */
    char path[CONFIG_PATH_MAX];
    dev_t device;
    ino_t inode;

    struct log_limit notices[COUNTER_NOTICES];
};

/* The gate's counter will come to `path`: a Unix socket, made now, in place of one that nobody listens on. 0, or
 * -errno. Before the worker has a thread. */
MUST_USE int counter_open(struct worker_gate *wg, const char *path);

/* Also where there is none. After the worker's thread has ended. */
void counter_close(struct worker_gate *wg);

void counter_on_event(struct watch *watch);

/* ---- between the two files ---- */

/* From now on this page counts, and `wake_fd` tells of it; both are taken over. 0, or -errno, and then they are not. */
MUST_USE int counter_begin(struct counter *c, struct taken_page *page, int wake_fd);
void counter_end(struct counter *c);

/* Whether its heart beats, or has not had to yet. */
MUST_USE bool counter_lives(const struct counter *c);

void counter_init(struct counter *c, struct worker_gate *wg);
void counter_on_wake(struct counter *c);

/* A line in the log, if there has been none of its kind for a while. */
void counter_note(struct counter *c, enum counter_notice n, const struct addr *who);

#endif
