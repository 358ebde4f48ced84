/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/deadlines.h"

#include "relay/keepalive.h"
#include "relay/lane_output.h"
#include "relay/progress.h"
#include "relay/record.h"
#include "relay/request_flow.h"
#include "relay/request_shed.h"
#include "relay/shadow.h"
#include "relay/slow_reader.h"

/* How long a subscriber may wait for room when it cannot be known whether it is still there. */
#define IN_VAIN_NS (20 * NS_PER_S)

/* Time limits of rules in shadow: reported once for each message, and once for each time that a client lags. */
static void check_shadow(struct session *s)
{
    const struct limits *lim = session_limits(s)->shadow;
    if (!s->up.noted_late && !s->up.awaits_memory && progress_is_late(s, lim)) {
        s->up.noted_late = true;
        shadow_note(s, VERDICT_MESSAGE_TOO_SLOW, 1);
    }
    if (!s->flags.noted_slow && slow_reader_is(s, lim)) {
        s->flags.noted_slow = true;
        shadow_note(s, VERDICT_SLOW_READER, 1);
    }
}

/* A client that is not read is not noticed when it leaves. Normally one that has left answers anything sent to it by a
 * reset; this one is sent nothing, and cannot be sent a PONG. */
static bool waits_in_vain(const struct session *s)
{
    return s->up.traffic.withheld == WITHHELD_TOPIC && !s->flags.can_pong &&
           session_now_ns(s) - s->times.active_ns >= IN_VAIN_NS;
}

void deadlines_on_alarm(struct session *s)
{
    const struct limits *lim = session_limits(s);
    lane_output_try_starved(&s->up, s);
    lane_output_try_starved(&s->down, s);
    if (!s->down.blocked && session_now_ns(s) - s->slow.flowing_ns >= SLOW_READER_CAUGHT_UP_NS)
        slow_reader_end(s);
    request_shed_look(s);
    request_flow_on_alarm(s);
    if (lim->shadow)
        check_shadow(s);
    enum verdict in_the_way = progress_in_the_way(s);
    if (progress_is_late(s, lim))
        /* Its memory must come free even when it is Weir that does not read on, but then it is no offence. */
        session_end(s, s->up.awaits_memory ? VERDICT_MEMORY_GIVE_WAY : VERDICT_MESSAGE_TOO_SLOW);
    else if (in_the_way != VERDICT_PASS)
        session_end(s, in_the_way);
    else if (slow_reader_is(s, lim))
        session_end(s, VERDICT_SLOW_READER);
    else if (waits_in_vain(s))
        session_end(s, VERDICT_TOPICS_FULL);
    else
        keepalive_on_alarm(s);
    slow_reader_look_again(s);
    session_wake(s);
}

void deadlines_reconsider(struct session *s)
{
    const struct limits *l = session_limits(s);
    uint64_t now = session_now_ns(s);
    gcra_forgive(&s->up.traffic.user_messages, &l->subscriptions.messages.rate, now);
    s->times.resume_ns = now;
    if (s->progress.begun_ns)
        session_arm(s, s->progress.begun_ns + shadow_complete_within(s)->message.complete_within_ns);
    slow_reader_look_again(s);
    request_flow_reconsider(s);
    request_shed_look(s);
    session_wake(s);
}
