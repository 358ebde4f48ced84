/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/traffic_inner.h"

#include "zmtp/command.h"

/* How many messages are charged to a limiter at once. Unused ones go back. */
#define CREDIT_MESSAGES 64u

/* RFC 26: "\x07MESSAGE", 8 bytes of nonce, a box of at least 16 bytes and one of flags. */
#define CURVE_NAME_BYTES  8u
#define CURVE_FRAME_BYTES 33u

/* ... and in it the heartbeats of libzmq, which have no context: "\4PING" with a TTL, "\4PONG". */
#define CURVE_PING_BYTES (CURVE_FRAME_BYTES + 7u)
#define CURVE_PONG_BYTES (CURVE_FRAME_BYTES + 5u)

/* The cost of a subscriber's frame for an XPUB, besides its bytes. */
#define USER_MESSAGE_BYTES 96u

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

static void release_reserved(struct traffic *t, const struct traffic_context *c)
{
    if (t->reserved == 0)
        return;
    if (traffic_end_waits(t))
        stream_budget_end_goes(&c->gate->unfinished, t->reserved);
    else
        stream_budget_release(&c->gate->unfinished, c->id, t->reserved);
    t->reserved = 0;
}

void traffic_fini(struct traffic *t, const struct traffic_context *c)
{
    release_reserved(t, c);
}

/* ---- rulings ---- */

