/* SPDX-License-Identifier: MPL-2.0 */
/* The state of one call of traffic_judge(), shared by the modules of the judge only: traffic.c reads
 * frames and decides on messages, and asks the others. */
#ifndef WEIR_INSPECT_TRAFFIC_INNER_H
#define WEIR_INSPECT_TRAFFIC_INNER_H

#include "inspect/traffic.h"

struct judgement {
    struct traffic *t;
    const struct traffic_context *c;
    struct traffic_result *r;
    const uint8_t *open; /* [open, item): admitted, not yet in a span */
    const uint8_t *item; /* [item, at): the current message or command, not decided */
    const uint8_t *at;   /* decoded up to here */
    const uint8_t *end;
    bool limited;         /* messages have rates */
    bool watched;         /* ... or there are rules in shadow; inbound only */
    uint64_t credit;      /* messages charged ahead */
    uint64_t last_charge; /* bytes charged for the last message */
};

/* What happens to the current message or command. WAIT: it is judged again later. */
enum ruling { RULING_PASS, RULING_DROP, RULING_CLOSE, RULING_WAIT };

/* Rules on a verdict whose configured action is DROP or CLOSE. Nothing is ever dropped from CURVE. */
enum ruling traffic_rule(struct judgement *j, enum verdict v, enum action over);

/* Charges one unit for the current frame or command. Over the limit the connection pauses (after this unit), or the
 * unit is dropped, or the connection closes. */
enum ruling traffic_charge_unit(struct judgement *j, gcra_word *word, const struct rate_limit *l, enum verdict v);

/* The connection pauses behind the current message or command, for the longest of the times that are asked for. */
void traffic_pause_for(struct judgement *j, enum verdict reason, uint64_t wait_ns);

/* Charges a limiter. Over its rate the connection pauses behind the current message or command, for at least
 * `least_ns`. So it does not pause for every few bytes, and some may pass behind the pause. */
void traffic_pause_after(struct judgement *j, gcra_word *limiter, const struct rate *rate, uint64_t quantity,
                         uint64_t least_ns, enum verdict v);

/* Withholds the current command or frame, which is whole: it is judged again after `wait_ns`. */
enum ruling traffic_withhold(struct judgement *j, enum verdict reason, uint64_t wait_ns);

/* Judges a whole subscription or cancellation. One that is too long may be judged before it is whole: its bytes are not
 * looked at. */
enum ruling traffic_subscription(struct judgement *j, bool subscribe, struct bytes topic);

/* Judges a complete command of the client. */
enum ruling traffic_client_command(struct judgement *j, struct bytes body);

/* These count what rules in shadow say, in the places where those in force are asked. Only with c->shadow. In order: a
 * message begins; a frame of it, which was counted; its end, if it came alone; a unit; a subscription or cancellation
 * that passed (`added`: the connection did not have it; `work`: what it is charged). */
void traffic_shadow_begin(struct judgement *j);
void traffic_shadow_frame(struct judgement *j, uint64_t charged);
void traffic_shadow_pinned(struct judgement *j, uint64_t bytes);
void traffic_shadow_unit(struct judgement *j, gcra_word *word, enum verdict v);
void traffic_shadow_subscription(struct judgement *j, bool added, struct bytes topic, uint64_t work);

/* The longest topic that may pass. In a later frame of a message, bytes that look like a topic are one to most
 * applications, and an ordinary part to those with ZMQ_ONLY_FIRST_SUBSCRIBE. Their length is no reason to refuse them,
 * but their possible cost counts. */
static inline uint64_t traffic_topic_most(const struct traffic *t, const struct limits *l)
{
    uint64_t most = l->subscriptions.topic_bytes;
    return t->frames <= 1 || most > TRAFFIC_LATER_TOPIC_BYTES ? most : TRAFFIC_LATER_TOPIC_BYTES;
}

/* The verdict on a frame and its message, of which so many frames and bytes came before. */
static inline enum verdict traffic_size_verdict(const struct limits *l, uint64_t frame_bytes, uint32_t frames,
                                                uint64_t size, uint64_t charged)
{
    if (frames >= l->message.frames)
        return VERDICT_TOO_MANY_FRAMES;
    if (frame_bytes > l->message.frame_bytes)
        return VERDICT_FRAME_TOO_LARGE;
    if (charged > l->message.size_bytes || size > l->message.size_bytes - charged)
        return VERDICT_MESSAGE_TOO_LARGE;
    return VERDICT_PASS;
}

/* Closes the connection. Always false. */
static inline bool traffic_refuse(struct judgement *j, enum verdict v)
{
    j->r->verdict = v;
    return false;
}

/* The source has not been here for long (ban.standing). */
static inline bool traffic_is_strangers(const struct judgement *j)
{
    return !source_in_good_standing(j->c->source, j->c->limits->ban.standing_ns, j->c->now_ns);
}

/* ---- rates: traffic_rates.c ---- */

/* Whether messages have any. Without them, and without rules in shadow, there is nothing to ask. */
bool traffic_rates_apply(const struct limits *l);

/* A message begins, and the call is watched. False: it has to wait, or the connection closes. Nothing is charged unless
 * all limits pass. Unwatched, the mode was reset by the last message's end. */
bool traffic_rates_begin(struct judgement *j);

/* A frame of it passes. */
void traffic_rates_frame(struct judgement *j, uint64_t charged);

/* The last message of a call, if it came alone: it keeps a whole receive buffer of the application as long as it is
 * queued. */
void traffic_rates_pinned(struct judgement *j);

/* The call ends: messages that were charged ahead and did not come are given back. */
void traffic_rates_end(struct judgement *j);

/* ---- room for large messages: traffic_room.c ---- */

/* A held message has grown beyond message.hold: it streams, gathers, or waits for room. The same for one that streams
 * and has grown; and again for one that waits. False: it waits, or the connection closes. */
bool traffic_room_begin(struct judgement *j);
bool traffic_room_grow(struct judgement *j);
bool traffic_room_reserve(struct judgement *j);

/* The message has ended, or its connection. */
void traffic_room_give_back(struct traffic *t, const struct traffic_context *c);

/* ---- CURVE: traffic_curve.c ---- */

/* RFC 26: "\x07MESSAGE", 8 bytes of nonce, a box of at least 16 bytes and one of flags. */
#define CURVE_NAME_BYTES  8u
#define CURVE_FRAME_BYTES 33u

bool traffic_curve_header_ok(const struct zmtp_decoder *d);
bool traffic_curve_name_ok(const uint8_t *body);

/* Whether a client's frame is no message of its own (traffic.h). */
bool traffic_curve_goes_along(const struct judgement *j);

/* Counts the application's frames in the same way as the client's. */
void traffic_curve_count_answer(struct judgement *j);

/* ---- subscribers: subscriptions.c ---- */

/* Judges a frame of a subscriber by its first byte, or when it is whole. */
enum ruling traffic_subscriber_frame(struct judgement *j, const uint8_t *body, bool whole);

/* Remembers a PING. */
void traffic_note_ping(struct traffic_result *r, struct bytes data);

#endif
