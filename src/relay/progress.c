/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/progress.h"

#include "relay/record.h"

/* The time between two looks at a session that holds room for a large message. */
#define IN_THE_WAY_LOOK_NS (2 * NS_PER_S)

bool progress_is_late(struct session *s, const struct limits *lim)
{
    uint64_t now = session_now_ns(s), allowed = lim->message.complete_within_ns;
    if (s->progress.begun_ns == 0)
        return false;
    if (session_is_held(s))
        s->progress.begun_ns = now;
    uint64_t since = s->progress.begun_ns > s->times.active_ns ? s->progress.begun_ns : s->times.active_ns;
    if (now - since >= allowed)
        return true;
    session_arm(s, since + allowed);
    return false;
}

static void progress_begin_look(struct session *s)
{
    s->progress.check_ns = session_now_ns(s);
    s->progress.moved_then = (uint32_t)s->progress.moved;
}

enum verdict progress_in_the_way(struct session *s)
{
    const struct lane *l = &s->up;
    uint64_t now = session_now_ns(s), least = session_limits(s)->message.min_rate;
    if (l->traffic.reserved == 0 || traffic_end_waits(&l->traffic)) {
        s->progress.check_ns = 0;
        return VERDICT_PASS;
    }
    session_arm(s, now + IN_THE_WAY_LOOK_NS);
    if (s->progress.check_ns == 0 || session_is_held(s) || l->awaits_memory ||
        s->progress.begun_ns > s->progress.check_ns) {
        progress_begin_look(s);
        return VERDICT_PASS;
    }
    if (now - s->progress.check_ns < IN_THE_WAY_LOOK_NS)
        return VERDICT_PASS;
    double per_s = (double)((uint32_t)s->progress.moved - s->progress.moved_then) /
                   (double)(now - s->progress.check_ns) * (double)NS_PER_S;
    uint64_t asked = stream_budget_least(&s->wg->gate->traffic.unfinished, s->client.id, least, now);
    progress_begin_look(s);
    if (per_s >= (double)asked)
        return VERDICT_PASS;
    return per_s < (double)least ? VERDICT_MESSAGE_TOO_SLOW : VERDICT_MESSAGE_GIVES_WAY;
}
