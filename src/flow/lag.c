/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/lag.h"

void lag_begin(struct lag *g, struct laggard *l, uint64_t passed)
{
    l->told = atomic_load_explicit(&g->told, memory_order_relaxed);
    l->passed = passed;
}

void lag_tell(struct lag *g, uint64_t bytes, uint32_t subscribers)
{
    uint32_t lagging = atomic_load_explicit(&g->lagging, memory_order_relaxed);
    uint32_t others = subscribers > lagging ? subscribers - lagging : 1;
    atomic_fetch_add_explicit(&g->told, bytes * LAG_UNIT / others, memory_order_relaxed);
}

uint64_t lag_bytes(const struct lag *g, const struct laggard *l, uint64_t passed, uint64_t messages)
{
    uint64_t told = (atomic_load_explicit(&g->told, memory_order_relaxed) - l->told) / LAG_UNIT;
    uint64_t taken = passed - l->passed, behind = told > taken ? told - taken : 0;
    /* Of one that has not got a whole message yet nothing is known but that they are large. */
    if (messages == 0)
        return behind;
    uint64_t mean = passed / messages + 1;
    uint64_t most = mean < UINT64_MAX / LAG_QUEUE ? mean * LAG_QUEUE : UINT64_MAX;
    return behind < most ? behind : most;
}
