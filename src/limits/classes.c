/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/classes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_NETWORK UINT16_MAX
_Static_assert(CLASSES_MAX *CLASS_NETWORKS_MAX < NO_NETWORK, "places of networks have 16 bits");

struct classes *classes_new(size_t networks)
{
    struct classes *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->networks = calloc(networks ? networks : 1, sizeof(*c->networks));
    if (!c->networks) {
        free(c);
        return NULL;
    }
    c->room = networks;
    c->count = 1;
    (void)classes_add(c, "default", 1, CLASS_PRIORITY_DEFAULT);
    return c;
}

void classes_free(struct classes *c)
{
    if (!c)
        return;
    free(c->networks);
    free(c);
}

unsigned classes_add(struct classes *c, const char *name, uint16_t weight, uint8_t priority)
{
    unsigned n = strcmp(name, "default") == 0 ? CLASS_DEFAULT : (unsigned)c->count++;
    assert(n < CLASS_COUNT_MAX);
    snprintf(c->at[n].name, sizeof(c->at[n].name), "%s", name);
    c->at[n].weight = weight;
    c->at[n].priority = priority;
    return n;
}

void classes_add_network(struct classes *c, unsigned nth, const struct network *n)
{
    assert(c->network_count < c->room && nth < c->count);
    c->networks[c->network_count++] = (struct class_network){.network = *n, .class = (uint8_t)nth};
}

static int classes_compare(const void *a, const void *b)
{
    const struct class_network *first = a, *second = b;
    return network_compare(&first->network, &second->network);
}

static bool holds(const struct network *outer, const struct network *inner)
{
    struct addr first = {.kind = (enum addr_kind)inner->kind};
    memcpy(first.bytes, inner->bytes, sizeof(first.bytes));
    return outer->bits <= inner->bits && network_contains(outer, &first);
}

/* Two networks lie one in the other, or apart. So a network that holds another stands before it in this order. It is
 * the one directly before, or one around that. */
void classes_settle(struct classes *c)
{
    qsort(c->networks, c->network_count, sizeof(*c->networks), classes_compare);
    for (size_t i = 0; i < c->network_count; i++) {
        uint16_t around = i ? (uint16_t)(i - 1) : NO_NETWORK;
        while (around != NO_NETWORK && !holds(&c->networks[around].network, &c->networks[i].network))
            around = c->networks[around].around;
        c->networks[i].around = around;
    }
}

/* How many networks do not stand behind the address's own. */
static size_t count_up_to(const struct classes *c, const struct addr *a)
{
    struct network self = {.kind = (uint8_t)a->kind, .bits = UINT8_MAX};
    size_t low = 0, high = c->network_count;
    memcpy(self.bytes, a->bytes, sizeof(self.bytes));
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (network_compare(&c->networks[middle].network, &self) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

unsigned classes_find(const struct classes *c, const struct addr *a)
{
    size_t before = c ? count_up_to(c, a) : 0;
    uint16_t at = before ? (uint16_t)(before - 1) : NO_NETWORK;
    while (at != NO_NETWORK && !network_contains(&c->networks[at].network, a))
        at = c->networks[at].around;
    return at == NO_NETWORK ? CLASS_DEFAULT : c->networks[at].class;
}
