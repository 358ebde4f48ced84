/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/offence.h"

#include "base/log.h"
#include "relay/banned.h"
#include "relay/event_log.h"
#include "relay/opening.h"
#include "relay/shadow.h"

/* How many times deeper the bucket is. An entry that many sources share, because the table is full, is patient. */
unsigned offence_patience(const struct source *source)
{
    uint32_t open = atomic_load(&source->refs), half_open = atomic_load(&source->half_open);
    uint32_t good = open > half_open ? open - half_open : 1;
    if (source->kind == SOURCE_V4_24 || source->kind == SOURCE_V6_48 || source->kind == SOURCE_ALL)
        return STRIKES_PATIENCE_MAX;
    return good < STRIKES_PATIENCE_MAX ? good : STRIKES_PATIENCE_MAX;
}

/* Begun strikes are counted whole, but only a ban has them all: it has emptied the bucket. */
static uint32_t strikes_shown(const struct session *s, enum strikes_tier tier, uint32_t of)
{
    uint32_t n = strikes_score(&s->source->strikes, &session_limits(s)->ban.strikes, s->wg->worker->now_ns);
    return tier == STRIKES_BAN ? of : n < of ? n : of - 1;
}

static void warn(struct session *s, enum verdict v, uint32_t of)
{
    struct gate *g = s->wg->gate;
    uint64_t now_ns = s->wg->worker->now_ns;
    char who[ADDR_TEXT_MAX];
    cell_add(session_cells(s), CELL_STRIKE_WARNINGS, 1);
    event_log_offence(s, EVENT_WARNING, v, EVENT_DEED_WARNED, strikes_shown(s, STRIKES_WARN, of), of);
    LOG_LIMITED(&g->strike_notices[v], now_ns, LOG_LEVEL_WARN,
                "gate %s: source %s has half of the strikes that get it banned; the last for: %s (%s)", g->config->name,
                addr_format_host(who, sizeof(who), &s->addr), verdict_info(v)->sentence, verdict_info(v)->label);
}

/* Whether it is an offence at all. */
static bool score(struct session *s, enum verdict v, enum event_deed done)
{
    const struct strike_rules *rules = &session_limits(s)->ban.strikes;
    unsigned strikes = verdict_info(v)->strikes, depth = offence_patience(s->source);
    uint64_t now_ns = s->wg->worker->now_ns;
    bool excess = verdict_offence(v) == OFFENCE_EXCESS;
    if (s->of_balancer)
        return false;
    if (session_limits(s)->shadow)
        shadow_score(s, v);
    if (!limits_count_offence(session_limits(s), v, &s->addr))
        return false;
    if (!s->wg->gate->bans || rules->strikes == 0) { /* for others to count */
        event_log_offence(s, EVENT_OFFENCE, v, done, 0, 0);
        return true;
    }
    cell_add(session_cells(s), excess ? CELL_STRIKES_EXCESS : CELL_STRIKES_PROTOCOL, strikes);
    enum strikes_tier tier = strikes_add(&s->source->strikes, rules, strikes, depth, now_ns);
    uint32_t of = rules->strikes * depth;
    event_log_offence(s, EVENT_OFFENCE, v, done, strikes_shown(s, tier, of), of);
    if (tier == STRIKES_WARN)
        warn(s, v, of);
    if (tier == STRIKES_BAN)
        banned_punish(s, v);
    return true;
}

void offence_ends(struct session *s, enum verdict v)
{
    /* Among many newcomers an honest one, too, may be the oldest: only one that has had its time and kept silent
     * offends. */
    bool blameless = v == VERDICT_TOO_MANY_HALF_OPEN && !opening_is_overdue(s);
    if (blameless || !score(s, v, EVENT_DEED_CLOSED))
        event_log_closed(s, v);
}

static void go_on(struct session *s, enum verdict v, enum event_deed done)
{
    uint64_t now_ns = s->wg->worker->now_ns;
    if (s->struck_ns != 0 && now_ns - s->struck_ns < OFFENCE_AGAIN_NS)
        return;
    s->struck_ns = now_ns;
    (void)score(s, v, done);
}

void offence_goes_on(struct session *s, enum verdict v)
{
    if (verdict_offence(v) != OFFENCE_NONE)
        go_on(s, v, EVENT_DEED_DROPPED);
}

void offence_paused(struct session *s, enum verdict v)
{
    uint64_t now_ns = s->wg->worker->now_ns, after_ns = session_limits(s)->ban.paused_ns;
    if (after_ns == 0 || verdict_offence(v) == OFFENCE_NONE)
        return;
    if (s->over_since_ns == 0)
        s->over_since_ns = now_ns;
    if (now_ns - s->over_since_ns >= after_ns)
        go_on(s, v, EVENT_DEED_PAUSED);
}
