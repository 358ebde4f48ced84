/* SPDX-License-Identifier: MPL-2.0 */
/*
 * An application that has all the requests that it may have in hand, and answers none of them. It may be busy with
 * them, or they are of the kind that it keeps (laps.h), and then it has nothing to do while others wait for it: nobody
 * can tell before one of these was let in. So some more are, the longer the silence the more, but never more than what
 * it can work off in an eighth of that time if they take what the quickest of late took, and never more than
 * SILENCE_PLACES in one silence. The mean would not do: it is that of the kept ones, when there are many.
 *
 * Who was in hand before takes its additional place with it when it is answered, so none is left after a mere pause.
 * And if those who were let in had to wait longer than those before them, they only queued: then the next silence has
 * to last twice as long for as many places.
 *
 * One owner at a time (flow/valve.h holds a lock around it).
 */
#ifndef WEIR_FLOW_SILENCE_H
#define WEIR_FLOW_SILENCE_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define SILENCE_PLACES 64u

/* Shorter pauses say nothing. */
#define SILENCE_LEAST_NS (4 * NS_PER_MS)

/* For how long a latency is remembered, and at most twice that. */
#define SILENCE_REMEMBERS_NS (5 * NS_PER_S)

/* All zero at the beginning. */
struct silence {
    uint64_t answered;             /* replies in all, as last seen */
    uint64_t since_ns;             /* when that was seen first */
    uint64_t first_ns, granted_ns; /* when `places` became more in this silence: for the first time, and the last */
    uint64_t before_ns;            /* the latency of those who were in hand before */
    uint32_t granted;              /* since since_ns */
    uint32_t places;               /* beyond the limit */
    uint8_t doubt;                 /* silences in which more only queued */
    bool judged;                   /* this one */
    uint64_t least_ns[2], from_ns; /* latencies of late and before, and since when */
};

/* What went to the application at `asked_ns` was answered. */
void silence_answer(struct silence *s, uint64_t asked_ns, uint64_t now_ns);

/* Looks whether the application answers, while somebody waits for it, and a request that went there at `asked_ns`.
 * `answered`: replies in all. */
void silence_look(struct silence *s, uint64_t answered, uint64_t asked_ns, uint64_t now_ns);

/* What went to the application at `asked_ns` is no longer waited for, answered or not, after others were answered again
 * and again, or were not. True: the additional places were worth it. */
bool silence_end(struct silence *s, uint64_t asked_ns, bool overtaken);

#endif
