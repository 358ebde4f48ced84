/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/newcomer.h"

#include "base/log.h"
#include "relay/ban_enforce.h"
#include "relay/blind.h"
#include "relay/buffer_room.h"
#include "relay/event_log.h"
#include "relay/give_way.h"
#include "relay/half_open.h"
#include "relay/health.h"
#include "relay/session.h"
#include "relay/shadow.h"
#include "relay/strangers.h"

#include <unistd.h>

void newcomer_note_refusal(struct worker_gate *wg, const struct addr *addr, enum verdict v, enum event_deed done,
                           const char *detail)
{
    char who[ADDR_TEXT_MAX];
    gate_count_verdict(wg->gate, wg->worker->index, v, 1);
    event_log_refused(wg, addr, v, done);
    LOG_LIMITED(&wg->gate->notices.verdicts[v], wg->worker->loop.now_ns, LOG_LEVEL_INFO,
                "gate %s: newcomer %s refused: %s%s%s (%s)", wg->gate->config->name,
                addr_format(who, sizeof(who), addr), verdict_info(v)->sentence, *detail ? ": " : "", detail,
                verdict_info(v)->label);
}

/* ---- a full gate ---- */

/* One connection in this many is reserved for sources in good standing. */
#define RESERVE_SHARE 16u

/* Newcomers let in because another worker was asked to make a session give way. */
#define ASKED_MOST 8u

/* The number of connections up to which this newcomer may come in. */
static uint32_t connections_for(const struct gate *g, const struct source *source, enum standing standing)
{
    uint32_t max = atomic_load(&g->counts.max), regulars = atomic_load(&g->visits.regulars);
    uint32_t kept = max / RESERVE_SHARE < regulars ? max / RESERVE_SHARE : regulars;
    return standing == STANDING_GOOD && strangers_holds_few(source) ? max : max - kept;
}

static bool closes(struct session *s)
{
    if (s)
        session_close(s, VERDICT_GIVE_WAY);
    return s != NULL;
}

/* Closes a session that is of no use here. False: there is none. */
static bool useless_gives_way(struct worker_gate *wg)
{
    return closes(give_way_for_gate(wg)) || closes(strangers_pick(wg, false));
}

/* ... or the one of least use, for a newcomer of this source (NULL: one of another worker). */
static bool idle_gives_way(struct worker_gate *wg, const struct source *source, enum standing standing)
{
    return closes(strangers_pick_idle(wg, source, standing)) || closes(strangers_pick(wg, true));
}

bool newcomer_one_gives_way(struct worker_gate *wg)
{
    return useless_gives_way(wg) || idle_gives_way(wg, NULL, STANDING_STRANGER);
}

static bool ask_elsewhere(struct worker_gate *wg)
{
    struct worker *w = wg->worker;
    for (unsigned i = 1; i < w->all_count; i++) {
        struct worker *other = w->all[(w->index + i) % w->all_count];
        struct worker_gate *there = &other->gates[wg - w->gates];
        uint32_t asked = atomic_load(&there->strangers.asked);
        if (asked >= ASKED_MOST || asked >= atomic_load_explicit(&there->strangers.count, memory_order_relaxed))
            continue;
        atomic_fetch_add(&there->strangers.asked, 1);
        loop_signal(&other->loop, &other->signals.give_way);
        return true;
    }
    return false;
}

void newcomer_give_way(struct worker *w)
{
    for (size_t i = 0; i < w->gate_count; i++)
        for (uint32_t n = atomic_exchange(&w->gates[i].strangers.asked, 0); n && newcomer_one_gives_way(&w->gates[i]);
             n--)
            ;
}

/* In a gate for one connection, nothing is worth less than the newcomer. */
static bool newcomer_make_room(struct worker_gate *wg, const struct source *source)
{
    struct gate *g = wg->gate;
    enum standing standing = strangers_judge(wg, source);
    uint32_t open = atomic_load(&g->counts.open), most = connections_for(g, source, standing);
    if (open < most)
        return true;
    if (standing == STANDING_USELESS || atomic_load(&g->counts.max) == 1)
        return false;
    /* The worker that was asked may have none. */
    return useless_gives_way(wg) || (open < most + ASKED_MOST && ask_elsewhere(wg)) ||
           idle_gives_way(wg, source, standing);
}

static enum verdict admit(struct worker_gate *wg, const struct source *source)
{
    const struct limits *l = wg->policy->for_cohort[gate_cohort(wg->gate, source)];
    /* The breaker knows handshakes alone. */
    if (reach_speech(&wg->gate->reach) == REACH_SPEAKS_ZMTP && health_refuses(wg))
        return VERDICT_BREAKER_OPEN;
    if (l->source.connections != 0 && atomic_load(&source->refs) > l->source.connections)
        return VERDICT_TOO_MANY_CONNECTIONS;
    enum verdict crowded = half_open_refuses(wg, source);
    if (crowded != VERDICT_PASS)
        return crowded;
    if (!buffer_room_admits(wg, source))
        return VERDICT_MEMORY_PRESSURE;
    return newcomer_make_room(wg, source) ? VERDICT_PASS : VERDICT_TABLE_FULL;
}

void newcomer_welcome(struct worker_gate *wg, int fd, const struct addr *addr, bool of_balancer)
{
    struct gate *g = wg->gate;
    uint64_t until_ns;
    if (!of_balancer && ban_enforce_is_banned(wg, addr, &until_ns)) {
        bool kept = ban_enforce_receive(wg, fd, addr, until_ns);
        newcomer_note_refusal(wg, addr, VERDICT_BANNED, kept ? EVENT_DEED_TARPITTED : EVENT_DEED_CLOSED, "");
        return;
    }
    shadow_banned(wg, addr);
    struct source *source = source_acquire(g->sources, source_key_of(addr), wg->worker->loop.now_ns);
    enum verdict v = admit(wg, source);
    if (v == VERDICT_PASS) {
        if (!blind_takes(wg, fd, addr, source, of_balancer))
            session_accept(wg, fd, addr, source, of_balancer);
        return;
    }
    newcomer_note_refusal(wg, addr, v, EVENT_DEED_REFUSED, "");
    source_release(source);
    close(fd);
}
