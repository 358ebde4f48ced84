/* SPDX-License-Identifier: MPL-2.0 */
#include "base/account.h"

void account_init(struct account *a, uint64_t limit_bytes)
{
    atomic_init(&a->held_bytes, 0);
    atomic_init(&a->peak_bytes, 0);
    a->limit_bytes = limit_bytes;
}

static void raise_peak(struct account *a, uint64_t held)
{
    uint64_t peak = atomic_load_explicit(&a->peak_bytes, memory_order_relaxed);
    while (held > peak && !atomic_compare_exchange_weak_explicit(&a->peak_bytes, &peak, held, memory_order_relaxed,
                                                                 memory_order_relaxed))
        ;
}

bool account_charge(struct account *a, uint64_t bytes)
{
    uint64_t held = atomic_load_explicit(&a->held_bytes, memory_order_relaxed);
    do {
        /* Written so that no sum can wrap: held never passes the limit. */
        if (bytes > a->limit_bytes - held)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&a->held_bytes, &held, held + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    raise_peak(a, held + bytes);
    return true;
}

void account_release(struct account *a, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&a->held_bytes, bytes, memory_order_relaxed);
}

uint64_t account_held(const struct account *a)
{
    return atomic_load_explicit(&a->held_bytes, memory_order_relaxed);
}
