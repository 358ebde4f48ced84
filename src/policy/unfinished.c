/* SPDX-License-Identifier: MPL-2.0 */
#include "policy/unfinished.h"

static bool reserve_within(struct unfinished *u, uint64_t limit_bytes, uint64_t bytes)
{
    uint64_t held = atomic_load_explicit(&u->bytes, memory_order_relaxed);
    do {
        if (held >= limit_bytes || bytes > limit_bytes - held)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&u->bytes, &held, held + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static bool hold_pass(struct unfinished *u, uint64_t id)
{
    uint64_t nobody = 0;
    return atomic_load_explicit(&u->pass, memory_order_relaxed) == id ||
           atomic_compare_exchange_strong_explicit(&u->pass, &nobody, id, memory_order_relaxed, memory_order_relaxed);
}

bool unfinished_reserve(struct unfinished *u, uint64_t limit_bytes, uint64_t id, uint64_t bytes, uint64_t now_ns)
{
    if (reserve_within(u, limit_bytes, bytes))
        return true;
    if (hold_pass(u, id)) {
        atomic_fetch_add_explicit(&u->bytes, bytes, memory_order_relaxed);
        return true;
    }
    atomic_store_explicit(&u->wanted_ns, now_ns, memory_order_relaxed);
    return false;
}

void unfinished_release(struct unfinished *u, uint64_t id, uint64_t bytes)
{
    uint64_t mine = id;
    atomic_fetch_sub_explicit(&u->bytes, bytes, memory_order_relaxed);
    atomic_compare_exchange_strong_explicit(&u->pass, &mine, 0, memory_order_relaxed, memory_order_relaxed);
}

bool unfinished_wanted(const struct unfinished *u, uint64_t now_ns, uint64_t within_ns)
{
    uint64_t at = atomic_load_explicit(&u->wanted_ns, memory_order_relaxed);
    return at != 0 && now_ns - at < within_ns;
}
