/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/visits.h"

static uint32_t visits_tick_of(uint64_t now_ns)
{
    return (uint32_t)((now_ns >> VISITS_TICK_LOG2_NS) % 255) + 1;
}

static unsigned slot(uint64_t hash, unsigned i)
{
    return (unsigned)(hash >> (i * 16) & (VISITS_SLOTS - 1));
}

void visits_note(struct visits *v, uint64_t hash, uint64_t now_ns)
{
    for (unsigned i = 0; i < 2; i++)
        atomic_store_explicit(&v->at[slot(hash, i)], (uint8_t)visits_tick_of(now_ns), memory_order_relaxed);
}

/* The clocks of two workers may differ a little: a tick that is one ahead of `now_ns` is no age at all. */
static bool is_fresh(uint8_t tick, uint32_t now, uint32_t within)
{
    uint32_t age = (now + 255 - tick) % 255;
    return tick != 0 && (age <= within || age == 254);
}

bool visits_has(const struct visits *v, uint64_t hash, uint64_t within_ns, uint64_t now_ns)
{
    uint32_t within = (uint32_t)(within_ns >> VISITS_TICK_LOG2_NS), now = visits_tick_of(now_ns);
    for (unsigned i = 0; i < 2; i++)
        if (!is_fresh(atomic_load_explicit(&v->at[slot(hash, i)], memory_order_relaxed), now, within))
            return false;
    return true;
}
