/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/traffic_oracle.h"

#include "inspect/traffic_drive.h"

#include <stdlib.h>

#define TOPICS_MAX 4096

struct topic {
    const uint8_t *at;
    size_t len;
};

/* A message under way: its bytes so far in `held` (offsets into the stream, as nothing of it is skipped). */
struct reader {
    const struct limits *l;
    const uint8_t *s;
    size_t len;
    bool curve, subscriber, zmtp2;
    struct oracle o;

    bool inside, skips, streams;
    size_t from; /* of the message or part of it that is not in `out` yet */
    uint64_t frames, size;
    uint64_t messages_used, commands_used, user_used;
    struct topic topics[TOPICS_MAX];
};

/* One frame as it stands in the stream. */
struct frame {
    uint8_t flags;
    size_t start, body, end; /* end: behind its last byte, or of the stream */
    uint64_t size;
    bool whole, unmarked;
};

enum outcome { GO_ON, END };

static enum outcome closes(struct reader *r, enum verdict v)
{
    r->o.verdict = v;
    return END;
}

static void passes(struct reader *r, size_t from, size_t to)
{
    memcpy(r->o.out + r->o.out_len, r->s + from, to - from);
    r->o.out_len += to - from;
}

static bool within(uint64_t *used, const struct rate_limit *l)
{
    if (l->rate.count == 0)
        return true;
    if (l->over == ACTION_PAUSE || *used <= l->rate.burst)
        ++*used;
    else
        return false;
    return true;
}

/* ---- subscriptions ---- */

static struct topic *held(struct reader *r, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < r->o.topics; i++)
        if (r->topics[i].len == len && memcmp(r->topics[i].at, at, len) == 0)
            return &r->topics[i];
    return NULL;
}

static enum verdict subscribes(struct reader *r, const uint8_t *at, size_t len)
{
    if (held(r, at, len))
        return VERDICT_PASS;
    if (r->o.topics == r->l->subscriptions.max)
        return VERDICT_SUBSCRIPTIONS_TOO_MANY;
    if (r->o.topic_bytes + len + 16 > r->l->subscriptions.source_bytes)
        return VERDICT_TOPICS_TOO_LARGE;
    r->o.topic_bytes += len + 16;
    r->topics[r->o.topics++] = (struct topic){at, len};
    return VERDICT_PASS;
}

static void cancels(struct reader *r, const uint8_t *at, size_t len)
{
    struct topic *t = held(r, at, len);
    if (!t)
        return;
    r->o.topic_bytes -= len + 16;
    *t = r->topics[--r->o.topics];
}

/* A verdict over a limit: GO_ON when the unit is left out. */
static enum outcome over(struct reader *r, enum verdict v, enum action a)
{
    if (a != ACTION_DROP || r->curve || r->streams)
        return closes(r, v);
    r->o.drops++;
    return GO_ON;
}

static size_t longest_topic(const struct reader *r)
{
    size_t most = r->l->subscriptions.topic_bytes;
    return r->inside && most < 65536 ? 65536 : most;
}

/* Sets *left_out when the subscription does not pass. */
static enum outcome subscription(struct reader *r, bool on, const uint8_t *at, size_t len, bool alone, bool *left_out)
{
    enum verdict v = VERDICT_PASS;
    if (len > longest_topic(r))
        v = VERDICT_TOPIC_TOO_LONG;
    else if (on)
        v = subscribes(r, at, len);
    else if (alone)
        cancels(r, at, len);
    *left_out = v != VERDICT_PASS;
    return v == VERDICT_PASS ? GO_ON : over(r, v, r->l->subscriptions.over);
}

/* ---- commands ---- */

static bool named(const struct reader *r, const struct frame *f, const char *name)
{
    size_t len = strlen(name);
    return r->s[f->body] == len && memcmp(r->s + f->body + 1, name, len) == 0;
}

