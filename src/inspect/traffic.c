/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/traffic_inner.h"

#include "zmtp/command.h"

void traffic_init(struct traffic *t, bool inbound, bool zmtp2, bool curve, bool subscriber)
{
    memset(t, 0, sizeof(*t));
    zmtp_decoder_init(&t->dec, zmtp2);
    t->inbound = inbound;
    t->curve = curve;
    t->subscriber = subscriber && inbound && !curve;
    t->dec.subscriber = t->subscriber && !zmtp2;
    t->mode = inbound ? TRAFFIC_HOLD : TRAFFIC_STREAM;
}

void traffic_fini(struct traffic *t, const struct traffic_context *c)
{
    traffic_room_give_back(t, c);
}

/* ---- spans ---- */

static void emit(struct judgement *j)
{
    if (j->item > j->open)
        j->r->spans[j->r->span_count++] = (struct bytes){j->open, (size_t)(j->item - j->open)};
    j->open = j->item;
}

/* Leaves [item, at) out. Returns false when no span is left for the bytes behind it. */
static bool leave_out(struct judgement *j)
{
    emit(j);
    j->open = j->item = j->at;
    j->r->again = j->r->span_count == TRAFFIC_SPANS;
    return !j->r->again;
}

/* ---- frames ---- */

/* libzmq ends the connection at the header of such a frame, whatever kind of message it belongs to. */
static bool app_refuses(const struct traffic_gate *g, uint64_t frame_bytes)
{
    return g->app_frame_bytes != 0 && frame_bytes > g->app_frame_bytes;
}

/* Counts the current frame to its message and judges both. False: close. */
static bool judge_frame(struct judgement *j)
{
    struct traffic *t = j->t;
    uint64_t charged = t->dec.size > TRAFFIC_FRAME_BYTES ? t->dec.size : TRAFFIC_FRAME_BYTES;
    t->judged = true;
    if (t->mode == TRAFFIC_SKIP)
        return true;
    if (t->curve && !traffic_curve_header_ok(&t->dec))
        return traffic_refuse(j, VERDICT_BAD_CURVE_FRAME);
    enum verdict v = traffic_size_verdict(j->c->limits, t->dec.size, t->frames, t->size, charged);
    if (UNLIKELY(v != VERDICT_PASS)) {
        if (traffic_rule(j, v, j->c->limits->message.over) == RULING_CLOSE)
            return false;
        t->mode = TRAFFIC_SKIP;
        return true;
    }
    if (UNLIKELY(app_refuses(j->c->gate, t->dec.size)))
        return traffic_refuse(j, VERDICT_OVER_MAXMSGSIZE);
    t->frames++;
    t->size += charged;
    if (j->watched)
        traffic_rates_frame(j, charged);
    return true;
}

/* Uses one of the turns that the application has left for this client. */
static bool traffic_take_turn(struct judgement *j)
{
    if (UNLIKELY(j->t->curve) && traffic_curve_goes_along(j)) {
        j->t->led = false;
        return true;
    }
    j->r->awaits_turn = j->r->turns >= j->c->turns;
    if (j->r->awaits_turn)
        return false;
    j->r->turns++;
    if (UNLIKELY(j->t->curve))
        j->t->led = j->t->dec.size == CURVE_FRAME_BYTES;
    return true;
}

/* A message that grows beyond message.hold streams from now on. */
static bool stream_if_large(struct judgement *j)
{
    struct traffic *t = j->t;
    uint64_t wire = (uint64_t)(j->at - j->item) + t->dec.left;
    if (t->mode == TRAFFIC_SKIP || (t->mode == TRAFFIC_HOLD && wire <= j->c->limits->message.hold_bytes))
        return true;
    if (t->mode == TRAFFIC_HOLD)
        return traffic_room_begin(j);
    return traffic_room_grow(j);
}

