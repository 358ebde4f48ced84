/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/shared_address.h"

#include "base/log.h"

#define DAY_NS  (24 * 3600 * NS_PER_S)
#define HOUR_NS (3600 * NS_PER_S)

static bool stands_for_many(const struct session *s, uint32_t *ret_held, uint32_t *ret_of)
{
    const struct source *source = s->source;
    uint32_t open = atomic_load(&source->refs), half_open = atomic_load(&source->half_open);
    *ret_held = open > half_open ? open - half_open : 0;
    *ret_of = atomic_load(&s->wg->gate->counts.established);
    /* Another worker may be between its two updates: the sum follows. */
    *ret_held = *ret_held < *ret_of ? *ret_held : *ret_of;
    if (LIKELY(*ret_held <= SHARED_ADDRESS_LEAST || *ret_held <= *ret_of / 2))
        return false;
    if ((source->kind != SOURCE_V4 && source->kind != SOURCE_V6_64) || s->flags.of_balancer)
        return false;
    return source_in_good_standing(source, HOUR_NS, session_now_ns(s)) &&
           !networks_contain(&s->wg->policy->limits.ban.exempt, &s->client.addr);
}

/* Whether this address may be reported now. */
static bool is_news(const struct session *s)
{
    struct gate *g = s->wg->gate;
    uint64_t now_ns = session_now_ns(s);
    uint64_t hash = hash_bytes(&g->traffic.key, &s->source->bits, sizeof(s->source->bits));
    _Atomic uint64_t *told = &g->shared_addresses[hash % SHARED_ADDRESS_PLACES];
    uint64_t last = atomic_load_explicit(told, memory_order_relaxed);
    /* Another worker's clock may be a little ahead: no difference is computed, as it could wrap. */
    return (last == 0 || now_ns >= last + DAY_NS) && atomic_compare_exchange_strong(told, &last, now_ns);
}

void shared_address_look(const struct session *s)
{
    char who[ADDR_TEXT_MAX];
    uint32_t held, of;
    if (!stands_for_many(s, &held, &of) || !is_news(s))
        return;
    cell_add(session_cells(s), CELL_SHARED_ADDRESSES, 1);
    LOG_INFO("gate %s: %s holds %u of %u connections: it looks like a load balancer or NAT; if it is yours, configure "
             "proxy_protocol.from or ban.exempt",
             s->wg->gate->config->name, source_format(who, sizeof(who), s->source), held, of);
}
