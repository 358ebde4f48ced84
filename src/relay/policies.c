/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/policies.h"

#include "config/diff.h"

#include <errno.h>
#include <stdlib.h>

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
        if (!g) {
            free(p);
            return NULL;
        }
        p->gates[i] = (struct gate_policy){.config = g, .limits = g->limits};
    }
    p->owned = owned;
    return p;
}

void policies_free(struct policies *p)
{
    if (!p)
        return;
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