/* Judges the content of a frame, as far as Weir looks at it: by its first bytes, or when it is whole. */
static bool judge_content(struct judgement *j, const uint8_t *body, bool whole)
{
    struct traffic *t = j->t;
    if (t->curve)
        return traffic_curve_name_ok(body) || traffic_refuse(j, VERDICT_BAD_CURVE_FRAME);
    if (!t->subscriber)
        return true;
    enum ruling ruling = traffic_subscriber_frame(j, body, whole);
    if (ruling == RULING_DROP)
        t->mode = TRAFFIC_SKIP;
    return ruling == RULING_PASS || ruling == RULING_DROP;
}

/* A command is held until it is whole, so its size is limited. The limit depends on its kind, which its name will tell;
 * here it is the largest. */
static bool on_command_header(struct judgement *j)
{
    const struct traffic *t = j->t;
    uint64_t most =
        t->inbound ? TRAFFIC_COMMAND_BYTES + (t->subscriber ? j->c->limits->subscriptions.topic_bytes : 0) : 65536;
    if (t->dec.size <= most)
        return true;
    return traffic_refuse(j, t->inbound ? VERDICT_COMMAND_TOO_LARGE : VERDICT_APPLICATION_PROTOCOL);
}

static bool treated_as_command(const struct traffic *t)
{
    return zmtp_is_command(&t->dec) && !t->curve;
}

/* While the first bytes of the frame are not here, they are awaited. */
static bool judge_beginning(struct judgement *j)
{
    struct traffic *t = j->t;
    const uint8_t *body = j->at - (t->dec.size - t->dec.left);
    size_t need = t->curve ? CURVE_NAME_BYTES : t->subscriber;
    t->awaits = AWAITS_NOTHING;
    if (t->mode == TRAFFIC_SKIP)
        return true;
    if ((size_t)(j->end - body) < need) {
        t->awaits = AWAITS_BEGINNING;
        return true;
    }
    if (!judge_content(j, body, false)) {
        t->awaits = t->withheld ? AWAITS_BEGINNING : t->awaits;
        return false;
    }
    return t->awaits == AWAITS_END || stream_if_large(j);
}

/* A header whose body is still to come: it is refused now if its announcement is enough for that. */
static bool on_header(struct judgement *j)
{
    if (treated_as_command(j->t))
        return on_command_header(j);
    return !j->t->inbound || (judge_frame(j) && judge_beginning(j));
}

/* ---- complete frames ---- */

static void end_message(struct judgement *j)
{
    struct traffic *t = j->t;
    j->last_charge = t->size;
    if (t->reserved)
        traffic_room_give_back(t, j->c);
    t->complete = false;
    t->frames = 0;
    t->delimited = false;
    t->size = 0;
    t->mode = TRAFFIC_HOLD;
    t->gathers = false;
}

/* The bytes of the current frame, when they are complete and held in one piece. */
static struct bytes frame_body(const struct judgement *j)
{
    return (struct bytes){j->at - j->t->dec.size, (size_t)j->t->dec.size};
}

/* A frame of a message that is dropped. */
static bool skip_frame(struct judgement *j, bool last)
{
    j->r->dropped += last;
    if (last)
        end_message(j);
    return leave_out(j);
}

/* There is no turn for the message. If it streams, all but its last octet may go on, and others have its room. */
static bool await_turn(struct judgement *j)
{
    struct traffic *t = j->t;
    bool waited = t->complete;
    t->complete = true;
    if (t->mode != TRAFFIC_STREAM)
        return false;
    j->item = j->at - 1;
    if (!waited)
        stream_budget_end_waits(&j->c->gate->unfinished, j->c->id, t->reserved);
    return false;
}

/* The message is whole, and waits if it must; a streaming one waits at its end. If it waited at its beginning, messages
 * that never end would hold the turns of others. */
static bool finish_message(struct judgement *j)
{
    struct traffic *t = j->t;
    if (t->wants_delimiter && !t->delimited) {
        if (traffic_rule(j, VERDICT_NO_DELIMITER, ACTION_DROP) == RULING_CLOSE)
            return false;
        return skip_frame(j, true);
    }
    if (!traffic_take_turn(j))
        return await_turn(j);
    j->item = j->at;
    j->r->messages++;
    j->r->frames += t->frames;
    end_message(j);
    return j->r->wait_ns == 0;
}

