/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/topics.h"

#include <stdlib.h>

#define CAPACITY_MIN 8u
#define CAPACITY_MAX (1u << 31)

/* Numbers of topics are addresses, so their upper bits have to reach the lower ones (Fibonacci hashing). */
static uint32_t topics_home_of(uint64_t key, uint32_t mask)
{
    return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 32) & mask;
}

/* The slot of `key`, or the empty one where it would go. The set always has an empty slot. */
static uint32_t find_slot(const struct topics *t, uint64_t key)
{
    uint32_t mask = t->capacity - 1, i = topics_home_of(key, mask);
    while (t->slots[i] && t->slots[i] != key)
        i = (i + 1) & mask;
    return i;
}

bool topics_have(const struct topics *t, uint64_t topic)
{
    return t->capacity && t->slots[find_slot(t, topic)] == topic;
}

static void release_slots(struct topics *t, struct account *a)
{
    free(t->slots);
    account_release(a, (uint64_t)t->capacity * sizeof(*t->slots));
    t->slots = NULL;
    t->capacity = 0;
}

/* The new table is charged before the old one is released: both are held for a moment. */
static bool topics_grow(struct topics *t, struct account *a)
{
    if (t->capacity == CAPACITY_MAX)
        return false;
    struct topics grown = *t;
    grown.capacity = t->capacity ? t->capacity * 2 : CAPACITY_MIN;
    uint64_t bytes = (uint64_t)grown.capacity * sizeof(*grown.slots);
    if (!account_charge(a, bytes))
        return false;
    grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
    if (!grown.slots) {
        account_release(a, bytes);
        return false;
    }
    for (uint32_t i = 0; i < t->capacity; i++)
        if (t->slots[i])
            grown.slots[find_slot(&grown, t->slots[i])] = t->slots[i];
    release_slots(t, a);
    *t = grown;
    return true;
}

/* At most three quarters full, so that runs stay short and an empty slot always exists. */
static bool topics_has_room(const struct topics *t)
{
    return (uint64_t)t->count + 1 <= (uint64_t)t->capacity * 3 / 4;
}

enum topics_result topics_add(struct topics *t, struct account *a, uint64_t topic, size_t len, uint32_t max_count)
{
    if (topics_have(t, topic))
        return TOPICS_KNOWN;
    if (t->count >= max_count)
        return TOPICS_FULL;
    if (!topics_has_room(t) && !topics_grow(t, a))
        return TOPICS_NO_MEMORY;
    t->slots[find_slot(t, topic)] = topic;
    t->count++;
    t->topic_bytes += len;
    return TOPICS_ADDED;
}

/* Moves up entries behind the hole that would not be found any more (Knuth, TAOCP 6.4, algorithm R). There are no
 * tombstones, so endless subscribing and cancelling does not wear the set out. */
static void close_hole(struct topics *t, uint32_t hole)
{
    uint32_t mask = t->capacity - 1;
    for (uint32_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
        uint32_t home = topics_home_of(t->slots[i], mask);
        bool reaches_over_hole = ((i - home) & mask) >= ((i - hole) & mask);
        if (!reaches_over_hole)
            continue;
        t->slots[hole] = t->slots[i];
        hole = i;
    }
    t->slots[hole] = 0;
}

enum topics_result topics_remove(struct topics *t, struct account *a, uint64_t topic, size_t len)
{
    if (!topics_have(t, topic))
        return TOPICS_UNKNOWN;
    close_hole(t, find_slot(t, topic));
    t->count--;
    t->topic_bytes -= len;
    if (t->count == 0)
        release_slots(t, a);
    return TOPICS_REMOVED;
}

void topics_clear(struct topics *t, struct account *a)
{
    release_slots(t, a);
    t->count = 0;
    t->topic_bytes = 0;
}
