/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The pace at which an application takes from one of its queues while that is full. Its queues (one a connection, in
 * libzmq) have turns, a message each, so the pace is the same for all of them, and who says less than this has a queue
 * that empties by itself: that is its max-min fair share of the application, whatever the others do.
 *
 * Nobody tells when the queues are no longer full, so what is known is taken to double again and again, and is
 * forgotten after PACE_DOUBLINGS_MOST of these.
 *
 * Any thread; all zero at the beginning. Two that note at once may mix their figures: an estimate.
 */
#ifndef WEIR_FLOW_PACE_H
#define WEIR_FLOW_PACE_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdint.h>

#define PACE_DOUBLES_NS     (2000 * NS_PER_MS)
#define PACE_DOUBLINGS_MOST 2u

struct pace {
    _Atomic uint64_t bytes, messages; /* a second, at least 1 */
    _Atomic uint64_t seen_ns;         /* 0: nothing is known */
};

/* The application took `bytes` of a full queue within `ns`, where a message has `each` bytes. Nothing, or within no
 * time: ignored. */
void pace_note(struct pace *p, uint64_t bytes, uint64_t each, uint64_t ns, uint64_t now_ns);

/* A second, of one queue. 0: not known. */
uint64_t pace_bytes(const struct pace *p, uint64_t now_ns);
uint64_t pace_messages(const struct pace *p, uint64_t now_ns);

#endif
