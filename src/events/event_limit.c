/* SPDX-License-Identifier: MPL-2.0 */
#include "events/event_limit.h"

#include "limits/source.h"

#include <string.h>

void event_limit_init(struct event_limit *l)
{
    memset(l, 0, sizeof(*l));
    hash_key_random(&l->key);
}

/* The port does not count, and of an IPv6 address only the /64. */
static gcra_word *word_of_source(struct event_limit *l, const struct event *e)
{
    const struct source_key key = source_key_of(&e->source);
    const uint64_t words[] = {key.bits, (uint64_t)key.kind << 16 | (uint64_t)e->kind << 8 | e->verdict};
    return &l->sources[hash_bytes(&l->key, words, sizeof(words)) % EVENT_LIMIT_SOURCES];
}

/* An event that the rate of the kind refuses costs the source nothing. */
static bool passes(struct event_limit *l, const struct event_rates *rates, const struct event *e, uint64_t now_ns)
{
    gcra_word *source = e->source.kind == ADDR_NONE ? NULL : word_of_source(l, e);
    if (source && gcra_admit(source, &rates->source, 1, now_ns) != 0)
        return false;
    if (gcra_admit(&l->each[e->kind][e->verdict], &rates->each, 1, now_ns) == 0)
        return true;
    if (source)
        gcra_refund(source, &rates->source, 1);
    return false;
}

bool event_limit_pass(struct event_limit *l, const struct event_rates *rates, struct event *e, uint64_t now_ns)
{
    if (!event_is_limited((enum event_kind)e->kind))
        return true;
    _Atomic uint64_t *suppressed = &l->suppressed[e->kind][e->verdict];
    if (passes(l, rates, e, now_ns)) {
        e->suppressed = atomic_exchange_explicit(suppressed, 0, memory_order_relaxed);
        return true;
    }
    atomic_fetch_add_explicit(suppressed, 1, memory_order_relaxed);
    return false;
}

uint64_t event_limit_take(struct event_limit *l, enum event_kind k, enum verdict v)
{
    _Atomic uint64_t *suppressed = &l->suppressed[k][v];
    if (atomic_load_explicit(suppressed, memory_order_relaxed) == 0)
        return 0;
    return atomic_exchange_explicit(suppressed, 0, memory_order_relaxed);
}
