/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Whose turn it is, while an application cannot take all that its clients send. Connections that have something for it
 * wait here; turns_next() picks by
 *
 *   1. priority: a lower number goes first;
 *   2. sources without a standing backlog before the others (shortest queue first, as fq_codel's sparse flows,
 *      RFC 8290). A source earns idle time while it waits for nothing and spends it while it does, once for each
 *      connection that waits and each unit under way, and for each unit that it is served; it is sparse as long as some
 *      is left. Who sends a little and waits never stands behind those who always want more, even when hundreds of them
 *      press the equal share below what it asks for. Among the sparse, those who have saved more go first: a crowd that
 *      has just come does not stand before old customers;
 *   3. the least served, by weight: start-time fair queueing (Goyal, Vin and Cheng, 1996), max-min fair per source. The
 *      connections of a source take turns, first come first, and share what it gets.
 *
 * No one starves. While sources of several priorities wait, one unit in eight is for those behind the first, and of
 * these again one in eight for those behind the next: a priority decides who goes first, not who is served at all, for
 * whoever has one may run wild as well. Among those of a priority, while sparse and greedy sources wait, one unit in
 * eight is for the greedy. When the sparse want more than the rest, the price of a unit rises until those who take most
 * of it are greedy too: what is left is max-min fair among all.
 *
 * Many connections, bursts and new connections gain nothing; who is silent half of the time has some percent of the
 * application. What a source was served counts until the others have caught up; when it has become greedy, for a few
 * quanta at most: who was sparse for an hour is not to starve for it.
 *
 * Memory: 152 bytes for each of `capacity` sources, fixed and touched as they come, in sets of 8; an entry that nobody
 * waits on and whose tag has been passed equals a new one. When a set is full of busy sources, one more shares an entry
 * with another: it is served coarser, never without limit. One owner at a time (relay/ holds a lock around it).
 */
#ifndef WEIR_FLOW_TURNS_H
#define WEIR_FLOW_TURNS_H

#include "base/attr.h"
#include "base/list.h"
#include "flow/codel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TURNS_PRIORITIES 4u
#define TURNS_GREEDY     7u
#define TURNS_WEIGHT_ONE 16u /* the weight of a source without a class */

/* Idle time that a source can have saved, and what a new one begins with. */
#define TURNS_IDLE_MOST_NS  (8000 * NS_PER_MS)
#define TURNS_IDLE_FIRST_NS (20 * NS_PER_MS)

struct turns_source {
    uint64_t owner; /* 0: unused */
    uint64_t tag;   /* virtual time before which it has had its share */
    uint64_t since_ns;
    int64_t idle_ns; /* saved at since_ns */
    uint32_t waiting, under_way;
    uint32_t order; /* of its coming to wait */
    uint32_t place; /* in the heap, from 1; 0: not waiting */
    uint16_t weight;
    uint8_t priority;
    uint8_t level;      /* as it stands in the heap: 0 for the most idle, TURNS_GREEDY for those with nothing saved */
    struct codel codel; /* the valve's */
    struct list line;
};

/* A connection that may wait. Belongs to the caller, not moved while it waits. */
struct turn {
    struct list node;
    struct turns_source *source; /* not NULL while it waits */
};

struct turns_heap {
    struct turns_source **at; /* from 1 */
    uint32_t count;
};

/* The sources of one priority. */
struct turns_rank {
    struct turns_heap sparse, greedy; /* that wait */
    uint32_t ahead;                   /* units that they got since somebody behind them had one */
    uint32_t owed;                    /* units that went to the sparse since the greedy had one */
    uint32_t surcharge;               /* on what a unit costs a sparse source */
    uint64_t clock;                   /* virtual time */
};

struct turns {
    struct turns_source *table;
    struct turns_rank ranks[TURNS_PRIORITIES];
    size_t sets;
    uint32_t waiting;             /* connections */
    uint32_t quantum;             /* units granted last */
    bool standing;                /* somebody has waited since then */
    uint64_t granted_ns, pace_ns; /* when, and what one unit takes in the mean */
    uint32_t joins;
};

/* Who asks. */
struct turns_client {
    uint64_t owner; /* what stands for its source; not 0 */
    uint64_t age_ns;
    uint8_t priority; /* below TURNS_PRIORITIES */
    uint16_t weight;  /* not 0 */
};

/* 0 or -ENOMEM. `capacity` is rounded up to a power of two, at least 64. */
MUST_USE int turns_init(struct turns *t, size_t capacity);
void turns_fini(struct turns *t);

/* The turn (which does not wait) waits from now on. Returns its source's entry, which stays where it is as long as it
 * waits or has something under way. A source that is new here is credited with idle time for its age. */
struct turns_source *turns_join(struct turns *t, struct turn *turn, const struct turns_client *who, uint64_t now_ns);

/* How many steps of priority there are between a source that waits and the lowest in which somebody does. */
unsigned turns_below(const struct turns *t, const struct turns_source *s);

/* It waits no longer. Harmless when it does not wait. */
void turns_leave(struct turns *t, struct turn *turn, uint64_t now_ns);

/* Takes the next out of the line, charges its source (*ret_source) `cost` units and counts them as under way. NULL:
 * nobody waits. */
struct turn *turns_next(struct turns *t, uint32_t cost, uint64_t now_ns, struct turns_source **ret_source);

/* `units` of the source have ended. */
void turns_end(struct turns *t, struct turns_source *s, uint32_t units, uint64_t now_ns);

/* Of these, `units` were not used: they are not charged. */
void turns_refund(struct turns *t, struct turns_source *s, uint32_t units, uint64_t now_ns);

#endif
