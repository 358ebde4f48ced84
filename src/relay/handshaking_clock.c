/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/handshaking_clock.h"

#include "relay/handshaking.h"
#include "relay/health.h"

/* An application sends READY unasked as soon as it has the client's greeting. An application that waits for the
 * client's READY, or for a ZAP handler, gets it after this time. */
#define READY_SOON_NS (100 * NS_PER_MS)

/* A client that has to send HELLO does so at once. If it has not after this time, and no connection to the application
 * stands any more, it may be the application's turn to send it. */
#define HELLO_SOON_NS (100 * NS_PER_MS)

void handshaking_clock_start(struct session *s)
{
    struct handshaking_clock *c = &s->handshaking->clock;
    bool apps_own;
    uint64_t within_ns = told_handshake_within(s, &apps_own);
    c->turn_ns = session_now_ns(s);
    c->left_ns[false] = within_ns;
    c->left_ns[true] = told_app_within(s);
    c->deadline_ns = c->turn_ns + within_ns;
    session_arm(s, c->deadline_ns);
}

void handshaking_clock_switch(struct session *s, bool apps_turn)
{
    struct handshaking *o = s->handshaking;
    uint64_t now_ns = session_now_ns(s), used_ns = now_ns - o->clock.turn_ns,
             *left_ns = &o->clock.left_ns[o->clock.apps_turn];
    *left_ns = *left_ns > used_ns ? *left_ns - used_ns : 0;
    o->clock.apps_turn = apps_turn;
    o->clock.turn_ns = now_ns;
    o->clock.deadline_ns = now_ns + o->clock.left_ns[apps_turn];
    session_arm(s, handshake_trusts_initiator(&o->handshake) ? now_ns + HELLO_SOON_NS : o->clock.deadline_ns);
}

void handshaking_clock_hold_ready(struct session *s)
{
    struct handshaking *o = s->handshaking;
    uint64_t now_ns = session_now_ns(s);
    if (!o->handshake.app_greeted || !handshake_holds_ready(&o->handshake))
        return;
    if (o->clock.held_ns == 0)
        o->clock.held_ns = now_ns;
    session_arm(s, o->clock.held_ns + READY_SOON_NS);
    if (now_ns < o->clock.held_ns + READY_SOON_NS)
        return;
    handshake_hold_no_more(&o->handshake);
    session_wake(s);
}

bool handshaking_clock_is_overdue(const struct session *s)
{
    const struct handshaking *o = s->handshaking;
    bool apps_own;
    if (!o || s->state != SESSION_HANDSHAKING || o->clock.apps_turn)
        return false;
    uint64_t left_ns = o->clock.left_ns[false] + o->clock.turn_ns, now_ns = session_now_ns(s);
    return now_ns + told_handshake_within(s, &apps_own) >= left_ns + NS_PER_S;
}

/* Why the client could not finish. */
static enum verdict timeout_verdict(const struct session *s)
{
    const struct handshaking *o = s->handshaking;
    bool apps_own;
    (void)told_handshake_within(s, &apps_own);
    if (o->upstream.no_place)
        return VERDICT_TABLE_FULL;
    if (o->upstream.held)
        return VERDICT_BREAKER_OPEN;
    if (!o->clock.apps_turn)
        return apps_own ? VERDICT_OVER_HANDSHAKE_IVL : VERDICT_HANDSHAKE_TIMEOUT;
    return o->handshake.app_greeted ? VERDICT_APPLICATION_TIMEOUT : VERDICT_APPLICATION_ABSENT;
}

/* Notices an application that has accepted the connection and stays silent. */
static void note_silence(struct session *s)
{
    struct handshaking *o = s->handshaking;
    if (o->clock.late || o->upstream.asked_ns == 0 || o->handshake.app_greeted)
        return;
    uint64_t late_ns = o->upstream.asked_ns + session_limits(s)->handshake.within_ns;
    if (session_now_ns(s) < late_ns) {
        session_arm(s, late_ns);
        return;
    }
    o->clock.late = true;
    health_on_late_handshake(s);
    if (o->upstream.connected)
        reach_on_silence(s, "it accepts connections but does not answer");
}

void handshaking_clock_on_alarm(struct session *s)
{
    struct handshaking *o = s->handshaking;
    note_silence(s);
    if (session_now_ns(s) >= o->clock.deadline_ns) {
        session_end(s, timeout_verdict(s));
        return;
    }
    session_arm(s, o->clock.deadline_ns);
    if (o->upstream.retry_ns && session_now_ns(s) >= o->upstream.retry_ns)
        o->upstream.retry_ns = 0;
    if (o->upstream.retry_ns)
        session_arm(s, o->upstream.retry_ns);
    session_wake(s);
}
