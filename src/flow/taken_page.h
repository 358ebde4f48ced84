/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The taken page: shared memory in which a counter beside the application (in its process) says how many messages the
 * application has taken from the pipes of one socket, and when a poll found none. It is how Weir knows that a message
 * is worked on, or waits unseen behind others in libzmq's queues: from outside both look the same. Its layout, its
 * ordering and the counter's side of it stand in include/weir/taken.h, which applications include; here is Weir's side.
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

#define WEIR_TAKEN_PAGE_ALONE
#include <weir/taken.h>
#undef WEIR_TAKEN_PAGE_ALONE

/* What a reader saw. */
struct taken_view {
    uint64_t generation, taken, empty_polls, idle_since_ns;
};

/* False when there is no counter: no page, another layout, none began, or its heart stands still. */
MUST_USE bool taken_page_read(const struct taken_page *p, uint64_t now_ns, struct taken_view *ret);

/* When message number `index` (0: the first of the generation) was taken, and when the application asked for it; false
 * when that is not known any more, or not yet. */
MUST_USE bool taken_page_entry(const struct taken_page *p, uint64_t index, uint64_t *ret_at_ns, uint64_t *ret_asked_ns);

/* Says when to be woken. Then read once more: what happened before it is not told. */
void taken_page_wish(struct taken_page *p, uint64_t wake_taken, bool wake_idle);

#endif
