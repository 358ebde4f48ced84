/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_reach.h"
#include "base/clock.h"
#include "relay/ban_enforce.h"
#include "relay/held_lines.h"
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

void relay_tell_held_lines(struct relay *r)
{
    pthread_mutex_lock(&r->reading);
    held_lines_tell(r->gates, r->gate_count, clock_now_ns());
    pthread_mutex_unlock(&r->reading);
}

uint64_t relay_claims_served(struct relay *r)
{
    pthread_mutex_lock(&r->reading);
    uint64_t served = kept_claims_served(r->gates, r->gate_count);
    pthread_mutex_unlock(&r->reading);
    return served;
}

uint8_t *relay_claims_write(struct relay *r, size_t *ret_len)
{
    pthread_mutex_lock(&r->reading);
    uint8_t *bytes = kept_claims_write(r->gates, r->gate_count, ret_len);
    pthread_mutex_unlock(&r->reading);
    return bytes;
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

/* The sentence about a gate whose application answers at an address of this network; false: there is none. */
static bool application_is_in(struct relay *r, const struct network *who, const char *text, char *why, size_t size)
{
    bool found = false;
    pthread_mutex_lock(&r->reading);
    for (size_t i = 0; i < r->gate_count && !found; i++) {
        const struct gate *g = &r->gates[i];
        struct addr app = {0};
        if (g->forward.kind != ENDPOINT_TCP)
            continue;
        addr_from_sockaddr(&app, &g->forward.sa);
        found = network_contains(who, &app);
        if (found)
            snprintf(why, size, "the application of gate %s answers at %s, which lies in %s", g->origin.name,
                     g->config->forward_text, text);
    }
    pthread_mutex_unlock(&r->reading);
    return found;
}

bool relay_ban_objection(struct relay *r, const struct network *who, char *why, size_t size)
{
    char text[NETWORK_TEXT_MAX];
    network_format(text, sizeof(text), who);
    if (who->bits == 0)
        snprintf(why, size, "%s is everybody, and would shut every gate", text);
    else if (ban_reach_is_too_wide(who))
        snprintf(why, size, "%s is a large part of the world: allowed are /8 and narrower, of IPv6 /16", text);
    else if (application_is_in(r, who, text, why, size))
        return true;
    else if (is_exempt_everywhere(r, who))
        snprintf(why, size, "%s is exempt at every gate (ban.exempt), so that a ban would keep nobody out", text);
    else if (ban_reach_would_leave_nobody(r->bans, who, clock_now_ns()))
        snprintf(why, size, "with %s and what is banned already, nobody of its kind of address could come in", text);
    else
        return false;
    return true;
}