static bool on_client_frame(struct judgement *j)
{
    struct traffic *t = j->t;
    bool decided = t->judged && t->awaits == AWAITS_NOTHING, last = !(t->dec.flags & ZMTP_FLAG_MORE);
    if (!t->judged && !judge_frame(j))
        return false;
    if (!decided && t->mode != TRAFFIC_SKIP && !judge_content(j, frame_body(j).at, true)) {
        /* If it is judged again, then by its content alone. */
        t->judged = true;
        t->awaits = AWAITS_END;
        return false;
    }
    t->judged = false;
    t->awaits = AWAITS_NOTHING;
    if (t->mode == TRAFFIC_SKIP)
        return skip_frame(j, last);
    /* A message that ends here needs no reservation: the application gets it whole. */
    if (!last && !decided && !stream_if_large(j))
        return false;
    t->delimited |= !last && t->dec.size == 0;
    if (last)
        return finish_message(j);
    if (t->mode == TRAFFIC_STREAM)
        j->item = j->at;
    /* Each frame costs the application's I/O thread time, long before there is a message. */
    if (t->frames % TRAFFIC_MANY_FRAMES == 0 && t->mode == TRAFFIC_STREAM && traffic_is_strangers(j))
        traffic_pause_for(j, VERDICT_PASS, TRAFFIC_MANY_FRAMES_NS);
    return j->r->wait_ns == 0;
}

static bool on_app_frame(struct judgement *j)
{
    if (UNLIKELY(j->t->curve))
        traffic_curve_count_answer(j);
    j->r->frames++;
    j->r->messages += !(j->t->dec.flags & ZMTP_FLAG_MORE);
    j->item = j->at;
    return true;
}

static bool on_app_command(struct judgement *j)
{
    struct zmtp_command c;
    if (!zmtp_command_parse(frame_body(j), &c))
        return traffic_refuse(j, VERDICT_APPLICATION_PROTOCOL);
    if (c.kind == COMMAND_PING && zmtp_ping_ok(&c))
        traffic_note_ping(j->r, c.data);
    j->r->commands++;
    j->item = j->at;
    return true;
}

/* libzmq sends its PINGs between the frames of a message too. Such a command shares the fate of the message around
 * it. */
static bool on_client_command(struct judgement *j)
{
    struct traffic *t = j->t;
    enum ruling ruling = traffic_client_command(j, frame_body(j));
    if (ruling == RULING_CLOSE || ruling == RULING_WAIT)
        return false;
    if (t->dec.in_message ? t->mode == TRAFFIC_SKIP : ruling == RULING_DROP)
        return leave_out(j);
    j->r->commands++;
    if (zmtp_is_unmarked(&t->dec)) {
        j->r->unmarked = frame_body(j).at - ZMTP_HEADER_MAX;
        j->r->again = true;
        j->item = j->at;
        return false;
    }
    /* Endless commands inside a message are held no more than endless frames. */
    if (t->dec.in_message && t->mode == TRAFFIC_HOLD && !stream_if_large(j))
        return false;
    if (!t->dec.in_message || t->mode == TRAFFIC_STREAM)
        j->item = j->at;
    return j->r->wait_ns == 0;
}

static bool on_frame(struct judgement *j)
{
    if (treated_as_command(j->t))
        return on_command_header(j) && (j->t->inbound ? on_client_command(j) : on_app_command(j));
    return j->t->inbound ? on_client_frame(j) : on_app_frame(j);
}

/* ---- the loop ---- */

