/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/offence.h"

#include "base/log.h"
#include "relay/banned.h"
#include "relay/opening.h"
#include "relay/shadow.h"

/* What goes on counts once in this time. */
#define AGAIN_NS NS_PER_S

/* How many times deeper the bucket is. An entry that many sources share, because the table is full, is patient. */
unsigned offence_patience(const struct source *source)
{
    uint32_t open = atomic_load(&source->refs), half_open = atomic_load(&source->half_open);
    uint32_t good = open > half_open ? open - half_open : 1;
    if (source->kind == SOURCE_V4_24 || source->kind == SOURCE_V6_48 || source->kind == SOURCE_ALL)
        return STRIKES_PATIENCE_MAX;
    return good < STRIKES_PATIENCE_MAX ? good : STRIKES_PATIENCE_MAX;
}

static void warn(struct session *s, enum verdict v)
{
    struct gate *g = s->wg->gate;
    uint64_t now_ns = s->wg->worker->now_ns, held = 0;
    char who[ADDR_TEXT_MAX];
    cell_add(session_cells(s), CELL_STRIKE_WARNINGS, 1);
    if (notice_may_be_written(&g->strike_notices[v], now_ns, &held))
        LOG_WARN("gate %s: source %s has half of the strikes that get it banned; the last for: %s (%s)",
                 g->config->name, addr_format_host(who, sizeof(who), &s->addr), verdict_info(v)->sentence,
                 verdict_info(v)->label);
}

/* Always the offender's own address, never the network of an entry that it shares. */
static void ban(struct session *s, enum verdict v)
{
    enum ban_reason reason = verdict_offence(v) == OFFENCE_EXCESS ? BAN_REASON_EXCESS : BAN_REASON_PROTOCOL;
    banned_punish(s, reason, v);
}

static void score(struct session *s, enum verdict v)
{
    const struct strike_rules *rules = &session_limits(s)->ban.strikes;
    unsigned strikes = verdict_info(v)->strikes;
    bool excess = verdict_offence(v) == OFFENCE_EXCESS;
    if (session_limits(s)->shadow)
        shadow_score(s, v);
    if (!s->wg->gate->bans || rules->strikes == 0 || !limits_count_offence(session_limits(s), v, &s->addr))
        return;
    cell_add(session_cells(s), excess ? CELL_STRIKES_EXCESS : CELL_STRIKES_PROTOCOL, strikes);
    switch (strikes_add(&s->source->strikes, rules, strikes, offence_patience(s->source), s->wg->worker->now_ns)) {
    case STRIKES_WARN:
        warn(s, v);
        break;
    case STRIKES_BAN:
        ban(s, v);
        break;
    case STRIKES_QUIET:
        break;
    }
}

void offence_ends(struct session *s, enum verdict v)
{
    /* Among many newcomers an honest one, too, may be the oldest: only one that has had its time and kept silent
     * offends. */
    if (v == VERDICT_TOO_MANY_HALF_OPEN && !opening_is_overdue(s))
        return;
    score(s, v);
}

void offence_goes_on(struct session *s, enum verdict v)
{
    uint64_t now_ns = s->wg->worker->now_ns;
    if (s->struck_ns != 0 && now_ns - s->struck_ns < AGAIN_NS)
        return;
    s->struck_ns = now_ns;
    score(s, v);
}

void offence_paused(struct session *s, enum verdict v)
{
    uint64_t now_ns = s->wg->worker->now_ns, after_ns = session_limits(s)->ban.paused_ns;
    if (after_ns == 0 || verdict_offence(v) == OFFENCE_NONE)
        return;
    if (s->over_since_ns == 0)
        s->over_since_ns = now_ns;
    if (now_ns - s->over_since_ns >= after_ns)
        offence_goes_on(s, v);
}
