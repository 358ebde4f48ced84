/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/traffic_drive.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition) require(condition, #condition, __LINE__)

static void require(bool condition, const char *words, int line)
{
    if (condition)
        return;
    fprintf(stderr, "traffic_drive.c:%d: %s\n", line, words);
    abort();
}

/* ---- the stand ---- */

void stand_init(struct stand *s)
{
    memset(s, 0, sizeof(*s));
    account_init(&s->account, 1 << 24);
    s->gate.account = &s->account;
    s->gate.key.bytes[0] = 1;
    stream_budget_init(&s->gate.unfinished);
    topic_tree_init(&s->gate.topics, &s->account);
    s->now_ns = 1000 * NS_PER_S;
    struct limits *l = &s->limits;
    l->message.frame_bytes = l->message.size_bytes = 1 << 20;
    l->message.frames = 100;
    l->message.hold_bytes = 300;
    l->message.unfinished_bytes = 1 << 24;
    l->message.over = ACTION_CLOSE;
    l->subscriptions.max = 100;
    l->subscriptions.topic_bytes = 20;
    l->subscriptions.source_bytes = l->subscriptions.trie_bytes = 1 << 20;
    l->subscriptions.over = ACTION_CLOSE;
}

void stand_fini(struct stand *s)
{
    REQUIRE(stream_budget_held(&s->gate.unfinished) == 0 && atomic_load(&s->gate.unfinished.pass) == 0);
    REQUIRE(atomic_load(&s->source.topic_bytes) == 0);
    REQUIRE(topic_tree_cost(&s->gate.topics) == 0 && s->gate.topics.count == 0);
    stream_budget_fini(&s->gate.unfinished);
    topic_tree_fini(&s->gate.topics);
    REQUIRE(account_held(&s->account) == 0);
}

/* ---- a line ---- */

void line_init(struct line *l, struct stand *s, unsigned flags)
{
    memset(l, 0, sizeof(*l));
    l->stand = s;
    l->source = &s->source;
    l->id = ++s->ids;
    traffic_init(&l->traffic, !(flags & LINE_OUTBOUND), flags & LINE_ZMTP2, flags & LINE_CURVE,
                 flags & LINE_SUBSCRIBER);
}

static struct traffic_context context_of(struct line *l)
{
    struct stand *s = l->stand;
    struct traffic_shadow *shadow = s->limits.shadow ? &s->shadow : NULL;
    return (struct traffic_context){
        .limits = &s->limits,
        .gate = &s->gate,
        .source = l->source,
        .topics = &l->topics,
        .commands = l->paced ? &l->pace : NULL,
        .shadow = shadow,
        .id = l->id,
        .twin = l->twin,
        .turns = l->stinted ? l->turns : UINT32_MAX,
        .shed = l->shed,
        .gather_bytes = s->gather_bytes,
        .now_ns = s->now_ns,
    };
}

/* As relay/topic_room.c does. */
static void give_back_topics(struct line *l)
{
    struct traffic_gate *g = &l->stand->gate;
    uint64_t cost = l->topics.topic_bytes + (uint64_t)l->topics.count * TOPIC_OVERHEAD_BYTES;
    topic_tree_release_all(&g->topics, l->topics.slots, l->topics.capacity);
    traffic_topics_give_back(g, l->source, cost);
    topics_clear(&l->topics, g->account);
}

void line_fini(struct line *l)
{
    struct traffic_context c = context_of(l);
    traffic_fini(&l->traffic, &c);
    give_back_topics(l);
    free(l->kept);
    free(l->out);
    memset(l, 0, sizeof(*l));
}

static void put_out(struct line *l, struct bytes b)
{
    while (l->out_cap < l->out_len + b.len) {
        l->out_cap = l->out_cap ? 2 * l->out_cap : 1024;
        l->out = realloc(l->out, l->out_cap);
        REQUIRE(l->out != NULL);
    }
    memcpy(l->out + l->out_len, b.at, b.len);
    l->out_len += b.len;
}

/* Spans lie in the window, in order and apart, before what is kept. */
static void take_spans(struct line *l, const struct traffic_result *r, const uint8_t *base, const uint8_t *end)
{
    const uint8_t *at = base;
    REQUIRE(r->span_count <= TRAFFIC_SPANS);
    for (unsigned i = 0; i < r->span_count; i++) {
        REQUIRE(r->spans[i].at >= at && r->spans[i].len > 0 && r->spans[i].len <= (size_t)(end - r->spans[i].at));
        at = r->spans[i].at + r->spans[i].len;
        put_out(l, r->spans[i]);
    }
    REQUIRE(r->keep >= at && r->keep <= r->scanned && r->scanned <= end);
}

static void take_counts(struct line *l, const struct traffic_result *r)
{
    l->verdict = r->verdict;
    l->messages += r->messages;
    l->frames += r->frames;
    l->commands += r->commands;
    l->drops += r->drops;
    l->dropped += r->dropped;
    l->turns_used += r->turns;
    l->turns -= l->stinted ? r->turns : 0;
    l->made_room |= r->make_room;
    if (r->drops)
        l->drop_reason = r->drop_reason;
    if (r->ping.seen)
        l->ping = r->ping;
    if (r->wait_ns == 0)
        return;
    l->wait_reason = r->wait_reason;
    l->waits++;
    l->waited_ns += r->wait_ns;
}

/* The most bytes that may be kept of a line that need not wait: a message up to message.hold with the header that goes
 * beyond it, a command or subscription that is not whole, and the gathered bytes of a larger message. */
static size_t keeps_at_most(const struct line *l)
{
    const struct limits *lim = &l->stand->limits;
    size_t command = TRAFFIC_COMMAND_BYTES + ZMTP_HEADER_MAX;
    if (!l->traffic.inbound)
        return 65536 + ZMTP_HEADER_MAX;
    return lim->message.hold_bytes + l->stand->gather_bytes + ZMTP_HEADER_MAX + command +
           (l->traffic.subscriber ? lim->subscriptions.topic_bytes + TRAFFIC_LATER_TOPIC_BYTES : 0);
}

/* A message that waits for a turn is whole. Of a streaming one all but the last octet has gone on. True: it gets a
 * turn. */
static bool gets_a_turn(struct line *l, const struct traffic_result *r)
{
    bool streams = traffic_end_waits(&l->traffic);
    REQUIRE(l->stinted && l->traffic.complete && traffic_waits(&l->traffic));
    REQUIRE(!streams || r->scanned - r->keep == 1);
    REQUIRE(streams == !traffic_at_boundary(&l->traffic));
    l->turns_awaited++;
    l->waiting = l->patience == STOPS;
    l->turns += !l->waiting;
    return !l->waiting;
}

/* True when the judge has to be asked again at once, as lane_input_next() in relay/lane_input.c has it. */
static bool goes_on(struct line *l, const struct traffic_result *r, const uint8_t *end)
{
    bool more = r->scanned < end || l->traffic.want || l->traffic.withheld;
    if (r->verdict != VERDICT_PASS)
        return false;
    if (r->awaits_turn)
        return gets_a_turn(l, r);
    if (r->wait_ns == 0) {
        /* A judge that asks for neither time nor space has looked at all bytes: the caller would spin. */
        REQUIRE(!more || r->again);
        return more;
    }
    if (r->wait_reason == VERDICT_PASS || l->traffic.withheld || l->patience == STOPS) {
        l->waiting = true;
        return false;
    }
    if (l->patience == SLEEPS)
        l->stand->now_ns += r->wait_ns;
    return more;
}

static void keep(struct line *l, const uint8_t *from, const uint8_t *scanned, const uint8_t *end)
{
    size_t len = (size_t)(end - from);
    uint8_t *copy = malloc(len ? len : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, from, len);
    free(l->kept);
    l->kept = copy;
    l->kept_len = len;
    l->scanned = (size_t)(scanned - from);
}

bool line_feed(struct line *l, const void *bytes, size_t len)
{
    struct traffic_result r;
    size_t total = l->kept_len + len;
    uint8_t *window = malloc(total ? total : 1);
    REQUIRE(window && l->verdict == VERDICT_PASS);
    if (l->kept_len)
        memcpy(window, l->kept, l->kept_len);
    if (len)
        memcpy(window + l->kept_len, bytes, len);
    const uint8_t *base = window, *scan = window + l->scanned, *end = window + total;
    l->waiting = false;
    do {
        struct traffic_context c = context_of(l);
        traffic_judge(&l->traffic, &c, base, scan, end, &r);
        if (r.unmarked)
            window[r.unmarked - window] |= ZMTP_FLAG_LONG;
        take_spans(l, &r, base, end);
        take_counts(l, &r);
        base = r.keep;
        scan = r.scanned;
    } while (goes_on(l, &r, end));
    keep(l, base, scan, end);
    free(window);
    if (!l->waiting && l->verdict == VERDICT_PASS) {
        REQUIRE(l->kept_len <= keeps_at_most(l));
        l->most_kept = l->kept_len > l->most_kept ? l->kept_len : l->most_kept;
    }
    return l->verdict == VERDICT_PASS && !l->waiting;
}

bool line_feed_by(struct line *l, const void *bytes, size_t len, size_t most)
{
    const uint8_t *at = bytes;
    for (size_t n; len > 0; at += n, len -= n) {
        n = len < most ? len : most;
        if (!line_feed(l, at, n))
            return false;
    }
    return true;
}

/* ---- streams ---- */

void stream_free(struct stream *s)
{
    free(s->bytes);
    memset(s, 0, sizeof(*s));
}

static uint8_t *stream_room(struct stream *s, size_t len)
{
    while (s->cap < s->len + len) {
        s->cap = s->cap ? 2 * s->cap : 256;
        s->bytes = realloc(s->bytes, s->cap);
        REQUIRE(s->bytes != NULL);
    }
    s->len += len;
    return s->bytes + s->len - len;
}

void stream_put(struct stream *s, const void *bytes, size_t len)
{
    if (len)
        memcpy(stream_room(s, len), bytes, len);
}

static void put_header(struct stream *s, unsigned flags, size_t size)
{
    uint8_t header[ZMTP_HEADER_MAX];
    size_t len = zmtp_put_header(header, flags, size);
    stream_put(s, header, len);
}

void stream_frame(struct stream *s, unsigned flags, uint8_t fill, size_t size)
{
    put_header(s, flags, size);
    if (size)
        memset(stream_room(s, size), fill, size);
}

void stream_body(struct stream *s, unsigned flags, const void *body, size_t size)
{
    put_header(s, flags, size);
    stream_put(s, body, size);
}

void stream_command(struct stream *s, const char *name, const void *data, size_t len)
{
    uint8_t name_len = (uint8_t)strlen(name);
    put_header(s, ZMTP_FLAG_COMMAND, 1 + name_len + len);
    stream_put(s, &name_len, 1);
    stream_put(s, name, name_len);
    stream_put(s, data, len);
}

void stream_curve(struct stream *s, unsigned flags, size_t box)
{
    put_header(s, flags, 16 + box);
    stream_put(s, "\7MESSAGE", 8);
    memset(stream_room(s, 8 + box), 'x', 8 + box);
}
