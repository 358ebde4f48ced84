/* SPDX-License-Identifier: MPL-2.0 */
/* What each flood sends. ZMTP is spoken by hand here, so that the tool can do what libzmq never would. */
#include "flood.h"

#include <stdio.h>
#include <string.h>

#define FRAME_MORE    0x01
#define FRAME_LONG    0x02
#define FRAME_COMMAND 0x04
#define HEAD_MAX      9

static size_t put_head(uint8_t *out, uint8_t flags, uint64_t len)
{
    if (len < 256) {
        out[0] = flags;
        out[1] = (uint8_t)len;
        return 2;
    }
    out[0] = flags | FRAME_LONG;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)(len >> (56 - 8 * i));
    return HEAD_MAX;
}

static bool is_done(const struct peer *p, const struct options *o)
{
    return o->each != 0 && p->units >= o->each;
}

static uint64_t next_random(struct peer *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random;
}

/* Letters, so that a topic never begins with 00 or 01. */
static void put_random(struct peer *p, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)('a' + next_random(p) % 26);
}

size_t flood_greeting(const struct options *o, uint8_t out[64])
{
    memset(out, 0, 64);
    out[0] = 0xff;
    out[9] = 0x7f;
    out[10] = 3;
    out[11] = (uint8_t)o->minor;
    strncpy((char *)out + 12, o->mechanism, 20);
    return 64;
}

size_t flood_ready(const struct options *o, uint8_t *out, size_t room)
{
    static const uint8_t name[] = "\x05READY\x0bSocket-Type";
    size_t type_len = strlen(o->socket_type);
    size_t len = sizeof(name) - 1 + 4 + type_len, at;

    if (len + HEAD_MAX > room)
        return 0;
    at = put_head(out, FRAME_COMMAND, len);
    memcpy(out + at, name, sizeof(name) - 1);
    at += sizeof(name) - 1;
    memset(out + at, 0, 3);
    out[at + 3] = (uint8_t)type_len;
    memcpy(out + at + 4, o->socket_type, type_len);
    return at + 4 + type_len;
}

/* The next piece of a frame that is too long for one buffer. */
static size_t fill_body(struct peer *p, uint8_t *out, size_t room)
{
    size_t n = p->body < room ? (size_t)p->body : room;

    memset(out, 'x', n);
    p->body -= n;
    return n;
}

/* One frame: its head, and as much of its body as there is room for; the rest is owed. */
static size_t put_frame(struct peer *p, uint8_t *out, size_t room, uint8_t flags, uint64_t len)
{
    size_t n = put_head(out, flags, len);

    p->body = len;
    return n + (room > n ? fill_body(p, out + n, room - n) : 0);
}

static size_t fill_nothing(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    return 0;
}

/* The operator's own bytes, once; `each` times over when that is set. */
static size_t fill_bytes(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    size_t n = o->raw_len - (size_t)p->body;

    if (p->body == 0 && p->units > 0 && p->units >= (o->each ? o->each : 1))
        return 0;
    if (n > room)
        n = room;
    memcpy(out, o->raw + p->body, n);
    p->body += n;
    if (p->body < o->raw_len)
        return n;
    p->body = 0;
    p->units++;
    return n;
}

/* Whole messages of `frames` frames; the frame count is kept in units, so that a message may span buffers. */
static size_t fill_messages(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    size_t n = 0;

    while (n + HEAD_MAX < room) {
        bool is_last = (p->units + 1) % o->frames == 0;

        if (p->body > 0) {
            n += fill_body(p, out + n, room - n);
            continue;
        }
        if (is_done(p, o))
            return n;
        n += put_frame(p, out + n, room - n, is_last ? 0 : FRAME_MORE, o->size);
        p->units++;
    }
    return n;
}

/* An empty delimiter and a body: what REQ sends. */
static size_t fill_requests(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    size_t n = 0;

    while (n + 2 + HEAD_MAX < room) {
        if (p->body > 0) {
            n += fill_body(p, out + n, room - n);
            continue;
        }
        if (is_done(p, o))
            return n;
        n += put_head(out + n, FRAME_MORE, 0);
        n += put_frame(p, out + n, room - n, 0, o->size);
        p->units++;
    }
    return n;
}

/* A message whose last frame never comes. */
static size_t fill_endless(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    size_t n = 0;

    while (n + HEAD_MAX < room) {
        if (p->body > 0) {
            n += fill_body(p, out + n, room - n);
            continue;
        }
        if (is_done(p, o))
            return n;
        n += put_frame(p, out + n, room - n, FRAME_MORE, o->size);
        p->units++;
    }
    return n;
}

