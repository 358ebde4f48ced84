/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/lane.h"

#include "relay/keepalive.h"
#include "relay/lane_buffer.h"
#include "relay/lane_input.h"
#include "relay/lane_output.h"
#include "relay/lane_pause.h"
#include "relay/reach.h"
#include "relay/record.h"
#include "relay/request_flow.h"
#include "relay/request_shed.h"
#include "relay/shadow.h"
#include "relay/slow_reader.h"
#include "relay/strangers.h"
#include "relay/strike_scoring.h"
#include "relay/topic_room.h"

#include <string.h>
#include <sys/socket.h>

/* Bytes that one turn may move before others have theirs. */
#define TURN_BYTES (256u * 1024u)

void lane_init(struct lane *l, bool inbound, bool zmtp2, bool curve, bool subscriber)
{
    memset(l, 0, sizeof(*l));
    l->read_log2 = LANE_READ_LOG2_FIRST;
    traffic_init(&l->traffic, inbound, zmtp2, curve, subscriber);
}

void lane_fini(struct lane *l, struct session *s)
{
    struct traffic_context c = session_context(s);
    lane_buffer_drop(l, s);
    traffic_fini(&l->traffic, &c);
}

/* ---- judging ---- */

static void note_served(struct session *s)
{
    if (!s->flags.served)
        strangers_note_served(s);
    s->flags.served = true;
    source_note_good(s->source, session_now_ns(s));
}

static void lane_count(struct lane *l, struct session *s, const struct traffic_result *r)
{
    struct cells *c = session_cells(s);
    l->messages += r->messages;
    if (r->messages)
        note_served(s);
    cell_add(c, lane_cell(l, CELL_MESSAGES_IN, CELL_MESSAGES_OUT), r->messages);
    if (l->traffic.inbound)
        session_count_class(s, CLASS_MESSAGES, r->messages);
    cell_add(c, lane_cell(l, CELL_FRAMES_IN, CELL_FRAMES_OUT), r->frames);
    cell_add(c, lane_cell(l, CELL_COMMANDS_IN, CELL_COMMANDS_OUT), r->commands);
    cell_add(c, CELL_DROPPED_MESSAGES, r->dropped);
    if (r->drops) {
        session_notice(s, r->drop_reason, r->drops);
        strike_goes_on(s, r->drop_reason);
    }
}

/* Starts or ends the clock of the incomplete message. */
static void follow_message(struct lane *l, struct session *s, const struct traffic_result *r)
{
    if (!l->traffic.inbound)
        return;
    if (!traffic_in_message(&l->traffic)) {
        s->progress.begun_ns = 0;
        return;
    }
    if (l->traffic.reserved && s->progress.check_ns == 0)
        session_arm(s, session_now_ns(s));
    if (s->progress.begun_ns != 0 && r->messages == 0 && r->dropped == 0)
        return;
    s->progress.begun_ns = session_now_ns(s);
    s->progress.moved = 0;
    l->noted_late = false;
    session_arm(s, s->progress.begun_ns + shadow_complete_within(s)->message.complete_within_ns);
}

/* A request was shed: its client may get an answer. */
static void answer_shed(struct session *s, struct bytes request)
{
    uint8_t reply[REPLY_MAX];
    size_t len = request_shed_done(s, request, reply);
    if (len)
        (void)lane_output_send(&s->down, s, reply, len, true);
}

/* Counts what has passed. False: the next message waits in line. */
static bool goes_on(struct session *s, const struct traffic_result *r)
{
    if (request_flow_passed(s, r))
        return true;
    request_shed_look(s);
    request_flow_on_alarm(s);
    return false;
}

