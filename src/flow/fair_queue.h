/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The fair queue: the connections that have a message for the application and may not pass it yet, in the order in
 * which they are served.
 *
 * The order is by priority, and within a priority by level of attained cost (least attained service first). The level
 * of a connection says how many times its due share it was served lately, as a power of two. Strangers begin behind the
 * established connections that were served less than twice their share. Each wait of its `patience` moves a connection
 * one level forward, so none starves: it waits FAIR_LEVELS times at most.
 *
 * Within a level the connections take turns (round robin): the one that was not served for longest is first, for as
 * many messages as its weight.
 *
 * A priority decides the order, and does not starve the lower ones. While several priorities wait, one message in
 * FAIR_BEHIND + 1 is for those behind the first. Of these again one in as many is for those behind the next.
 *
 *   state  event                        next
 *   OUT    fair_queue_push()            WAITS, at the end of its level, or at the front if its turn is not over
 *   WAITS  fair_queue_push()            WAITS, in its place, with another number of messages
 *   WAITS  fair_queue_serve()           OUT; its turn is shortened, and the messages that went ahead are counted
 *   WAITS  fair_queue_remove()          OUT; its turn is over
 *   WAITS  fair_queue_move()            WAITS, at the end of another level; its turn is over
 *   WAITS  fair_queue_class()           WAITS, at the end of the same level in its new priority; its turn is over
 *
 * A connection is OUT while `messages` is 0.
 *
 * Locks: the limiter lock, for the queue and for each connection's node.
 * Units: messages; levels are powers of two; waits are on the coarse clock (decay.h).
 * Memory: 1.1 KiB, and 48 bytes in each connection; never full. Each call is O(1). Levels are reviewed one connection
 * at a time (fair_queue_review()), never all at once.
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
#define FAIR_EQUAL  (-3) /* established, served less than twice their share: equals that take turns */

#define FAIR_PRIORITIES 4u
#define FAIR_PRIORITY   1u /* the default; 0 goes first */
#define FAIR_BEHIND     7u

struct fair_waiter {
    struct list node;   /* in its level */
    struct list review; /* of all that wait, in the order of their last review */
    uint32_t messages;  /* 0: OUT */
    uint32_t since;     /* its first message has waited since then (coarse clock) */
    int8_t level;
    uint8_t priority, weight;
    uint8_t turn; /* messages left of its turn */
};

/* The connections of one priority. */
struct fair_rank {
    struct list levels[FAIR_LEVELS];
    uint32_t used;  /* bit i: level FAIR_FIRST + i is not empty */
    uint32_t ahead; /* messages served while a lower priority waited, since one of that was served */
};

struct fair_queue {
    struct fair_rank ranks[FAIR_PRIORITIES];
    struct list review;
    uint32_t count; /* connections */
};

void fair_queue_init(struct fair_queue *q);

/* OUT, with weight 1 and FAIR_PRIORITY. */
void fair_waiter_init(struct fair_waiter *w);

/* Changes the class. `weight`: at least 1; `priority`: below FAIR_PRIORITIES. */
void fair_queue_class(struct fair_queue *q, struct fair_waiter *w, uint8_t weight, uint8_t priority);

/* The level of a connection that attained `attained`, where `share` was due to it. `expected`: what its next message
 * will add. All in the same unit. */
int fair_level(double attained, double expected, double share, bool established);

/* The level after `waited_ns` in the queue: one less for each `patience_ns`. */
int fair_level_after(int level, uint64_t waited_ns, uint64_t patience_ns);

void fair_queue_push(struct fair_queue *q, struct fair_waiter *w, uint32_t messages, int level, uint64_t now_ns);
void fair_queue_move(struct fair_queue *q, struct fair_waiter *w, int level);
void fair_queue_remove(struct fair_queue *q, struct fair_waiter *w);

/* The connection that is next, or NULL. It stays in the queue. */
struct fair_waiter *fair_queue_first(const struct fair_queue *q);

/* `n` messages of `w`, which is fair_queue_first(), are served. */
void fair_queue_serve(struct fair_queue *q, struct fair_waiter *w, uint32_t n);

/* Whether a connection of a higher priority waits. */
bool fair_queue_stands_back(const struct fair_queue *q, const struct fair_waiter *w);

/* Steps of priority between `w`, which waits, and the lowest priority that waits. */
unsigned fair_queue_below(const struct fair_queue *q, const struct fair_waiter *w);

/* The connection whose last review is longest ago, or NULL. It goes to the end of the review order. */
struct fair_waiter *fair_queue_review(struct fair_queue *q);

#endif
