/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The taken page, Weir's side: shared memory in which a counter in the application's process says how many messages the
 * application has taken from the pipes of one socket, and when a poll found none.
 *
 * By it Weir knows whether a message is worked on or waits unseen behind others in libzmq's queues. From outside both
 * look the same. include/weir/taken.h has the layout, the ordering and the counter's side; applications include it.
 *
 * The application is trusted with its own protection and with nothing else. What Weir reads here only decides how long
 * a message waits. A page that is wrong costs protection, never throughput (taken_counter.h). No value read here is
 * used as a length, or as an index except modulo TAKEN_RING.
 *
 * Locks: none. All fields are atomics, written as include/weir/taken.h says. Any number of threads may read; Weir
 * writes `wake_taken` and `wake_idle` alone, under the limiter lock once the page is attached.
 * Units: messages; CLOCK_MONOTONIC in nanoseconds.
 * Memory: 4224 bytes, one page for each socket. The last TAKEN_RING takes are kept.
 */
#ifndef WEIR_FLOW_TAKEN_PAGE_H
#define WEIR_FLOW_TAKEN_PAGE_H

#include "base/attr.h"

#define WEIR_TAKEN_PAGE_ALONE
#include <weir/taken.h>
#undef WEIR_TAKEN_PAGE_ALONE

/* What a reader saw. */
struct taken_view {
    uint64_t generation, taken, empty_polls, idle_since_ns;
};

/* False: there is no counter. The page is NULL or has another layout, no counter has begun, or its heartbeat is
 * stale. */
MUST_USE bool taken_page_read(const struct taken_page *p, uint64_t now_ns, struct taken_view *ret);

/* When message number `index` (0: the first of the generation) was taken, and when the application asked for it. False:
 * that is not known any more, or not yet, or was not noted. *ret_asked_ns is 0 if only that was not noted.
 * False, too, if the page is NULL. */
MUST_USE bool taken_page_entry(const struct taken_page *p, uint64_t index, uint64_t *ret_at_ns, uint64_t *ret_asked_ns);

/* Sets when the counter wakes Weir. Read the page once more afterwards: the counter does not report earlier events. */
void taken_page_wish(struct taken_page *p, uint64_t wake_taken, bool wake_idle);

#endif
