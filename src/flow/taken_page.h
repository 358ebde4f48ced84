/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The taken page: shared memory in which a counter beside the application (in its process) says how many messages the
 * application has taken from the pipes of one socket, and when a poll found none. It is how Weir knows that a message
 * is worked on, or waits unseen behind others in libzmq's queues: from outside both look the same.
 *
 *   field        written by  means
 *   magic, size  counter     what this is; written last when the page is made
 *   generation   counter     one more each time a counter begins (a new process, a new socket); 0: no counter yet
 *   heartbeat    counter     CLOCK_MONOTONIC, at least each TAKEN_BEAT_NS, from a thread of its own: the process lives.
 *                            Not a sign that it takes. Older than TAKEN_STALE_NS: there is no counter
 *   taken        counter     whole messages taken since the generation began
 *   empty_polls  counter     times that the application asked, found nothing and went on without waiting
 *   idle_since   counter     since when it waits for a message in a blocking call; 0: it does not, or not known to
 *   takes[]      counter     when the last TAKEN_RING messages were taken, and when the application had asked for them:
 *                            it was busy from one `at` to the next `asked`
 *   wake_taken   Weir        wake me when `taken` is at least this; UINT64_MAX: never
 *   wake_idle    Weir        wake me when a poll finds nothing
 *
 * Ordering: one thread writes at a time (a ZeroMQ socket belongs to one). The ring entry is stored first, then `taken`
 * with release; readers load `taken` with acquire, then entries, and drop those that may have been overwritten
 * meanwhile. wake_* and what they are compared with are stored and loaded seq_cst: either Weir sees the take, or the
 * counter sees the wish. How a wake-up travels (an eventfd) is its owner's business.
 *
 * The application is trusted with its own protection and nothing else. What Weir reads here decides only how long a
 * message waits: a page that is wrong costs protection, never throughput (taken_counter.h). No value read here is used
 * as an index or a length.
 *
 * Memory: 4224 bytes, one page for each socket. Any number of readers.
 */
#ifndef WEIR_FLOW_TAKEN_PAGE_H
#define WEIR_FLOW_TAKEN_PAGE_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TAKEN_MAGIC    0x57544b31u /* "WTK1" */
#define TAKEN_RING     256u
#define TAKEN_BEAT_NS  (500 * NS_PER_MS)
#define TAKEN_STALE_NS (10 * NS_PER_S)

struct taken_entry {
    _Atomic uint64_t at_ns, asked_ns;
};

struct taken_page {
    _Atomic uint32_t magic, size;
    _Atomic uint64_t generation, heartbeat_ns;
    _Atomic uint64_t taken, empty_polls, idle_since_ns;
    uint64_t reserved[2];
    _Alignas(64) _Atomic uint64_t wake_taken;
    _Atomic uint32_t wake_idle;
    _Alignas(64) struct taken_entry takes[TAKEN_RING];
};

/* What a reader saw. */
struct taken_view {
    uint64_t generation, taken, empty_polls, idle_since_ns;
};

/* ---- the counter's side ---- */

static inline void taken_page_beat(struct taken_page *p, uint64_t now_ns)
{
    atomic_store_explicit(&p->heartbeat_ns, now_ns, memory_order_relaxed);
}

/* A counter begins. */
static inline void taken_page_begin(struct taken_page *p, uint64_t now_ns)
{
    atomic_store(&p->taken, 0);
    atomic_store(&p->empty_polls, 0);
    atomic_store(&p->idle_since_ns, 0);
    taken_page_beat(p, now_ns);
    atomic_fetch_add(&p->generation, 1);
    atomic_store(&p->size, sizeof(*p));
    atomic_store(&p->magic, TAKEN_MAGIC);
}

/* A message was taken, for which the application had asked at `asked_ns`. Whether Weir wants to be woken. */
MUST_USE static inline bool taken_page_took(struct taken_page *p, uint64_t asked_ns, uint64_t now_ns)
{
    uint64_t n = atomic_load_explicit(&p->taken, memory_order_relaxed);
    struct taken_entry *e = &p->takes[n % TAKEN_RING];
    atomic_store_explicit(&e->at_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&e->asked_ns, asked_ns, memory_order_relaxed);
    atomic_store_explicit(&p->idle_since_ns, 0, memory_order_relaxed);
    atomic_store(&p->taken, n + 1);
    return n + 1 >= atomic_load(&p->wake_taken);
}

/* A poll found nothing, and the application waits in it or goes on. Whether Weir wants to be woken. */
MUST_USE static inline bool taken_page_found_nothing(struct taken_page *p, bool waits, uint64_t now_ns)
{
    if (!waits)
        atomic_fetch_add(&p->empty_polls, 1);
    else if (!atomic_load_explicit(&p->idle_since_ns, memory_order_relaxed))
        atomic_store(&p->idle_since_ns, now_ns);
    return atomic_load(&p->wake_idle) != 0;
}

/* ---- Weir's side ---- */

/* False when there is no counter: no page, another layout, none began, or its heart stands still. */
MUST_USE bool taken_page_read(const struct taken_page *p, uint64_t now_ns, struct taken_view *ret);

/* When message number `index` (0: the first of the generation) was taken, and when the application asked for it; false
 * when that is not known any more, or not yet. */
MUST_USE bool taken_page_entry(const struct taken_page *p, uint64_t index, uint64_t *ret_at_ns, uint64_t *ret_asked_ns);

/* Says when to be woken. Then read once more: what happened before it is not told. */
void taken_page_wish(struct taken_page *p, uint64_t wake_taken, bool wake_idle);

#endif
