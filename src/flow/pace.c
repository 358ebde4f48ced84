/* SPDX-License-Identifier: MPL-2.0 */
#include "flow/pace.h"

#include "base/attr.h"

static uint64_t at_least_one(double per_second)
{
    return per_second > 1 ? (uint64_t)per_second : 1;
}

void pace_note(struct pace *p, uint64_t bytes, uint64_t each, uint64_t ns, uint64_t now_ns)
{
    if (bytes == 0 || ns == 0)
        return;
    double per_second = (double)bytes / ((double)ns / (double)NS_PER_S);
    atomic_store_explicit(&p->bytes, at_least_one(per_second), memory_order_relaxed);
    atomic_store_explicit(&p->messages, at_least_one(per_second / (double)(each ? each : 1)), memory_order_relaxed);
    atomic_store_explicit(&p->seen_ns, now_ns, memory_order_relaxed);
}

static uint64_t aged(const struct pace *p, const _Atomic uint64_t *seen, uint64_t now_ns)
{
    uint64_t seen_ns = atomic_load_explicit(&p->seen_ns, memory_order_relaxed);
    /* Another worker's clock may be a little ahead. */
    uint64_t doubled = now_ns > seen_ns ? (now_ns - seen_ns) / PACE_DOUBLES_NS : 0;
    if (seen_ns == 0 || doubled > PACE_DOUBLINGS_MOST)
        return 0;
    return atomic_load_explicit(seen, memory_order_relaxed) << doubled;
}

uint64_t pace_bytes(const struct pace *p, uint64_t now_ns)
{
    return aged(p, &p->bytes, now_ns);
}

uint64_t pace_messages(const struct pace *p, uint64_t now_ns)
{
    return aged(p, &p->messages, now_ns);
}
