/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/simulation.h"

#include <stdlib.h>
#include <string.h>

/* Shown to the judge at once, besides the bytes that it holds back. */
#define CHUNK_BYTES (256u * 1024u)

/* Memory for topics: more than one connection can take. */
#define ACCOUNT_BYTES (64u * 1024u * 1024u)

/* A client that is told to wait this often waits for something that never happens. */
#define WAITS_MOST 1000u

/* The bytes on the wire, produced in pieces. */
struct wire {
    uint64_t size;        /* of the message, not yet produced */
    uint32_t frames;      /* still to come */
    const uint8_t *whole; /* in place of a message: these bytes */
    size_t whole_len;
    uint8_t header[ZMTP_HEADER_MAX];
    size_t header_at, header_len;
    uint64_t body; /* left of the current frame */
    bool envelope;
};

static void begin_frame(struct wire *w)
{
    uint64_t size = w->envelope ? 0 : w->size / w->frames;
    bool last = !w->envelope && w->frames == 1;
    w->header_len = zmtp_put_header(w->header, last ? 0 : ZMTP_FLAG_MORE, size);
    w->header_at = 0;
    w->body = size;
    w->size -= size;
    w->frames -= !w->envelope;
    w->envelope = false;
}

static bool simulation_is_over(const struct wire *w)
{
    return w->whole_len == 0 && w->header_at == w->header_len && w->body == 0 && w->frames == 0;
}

static size_t simulation_take(uint8_t *at, size_t room, const uint8_t *from, size_t len)
{
    size_t n = len < room ? len : room;
    memcpy(at, from, n);
    return n;
}

/* Writes up to `room` bytes. Bodies consist of a letter that starts no subscription. */
static size_t speak(struct wire *w, uint8_t *at, size_t room)
{
    size_t done = 0, n;
    while (done < room && !simulation_is_over(w)) {
        if (w->whole_len) {
            n = simulation_take(at + done, room - done, w->whole, w->whole_len);
            w->whole += n;
            w->whole_len -= n;
        } else if (w->header_at < w->header_len) {
            n = simulation_take(at + done, room - done, w->header + w->header_at, w->header_len - w->header_at);
            w->header_at += n;
        } else if (w->body) {
            n = w->body < room - done ? (size_t)w->body : room - done;
            memset(at + done, 'x', n);
            w->body -= n;
        } else {
            begin_frame(w);
            n = 0;
        }
        done += n;
    }
    return done;
}

bool simulation_init(struct simulation *t, const struct limits *limits, enum socket_type client, enum socket_type app)
{
    memset(t, 0, sizeof(*t));
    t->limits = limits;
    account_init(&t->account, ACCOUNT_BYTES);
    t->gate.account = &t->account;
    stream_budget_init(&t->gate.unfinished);
    topic_tree_init(&t->gate.topics, &t->account);
    t->source.kind = SOURCE_V4;
    t->now_ns = NS_PER_S;
    traffic_init(&t->traffic, true, false, false, client == SOCKET_SUB || client == SOCKET_XSUB);
    t->traffic.wants_delimiter = app == SOCKET_REP;
    t->room = limits->message.hold_bytes + 2 * CHUNK_BYTES;
    t->window = malloc(t->room);
    return t->window != NULL;
}

static struct traffic_context context_of(struct simulation *t)
{
    return (struct traffic_context){
        .limits = t->limits,
        .gate = &t->gate,
        .source = &t->source,
        .topics = &t->topics,
        .shadow = t->limits->shadow ? &t->shadow : NULL,
        .id = 1,
        .turns = UINT32_MAX,
        .now_ns = t->now_ns,
    };
}

void simulation_fini(struct simulation *t)
{
    struct traffic_context c = context_of(t);
    traffic_fini(&t->traffic, &c);
    topics_clear(&t->topics, &t->account);
    stream_budget_fini(&t->gate.unfinished);
    topic_tree_fini(&t->gate.topics);
    free(t->window);
}

/* Evaluates a call of the judge. False: this is the end. */
static bool simulation_note(struct simulation *t, const struct traffic_result *r, struct simulation_result *ret,
                            unsigned *waits)
{
    if (r->verdict != VERDICT_PASS) {
        *ret = (struct simulation_result){SIMULATION_CLOSED, r->verdict};
        return false;
    }
    if (r->drops)
        *ret = (struct simulation_result){SIMULATION_DROPPED, r->drop_reason};
    if (r->wait_ns == 0)
        return true;
    /* Waits for room for large messages, and at peaks of subscriptions, take milliseconds only. */
    if (r->wait_reason != VERDICT_PASS && ret->fate == SIMULATION_PASSES)
        *ret = (struct simulation_result){SIMULATION_WAITS, r->wait_reason};
    t->now_ns += r->wait_ns < UINT64_MAX / 4 ? r->wait_ns : UINT64_MAX / 4;
    return ++*waits < WAITS_MOST;
}

static struct simulation_result simulation_say_wire(struct simulation *t, struct wire *w)
{
    struct simulation_result result = {SIMULATION_PASSES, VERDICT_PASS};
    struct traffic_result r;
    size_t len = 0, scan = 0;
    unsigned waits = 0;
    memset(&t->shadow, 0, sizeof(t->shadow));
    do {
        struct traffic_context c = context_of(t);
        size_t room = t->room - len;
        if (scan == len)
            len += speak(w, t->window + len, room < CHUNK_BYTES ? room : CHUNK_BYTES);
        traffic_judge(&t->traffic, &c, t->window, t->window + scan, t->window + len, &r);
        if (!simulation_note(t, &r, &result, &waits))
            return result;
        scan = (size_t)(r.scanned - r.keep);
        len -= (size_t)(r.keep - t->window);
        memmove(t->window, r.keep, len);
    } while (!simulation_is_over(w) || scan < len || traffic_waits(&t->traffic));
    return result;
}

struct simulation_result simulation_say(struct simulation *t, const struct simulation_message *m)
{
    struct wire w = {.size = m->size, .frames = m->frames, .envelope = m->has_envelope};
    return simulation_say_wire(t, &w);
}

struct simulation_result simulation_subscribe(struct simulation *t, const void *topic, size_t len)
{
    static const uint8_t name[] = {9, 'S', 'U', 'B', 'S', 'C', 'R', 'I', 'B', 'E'};
    struct wire w = {0};
    uint8_t *bytes = malloc(ZMTP_HEADER_MAX + sizeof(name) + len);
    if (!bytes)
        return (struct simulation_result){SIMULATION_CLOSED, VERDICT_NO_MEMORY};
    size_t at = zmtp_put_header(bytes, ZMTP_FLAG_COMMAND, sizeof(name) + len);
    memcpy(bytes + at, name, sizeof(name));
    if (len)
        memcpy(bytes + at + sizeof(name), topic, len);
    w.whole = bytes;
    w.whole_len = at + sizeof(name) + len;
    struct simulation_result result = simulation_say_wire(t, &w);
    free(bytes);
    return result;
}

enum verdict simulation_shadow(const struct simulation *t)
{
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        if (t->shadow.verdicts[v])
            return (enum verdict)v;
    return VERDICT_PASS;
}