static bool on_bad(struct judgement *j)
{
    static const enum verdict verdicts[] = {
        [ZMTP_RESERVED_FLAGS] = VERDICT_RESERVED_FLAGS,
        [ZMTP_MORE_ON_COMMAND] = VERDICT_MORE_ON_COMMAND,
        [ZMTP_SIZE_OVERFLOW] = VERDICT_BAD_FRAME_SIZE,
        [ZMTP_EMPTY_COMMAND] = VERDICT_BAD_COMMAND,
    };
    return traffic_refuse(j, j->t->inbound ? verdicts[j->t->dec.error] : VERDICT_APPLICATION_PROTOCOL);
}

/* All input is used up. Dropped bytes need not be kept. Streaming bytes go on at once, except a header in pieces, which
 * is not judged yet. */
static bool on_need(struct judgement *j)
{
    struct traffic *t = j->t;
    if (t->dec.in_body && (treated_as_command(t) || t->awaits != AWAITS_NOTHING))
        return false;
    if (t->gathers && t->dec.in_body && !traffic_room_begin(j))
        return false;
    const uint8_t *decided = j->at - (t->dec.in_body ? 0 : t->dec.have);
    if (t->mode == TRAFFIC_SKIP)
        leave_out(j);
    else if (t->mode == TRAFFIC_STREAM && t->want == 0)
        j->item = decided;
    return false;
}

/* A message that has begun to go on can only be closed, and so can CURVE. */
static bool is_to_be_shed(const struct judgement *j)
{
    bool stays = j->t->curve || traffic_end_waits(j->t);
    return j->c->shed == SHED_CLOSE || (j->c->shed == SHED_DROP && !stays);
}

/* The message has waited for too long. */
static bool shed(struct judgement *j)
{
    enum action over = j->c->shed == SHED_DROP ? ACTION_DROP : ACTION_CLOSE;
    j->r->shed = (struct bytes){j->item, (size_t)(j->at - j->item)};
    return traffic_rule(j, VERDICT_OVERLOADED, over) != RULING_CLOSE && skip_frame(j, true);
}

/* Finishes what the last call had to leave: a message without a turn, a subscription without room, a frame without its
 * first bytes, a reservation. */
static bool traffic_resume(struct judgement *j)
{
    struct traffic *t = j->t;
    if (t->complete)
        return is_to_be_shed(j) ? shed(j) : finish_message(j);
    if (t->withheld) {
        t->withheld = WITHHELD_NOTHING;
        if (!t->dec.in_body)
            return on_frame(j);
    }
    if (t->awaits == AWAITS_BEGINNING && !judge_beginning(j))
        return false;
    if (t->want == 0)
        return true;
    if (!traffic_room_reserve(j))
        return false;
    if (!t->dec.in_body)
        j->item = j->at;
    return true;
}

static bool traffic_step(struct judgement *j)
{
    struct traffic *t = j->t;
    if (j->at < j->end && zmtp_at_boundary(&t->dec) && t->inbound && (t->curve || !(j->at[0] & ZMTP_FLAG_COMMAND))) {
        if (j->watched && !traffic_rates_begin(j))
            return false;
    }
    switch (zmtp_next(&t->dec, &j->at, j->end)) {
    case ZMTP_FRAME:
        return on_frame(j);
    case ZMTP_HEADER:
        return on_header(j);
    case ZMTP_NEED:
        return on_need(j);
    default:
        return on_bad(j);
    }
}

void traffic_judge(struct traffic *t, const struct traffic_context *c, const uint8_t *base, const uint8_t *scan,
                   const uint8_t *end, struct traffic_result *r)
{
    struct judgement j = {.t = t, .c = c, .r = r, .open = base, .item = base, .at = scan, .end = end};
    j.limited = t->inbound && traffic_rates_apply(c->limits);
    j.watched = j.limited || c->shadow != NULL;
    memset(r, 0, sizeof(*r));
    if (traffic_resume(&j))
        while (traffic_step(&j))
            ;
    traffic_rates_end(&j);
    if (t->inbound)
        traffic_rates_pinned(&j);
    emit(&j);
    r->keep = j.item;
    r->scanned = j.at;
}