/* Judges one window. True when the lane may go on at once. */
static bool judge_window(struct lane *l, struct session *s, struct lane_window *w)
{
    struct traffic_result r;
    struct traffic_context c = session_context(s);
    struct traffic_shadow shadow;
    if (l->traffic.inbound) {
        c.turns = request_flow_allows(s);
        c.shed = UNLIKELY(s->flags.shed_due) ? request_shed_now(s) : SHED_NOTHING;
        if (UNLIKELY(c.limits->shadow != NULL))
            c.shadow = shadow_begin(&shadow);
    }
    uint32_t subscriptions = s->topics.count;
    traffic_judge(&l->traffic, &c, w->base, w->scan, w->end, &r);
    if (r.unmarked)
        w->base[r.unmarked - w->base] |= ZMTP_FLAG_LONG;
    cell_add(session_cells(s), CELL_SUBSCRIPTIONS, (uint64_t)s->topics.count - subscriptions);
    lane_count(l, s, &r);
    if (UNLIKELY(c.shadow != NULL))
        shadow_end(s, c.shadow);
    if (UNLIKELY(!s->flags.proven) && (s->flags.served || s->topics.count))
        strangers_prove(s);
    if (r.shed.len)
        answer_shed(s, r.shed);
    if (s->flags.ended)
        return false;
    bool flowing = lane_output_pass(l, s, w, &r);
    if (s->flags.ended)
        return false;
    if (r.verdict != VERDICT_PASS) {
        session_end(s, r.verdict);
        return false;
    }
    if (l->shut)
        return false;
    follow_message(l, s, &r);
    if (l->traffic.inbound && s->down.blocked && r.messages && slow_reader_asks_too_much(s)) {
        session_end(s, VERDICT_SLOW_READER);
        return false;
    }
    if (l->traffic.inbound)
        flowing &= goes_on(s, &r);
    else
        request_flow_answered(s, l->traffic.curve ? r.turns : r.messages);
    if (r.wait_ns)
        lane_pause_begin(l, s, &r);
    if (r.ping.seen)
        keepalive_note_ping(l, s, &r.ping);
    if (r.make_room)
        topic_room_crowd(s->wg);
    return flowing && !r.wait_ns && !s->flags.ended;
}

/* ---- the turn ---- */

/* The sender has closed: a message cut short is noted, and the receiver is told once everything was written. */
static void lane_finish(struct lane *l, struct session *s)
{
    if (l->shut || l->start < l->ready || l->scanned < l->end || traffic_waits(&l->traffic))
        return;
    l->shut = true;
    if (!l->traffic.inbound) {
        /* The application has closed: its bytes were passed on, and nothing is there for bytes that the client may
         * still send. */
        if (!s->up.shut)
            reach_doubt(s->wg);
        session_end(s, s->up.shut ? VERDICT_PASS : VERDICT_APPLICATION_GONE);
        return;
    }
    if (traffic_in_message(&l->traffic))
        session_notice(s, VERDICT_MESSAGE_ABANDONED, 1);
    lane_buffer_drop(l, s);
    /* A publisher would drop the connection too, but others have to be served meanwhile (topic_room.h). */
    if (l->traffic.subscriber)
        session_end(s, VERDICT_PASS);
    else
        shutdown(s->back.watch.fd, SHUT_WR);
}

/* The client's subscriptions are of no use any more, because it has left. Processing the rest in the kernel could take
 * hours, at the pace of a limit, or of a publisher that takes them in when it publishes. */
static bool speaks_for_nobody(const struct lane *l, const struct session *s)
{
    return l->traffic.subscriber && s->front.hup && (l->paused || l->blocked);
}

bool lane_run(struct lane *l, struct session *s)
{
    struct lane_window w;
    uint32_t turn_bytes = 0;
    if (speaks_for_nobody(l, s)) {
        session_end(s, VERDICT_PASS);
        return false;
    }
    while (!s->flags.ended && !l->shut) {
        if (!lane_output_flush(l, s) || !lane_pause_is_over(l, s) || !lane_pause_has_turn(l, s))
            return false;
        if (!lane_input_next(l, s, &w)) {
            if (l->traffic.inbound) {
                request_flow_rest(s);
                strike_ran_dry(&s->strikes);
            }
            if (l->eof)
                lane_finish(l, s);
            return false;
        }
        turn_bytes += (uint32_t)(w.end - w.scan);
        s->progress.turn_bytes += (uint32_t)(w.end - w.scan);
        if (!judge_window(l, s, &w))
            return false;
        if (turn_bytes >= (s->flags.heavy ? TURN_BYTES : SESSION_HEAVY_BYTES))
            return true;
    }
    return false;
}

bool lane_is_quiet(const struct lane *l)
{
    return l->start == l->end && !traffic_in_message(&l->traffic);
}