static bool has_name(const struct reader *r, const struct frame *f)
{
    if (f->size == 0 || r->s[f->body] == 0 || r->s[f->body] >= f->size)
        return false;
    for (size_t i = 1; i <= r->s[f->body]; i++) {
        uint8_t c = r->s[f->body + i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z'))
            return false;
    }
    return true;
}

static enum outcome command_content(struct reader *r, const struct frame *f, bool *left_out)
{
    if (!has_name(r, f))
        return closes(r, VERDICT_BAD_COMMAND);
    size_t data = f->body + 1 + r->s[f->body], len = f->end - data;
    if (named(r, f, "SUBSCRIBE") || named(r, f, "CANCEL")) {
        if (!r->subscriber)
            return closes(r, VERDICT_NOT_A_SUBSCRIBER);
        if (r->inside)
            return closes(r, VERDICT_BAD_COMMAND);
        return subscription(r, named(r, f, "SUBSCRIBE"), r->s + data, len, true, left_out);
    }
    if (named(r, f, "ERROR"))
        return closes(r, VERDICT_PEER_ERROR);
    if (named(r, f, "PING") ? len < 2 || len > 18 : named(r, f, "PONG") && len > 16)
        return closes(r, VERDICT_BAD_PING);
    if (!named(r, f, "PING") && !named(r, f, "PONG")) {
        static const char *const known[] = {"HELLO", "WELCOME", "INITIATE", "READY", "MESSAGE"};
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (named(r, f, known[i]))
                return closes(r, VERDICT_HANDSHAKE_ORDER);
        return closes(r, VERDICT_UNKNOWN_COMMAND);
    }
    const struct rate_limit *l = &r->l->source.commands;
    /* Between the frames of a message nothing can be left out alone. */
    struct rate_limit inside = {l->rate, l->over == ACTION_DROP && r->inside ? ACTION_PAUSE : l->over};
    if (within(&r->commands_used, &inside))
        return GO_ON;
    *left_out = true;
    return over(r, VERDICT_OVER_COMMANDS, l->over);
}

static void maybe_stream(struct reader *r, const struct frame *f);

static enum outcome command(struct reader *r, const struct frame *f)
{
    bool left_out = false;
    uint64_t most = TRAFFIC_COMMAND_BYTES + (r->subscriber ? r->l->subscriptions.topic_bytes : 0);
    if (f->size > most)
        return closes(r, VERDICT_COMMAND_TOO_LARGE);
    if (!f->whole || command_content(r, f, &left_out) == END)
        return END;
    if (r->inside ? r->skips : left_out) {
        r->from = f->end;
        return GO_ON;
    }
    r->o.commands++;
    maybe_stream(r, f);
    if (!r->inside || r->streams) {
        passes(r, r->from, f->end);
        if (f->unmarked)
            r->o.out[r->o.out_len - (f->end - f->start)] |= 2;
        r->from = f->end;
    }
    return GO_ON;
}

/* ---- messages ---- */

static void maybe_stream(struct reader *r, const struct frame *f)
{
    uint64_t wire = f->body - r->from + f->size;
    r->streams |= r->inside && !r->skips && wire > r->l->message.hold_bytes;
}

static enum outcome skip_from_here(struct reader *r, enum outcome o)
{
    r->skips = o == GO_ON;
    return o;
}

static enum outcome begin(struct reader *r)
{
    r->skips = r->streams = false;
    r->frames = r->size = 0;
    if (within(&r->messages_used, &r->l->source.messages))
        return GO_ON;
    return skip_from_here(r, over(r, VERDICT_OVER_MESSAGES, r->l->source.messages.over));
}

static enum outcome frame_size(struct reader *r, const struct frame *f)
{
    uint64_t counted = f->size < 64 ? 64 : f->size;
    enum verdict v = VERDICT_PASS;
    if (r->frames + 1 > r->l->message.frames)
        v = VERDICT_TOO_MANY_FRAMES;
    else if (f->size > r->l->message.frame_bytes)
        v = VERDICT_FRAME_TOO_LARGE;
    else if (r->size + counted > r->l->message.size_bytes)
        v = VERDICT_MESSAGE_TOO_LARGE;
    if (v != VERDICT_PASS)
        return skip_from_here(r, over(r, v, r->l->message.over));
    r->frames++;
    r->size += counted;
    return GO_ON;
}

static enum outcome curve_content(struct reader *r, const struct frame *f)
{
    if (f->end - f->body < 8)
        return END;
    return memcmp(r->s + f->body, "\7MESSAGE", 8) ? closes(r, VERDICT_BAD_CURVE_FRAME) : GO_ON;
}

/* END: closed, or too little of the frame is there for any of it to pass. */
static enum outcome subscriber_content(struct reader *r, const struct frame *f)
{
    bool left_out = false;
    if (f->size > 0 && f->end == f->body)
        return END;
    if (r->inside && (f->size == 0 || r->s[f->body] > 1))
        return GO_ON;
    if (f->size == 0 || r->s[f->body] > 1) {
        if (within(&r->user_used, &r->l->subscriptions.messages))
            return GO_ON;
        return skip_from_here(r, over(r, VERDICT_SUBSCRIBER_MESSAGE, r->l->subscriptions.messages.over));
    }
    if (!f->whole && f->size - 1 <= longest_topic(r))
        return END;
    bool alone = r->frames == 1 && !(f->flags & 1);
    enum outcome o = subscription(r, r->s[f->body] == 1, r->s + f->body + 1, (size_t)f->size - 1, alone, &left_out);
    if (left_out)
        return skip_from_here(r, o);
    return o;
}

static enum outcome content(struct reader *r, const struct frame *f)
{
    if (r->curve)
        return curve_content(r, f);
    return r->subscriber ? subscriber_content(r, f) : GO_ON;
}

static enum outcome message_frame(struct reader *r, const struct frame *f)
{
    bool last = !(f->flags & 1);
    if (r->curve && (f->size < 33 || !last))
        return closes(r, VERDICT_BAD_CURVE_FRAME);
    if (!r->skips && frame_size(r, f) == END)
        return END;
    if (!r->skips && content(r, f) == END)
        return END;
    r->inside = true;
    maybe_stream(r, f);
    if (!f->whole && r->streams && !r->skips)
        passes(r, r->from, f->end);
    if (!f->whole)
        return END;
    if (!r->skips && (last || r->streams))
        passes(r, r->from, f->end);
    if (r->skips || last || r->streams)
        r->from = f->end;
    r->inside = !last;
    if (last && r->skips)
        r->o.dropped++;
    else if (last) {
        r->o.messages++;
        r->o.frames += r->frames;
    }
    if (last)
        r->skips = r->streams = false;
    return GO_ON;
}

/* ---- the stream ---- */

static enum verdict bad_flags(const struct reader *r, uint8_t flags)
{
    if (flags & (r->zmtp2 ? 0xfc : 0xf8))
        return VERDICT_RESERVED_FLAGS;
    return (flags & 5) == 5 ? VERDICT_MORE_ON_COMMAND : VERDICT_PASS;
}

/* END: the header is not whole, or wrong. */
static enum outcome read_frame(struct reader *r, size_t at, struct frame *f)
{
    bool unmarked = r->subscriber && !r->zmtp2 && r->len - at >= 2 && r->s[at] == 4 && r->s[at + 1] == 0;
    size_t header = unmarked || r->s[at] & 2 ? 9 : 2;
    *f = (struct frame){.flags = r->s[at], .start = at, .body = at + header};
    enum verdict v = bad_flags(r, f->flags);
    if (v != VERDICT_PASS)
        return closes(r, v);
    if (header == 9 && r->len - at >= 2 && r->s[at + 1] > 0x7f)
        return closes(r, VERDICT_BAD_FRAME_SIZE);
    for (size_t i = 2; unmarked && i < header && i < r->len - at; i++)
        if (i == 7 ? r->s[at + i] != 1 : r->s[at + i] > (i == 8 ? 9 : 0))
            return closes(r, VERDICT_BAD_COMMAND);
    if (r->len - at < header)
        return END;
    f->unmarked = unmarked;
    for (size_t i = at + 1; i < at + header; i++)
        f->size = f->size << 8 | r->s[i];
    f->whole = f->size <= r->len - f->body;
    f->end = f->whole ? f->body + (size_t)f->size : r->len;
    return GO_ON;
}

struct oracle oracle_of(const struct limits *l, unsigned flags, const uint8_t *stream, size_t len)
{
    struct reader *r = calloc(1, sizeof(*r));
    uint8_t *out = malloc(len + 1);
    if (!r || !out)
        abort();
    r->l = l;
    r->s = stream;
    r->len = len;
    r->o.out = out;
    r->curve = flags & LINE_CURVE;
    r->subscriber = (flags & LINE_SUBSCRIBER) && !r->curve;
    r->zmtp2 = flags & LINE_ZMTP2;
    struct frame f = {.end = 0};
    enum outcome o = GO_ON;
    while (o == GO_ON && f.end < len) {
        size_t at = f.end;
        bool is_command = (stream[at] & 4) && !r->curve;
        if (!r->inside && !is_command && begin(r) == END)
            break;
        o = read_frame(r, at, &f);
        if (o == GO_ON)
            o = is_command ? command(r, &f) : message_frame(r, &f);
    }
    struct oracle result = r->o;
    free(r);
    return result;
}

void oracle_free(struct oracle *o)
{
    free(o->out);
    o->out = NULL;
}
