/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the taken page (taken_page.h) is believed to say: how many messages lie untaken in front of the application, and
 * whether it has nothing to do. Every contradiction is resolved so that less is held.
 *
 *   state     event                                                           next
 *   ABSENT    the page is fresh                                               BELIEVED; what was passed is taken
 *   BELIEVED  page stale or gone                                              ABSENT
 *   BELIEVED  another generation                                              BELIEVED, as from ABSENT
 *   BELIEVED  more taken than passed                                          BELIEVED; the excess is forgotten
 *   BELIEVED  the same before it was idle for the first time                  the same, and no contradiction: older
 *                                                                             messages still lay in its pipes
 *   BELIEVED  idle, nothing passed for TAKEN_SETTLE_NS, some seem untaken     BELIEVED; these are assumed to be taken
 *   BELIEVED  the same again, and none was taken in between                   the same, after twice the time each
 *   BELIEVED  they are taken after all (a busy machine)                       BELIEVED; no contradiction
 *   BELIEVED  they are not, and it is idle and quiet for TAKEN_LOST_NS        BELIEVED; they were missed
 *   BELIEVED  more than TAKEN_CONTRADICTIONS + 1/64 of the takes like that    DOUBTED until the generation ends
 *   BELIEVED  a plain service answered TAKEN_ANSWERS_MOST more than taken     DOUBTED until the generation ends
 *   BELIEVED  some untaken, none taken for max(1 s, 8 x the longest gap)      SLOW
 *   SLOW      a message is taken                                              BELIEVED
 *
 * Where frames are counted (CURVE), their number is not that of messages: that is resolved in the same way, and nothing
 * is DOUBTED for it.
 *
 * In SLOW the allowance doubles each quarter of a second: an application that stands still for some seconds gets a few
 * hundred messages more, and a counter that stands still costs three seconds once. DOUBTED is as ABSENT.
 *
 * Memory: 128 bytes. One owner at a time.
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

/* What the gate has seen itself. */
struct taken_facts {
    uint64_t passed, answered;       /* messages, in all */
    uint64_t passed_at_ns;           /* the last one */
    bool plain;                      /* each is known to be answered once */
    const _Atomic uint64_t *passing; /* or NULL: where `passed` is, for who passes without a lock */
    bool frames;                     /* these are frames: parts and heartbeats, too, which nobody takes */
};

/* All zero at the beginning. */
struct taken_counter {
    enum taken_state state;
    bool idle;          /* it waits for a message, or asks again and again and finds none */
    bool was_idle;      /* since the generation began: nothing from before it lies in its pipes */
    bool short_batch;   /* it found nothing more, and went to work on what it had, since the last look */
    uint64_t untaken;   /* passed and not taken; some may still be under way */
    uint64_t allowance; /* SLOW: so many more may be untaken */
    uint64_t generation;
    int64_t ahead; /* passed before or missed by the counter, less counted twice */
    uint64_t taken, empty_polls;
    uint64_t answered_most;       /* besides what it has counted: passed before the generation, or missed */
    uint64_t assumed;             /* of those in `ahead`: seemed untaken while it was idle, and may be yet to come */
    uint64_t settle_ns;           /* idle for so long, what seems to lie there is assumed to be taken */
    uint64_t idle_since_ns;       /* 0: it is not idle */
    uint64_t taken_at_ns, gap_ns; /* last progress; the longest without, lately */
    uint64_t contradictions;
};

void taken_counter_read(struct taken_counter *c, const struct taken_page *page, const struct taken_facts *facts,
                        uint64_t now_ns);

/* Whether the page has gone on since it was read. */
static inline bool taken_counter_is_behind(const struct taken_counter *c, const struct taken_page *page)
{
    return (c->state == TAKEN_BELIEVED || c->state == TAKEN_SLOW) &&
           (atomic_load(&page->taken) != c->taken || atomic_load(&page->empty_polls) != c->empty_polls ||
            atomic_load(&page->idle_since_ns) != c->idle_since_ns);
}

static inline bool taken_counter_holds(const struct taken_counter *c)
{
    return c->state == TAKEN_BELIEVED || c->state == TAKEN_SLOW;
}

/* The counter's index of the message that was the n-th to be passed (from 0), taken in the order of passing;
 * UINT64_MAX: it was passed before the generation began. */
static inline uint64_t taken_counter_index(const struct taken_counter *c, uint64_t passed_index)
{
    int64_t index = (int64_t)(passed_index - (uint64_t)c->ahead);
    return index < 0 ? UINT64_MAX : (uint64_t)index;
}

#endif
