/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/policy_snapshot.h"

#include "config/diff.h"

#include <errno.h>
#include <stdlib.h>

/* The limits of each share, and the part in shadow beside them. */
static void policy_snapshot_settle_gate(struct gate_policy *p)
{
    if (!p->split) {
        for (unsigned cohort = 0; cohort < ENFORCE_COHORTS; cohort++)
            p->for_cohort[cohort] = &p->limits;
        return;
    }
    struct limits *at = p->split;
    for (unsigned cohort = 0; cohort < ENFORCE_COHORTS; at += 2) {
        unsigned next = enforce_next_share(&p->limits, cohort);
        enforce_split(&p->limits, cohort, &at[0], &at[1]);
        for (; cohort < next; cohort++)
            p->for_cohort[cohort] = &at[0];
    }
}

static bool policy_snapshot_make_room(struct gate_policy *p)
{
    size_t shares = 0;
    if (!enforce_matters(&p->limits))
        return true;
    for (unsigned cohort = 0; cohort < ENFORCE_COHORTS; cohort = enforce_next_share(&p->limits, cohort))
        shares++;
    p->split = calloc(2 * shares, sizeof(*p->split));
    return p->split != NULL;
}

void policy_snapshot_settle(struct policy_snapshot *p)
{
    for (size_t i = 0; i < p->count; i++)
        policy_snapshot_settle_gate(&p->gates[i]);
}

struct policy_snapshot *policy_snapshot_new(const struct config *start, const struct config *c, struct config *owned)
{
    struct policy_snapshot *p = calloc(1, sizeof(*p) + start->gate_count * sizeof(p->gates[0]));
    if (!p)
        return NULL;
    p->config = c;
    p->generation = 1;
    p->count = start->gate_count;
    for (size_t i = 0; i < p->count; i++) {
        const struct config_gate *g = config_find_gate(c, start->gates[i].name);
        if (g)
            p->gates[i] = (struct gate_policy){.config = g, .limits = g->limits};
        if (!g || !policy_snapshot_make_room(&p->gates[i])) {
            policy_snapshot_free(p);
            return NULL;
        }
    }
    policy_snapshot_settle(p);
    p->owned = owned;
    return p;
}

void policy_snapshot_free(struct policy_snapshot *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        free(p->gates[i].split);
    config_free(p->owned);
    free(p);
}

void policy_publisher_init(struct policy_publisher *b, struct policy_snapshot *first)
{
    atomic_init(&b->current, first);
    sem_init(&b->adopted, 0, 0);
    b->retired = NULL;
    b->retired_count = 0;
}

void policy_publisher_fini(struct policy_publisher *b)
{
    policy_publisher_reclaim(b, UINT64_MAX);
    policy_snapshot_free(atomic_load(&b->current));
    sem_destroy(&b->adopted);
}

int policy_publisher_publish(struct policy_publisher *b, struct policy_snapshot *p)
{
    struct policy_snapshot *was = atomic_load(&b->current);
    if (b->retired_count == POLICY_SNAPSHOT_RETIRED_MAX)
        return -EBUSY;
    p->generation = was->generation + 1;
    atomic_store_explicit(&b->current, p, memory_order_release);
    was->next = b->retired;
    b->retired = was;
    b->retired_count++;
    return 0;
}

void policy_publisher_reclaim(struct policy_publisher *b, uint64_t generation)
{
    struct policy_snapshot **at = &b->retired;
    while (*at) {
        struct policy_snapshot *p = *at;
        if (p->generation >= generation) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        b->retired_count--;
        policy_snapshot_free(p);
    }
}
