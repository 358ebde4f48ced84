/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What is learned of an application from its answers: whether it answers at all, how many requests it should have in
 * hand (concurrency.h), which of them it keeps (laps.h), and whether it has fallen silent (silence.h).
 *
 * One owner at a time (flow/valve.h holds its lock around it), but for what is marked with "any thread".
 */
#ifndef WEIR_FLOW_ANSWERS_H
#define WEIR_FLOW_ANSWERS_H

#include "base/attr.h"
#include "flow/concurrency.h"
#include "flow/laps.h"
#include "flow/silence.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A request that is not answered within this, and eight times the mean latency, is no longer waited for. */
#define ANSWERS_FORGET_NS (1000 * NS_PER_MS)

/* What is answered within this is not kept. */
#define ANSWERS_KEPT_NS (50 * NS_PER_MS)

/* UNDECIDED: as at the beginning. OPEN: it does not answer, or after minutes. LIMITED: it does. */
enum answers_mode { ANSWERS_UNDECIDED, ANSWERS_OPEN, ANSWERS_LIMITED };

struct answers {
    _Atomic uint8_t mode; /* enum answers_mode */
    _Atomic bool strict;  /* requests are answered one by one: whether they are has not to be learned */
    _Atomic uint32_t limit, round;
    _Atomic uint64_t mean_ns, silence_ns; /* silence_each_ns() */
    _Atomic uint64_t count;               /* in all */
    struct concurrency concurrency;
    struct laps laps;
    struct silence silence;
    uint32_t come, broken; /* samples: answered in time, and not since the last that was */
    uint64_t come_ns;      /* when the last of the former was */
    uint32_t fixed;        /* the limit, when it is not learned; else 0 */
};

/* What a client has asked. The last of its requests is followed: its answer tells the latency, or that none comes. */
struct asked {
    uint64_t at_ns;   /* the followed one; while none is, the answer to it */
    uint32_t in_hand; /* not answered */
    uint32_t until;   /* answers until that to the followed one; 0: none is */
    uint16_t round;   /* of the followed one */
    struct lap_mark lap;
    struct concurrency_last last;
};

/* `most`: the limit never exceeds it. */
void answers_init(struct answers *a, uint32_t most);

/* It is known to answer each request, one by one. */
void answers_be_strict(struct answers *a);

/* What is counted are no requests: LIMITED to this many, whatever their latency. */
void answers_be_fixed(struct answers *a, uint32_t limit);

/* The inverse of both: UNDECIDED again. What was learned of latencies stays. */
void answers_be_learning(struct answers *a);

/* Any thread. */
static inline bool answers_are(const struct answers *a, enum answers_mode mode)
{
    return atomic_load_explicit(&a->mode, memory_order_relaxed) == mode;
}

/* Requests that may be in hand now; at least 1. */
uint32_t answers_limit(const struct answers *a);

/* Follows the last of what the client has in hand, unless one is followed. Any thread. */
void answers_follow(const struct answers *a, struct asked *c, uint64_t now_ns);

/* Whether the application keeps what the client has in hand, while it answers others again and again. */
bool answers_are_kept(const struct answers *a, const struct asked *c, uint64_t now_ns);

/* Whether that cannot be denied: more were answered than while it waits for its turn. */
bool answers_may_be_kept(const struct answers *a, const struct asked *c);

/* The followed request is answered. `counted`: it is part of the load; `kept`: answers_are_kept(). */
void answers_come(struct answers *a, struct asked *c, bool counted, bool kept, struct silence_load load,
                  uint64_t now_ns);

/* `n` of what the client has in hand, all part of the load, are kept: to be counted as if they were answered now. */
void answers_keep(struct answers *a, struct asked *c, uint32_t n, struct silence_load load, uint64_t now_ns);

/* When what the client has in hand is not waited for any more, if nothing is answered until then. Any thread. */
uint64_t answers_forget_at(const struct answers *a, const struct asked *c);

/* That time has come. */
void answers_miss(struct answers *a, const struct asked *c);

/* What the client has in hand is not waited for any more. */
void answers_lose(struct answers *a, struct asked *c, struct silence_load load);

/* How long after a look the next one makes sense, at the earliest. Any thread. */
static inline uint64_t answers_look_after_ns(const struct answers *a)
{
    return atomic_load_explicit(&a->silence_ns, memory_order_relaxed);
}

/* Others wait for their turns while the client waits for its answer: the limit rises if the application is silent. */
void answers_look(struct answers *a, const struct asked *c, struct silence_load load, uint64_t now_ns);

#endif
