/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The part of a gate that can change at run time: an immutable snapshot for all gates, published by one atomic pointer.
 *
 * Each worker adopts the published snapshot between two rounds and reads it through a pointer of its own, so that the
 * data path pays a plain load. A snapshot that was replaced is freed when every worker has adopted a later one. Nothing
 * but worker_gate.policy may keep a pointer into a snapshot from one round to the next.
 *
 * The board belongs to the relay. Main thread, unless said otherwise. Memory: about 2 KiB for each gate, up to 30 more
 * where rules are in shadow, and the configuration itself. At most POLICIES_RETIRED_MAX old snapshots exist at a time;
 * beyond that nothing more is published.
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
    struct limits limits;             /* the configured limits, lowered to what Weir's descriptor limit allows */
    /* The part of these limits in force for the sources of each lot (limits/enforce.h): all of them, where every rule
     * is on. */
    const struct limits *for_lot[ENFORCE_LOTS];
    struct limits *split; /* where for_lot points otherwise; two for each share, at most RULE_COUNT + 1 shares */
};

struct policies {
    const struct config *config;
    struct config *owned; /* the same, when the snapshot owns it; else NULL */
    uint64_t generation;  /* 1: from the start */
    struct policies *next;
    size_t count;
    struct gate_policy gates[]; /* in the order of the start */
};

/* Makes the snapshot of `c`, whose gates are those of `start` (by name, in any order). `owned`: c, to be freed with the
 * snapshot (also when publishing fails), or NULL. NULL when memory is out or a gate is missing; then the caller still
 * owns `owned`. */
MUST_USE struct policies *policies_new(const struct config *start, const struct config *c, struct config *owned);
void policies_free(struct policies *p);

/* The limits of its gates have changed after policies_new() and before publishing: updates for_lot. */
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

/* The snapshot in force. Any thread. A worker may use it until it adopts a later one, the main thread until it
 * publishes. */
static inline const struct policies *policy_board_current(const struct policy_board *b)
{
    return atomic_load_explicit(&b->current, memory_order_acquire);
}

/* Publishes `p` and takes it over. -EBUSY (nothing has happened) when workers have not adopted the previous ones. */
MUST_USE int policy_board_publish(struct policy_board *b, struct policies *p);

/* Frees the snapshots older than `generation`, which every worker has adopted. */
void policy_board_reclaim(struct policy_board *b, uint64_t generation);

#endif
