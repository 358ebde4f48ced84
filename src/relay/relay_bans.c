/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_reach.h"
#include "base/clock.h"
#include "relay/ban_enforce.h"
#include "relay/kept_claims.h"
#include "relay/relay_inner.h"

#include <string.h>

struct event_log *relay_events(struct relay *r)
{
    return r->events;
}

struct bans *relay_bans(struct relay *r)
{
    return r->bans;
}

uint64_t relay_claims_served(struct relay *r)
{
    return kept_claims_served(r->gates, r->gate_count);
}

uint8_t *relay_claims_write(struct relay *r, size_t *ret_len)
{
    return kept_claims_write(r->gates, r->gate_count, ret_len);
}

const char *relay_claims_read(struct relay *r, const uint8_t *bytes, size_t len)
{
    return kept_claims_read(r->gates, r->gate_count, bytes, len);
}

struct kernel_bans *relay_kernel_bans(struct relay *r)
{
    return &r->kernel;
}

bool relay_ban(struct relay *r, const struct network *who, uint64_t duration_ns)
{
    bool done = bans_set(r->bans, who, duration_ns, BAN_REASON_OPERATOR, clock_now_ns());
    ban_enforce_tell_all(r->workers, r->worker_count);
    return done;
}

bool relay_unban(struct relay *r, const struct network *who)
{
    bool was = bans_lift(r->bans, who, clock_now_ns());
    ban_enforce_tell_all(r->workers, r->worker_count);
    return was;
}

/* Whether one of the gate's exempt networks contains all of `who`. */
static bool is_exempt(const struct networks *exempt, const struct network *who)
{
    struct addr first = {.kind = (enum addr_kind)who->kind};
    memcpy(first.bytes, who->bytes, sizeof(first.bytes));
    for (uint32_t i = 0; i < exempt->count; i++)
        if (exempt->at[i].bits <= who->bits && network_contains(&exempt->at[i], &first))
            return true;
    return false;
}

static bool is_exempt_everywhere(struct relay *r, const struct network *who)
{
    bool exempt = true;
    pthread_mutex_lock(&r->reading);
    const struct policy_snapshot *p = policy_publisher_current(&r->publisher);
    for (size_t i = 0; i < p->count; i++)
        exempt = exempt && is_exempt(&p->gates[i].limits.ban.exempt, who);
    pthread_mutex_unlock(&r->reading);
    return exempt;
}

/* A gate whose application answers at an address of this network, or NULL. */
static const struct gate *gate_in_front_of(const struct relay *r, const struct network *who)
{
    for (size_t i = 0; i < r->gate_count; i++) {
        struct addr app;
        if (r->gates[i].forward.kind != ENDPOINT_TCP)
            continue;
        addr_from_sockaddr(&app, &r->gates[i].forward.sa);
        if (network_contains(who, &app))
            return &r->gates[i];
    }
    return NULL;
}

bool relay_ban_objection(struct relay *r, const struct network *who, char *why, size_t size)
{
    char text[NETWORK_TEXT_MAX];
    const struct gate *g = gate_in_front_of(r, who);
    network_format(text, sizeof(text), who);
    if (who->bits == 0)
        snprintf(why, size, "%s is everybody, and would shut every gate", text);
    else if (ban_reach_is_too_wide(who))
        snprintf(why, size, "%s is a large part of the world: allowed are /8 and narrower, of IPv6 /16", text);
    else if (g)
        snprintf(why, size, "the application of gate %s answers at %s, which lies in %s", g->config->name,
                 g->config->forward_text, text);
    else if (is_exempt_everywhere(r, who))
        snprintf(why, size, "%s is exempt at every gate (ban.exempt), so that a ban would keep nobody out", text);
    else if (ban_reach_would_leave_nobody(r->bans, who, clock_now_ns()))
        snprintf(why, size, "with %s and what is banned already, nobody of its kind of address could come in", text);
    else
        return false;
    return true;
}