/* One frame that announces more than it brings: `announce` in its head, `size` bytes of body. */
static size_t fill_announced(struct peer *p, const struct options *o, uint8_t flags, uint8_t *out, size_t room)
{
    size_t n;

    if (p->units > 0)
        return fill_body(p, out, room);
    p->units = 1;
    n = put_head(out, flags, o->announce);
    p->body = o->size;
    return n + (room > n ? fill_body(p, out + n, room - n) : 0);
}

static size_t fill_huge(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    return fill_announced(p, o, 0, out, room);
}

static size_t fill_giant_command(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    return fill_announced(p, o, FRAME_COMMAND, out, room);
}

/* SUBSCRIBE or CANCEL as a command (3.1), or as a message that begins with 01 or 00. */
static size_t put_subscription(struct peer *p, const struct options *o, uint8_t *out, bool is_cancel)
{
    const char *name = o->as_messages ? (is_cancel ? "\0" : "\1")
                                      : (is_cancel ? "\x06"
                                                     "CANCEL"
                                                   : "\x09"
                                                     "SUBSCRIBE");
    size_t name_len = o->as_messages ? 1 : 1 + (size_t)name[0];
    size_t n = put_head(out, o->as_messages ? 0 : FRAME_COMMAND, name_len + o->size);

    memcpy(out + n, name, name_len);
    put_random(p, out + n + name_len, o->size);
    return n + name_len + o->size;
}

static size_t fill_subscriptions(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    size_t need = (o->cancels ? 2 : 1) * (HEAD_MAX + 10 + o->size), n = 0;

    while (n + need <= room && !is_done(p, o)) {
        n += put_subscription(p, o, out + n, false);
        if (o->cancels)
            n += put_subscription(p, o, out + n, true);
        p->units++;
    }
    return n;
}

/* What a subscriber has no business to send: messages that are no subscription. */
static size_t fill_user_messages(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    size_t n = 0;

    while (n + HEAD_MAX + o->size <= room && !is_done(p, o)) {
        n += put_head(out + n, 0, o->size);
        memset(out + n, 'u', o->size);
        n += o->size;
        p->units++;
    }
    return n;
}

static size_t put_command(struct peer *p, uint8_t *out, const char *name, size_t name_len, size_t body_len)
{
    size_t n = put_head(out, FRAME_COMMAND, name_len + body_len);

    memcpy(out + n, name, name_len);
    memset(out + n + name_len, 0, body_len);
    return n + name_len + body_len;
}

static size_t fill_commands(struct peer *p, const struct options *o, uint8_t *out, size_t room, const char *name,
                            size_t body_len)
{
    size_t name_len = 1 + (size_t)name[0], n = 0;

    while (n + HEAD_MAX + name_len + body_len <= room && !is_done(p, o)) {
        n += put_command(p, out + n, name, name_len, body_len);
        p->units++;
    }
    return n;
}

/* PING: a TTL of two bytes, and at most 16 of context. */
static size_t fill_pings(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    return fill_commands(p, o, out, room,
                         "\x04"
                         "PING",
                         2 + (o->size > 16 ? 16 : o->size));
}

static size_t fill_unknown(struct peer *p, const struct options *o, uint8_t *out, size_t room)
{
    return fill_commands(p, o, out, room,
                         "\x07"
                         "NOTHING",
                         o->size > 1024 ? 1024 : o->size);
}

static const struct flood floods[] = {
    {"silent", fill_nothing, START_CONNECTED, "connects and says nothing"},
    {"bytes", fill_bytes, START_CONNECTED, "the bytes of --hex, at the stage of --start"},
    {"messages", fill_messages, START_READY, "whole messages of --frames frames of --size bytes"},
    {"requests", fill_requests, START_READY, "an empty delimiter and --size bytes, as REQ sends them"},
    {"endless", fill_endless, START_READY, "a message that never ends, frames of --size bytes"},
    {"huge", fill_huge, START_READY, "a frame that announces --announce bytes and brings --size"},
    {"giant-command", fill_giant_command, START_GREETED,
     "a handshake command of --announce bytes of which --size come"},
    {"subscriptions", fill_subscriptions, START_READY, "random topics of --size letters"},
    {"user-messages", fill_user_messages, START_READY, "messages from a subscriber, --size bytes"},
    {"pings", fill_pings, START_READY, "PING with --size bytes of context"},
    {"unknown-commands", fill_unknown, START_READY, "commands that ZMTP does not define"},
};

#define FLOOD_COUNT (sizeof(floods) / sizeof(floods[0]))

const struct flood *flood_find(const char *name)
{
    for (size_t i = 0; i < FLOOD_COUNT; i++) {
        if (strcmp(floods[i].name, name) == 0)
            return &floods[i];
    }
    return NULL;
}

void flood_list(void)
{
    for (size_t i = 0; i < FLOOD_COUNT; i++)
        fprintf(stderr, "  %-18s %s\n", floods[i].name, floods[i].help);
}
