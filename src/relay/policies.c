/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/policies.h"

#include "config/diff.h"

#include <errno.h>
#include <stdlib.h>

/* The limits of each share, and the part in shadow beside them. */
static void policies_settle_gate(struct gate_policy *p)
{
    if (!p->split) {
        for (unsigned lot = 0; lot < ENFORCE_LOTS; lot++)
            p->for_lot[lot] = &p->limits;
        return;
    }
    struct limits *at = p->split;
    for (unsigned lot = 0; lot < ENFORCE_LOTS; at += 2) {
        unsigned next = enforce_next_share(&p->limits, lot);
        enforce_split(&p->limits, lot, &at[0], &at[1]);
        for (; lot < next; lot++)
            p->for_lot[lot] = &at[0];
    }
}

static bool policies_make_room(struct gate_policy *p)
{
    size_t shares = 0;
    if (!enforce_matters(&p->limits))
        return true;
    for (unsigned lot = 0; lot < ENFORCE_LOTS; lot = enforce_next_share(&p->limits, lot))
        shares++;
    p->split = calloc(2 * shares, sizeof(*p->split));
    return p->split != NULL;
}

void policies_settle(struct policies *p)
{
    for (size_t i = 0; i < p->count; i++)
        policies_settle_gate(&p->gates[i]);
}

struct policies *policies_new(const struct config *start, const struct config *c, struct config *owned)
{
    struct policies *p = calloc(1, sizeof(*p) + start->gate_count * sizeof(p->gates[0]));
    if (!p)
        return NULL;
    p->config = c;
    p->generation = 1;
    p->count = start->gate_count;
    for (size_t i = 0; i < p->count; i++) {
        const struct config_gate *g = config_find_gate(c, start->gates[i].name);
        if (g)
            p->gates[i] = (struct gate_policy){.config = g, .limits = g->limits};
        if (!g || !policies_make_room(&p->gates[i])) {
            policies_free(p);
            return NULL;
        }
    }
    policies_settle(p);
    p->owned = owned;
    return p;
}

void policies_free(struct policies *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        free(p->gates[i].split);
    config_free(p->owned);
    free(p);
}

void policy_board_init(struct policy_board *b, struct policies *first)
{
    atomic_init(&b->current, first);
    sem_init(&b->adopted, 0, 0);
    b->retired = NULL;
    b->retired_count = 0;
}

void policy_board_fini(struct policy_board *b)
{
    policy_board_reclaim(b, UINT64_MAX);
    policies_free(atomic_load(&b->current));
    sem_destroy(&b->adopted);
}

int policy_board_publish(struct policy_board *b, struct policies *p)
{
    struct policies *was = atomic_load(&b->current);
    if (b->retired_count == POLICIES_RETIRED_MAX)
        return -EBUSY;
    p->generation = was->generation + 1;
    atomic_store_explicit(&b->current, p, memory_order_release);
    was->next = b->retired;
    b->retired = was;
    b->retired_count++;
    return 0;
}

void policy_board_reclaim(struct policy_board *b, uint64_t generation)
{
    struct policies **at = &b->retired;
    while (*at) {
        struct policies *p = *at;
        if (p->generation >= generation) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        b->retired_count--;
        policies_free(p);
    }
}
