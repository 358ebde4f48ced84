/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/probation.h"

#include "base/log.h"
#include "relay/event_log.h"

static bool has_good_neighbour(const struct session *s)
{
    LIST_FOREACH(n, &s->conns->sessions)
    {
        const struct session *other = LIST_ENTRY(n, struct session, in.conns);
        if (other != s && session_is_open(other))
            return true;
    }
    return false;
}

/* A ban holds for all gates, and each gate has a source table of its own. */
static bool is_good_elsewhere(const struct session *s)
{
    const struct worker *w = s->wg->worker;
    uint64_t within_ns = session_limits(s)->ban.standing_ns;
    bool good = false;
    for (size_t i = 0; i < w->gate_count && !good; i++) {
        struct gate *g = w->gates[i].gate;
        if (g == s->wg->gate)
            continue;
        struct source *source = source_acquire(g->sources, source_key_of(&s->client.addr), w->loop.now_ns);
        good = !source_is_shared(source) && source_in_good_standing(source, within_ns, w->loop.now_ns);
        source_release(source);
    }
    return good;
}

bool probation_knows_good(const struct session *s)
{
    return source_is_shared(s->source) ||
           source_in_good_standing(s->source, session_limits(s)->ban.standing_ns, session_now_ns(s)) ||
           has_good_neighbour(s) || is_good_elsewhere(s);
}

/* Of what was well-behaved before the start nothing is remembered. */
static bool probation_is_warming_up(const struct session *s)
{
    uint64_t since_ns = session_now_ns(s) - s->wg->gate->visits.began_ns;
    return since_ns < session_limits(s)->ban.warm_up_ns;
}

bool probation_exempts(const struct session *s)
{
    return session_limits(s)->ban.shared == BAN_SHARED_PROBATION &&
           (probation_knows_good(s) || probation_is_warming_up(s));
}

static void note(struct session *s, enum verdict v, uint64_t for_ns)
{
    struct gate *g = s->wg->gate;
    char who[ADDR_TEXT_MAX];
    cell_add(session_cells(s), CELL_PROBATIONS, 1);
    event_log_probation(s->wg, &s->client.addr, v, for_ns);
    LOG_LIMITED(
        &g->notices.probation, session_now_ns(s), LOG_LEVEL_WARN,
        "gate %s: %s is on probation for %llu s, not banned, since %s; the last offence: %s (%s)", g->config->name,
        addr_format_host(who, sizeof(who), &s->client.addr), (unsigned long long)(for_ns / NS_PER_S),
        probation_knows_good(s) ? "it serves well-behaved clients too" : "Weir has started a moment ago (ban.warm_up)",
        verdict_info(v)->sentence, verdict_info(v)->label);
}

void probation_begin(struct session *s, enum verdict v)
{
    const struct limits *l = session_limits(s);
    uint64_t now_ns = session_now_ns(s);
    /* Others share the entry, and have done nothing. */
    if (source_is_shared(s->source))
        return;
    bool news = !probation_holds(s->source, l, now_ns);
    strikes_begin_probation(&s->source->strikes, &l->ban.strikes, l->ban.terms.for_ns, now_ns);
    if (news)
        note(s, v, l->ban.terms.for_ns);
}
