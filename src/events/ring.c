/* SPDX-License-Identifier: MPL-2.0 */
#include "events/ring.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Slot n of round r may be written when its number is n + r * slots, and read when it is one more. */
struct slot {
    _Atomic uint64_t number;
    uint8_t item[];
};

struct ring {
    _Alignas(64) _Atomic uint64_t written; /* the next place to write */
    _Alignas(64) _Atomic uint64_t taken;   /* the next place to read; one writer */
    size_t slots, item_bytes, slot_bytes;
    uint8_t *bytes;
};

static struct slot *slot_at(const struct ring *r, uint64_t place)
{
    return (struct slot *)(void *)(r->bytes + (place & (r->slots - 1)) * r->slot_bytes);
}

struct ring *ring_new(size_t slots, size_t item_bytes)
{
    struct ring *r = aligned_alloc(64, sizeof(*r));
    if (!r)
        return NULL;
    memset(r, 0, sizeof(*r));
    r->slots = slots;
    r->item_bytes = item_bytes;
    r->slot_bytes = (sizeof(struct slot) + item_bytes + 7) & ~(size_t)7;
    r->bytes = calloc(slots, r->slot_bytes);
    if (!r->bytes) {
        free(r);
        return NULL;
    }
    for (size_t i = 0; i < slots; i++)
        atomic_store_explicit(&slot_at(r, i)->number, i, memory_order_relaxed);
    return r;
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    free(r->bytes);
    free(r);
}

static bool is_nearly_full(const struct ring *r, uint64_t place)
{
    return place - atomic_load_explicit(&r->taken, memory_order_relaxed) >= r->slots - r->slots / 4;
}

bool ring_put(struct ring *r, const void *item, bool matters)
{
    uint64_t place = atomic_load_explicit(&r->written, memory_order_relaxed);
    for (;;) {
        struct slot *s = slot_at(r, place);
        int64_t behind = (int64_t)(atomic_load_explicit(&s->number, memory_order_acquire) - place);
        if (behind < 0 || (!matters && is_nearly_full(r, place)))
            return false;
        if (behind > 0) { /* another thread has written there */
            place = atomic_load_explicit(&r->written, memory_order_relaxed);
            continue;
        }
        if (!atomic_compare_exchange_weak_explicit(&r->written, &place, place + 1, memory_order_relaxed,
                                                   memory_order_relaxed))
            continue;
        memcpy(s->item, item, r->item_bytes);
        atomic_store_explicit(&s->number, place + 1, memory_order_release);
        return true;
    }
}

bool ring_take(struct ring *r, void *ret_item)
{
    uint64_t place = atomic_load_explicit(&r->taken, memory_order_relaxed);
    struct slot *s = slot_at(r, place);
    if (atomic_load_explicit(&s->number, memory_order_acquire) != place + 1)
        return false;
    memcpy(ret_item, s->item, r->item_bytes);
    atomic_store_explicit(&s->number, place + r->slots, memory_order_release);
    atomic_store_explicit(&r->taken, place + 1, memory_order_relaxed);
    return true;
}

bool ring_is_empty(const struct ring *r)
{
    uint64_t place = atomic_load_explicit(&r->taken, memory_order_relaxed);
    return atomic_load_explicit(&slot_at(r, place)->number, memory_order_acquire) != place + 1;
}
