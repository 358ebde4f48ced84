/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What of a gate can change at run time: an immutable snapshot for all gates, published by one atomic pointer. Each
 * worker adopts the published one between two rounds and reads it through a pointer of its own, so that the data path
 * pays a plain load; a snapshot that is no longer published is freed when every worker has adopted a later one. Nothing
 * may keep a pointer into a snapshot from one round to the next but worker_gate.policy.
 *
 * The board belongs to the relay. Main thread, unless said otherwise. About 2 KiB a gate, up to 30 more
 * where rules are in shadow, and the configuration itself;
 * at most POLICIES_RETIRED_MAX old ones at a time, beyond which nothing more is published.
 */
#ifndef WEIR_RELAY_POLICIES_H
#define WEIR_RELAY_POLICIES_H

#include "base/attr.h"
#include "config/config.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICIES_RETIRED_MAX 4u

struct gate_policy {
    const struct config_gate *config; /* of the snapshot */
    struct limits limits;             /* the configured ones, lowered to what Weir's descriptor limit allows */
    /* Of these, what is in force for the sources of each lot (policy/enforce.h): all, where every rule is simply on. */
    const struct limits *for_lot[ENFORCE_LOTS];
    struct limits *split; /* what for_lot points to otherwise; two for each share, at most RULE_COUNT + 1 of them */
};

struct policies {
    const struct config *config;
    struct config *owned; /* the same, when it goes with the snapshot; else NULL */
    uint64_t generation;  /* 1: of the start */
    struct policies *next;
    size_t count;
    struct gate_policy gates[]; /* in the order of the start */
};

/* The snapshot of `c`, whose gates are those of `start` (by name, in any order). `owned`: c, to be freed with it (also
 * when publishing it fails), or NULL. NULL when memory is out or a gate is missing; `owned` is still the caller's then.
 */
MUST_USE struct policies *policies_new(const struct config *start, const struct config *c, struct config *owned);
void policies_free(struct policies *p);

/* The limits of its gates have changed after policies_new(), before it is published: for_lot follows. */
void policies_settle(struct policies *p);

struct policy_board {
    _Atomic(struct policies *) current;
    sem_t adopted; /* posted by each worker that has adopted one */
    struct policies *retired;
    unsigned retired_count;
};

void policy_board_init(struct policy_board *b, struct policies *first);

/* Frees all. After the workers have ended. */
void policy_board_fini(struct policy_board *b);

/* The one in force for newcomers to it. Any thread; valid for workers until they adopt a later one, for the main thread
 * until it publishes. */
static inline const struct policies *policy_board_current(const struct policy_board *b)
{
    return atomic_load_explicit(&b->current, memory_order_acquire);
}

/* Publishes and takes over `p`. -EBUSY (nothing has happened) when workers have not adopted the last ones. */
MUST_USE int policy_board_publish(struct policy_board *b, struct policies *p);

/* Frees those older than `generation`, which every worker has adopted. */
void policy_board_reclaim(struct policy_board *b, uint64_t generation);

#endif
