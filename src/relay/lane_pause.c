/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/lane_pause.h"

#include "relay/record.h"
#include "relay/request_flow.h"
#include "relay/strike_scoring.h"

void lane_pause_restart_clock(struct lane *l, struct session *s)
{
    if (l->traffic.inbound && s->progress.begun_ns)
        s->progress.begun_ns = session_now_ns(s);
}

void lane_pause_end(struct lane *l, struct session *s)
{
    if (!l->paused)
        return;
    l->paused = false;
    cell_sub(session_cells(s), CELL_PAUSED, 1);
}

void lane_pause_begin(struct lane *l, struct session *s, const struct traffic_result *r)
{
    uint64_t wait_ns = r->wait_ns;
    /* Inside CURVE nobody can answer a PING for the client: a pause must end before the peers give each other up. */
    if (l->traffic.curve && wait_ns > told_max_pause(s)) {
        wait_ns = told_max_pause(s);
        l->traffic.grace = true;
    }
    s->times.resume_ns = session_now_ns(s) + wait_ns;
    if (!l->paused) {
        l->paused = true;
        if (l->read_log2 > LANE_READ_LOG2_MIN)
            l->read_log2--;
        cell_add(session_cells(s), CELL_PAUSED, 1);
        cell_add(session_cells(s), CELL_PAUSES, 1);
        if (r->wait_reason != VERDICT_PASS)
            session_notice(s, r->wait_reason, 1);
        strike_paused(s, r->wait_reason);
    }
    session_arm(s, s->times.resume_ns);
    session_hold(s);
    /* A grant that it cannot use now goes to others. */
    if (l->traffic.inbound)
        request_flow_rest(s);
}

bool lane_pause_is_over(struct lane *l, struct session *s)
{
    if (!l->paused)
        return true;
    if (session_now_ns(s) < s->times.resume_ns) {
        session_arm(s, s->times.resume_ns);
        return false;
    }
    lane_pause_end(l, s);
    lane_pause_restart_clock(l, s);
    return true;
}

bool lane_pause_has_turn(struct lane *l, struct session *s)
{
    if (l->traffic.inbound && s->flags.in_line) {
        l->held_back = true;
        return false;
    }
    if (l->held_back)
        lane_pause_restart_clock(l, s);
    l->held_back = false;
    return true;
}
