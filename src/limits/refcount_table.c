/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/refcount_table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256u

void refcount_init(struct refcount *x, struct account *account)
{
    memset(x, 0, sizeof(*x));
    pthread_mutex_init(&x->lock, NULL);
    x->account = account;
}

static void free_slots(struct refcount *x, struct refcount_slot *slots, size_t capacity)
{
    free(slots);
    account_release(x->account, capacity * sizeof(*slots));
}

void refcount_fini(struct refcount *x)
{
    free_slots(x, x->slots, x->capacity);
    pthread_mutex_destroy(&x->lock);
    memset(x, 0, sizeof(*x));
}

/* The slot of `hash`, or the empty slot where it would go. The table is never full. */
static struct refcount_slot *refcount_find_slot(struct refcount_slot *slots, size_t capacity, uint64_t hash)
{
    size_t i = hash & (capacity - 1);
    while (slots[i].hash != 0 && slots[i].hash != hash)
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static bool resize(struct refcount *x, size_t capacity)
{
    if (!account_charge(x->account, capacity * sizeof(struct refcount_slot)))
        return false;
    struct refcount_slot *slots = calloc(capacity, sizeof(*slots));
    if (!slots) {
        account_release(x->account, capacity * sizeof(*slots));
        return false;
    }
    for (size_t i = 0; i < x->capacity; i++)
        if (x->slots[i].hash != 0)
            *refcount_find_slot(slots, capacity, x->slots[i].hash) = x->slots[i];
    free_slots(x, x->slots, x->capacity);
    x->slots = slots;
    x->capacity = capacity;
    return true;
}

/* NULL: nobody holds it. */
static struct refcount_slot *held(const struct refcount *x, uint64_t hash)
{
    struct refcount_slot *s = x->capacity ? refcount_find_slot(x->slots, x->capacity, hash) : NULL;
    return s && s->hash == hash ? s : NULL;
}

static enum refcount_result claim(struct refcount *x, uint64_t hash, const struct refcount_holder *holder)
{
    if (held(x, hash))
        return REFCOUNT_TAKEN;
    /* At most half full, so that probes stay short. */
    if (2 * (x->count + 1) > x->capacity && !resize(x, x->capacity ? 2 * x->capacity : FIRST_CAPACITY))
        return REFCOUNT_NO_MEMORY;
    struct refcount_slot *s = refcount_find_slot(x->slots, x->capacity, hash);
    *s = (struct refcount_slot){.hash = hash, .holder = *holder};
    s->holder.number = ++x->last_number;
    x->count++;
    return REFCOUNT_ADDED;
}

enum refcount_result refcount_claim(struct refcount *x, uint64_t hash, const struct refcount_holder *holder)
{
    pthread_mutex_lock(&x->lock);
    enum refcount_result r = claim(x, hash, holder);
    pthread_mutex_unlock(&x->lock);
    return r;
}

void refcount_ask(struct refcount *x, uint64_t hash, void (*ask)(struct refcount_holder *holder, void *arg), void *arg)
{
    pthread_mutex_lock(&x->lock);
    struct refcount_slot *s = held(x, hash);
    ask(s ? &s->holder : NULL, arg);
    pthread_mutex_unlock(&x->lock);
}

void refcount_let_go(struct refcount *x, uint64_t hash)
{
    pthread_mutex_lock(&x->lock);
    struct refcount_slot *s = held(x, hash);
    if (s)
        s->holder.descriptor = 0;
    pthread_mutex_unlock(&x->lock);
}

/* Backward-shift deletion (Knuth, vol. 3, 6.4, algorithm R): no tombstones that an attacker could pile up. */
static void erase(struct refcount *x, size_t hole)
{
    size_t mask = x->capacity - 1;
    for (size_t i = (hole + 1) & mask; x->slots[i].hash != 0; i = (i + 1) & mask) {
        size_t home = x->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        x->slots[hole] = x->slots[i];
        hole = i;
    }
    x->slots[hole].hash = 0;
}

void refcount_remove(struct refcount *x, uint64_t hash)
{
    pthread_mutex_lock(&x->lock);
    struct refcount_slot *s = held(x, hash);
    if (s) {
        x->count--;
        erase(x, (size_t)(s - x->slots));
    }
    if (x->count == 0 && x->capacity > FIRST_CAPACITY) {
        free_slots(x, x->slots, x->capacity);
        x->slots = NULL;
        x->capacity = 0;
    }
    pthread_mutex_unlock(&x->lock);
}
