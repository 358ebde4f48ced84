/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The taken counter: what Weir believes of the taken page (taken_page.h). It says how many messages lie untaken in
 * front of the application, and whether the application has nothing to do.
 *
 * Every contradiction is resolved so that less is held.
 *
 *   state           event                                                  next
 *   ABSENT          the page is fresh                                      BELIEVED; all that has passed is taken
 *   any             the page is stale or gone                              ABSENT
 *   any but ABSENT  another generation, or `taken` has gone back           BELIEVED, as from ABSENT
 *   BELIEVED, SLOW  more were taken than passed                            the same; the excess is forgotten, and is
 *                                                                          one contradiction
 *   BELIEVED, SLOW  that, before it was idle for the first time            the same, no contradiction: older messages
 *                                                                          still lay in its pipes
 *   BELIEVED, SLOW  that, for messages that were assumed to be taken       the same, no contradiction: the machine was
 *                                                                          busy
 *   BELIEVED, SLOW  it is idle, nothing passed for `settle_ns`, and some   the same; these are assumed to be taken, and
 *                   messages seem untaken                                  `settle_ns` doubles
 *   BELIEVED, SLOW  it is idle, nothing passed for TAKEN_LOST_NS, and      the same; these were missed, and are up to 8
 *                   assumed messages were not taken                        contradictions
 *   BELIEVED, SLOW  more than TAKEN_CONTRADICTIONS + 1/64 of the takes     DOUBTED until the generation ends
 *                   are contradictions
 *   BELIEVED, SLOW  a plain service has answered TAKEN_ANSWERS_MOST more   DOUBTED until the generation ends
 *                   than it has taken
 *   BELIEVED        not idle, some untaken, and none was taken for         SLOW
 *                   max(1 s, 8 x the longest gap)
 *   SLOW            a message is taken                                     BELIEVED
 *
 * `settle_ns` is TAKEN_SETTLE_NS after each take, and doubles up to TAKEN_SETTLE_MOST_NS.
 *
 * Where frames are counted (CURVE), their number is not that of messages. That is resolved in the same way, and nothing
 * is DOUBTED for it.
 *
 * In SLOW an allowance of messages may be untaken besides the window. It is one at first and doubles each quarter of a
 * second. So an application that stands still for some seconds gets a few hundred messages more, and a counter that
 * stands still costs three seconds once. DOUBTED counts as ABSENT.
 *
 * Locks: the limiter lock, for all fields and transitions. Only the page itself is read and written without it.
 * Units: messages; monotonic nanoseconds.
 * Memory: 112 bytes; fixed.
 */
#ifndef WEIR_FLOW_TAKEN_COUNTER_H
#define WEIR_FLOW_TAKEN_COUNTER_H

#include "flow/taken_page.h"

#define TAKEN_SETTLE_NS      (2 * NS_PER_MS)
#define TAKEN_SETTLE_MOST_NS (256 * NS_PER_MS)
#define TAKEN_LOST_NS        (250 * NS_PER_MS)
#define TAKEN_ANSWERS_MOST   64u
#define TAKEN_CONTRADICTIONS 16u
#define TAKEN_SLOW_NS        NS_PER_S
#define TAKEN_SLOW_STEP_NS   (250 * NS_PER_MS)

enum taken_state { TAKEN_ABSENT, TAKEN_BELIEVED, TAKEN_SLOW, TAKEN_DOUBTED };

/* What the gate itself has seen. */
struct taken_facts {
    uint64_t passed, answered;       /* messages in all */
    uint64_t passed_at_ns;           /* when the last message passed */
    bool plain;                      /* each message is known to be answered once */
    const _Atomic uint64_t *passing; /* or NULL: where `passed` is read anew, since it grows without a lock */
    bool frames;                     /* frames are counted, parts and heartbeats included, which are never taken */
};

/* All zeros at first. */
struct taken_counter {
    enum taken_state state;
    bool idle;          /* it waits for a message, or asks again and again and finds none */
    bool was_idle;      /* in this generation: no message from before it lies in its pipes */
    bool short_batch;   /* since the last look it took messages, and found no more */
    uint64_t untaken;   /* passed and not taken; some may still be on their way */
    uint64_t allowance; /* SLOW: so many more may be untaken */
    uint64_t generation;
    int64_t ahead; /* passed before the generation, or missed by the counter, less those counted twice */
    uint64_t taken, empty_polls;
    uint64_t answered_most;       /* answers allowed besides `taken`: passed before the generation, or missed */
    uint64_t assumed;             /* part of `ahead`: seemed untaken while it was idle, and may yet be taken */
    uint64_t settle_ns;           /* after so long an idle time, what seems to lie there is assumed to be taken */
    uint64_t idle_since_ns;       /* 0: it is not idle */
    uint64_t taken_at_ns, gap_ns; /* the last take; the longest time without one, lately */
    uint64_t contradictions;
};

/* Reads the page and applies the table above. `page` may be NULL. */
void taken_counter_read(struct taken_counter *c, const struct taken_page *page, const struct taken_facts *facts,
                        uint64_t now_ns);

/* Whether the page has changed since it was read. */
static inline bool taken_counter_is_behind(const struct taken_counter *c, const struct taken_page *page)
{
    return (c->state == TAKEN_BELIEVED || c->state == TAKEN_SLOW) &&
           (atomic_load(&page->taken) != c->taken || atomic_load(&page->empty_polls) != c->empty_polls ||
            atomic_load(&page->idle_since_ns) != c->idle_since_ns);
}

/* Whether messages may be held on what the counter says. */
static inline bool taken_counter_holds(const struct taken_counter *c)
{
    return c->state == TAKEN_BELIEVED || c->state == TAKEN_SLOW;
}

/* The counter's index of the n-th message to pass (from 0), if messages are taken in the order of passing. UINT64_MAX:
 * it passed before the generation began. */
static inline uint64_t taken_counter_index(const struct taken_counter *c, uint64_t passed_index)
{
    int64_t index = (int64_t)(passed_index - (uint64_t)c->ahead);
    return index < 0 ? UINT64_MAX : (uint64_t)index;
}

#endif