static bool traffic_refuse(struct judgement *j, enum verdict v)
{
    j->r->verdict = v;
    return false;
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

/* ---- the beginning of a message ---- */

/* Takes one message from the source's allowance, which is charged some messages ahead. Returns the wait when there is
 * none. */
static uint64_t take_credit(struct judgement *j)
{
    const struct rate *rate = &j->c->limits->source.messages.rate;
    uint64_t wait_ns = 0;
    if (rate_is_unlimited(rate))
        return 0;
    if (j->credit == 0)
        j->credit =
            gcra_admit_some(&j->c->source->limiters[SOURCE_MESSAGES], rate, CREDIT_MESSAGES, j->c->now_ns, &wait_ns);
    if (j->credit == 0)
        return wait_ns;
    j->credit--;
    return 0;
}

/* A message over a rate at its start waits, is dropped, or ends the connection, as a whole. */
static bool over_rate(struct judgement *j, const struct rate_limit *l, enum verdict v, uint64_t wait_ns)
{
    if (l->over == ACTION_PAUSE || (j->t->curve && l->over == ACTION_DROP)) {
        traffic_pause_for(j, v, wait_ns);
        return false;
    }
    if (traffic_rule(j, v, l->over) == RULING_CLOSE)
        return false;
    j->t->mode = TRAFFIC_SKIP;
    return true;
}

/* Nothing is charged unless all limits pass. Bytes are looked at first (a source in debt waits), then a message is
 * taken. */
static bool begin_message(struct judgement *j)
{
    const struct limits *l = j->c->limits;
    j->t->mode = TRAFFIC_HOLD;
    if (j->t->grace) {
        j->t->grace = false;
        return true;
    }
    uint64_t wait_ns = gcra_wait_ns(&j->c->source->limiters[SOURCE_BYTES], &l->source.bytes.rate, 1, j->c->now_ns);
    if (wait_ns)
        return over_rate(j, &l->source.bytes, VERDICT_OVER_BYTES, wait_ns);
    wait_ns = take_credit(j);
    return wait_ns == 0 || over_rate(j, &l->source.messages, VERDICT_OVER_MESSAGES, wait_ns);
}

static bool traffic_is_limited(const struct limits *l)
{
    return !rate_is_unlimited(&l->source.bytes.rate) || !rate_is_unlimited(&l->source.messages.rate);
}

/* Without rates and shadows there is nothing to ask; the mode was reset by the last message's end. */
static bool begin_watched(struct judgement *j)
{
    if (j->limited && !begin_message(j))
        return false;
    if (j->c->shadow)
        traffic_shadow_begin(j);
    return true;
}

/* ---- frames ---- */

/* RFC 26: after the handshake every frame is a MESSAGE command. Its flags are 0 or LONG, or COMMAND as the RFC's own
 * text has it. */
static bool curve_header_ok(const struct zmtp_decoder *d)
{
    return !(d->flags & ZMTP_FLAG_MORE) && d->size >= CURVE_FRAME_BYTES;
}

/* Apart from judge_frame(): otherwise every frame would pay for the registers that this needs. */
static __attribute__((noinline)) bool charge_frame(struct judgement *j, uint64_t charged)
{
    const struct rate *rate = &j->c->limits->source.bytes.rate;
    if (UNLIKELY(j->c->shadow != NULL))
        traffic_shadow_frame(j, charged);
    gcra_charge(&j->c->source->limiters[SOURCE_BYTES], rate, charged, j->c->now_ns);
    return true;
}

/* Counts the current frame to its message and judges both. False: close. */
static bool judge_frame(struct judgement *j)
{
    struct traffic *t = j->t;
    uint64_t charged = t->dec.size > TRAFFIC_FRAME_BYTES ? t->dec.size : TRAFFIC_FRAME_BYTES;
    t->judged = true;
    if (t->mode == TRAFFIC_SKIP)
        return true;
    if (t->curve && !curve_header_ok(&t->dec))
        return traffic_refuse(j, VERDICT_BAD_CURVE_FRAME);
    enum verdict v = traffic_size_verdict(j->c->limits, t->dec.size, t->frames, t->size, charged);
    if (UNLIKELY(v != VERDICT_PASS)) {
        if (traffic_rule(j, v, j->c->limits->message.over) == RULING_CLOSE)
            return false;
        t->mode = TRAFFIC_SKIP;
        return true;
    }
    t->frames++;
    t->size += charged;
    return j->watched ? charge_frame(j, charged) : true;
}

/* Whether a frame inside CURVE is no message of its own (see the header). */
static bool goes_along(const struct judgement *j)
{
    const struct traffic *t = j->t;
    struct traffic *twin = j->c->twin;
    if (t->led && t->dec.size != CURVE_FRAME_BYTES)
        return true;
    if (t->dec.size != CURVE_PONG_BYTES || !twin || !twin->pinged)
        return false;
    twin->pinged = false;
    twin->pings = true;
    return true;
}

/* Uses one of the turns that the application has left for this client. */
static bool traffic_take_turn(struct judgement *j)
{
    if (UNLIKELY(j->t->curve) && goes_along(j)) {
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

static bool is_stranger(const struct traffic_context *c)
{
    return !source_in_good_standing(c->source, c->limits->ban.standing_ns, c->now_ns);
}

/* A message of many frames does not say how much of it is still to come. While others wait for its room, a stranger's
 * message ends before it is the largest that there may be. */
static bool traffic_gives_way(const struct judgement *j)
{
    const struct traffic_context *c = j->c;
    uint64_t limit = c->limits->message.unfinished_bytes, has = j->t->reserved;
    bool long_enough =
        has / TRAFFIC_STRANGERS_PART >= limit || (j->t->frames > TRAFFIC_MANY_FRAMES && has >= limit / 4);
    return long_enough && stream_budget_wanted(&c->gate->unfinished, c->now_ns, NS_PER_S) && is_stranger(c);
}

/* While many bytes lie in the application whose ends wait for their turns, no further message begins that would have to
 * wait. A message that has begun goes on: it holds room that others want. */
static bool may_begin(const struct judgement *j)
{
    const struct traffic_context *c = j->c;
    return j->r->turns < c->turns || j->t->reserved ||
           stream_budget_ends(&c->gate->unfinished) < c->limits->message.unfinished_bytes;
}

/* Reserves the bytes that the message is about to put into the application; while that is refused, they wait. */
static bool reserve_wanted(struct judgement *j)
{
    struct traffic *t = j->t;
    const struct traffic_context *c = j->c;
    struct stream_budget_client client = {
        .id = c->id, .owner = (uintptr_t)c->source, .pace = t->pace_log2 ? UINT64_C(1) << t->pace_log2 : 0};
    if (t->want == 0)
        return true;
    if (traffic_gives_way(j))
        return traffic_refuse(j, VERDICT_MESSAGE_GIVES_WAY);
    if (!may_begin(j) ||
        !stream_budget_reserve(&c->gate->unfinished, c->limits->message.unfinished_bytes, client, t->want, c->now_ns)) {
        traffic_pause_for(j, VERDICT_PASS, TRAFFIC_UNFINISHED_RETRY_NS);
        return false;
    }
    t->reserved += t->want;
    t->want = 0;
    return true;
}

/* Small frames cost the application more than their bytes. */
static uint64_t still_to_reserve(const struct traffic *t)
{
    return t->size > t->reserved ? t->size - t->reserved : 0;
}

/* Many small frames would come to the application all at once afterwards, and it works on each of them. */
static bool may_gather(const struct judgement *j)
{
    return j->t->frames <= TRAFFIC_MANY_FRAMES && (uint64_t)(j->end - j->item) < j->c->gather_bytes;
}

/* A held message has grown beyond message.hold. It streams as soon as it fits into the pool. Until then its beginning
 * is gathered here: a small message then needs no room in the application before it is whole, and of a larger one the
 * pace is known. */
static bool begin_stream(struct judgement *j)
{
    struct traffic *t = j->t;
    uint64_t want = still_to_reserve(t);
    t->gathers = false;
    if (may_begin(j) && stream_budget_take(&j->c->gate->unfinished, j->c->limits->message.unfinished_bytes, want)) {
        t->mode = TRAFFIC_STREAM;
        t->reserved += want;
        return true;
    }
    if (may_gather(j)) {
        t->gathers = true;
        return true;
    }
    t->pace_log2 = j->c->pace ? (uint8_t)(63 - __builtin_clzll(j->c->pace)) : 0;
    t->mode = TRAFFIC_STREAM;
    t->want = want;
    return reserve_wanted(j);
}

/* A message that grows beyond message.hold streams from now on. */
static bool stream_if_large(struct judgement *j)
{
    struct traffic *t = j->t;
    uint64_t wire = (uint64_t)(j->at - j->item) + t->dec.left;
    if (t->mode == TRAFFIC_SKIP || (t->mode == TRAFFIC_HOLD && wire <= j->c->limits->message.hold_bytes))
        return true;
    if (t->mode == TRAFFIC_HOLD)
        return begin_stream(j);
    t->want = still_to_reserve(t);
    return reserve_wanted(j);
}

static bool curve_name_ok(const uint8_t *body)
{
    static const uint8_t name[CURVE_NAME_BYTES] = {7, 'M', 'E', 'S', 'S', 'A', 'G', 'E'};
    return memcmp(body, name, sizeof(name)) == 0;
}

/* An XPUB keeps messages that are no subscriptions in a queue without limit, whether the application asks for them or
 * not. So they go on at a pace. A message over it waits before it begins: afterwards the application has it. */
static enum ruling user_frame(struct judgement *j)
{
    struct traffic *t = j->t;
    const struct limits *l = j->c->limits;
    gcra_word *all = &j->c->gate->user_bytes;
    const struct rate *rate = &l->subscriptions.messages_total;
    bool limited = !rate_is_unlimited(rate), first = t->frames <= 1;
    uint64_t wait_ns = limited ? gcra_wait_ns(all, rate, 1, j->c->now_ns) : 0;
    if (wait_ns) {
        enum ruling ruling = traffic_withhold(j, VERDICT_OVER_SUBSCRIBER_MESSAGES, wait_ns);
        t->withheld = WITHHELD_MESSAGE;
        return ruling;
    }
    enum ruling ruling = RULING_PASS;
    if (first)
        ruling = traffic_charge_unit(j, &t->user_messages, &l->subscriptions.messages, VERDICT_SUBSCRIBER_MESSAGE);
    if (limited && ruling == RULING_PASS)
        gcra_charge(all, rate, t->dec.size + USER_MESSAGE_BYTES, j->c->now_ns);
    return ruling;
}

/* A subscription counts when it is whole, and only then goes on, also in a message that streams. */
static enum ruling subscriber_frame(struct judgement *j, const uint8_t *body, bool whole)
{
    struct traffic *t = j->t;
    const struct limits *l = j->c->limits;
    if (t->dec.size == 0 || body[0] > 1)
        return user_frame(j);
    if (whole || t->dec.size - 1 > traffic_topic_most(t, l))
        return traffic_subscription(j, body[0] == 1, (struct bytes){body + 1, (size_t)t->dec.size - 1});
    t->awaits = AWAITS_END;
    return RULING_PASS;
}

/* Judges the content of a frame, as far as Weir looks at it: by its first bytes, or when it is whole. */
static bool judge_content(struct judgement *j, const uint8_t *body, bool whole)
{
    struct traffic *t = j->t;
    if (t->curve)
        return curve_name_ok(body) || traffic_refuse(j, VERDICT_BAD_CURVE_FRAME);
    if (!t->subscriber)
        return true;
    enum ruling ruling = subscriber_frame(j, body, whole);
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
    release_reserved(t, j->c);
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
    if (t->frames % TRAFFIC_MANY_FRAMES == 0 && t->mode == TRAFFIC_STREAM && is_stranger(j->c))
        traffic_pause_for(j, VERDICT_PASS, TRAFFIC_MANY_FRAMES_NS);
    return j->r->wait_ns == 0;
}

/* The answers that a frame of the size of a PING stands for. If the one before it was taken for a PING and no PONG has
 * come, that one was an answer too. */
static uint32_t answers_by_ping(struct traffic *t, uint64_t now_ns)
{
    bool missed = t->pings && t->pinged;
    t->pings = t->pings && !t->pinged;
    t->pinged = true;
    t->pinged_ns = now_ns;
    return !t->pings + missed;
}

/* Counts the application's frames in the same way as the client's. */
static void count_curve_answer(struct judgement *j)
{
    struct traffic *t = j->t;
    bool empty = t->dec.size == CURVE_FRAME_BYTES, along = t->led && !empty;
    t->led = empty;
    if (!along && t->dec.size == CURVE_PING_BYTES && j->c->now_ns - t->pinged_ns >= TRAFFIC_CURVE_PING_NS)
        j->r->turns += answers_by_ping(t, j->c->now_ns);
    else
        j->r->turns += !along;
}

static bool on_app_frame(struct judgement *j)
{
    if (UNLIKELY(j->t->curve))
        count_curve_answer(j);
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
    if (t->gathers && t->dec.in_body && !begin_stream(j))
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
    if (!reserve_wanted(j))
        return false;
    if (!t->dec.in_body)
        j->item = j->at;
    return true;
}

static bool traffic_step(struct judgement *j)
{
    struct traffic *t = j->t;
    if (j->at < j->end && zmtp_at_boundary(&t->dec) && t->inbound && (t->curve || !(j->at[0] & ZMTP_FLAG_COMMAND))) {
        if (j->watched && !begin_watched(j))
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

/* A message that came alone keeps a whole receive buffer of the application as long as it is queued. */
static void charge_pinned(struct judgement *j)
{
    const struct rate *rate = &j->c->limits->source.bytes.rate;
    if (j->r->messages != 1 || j->at != j->end || j->last_charge >= TRAFFIC_PINNED_BYTES)
        return;
    if (UNLIKELY(j->c->shadow != NULL))
        traffic_shadow_pinned(j, TRAFFIC_PINNED_BYTES - j->last_charge);
    gcra_charge(&j->c->source->limiters[SOURCE_BYTES], rate, TRAFFIC_PINNED_BYTES - j->last_charge, j->c->now_ns);
}

void traffic_judge(struct traffic *t, const struct traffic_context *c, const uint8_t *base, const uint8_t *scan,
                   const uint8_t *end, struct traffic_result *r)
{
    struct judgement j = {.t = t, .c = c, .r = r, .open = base, .item = base, .at = scan, .end = end};
    j.limited = t->inbound && traffic_is_limited(c->limits);
    j.watched = j.limited || c->shadow != NULL;
    memset(r, 0, sizeof(*r));
    if (traffic_resume(&j))
        while (traffic_step(&j))
            ;
    if (j.credit)
        gcra_refund(&c->source->limiters[SOURCE_MESSAGES], &c->limits->source.messages.rate, j.credit);
    if (t->inbound)
        charge_pinned(&j);
    emit(&j);
    r->keep = j.item;
    r->scanned = j.at;
}
