/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/strike_scoring.h"

#include "base/log.h"
#include "relay/ban_enforce.h"
#include "relay/event_log.h"
#include "relay/handshaking.h" /* the routing id that a handshake has shown */
#include "relay/probation.h"
#include "relay/shadow.h"

/* ---- the event log ---- */

static struct event_peer event_peer_of(const struct session *s)
{
    const struct handshake *h = s->handshaking ? &s->handshaking->handshake : NULL;
    return (struct event_peer){
        .addr = &s->client.addr,
        .routing_id = h ? (struct bytes){h->routing_id, h->routing_id_len} : (struct bytes){0},
        .good = probation_knows_good(s),
    };
}

static void tell_offence(const struct session *s, enum event_kind k, enum verdict v, enum event_deed done,
                         uint32_t strikes, uint32_t of)
{
    if (!s->wg->gate->events)
        return;
    struct event_peer who = event_peer_of(s);
    event_log_offence(s->wg, &who, k, v, done, strikes, of);
}

static void tell_closed(const struct session *s, enum verdict v, enum event_deed done, const char *misfit)
{
    if (!s->wg->gate->events)
        return;
    struct event_peer who = event_peer_of(s);
    event_log_closed(s->wg, &who, v, done, misfit);
}

/* ---- strikes ---- */

/* Begun strikes are counted whole. But only a source that is banned or on probation has all of them: its bucket is
 * empty then. */
static uint32_t strikes_shown(const struct session *s, enum strikes_tier tier, uint32_t of)
{
    uint32_t n = strikes_score(&s->source->strikes, &session_limits(s)->ban.strikes, session_now_ns(s));
    return tier == STRIKES_FULL ? of : n < of ? n : of - 1;
}

static void warn(struct session *s, enum verdict v, uint32_t of)
{
    struct gate *g = s->wg->gate;
    uint64_t now_ns = session_now_ns(s);
    char who[ADDR_TEXT_MAX];
    cell_add(session_cells(s), CELL_STRIKE_WARNINGS, 1);
    tell_offence(s, EVENT_WARNING, v, EVENT_DEED_WARNED, strikes_shown(s, STRIKES_WARN, of), of);
    LOG_LIMITED(&g->notices.strikes[v], now_ns, LOG_LEVEL_WARN,
                "gate %s: source %s has half of the strikes that get it %s; the last for: %s (%s)", g->config->name,
                addr_format_host(who, sizeof(who), &s->client.addr),
                probation_exempts(s) ? "put on probation" : "banned", verdict_info(v)->sentence,
                verdict_info(v)->label);
}

/* Bans the source, or puts it on probation. */
static void judge_source(struct session *s, enum verdict v)
{
    if (probation_exempts(s))
        probation_begin(s, v);
    else
        ban_enforce_punish(s, v);
}

/* Returns whether the verdict counts at all. */
static bool score(struct session *s, enum verdict v, enum event_deed done)
{
    const struct strike_rules *rules = &session_limits(s)->ban.strikes;
    unsigned strikes = verdict_info(v)->strikes;
    bool excess = verdict_offence(v) == OFFENCE_EXCESS;
    if (s->flags.of_balancer)
        return false;
    if (session_limits(s)->shadow)
        shadow_score(s, v);
    if (!limits_count_offence(session_limits(s), v, &s->client.addr))
        return false;
    if (!s->wg->gate->bans || rules->strikes == 0) { /* for other programs to count */
        tell_offence(s, EVENT_OFFENCE, v, done, 0, 0);
        return true;
    }
    cell_add(session_cells(s), excess ? CELL_STRIKES_EXCESS : CELL_STRIKES_PROTOCOL, strikes);
    enum strikes_tier tier = strikes_add(&s->source->strikes, rules, strikes, session_now_ns(s));
    if (tier == STRIKES_FULL && done == EVENT_DEED_CLOSED && ban_enforce_keep(s, session_limits(s)->ban.terms.for_ns))
        done = EVENT_DEED_TARPITTED;
    tell_offence(s, EVENT_OFFENCE, v, done, strikes_shown(s, tier, rules->strikes), rules->strikes);
    if (tier == STRIKES_WARN)
        warn(s, v, rules->strikes);
    if (tier == STRIKES_FULL)
        judge_source(s, v);
    return true;
}

static bool keeps_mistakes(const struct session *s)
{
    const struct limits *l = session_limits(s);
    return s->wg->gate->bans && l->ban.strikes.strikes != 0 && limits_hold(l, RULE_BAN);
}

void strike_ends(struct session *s, enum verdict v, bool overdue, const char *misfit)
{
    /* Among many newcomers an honest one, too, may be the oldest: only one that has had its time and kept silent
     * offends. */
    bool blameless = v == VERDICT_TOO_MANY_HALF_OPEN && !overdue;
    if (verdict_offence(v) == OFFENCE_MISTAKE) {
        bool kept = keeps_mistakes(s) && ban_enforce_keep(s, STRIKE_MISTAKE_NS);
        tell_closed(s, v, kept ? EVENT_DEED_TARPITTED : EVENT_DEED_CLOSED, misfit);
    } else if (blameless || !score(s, v, EVENT_DEED_CLOSED)) {
        tell_closed(s, v, EVENT_DEED_CLOSED, misfit);
    }
}

static void strike_strike_again(struct session *s, enum verdict v, enum event_deed done)
{
    uint32_t now_ms = session_ms(s);
    if (s->strikes.struck_ms != 0 && now_ms - s->strikes.struck_ms < STRIKE_AGAIN_MS)
        return;
    s->strikes.struck_ms = now_ms;
    (void)score(s, v, done);
}

void strike_goes_on(struct session *s, enum verdict v)
{
    if (verdict_counts(v))
        strike_strike_again(s, v, EVENT_DEED_DROPPED);
}

void strike_paused(struct session *s, enum verdict v)
{
    uint64_t after_ns = session_limits(s)->ban.paused_ns;
    uint32_t now_ms = session_ms(s);
    if (after_ns == 0 || !verdict_counts(v))
        return;
    if (s->strikes.over_since_ms == 0)
        s->strikes.over_since_ms = now_ms;
    if (now_ms - s->strikes.over_since_ms >= after_ns / NS_PER_MS)
        strike_strike_again(s, v, EVENT_DEED_PAUSED);
}
