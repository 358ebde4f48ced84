/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The part of a gate that can change at run time: an immutable snapshot for all gates, published by one atomic pointer.
 *
 * Each worker adopts the published snapshot between two rounds and reads it through a pointer of its own, so that the
 * data path pays a plain load. A snapshot that was replaced is freed when every worker has adopted a later one. Nothing
 * but worker_gate.policy may keep a pointer into a snapshot from one round to the next.
 *
 * The publisher belongs to the relay. Main thread, unless said otherwise. Memory: about 2 KiB for each gate, up to 30
 * more where rules are in shadow, and the configuration itself. At most POLICY_SNAPSHOT_RETIRED_MAX old snapshots exist
 * at a time; beyond that nothing more is published.
 */
#ifndef WEIR_RELAY_POLICY_SNAPSHOT_H
#define WEIR_RELAY_POLICY_SNAPSHOT_H

#include "base/attr.h"
#include "config/config.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_SNAPSHOT_RETIRED_MAX 4u

struct gate_policy {
    const struct config_gate *config; /* of the snapshot */
    struct limits limits;             /* the configured limits, lowered to what Weir's descriptor limit allows */
    /* The part of these limits in force for the sources of each cohort (limits/enforce.h): all of them, where every
     * rule is on. */
    const struct limits *for_cohort[ENFORCE_COHORTS];
    struct limits *split; /* where for_cohort points otherwise; two for each share, at most RULE_COUNT + 1 shares */
};

struct policy_snapshot {
    const struct config *config;
    struct config *owned; /* the same, when the snapshot owns it; else NULL */
    uint64_t generation;  /* 1: from the start */
    struct policy_snapshot *next;
    size_t count;
    struct gate_policy gates[]; /* in the order of the start */
};

/* Makes the snapshot of `c`, whose gates are those of `start` (by name, in any order). `owned`: c, to be freed with the
 * snapshot (also when publishing fails), or NULL. NULL when out of memory or a gate is missing; then the caller still
 * owns `owned`. */
MUST_USE struct policy_snapshot *policy_snapshot_new(const struct config *start, const struct config *c,
                                                     struct config *owned);
void policy_snapshot_free(struct policy_snapshot *p);

/* The limits of its gates have changed after policy_snapshot_new() and before publishing: updates for_cohort. */
void policy_snapshot_settle(struct policy_snapshot *p);

struct policy_publisher {
    _Atomic(struct policy_snapshot *) current;
    sem_t adopted; /* posted by each worker that has adopted one */
    struct policy_snapshot *retired;
    unsigned retired_count;
};

void policy_publisher_init(struct policy_publisher *b, struct policy_snapshot *first);

/* Frees all. After the workers have ended. */
void policy_publisher_fini(struct policy_publisher *b);

/* The snapshot in force. Any thread. A worker may use it until it adopts a later one, the main thread until it
 * publishes. */
static inline const struct policy_snapshot *policy_publisher_current(const struct policy_publisher *b)
{
    return atomic_load_explicit(&b->current, memory_order_acquire);
}

/* Publishes `p` and takes it over. -EBUSY (nothing has happened) when workers have not adopted the previous ones. */
MUST_USE int policy_publisher_publish(struct policy_publisher *b, struct policy_snapshot *p);

/* Frees the snapshots older than `generation`, which every worker has adopted. */
void policy_publisher_reclaim(struct policy_publisher *b, uint64_t generation);

#endif
