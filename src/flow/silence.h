/* SPDX-License-Identifier: MPL-2.0 */
/*
 * An application that has all the requests that it may have in hand, and answers none of them. It may be busy with
 * them, or they are of the kind that it keeps (laps.h), and then it has nothing to do while others wait for it: nobody
 * can tell before one of these was let in. So some more are, the longer the silence the more, but never more than what
 * it can work off in an eighth of that time if they take what the quickest of late took. (The mean would not do: it is
 * that of the kept ones, when there are many.)
 *
 * Then the last of these tells. If it was answered before most of those who were in hand before, or took as long as
 * they did, they were worth it, and the next silence may bring twice as many. If it had to wait until those were
 * answered (it took what was left of a pause, or longer as one does who queues), they were too many, and the next may
 * bring half as many. Until then no other silence brings any. And who was in hand before takes an additional place with
 * it when it is answered, so that none is left of a mere pause.
 *
 * One owner at a time (flow/valve.h holds a lock around it).
 */
#ifndef WEIR_FLOW_SILENCE_H
#define WEIR_FLOW_SILENCE_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* Places that one silence may bring: at first, and when it always was worth it. */
#define SILENCE_FIRST 8u
#define SILENCE_MOST  64u

/* Shorter pauses say nothing. */
#define SILENCE_LEAST_NS (4 * NS_PER_MS)

/* For how long a latency is remembered, and at most twice that. */
#define SILENCE_REMEMBERS_NS (5 * NS_PER_S)

struct silence {
    uint64_t answered;             /* replies in all, as last seen */
    uint64_t since_ns;             /* when that was seen first */
    uint64_t first_ns, granted_ns; /* when `places` became more: for the first time since then, and the last */
    uint64_t before_ns;            /* the latency of who was in hand before, as last seen; 0: none was answered */
    uint64_t before_asked_ns;      /* when that one was asked */
    uint64_t first;                /* replies in all, at first_ns */
    uint32_t before;               /* how many were in hand before */
    uint32_t granted;              /* in the silence that is to be judged; 0: none is */
    uint32_t trust;                /* what the next may bring */
    uint32_t places;               /* beyond the limit */
    uint64_t least_ns[2], from_ns; /* latencies of late and before, and since when */
};

/* Requests in the application, and clients that wait for a place there. */
struct silence_load {
    uint32_t in_hand, waiting;
};

void silence_init(struct silence *s);

/* How long a silence has to last for one place. */
uint64_t silence_each_ns(const struct silence *s);

/* Looks whether the application answers, while somebody waits for it, and for a request that went there at `asked_ns`.
 * `answered`: replies in all. No more places are there than clients that wait. */
void silence_look(struct silence *s, uint64_t answered, struct silence_load load, uint64_t asked_ns, uint64_t now_ns);

/* What went to the application at `asked_ns` was answered; `answered`: with it. Returns how many additional places were
 * worth it, and so are no longer among `places`. */
uint32_t silence_answer(struct silence *s, uint64_t answered, uint64_t asked_ns, uint64_t now_ns);

/* What went to the application at `asked_ns` is no longer waited for, answered or not, after others were answered again
 * and again, or were not. Returns the same. */
uint32_t silence_end(struct silence *s, uint64_t asked_ns, bool overtaken, bool lost);

#endif
