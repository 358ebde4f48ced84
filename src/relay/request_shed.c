/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/request_shed.h"

#include "relay/record.h"
#include "relay/request_flow.h"

#include <string.h>

static enum shed_over over_of(const struct session *s)
{
    return session_limits(s)->concurrency.shed.over;
}

/* Every worker sets the same parameters. */
void request_shed_adopt(struct worker_gate *wg)
{
    const struct limits *l = &wg->policy->limits;
    bool sheds = l->concurrency.shed.over != SHED_OVER_WAIT;
    gate_limiter_shed_by(&wg->gate->limiter, &(struct codel_params){
                                                 .target_ns = sheds ? l->concurrency.shed.target_ns : 0,
                                                 .interval_ns = l->concurrency.shed.interval_ns,
                                             });
}

static bool may_answer(struct session *s)
{
    return !request_flow_owes(s) && lane_may_inject(&s->down, s);
}

/* Nothing is dropped from inside CURVE, nor from a message that has begun to pass. */
static bool can_be_shed(const struct session *s)
{
    const struct traffic *t = &s->up.traffic;
    return !t->curve && (!traffic_end_waits(t) || over_of(s) == SHED_OVER_CLOSE);
}

void request_shed_look(struct session *s)
{
    uint64_t now = session_now_ns(s), again_ns;
    if (!s->flags.takes_turns || over_of(s) == SHED_OVER_WAIT || !s->flags.in_line || !can_be_shed(s))
        return;
    if (over_of(s) == SHED_OVER_REPLY && !may_answer(s)) {
        session_arm(s, now + session_limits(s)->concurrency.shed.target_ns);
        return;
    }
    s->flags.shed_due = request_flow_sheds(s, &again_ns);
    if (s->flags.shed_due)
        session_wake(s);
    else if (again_ns != UINT64_MAX)
        session_arm(s, again_ns);
}

enum traffic_shed request_shed_now(struct session *s)
{
    bool due = s->flags.shed_due;
    s->flags.shed_due = false;
    if (!due || over_of(s) == SHED_OVER_WAIT || (over_of(s) == SHED_OVER_REPLY && !may_answer(s)))
        return SHED_NOTHING;
    return over_of(s) == SHED_OVER_CLOSE ? SHED_CLOSE : SHED_DROP;
}

size_t request_shed_done(struct session *s, struct bytes request, uint8_t ret[static REPLY_MAX])
{
    const char *text = s->wg->policy->config->shed_reply;
    struct bytes body = {(const uint8_t *)text, strlen(text)};
    session_count_class(s, CLASS_SHED, 1);
    return over_of(s) == SHED_OVER_REPLY ? reply_to(ret, request, body, s->down.traffic.dec.no_commands) : 0;
}
