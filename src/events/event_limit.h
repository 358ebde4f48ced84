/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Rate-limits the event log: decides which events are written down and which are only counted, so that no peer fills a
 * disk.
 *
 * There is a rate for each kind of event and verdict, and one for each source in it, so that one offender does not hide
 * the others. Kinds without a limit (event_is_limited()) always pass.
 *
 * Fixed size, about 50 KiB. Sources share EVENT_LIMIT_SOURCES words by a keyed hash. Two sources that meet in one word
 * are limited together, which only leaves lines out. Lock-free, any thread. Time is an argument.
 */
#ifndef WEIR_EVENTS_EVENT_LIMIT_H
#define WEIR_EVENTS_EVENT_LIMIT_H

#include "base/attr.h"
#include "base/hash.h"
#include "events/event.h"
#include "limits/gcra.h"

#define EVENT_LIMIT_SOURCES 4096u

struct event_rates {
    struct rate each;   /* of one kind and verdict */
    struct rate source; /* the same from one source */
};

struct event_limit {
    struct hash_key key;
    gcra_word each[EVENT_COUNT][VERDICT_COUNT];
    _Atomic uint64_t suppressed[EVENT_COUNT][VERDICT_COUNT];
    gcra_word sources[EVENT_LIMIT_SOURCES];
};

/* Zeroes it and draws a key. */
void event_limit_init(struct event_limit *l);

/* Whether this event may be written. Then e->suppressed is how many events like it were left out since the last that
 * was. */
MUST_USE bool event_limit_pass(struct event_limit *l, const struct event_rates *rates, struct event *e,
                               uint64_t now_ns);

/* Takes the number of suppressed events of one kind and verdict, of which no later line has told. */
uint64_t event_limit_take(struct event_limit *l, enum event_kind k, enum verdict v);

#endif
