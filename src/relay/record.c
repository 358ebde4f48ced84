/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/record.h"

#include "base/log.h"
#include "relay/request_flow.h"

/* While the application has no room for a large message, this much of it is gathered here. With one read more it fits
 * into a buffer. */
#define GATHER_BYTES (BUFPOOL_MAX_BYTES / 2)

/* Bytes per second of the incomplete message, as far as it has arrived. */
static uint64_t pace_of(const struct session *s, uint64_t now_ns)
{
    if (s->progress.begun_ns == 0)
        return 0;
    double pace = (double)s->progress.moved / (double)(now_ns - s->progress.begun_ns + NS_PER_MS) * (double)NS_PER_S;
    return pace < 1 ? 1 : (uint64_t)pace;
}

struct traffic_context session_context(struct session *s)
{
    bool roomy = pressure_level(s->wg->worker->pressure) == PRESSURE_NONE;
    return (struct traffic_context){
        .limits = session_limits(s),
        .gate = &s->wg->gate->traffic,
        .source = s->source,
        .topics = &s->topics,
        .commands = &s->down.traffic.user_messages,
        .twin = &s->down.traffic,
        .id = s->client.id,
        .turns = REQUEST_FLOW_UNLIMITED,
        .gather_bytes = roomy ? GATHER_BYTES : 0,
        .pace = pace_of(s, session_now_ns(s)),
        .now_ns = session_now_ns(s),
    };
}

/* ---- notices ---- */

void session_notice_with(struct session *s, enum verdict v, unsigned n, const char *detail)
{
    struct worker *w = s->wg->worker;
    struct gate *g = s->wg->gate;
    char who[ADDR_TEXT_MAX];
    gate_count_verdict(g, w->index, v, n);
    LOG_LIMITED(&g->notices.verdicts[v], w->loop.now_ns, LOG_LEVEL_INFO, "gate %s: client %s: %s%s (%s)",
                g->config->name, addr_format(who, sizeof(who), &s->client.addr), verdict_info(v)->sentence, detail,
                verdict_info(v)->label);
}

void session_notice(struct session *s, enum verdict v, unsigned n)
{
    session_notice_with(s, v, n, "");
}

/* ---- the run queue ---- */

void session_end(struct session *s, enum verdict v)
{
    if (s->flags.ended)
        return;
    s->flags.ended = true;
    s->flags.verdict = (uint8_t)v;
    list_del(&s->in.run);
    list_push(&s->wg->worker->sessions.ended, &s->in.run);
}

static struct list *queue_of(const struct session *s)
{
    struct worker *w = s->wg->worker;
    if (s->state == SESSION_HANDSHAKING)
        return &w->run.fresh;
    return s->flags.heavy ? &w->run.heavy : &w->run.light;
}

void session_wake(struct session *s)
{
    if (!s->flags.ended && list_empty(&s->in.run))
        list_push(queue_of(s), &s->in.run);
}

/* ---- time ---- */

void session_arm(struct session *s, uint64_t at_ns)
{
    uint64_t now = session_now_ns(s);
    if (s->flags.ended)
        return;
    /* Never in the past: an alarm that rings and sets itself again must give others their turn. */
    if (at_ns <= now)
        at_ns = now + 1;
    if (s->alarm.timer.expires_ns == 0 || at_ns < s->alarm.timer.expires_ns)
        timer_arm(&s->wg->worker->loop.timers, &s->alarm.timer, at_ns);
}

bool session_is_held(const struct session *s)
{
    const struct lane *l = &s->up;
    return l->paused || l->blocked || l->held_back;
}

void session_hold(struct session *s)
{
    uint64_t now = session_now_ns(s), interval_ns = told_heartbeat_interval(s);
    if (now >= s->times.ponged_ns + interval_ns)
        s->times.ponged_ns = now;
    session_arm(s, s->times.ponged_ns + interval_ns);
}
