/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/shadow.h"

#include "base/log.h"
#include "relay/probation.h"
#include "relay/strike_scoring.h"

/* ---- counting ---- */

static void shadow_count(struct worker_gate *wg, const struct addr *addr, enum verdict v, unsigned n)
{
    struct gate *g = wg->gate;
    char who[ADDR_TEXT_MAX];
    add_alone(&wg->cells->shadow[v], n);
    LOG_LIMITED(&g->notices.shadow[v], wg->worker->loop.now_ns, LOG_LEVEL_INFO,
                "gate %s: client %s: in shadow, so it passes: %s (%s)", g->config->name,
                addr_format(who, sizeof(who), addr), verdict_info(v)->sentence, verdict_info(v)->label);
}

/* A limit that only makes a client wait causes no offence. */
static bool only_waits(const struct limits *l, enum verdict v)
{
    switch (v) {
    case VERDICT_OVER_MESSAGES:
        return l->source.messages.over == ACTION_PAUSE;
    case VERDICT_OVER_BYTES:
        return l->source.bytes.over == ACTION_PAUSE;
    case VERDICT_OVER_COMMANDS:
        return l->source.commands.over == ACTION_PAUSE;
    case VERDICT_SUBSCRIBER_MESSAGE:
        return l->subscriptions.messages.over == ACTION_PAUSE;
    case VERDICT_OVER_SUBSCRIPTIONS:
    case VERDICT_TOO_MANY_HALF_OPEN: /* an offence only if overdue, which cannot be told here */
        return true;
    default:
        return false;
    }
}

void shadow_note(struct session *s, enum verdict v, unsigned n)
{
    uint32_t now_ms = session_ms(s);
    shadow_count(s->wg, &s->client.addr, v, n);
    if (!verdict_counts(v) || only_waits(&s->wg->policy->limits, v))
        return;
    if (s->strikes.shadow_struck_ms != 0 && now_ms - s->strikes.shadow_struck_ms < STRIKE_AGAIN_MS)
        return;
    s->strikes.shadow_struck_ms = now_ms;
    shadow_score(s, v);
}

void shadow_end(struct session *s, const struct traffic_shadow *t)
{
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        if (t->verdicts[v])
            shadow_note(s, (enum verdict)v, t->verdicts[v]);
}

/* ---- newcomers ---- */

void shadow_newcomer(struct session *s)
{
    const struct limits *l = session_limits(s)->shadow;
    if (!l)
        return;
    if (l->source.connections != 0 && atomic_load(&s->source->refs) > l->source.connections)
        shadow_note(s, VERDICT_TOO_MANY_CONNECTIONS, 1);
    else if (!source_is_shared(s->source) &&
             gcra_admit(&s->source->limiters[SOURCE_CONNECTIONS], &l->source.connection_rate, 1, session_now_ns(s)))
        shadow_note(s, VERDICT_OVER_CONNECTION_RATE, 1);
}

void shadow_half_open(struct session *s)
{
    const struct limits *l = session_limits(s)->shadow;
    if (l && limits_hold(l, RULE_CONNECTIONS) && atomic_load(&s->source->half_open) >= l->source.half_open)
        shadow_note(s, VERDICT_TOO_MANY_HALF_OPEN, 1);
}

const struct limits *shadow_limits_of(const struct worker_gate *wg, const struct addr *addr)
{
    return wg->policy->for_cohort[enforce_cohort(&wg->gate->lot_key, source_key_of(addr))];
}

void shadow_banned(struct worker_gate *wg, const struct addr *addr)
{
    struct gate *g = wg->gate;
    struct ban b;
    if (!wg->policy->split)
        return;
    const struct limits *l = shadow_limits_of(wg, addr)->shadow;
    if (!l || !limits_hold(l, RULE_BAN) || networks_contain(&l->ban.exempt, addr))
        return;
    if (bans_find(g->shadow_bans, addr, wg->worker->loop.now_ns, &b) ||
        (g->bans && bans_find(g->bans, addr, wg->worker->loop.now_ns, &b)))
        shadow_count(wg, addr, VERDICT_BANNED, 1);
}

/* ---- strikes ---- */

static void would_ban(struct session *s, const struct limits *l, enum verdict v)
{
    struct gate *g = s->wg->gate;
    uint64_t now_ns = session_now_ns(s);
    char text[NETWORK_TEXT_MAX];
    struct ban b;
    /* Without randomness: predicted bans need not spread over time. */
    if (!bans_punish_source(g->shadow_bans, &s->client.addr, &l->ban.terms, v, 0, now_ns, &b))
        return;
    cell_add(session_cells(s), CELL_SHADOW_BANS, 1);
    LOG_LIMITED(&g->notices.shadow_ban, now_ns, LOG_LEVEL_WARN,
                "gate %s: %s would be banned for %llu s (%s, ban %u), were the ban not in shadow; the last offence: "
                "%s (%s)",
                g->config->name, network_format(text, sizeof(text), &b.who),
                (unsigned long long)((b.until_ns - now_ns) / NS_PER_S), ban_reason_label((enum ban_reason)b.reason),
                b.level, verdict_info(v)->sentence, verdict_info(v)->label);
}

void shadow_score(struct session *s, enum verdict v)
{
    const struct limits *l = session_limits(s)->shadow;
    unsigned strikes = verdict_info(v)->strikes;
    if (!l || l->ban.strikes.strikes == 0 || !limits_count_offence(l, v, &s->client.addr))
        return;
    /* A source that would be banned would not be here. */
    if (bans_find(s->wg->gate->shadow_bans, &s->client.addr, session_now_ns(s), NULL))
        return;
    cell_add(session_cells(s), CELL_SHADOW_STRIKES, strikes);
    if (strikes_add(&s->source->strikes, &l->ban.strikes, strikes, session_now_ns(s)) != STRIKES_FULL)
        return;
    if (probation_exempts(s))
        cell_add(session_cells(s), CELL_SHADOW_PROBATIONS, 1);
    else
        would_ban(s, l, v);
}
