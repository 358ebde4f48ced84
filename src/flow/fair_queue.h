/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The fair queue: connections that have a message for the application and may not pass it yet, by priority and, within
 * one, by levels of attained cost (least attained service first). A connection's level says how many times its due
 * share it was served lately, as a power of two; strangers begin behind whoever is established and within the share,
 * and each wait of its `patience` brings a connection one level forward, so nobody starves: FAIR_LEVELS waits at most.
 * Within a level the one that was not served for longest goes first (round robin), for as many messages as its weight.
 *
 * A priority decides who goes first, not who is served at all: while several wait, one message in FAIR_BEHIND + 1 is
 * for those behind the first, and of these again one in as many for those behind the next.
 *
 *   state     event                       next
 *   OUT       fair_queue_push()           WAITS: at the end of its level, or at its front if its turn is not over
 *   WAITS     fair_queue_serve()          OUT, and counted: its turn, and who had to stand back
 *   WAITS     fair_queue_remove()         OUT; its turn is over
 *   WAITS     fair_queue_move()           WAITS at the end of another level
 *
 * Memory: 1.2 KiB, and 48 bytes in each connection; never full. Each call is O(1). Levels are looked at again a few at
 * a time (fair_queue_review()), never all at once. One owner at a time.
 */
#ifndef WEIR_FLOW_FAIR_QUEUE_H
#define WEIR_FLOW_FAIR_QUEUE_H

#include "base/attr.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define FAIR_FIRST  (-6)
#define FAIR_LAST   10
#define FAIR_LEVELS 17u
#define FAIR_EQUAL  (-3) /* the established within a few times their share: equals, that take turns */

#define FAIR_PRIORITIES 4u
#define FAIR_PRIORITY   1u /* of whoever has no other; 0 goes first */
#define FAIR_BEHIND     7u

struct fair_waiter {
    struct list node;   /* in its level */
    struct list review; /* of all that wait: those not looked at for longest are in front */
    uint32_t messages;  /* 0: OUT */
    uint32_t since;     /* its first message waits since then (coarse clock) */
    int8_t level;
    uint8_t priority, weight;
    uint8_t turn; /* messages that are left of its turn */
};

/* Those of one priority. */
struct fair_rank {
    struct list levels[FAIR_LEVELS];
    uint32_t used;  /* bit i: level FAIR_FIRST + i is not empty */
    uint32_t ahead; /* messages that went first since somebody behind had one */
};

struct fair_queue {
    struct fair_rank ranks[FAIR_PRIORITIES];
    struct list review;
    uint32_t count; /* connections */
};

void fair_queue_init(struct fair_queue *q);

/* Weight 1, FAIR_PRIORITY. */
void fair_waiter_init(struct fair_waiter *w);

/* Another class. `weight`: at least 1; `priority` below FAIR_PRIORITIES. */
void fair_queue_class(struct fair_queue *q, struct fair_waiter *w, uint8_t weight, uint8_t priority);

/* The level of a connection that attained `attained` of a due share of `share`; `expected`: what the next message will
 * add. All in the same unit. */
int fair_level(double attained, double expected, double share, bool established);

/* The level after `waited_ns` in line, one less for each `patience_ns`. */
int fair_level_after(int level, uint64_t waited_ns, uint64_t patience_ns);

void fair_queue_push(struct fair_queue *q, struct fair_waiter *w, uint32_t messages, int level, uint64_t now_ns);
void fair_queue_move(struct fair_queue *q, struct fair_waiter *w, int level);
void fair_queue_remove(struct fair_queue *q, struct fair_waiter *w);

/* Who is next, or NULL; stays in line. */
struct fair_waiter *fair_queue_first(const struct fair_queue *q);

/* `n` messages of fair_queue_first() go on. */
void fair_queue_serve(struct fair_queue *q, struct fair_waiter *w, uint32_t n);

/* Whether somebody of a higher priority waits. */
bool fair_queue_stands_back(const struct fair_queue *q, const struct fair_waiter *w);

/* How many steps of priority there are between one that waits and the lowest in which somebody does. */
unsigned fair_queue_below(const struct fair_queue *q, const struct fair_waiter *w);

/* The one whose level was not looked at for longest, or NULL. It goes to the end of that order. */
struct fair_waiter *fair_queue_review(struct fair_queue *q);

#endif
