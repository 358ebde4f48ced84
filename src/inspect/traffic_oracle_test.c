/* SPDX-License-Identifier: MPL-2.0 */
/* The judge of traffic against a naive reader, under every split of its input; and the messages themselves: whole,
 * dropped, streaming, waiting for room. */
#include "base/property.h"
#include "inspect/traffic_drive.h"
#include "inspect/traffic_oracle.h"
#include "zmtp/greeting.h"
#include "zmtp/test_seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define MORE ZMTP_FLAG_MORE

/* ---- the comparison ---- */

/* A stream, the configuration of the gate for it, and the kind of line. */
struct trial {
    struct limits limits;
    unsigned flags;
    bool stinted; /* each message has to wait for its turn */
    struct stream stream;
};

static void trial_init(struct trial *t, unsigned flags)
{
    struct stand s;
    stand_init(&s);
    *t = (struct trial){.limits = s.limits, .flags = flags};
    stand_fini(&s);
}

static bool agrees(const struct line *l, const struct oracle *o)
{
    return l->verdict == o->verdict && l->out_len == o->out_len && l->frames == o->frames && l->drops == o->drops &&
           l->dropped == o->dropped && l->topics.count == o->topics;
}

/* Prints everything that is needed to understand a failure. */
static void describe(const struct line *l, const struct oracle *o, const struct trial *t)
{
    const struct limits *m = &t->limits;
    fprintf(stderr,
            "flags %u; judge: %s, %zu bytes, %llu frames, %llu drops; oracle: %s, %zu bytes, %llu frames, %llu drops\n",
            t->flags, verdict_info(l->verdict)->label, l->out_len, (unsigned long long)l->frames,
            (unsigned long long)l->drops, verdict_info(o->verdict)->label, o->out_len, (unsigned long long)o->frames,
            (unsigned long long)o->drops);
    fprintf(stderr,
            "hold %u, over %d, frames %u, frame %llu, size %llu, messages %llu+%llu %d, subscriptions %u, over %d\n",
            m->message.hold_bytes, m->message.over, m->message.frames, (unsigned long long)m->message.frame_bytes,
            (unsigned long long)m->message.size_bytes, (unsigned long long)m->source.messages.rate.count,
            (unsigned long long)m->source.messages.rate.burst, m->source.messages.over, m->subscriptions.max,
            m->subscriptions.over);
    for (size_t i = 0; i < t->stream.len; i++)
        fprintf(stderr, "%02x", t->stream.bytes[i]);
    fputc('\n', stderr);
}

static void check_line(const struct line *l, const struct oracle *o, const struct trial *t)
{
    if (!agrees(l, o))
        describe(l, o, t);
    assert_int_equal(l->verdict, o->verdict);
    assert_int_equal(l->out_len, o->out_len);
    assert_memory_equal(l->out ? l->out : (const uint8_t *)"", o->out, o->out_len);
    assert_int_equal(l->messages, o->messages);
    assert_int_equal(l->frames, o->frames);
    assert_int_equal(l->commands, o->commands);
    assert_int_equal(l->drops, o->drops);
    assert_int_equal(l->dropped, o->dropped);
    assert_int_equal(l->topics.count, o->topics);
    assert_int_equal(l->source->topic_bytes, o->topic_bytes);
}

struct setup {
    struct stand stand;
    struct line line;
};

static void setup(struct setup *s, const struct trial *t)
{
    stand_init(&s->stand);
    s->stand.limits = t->limits;
    line_init(&s->line, &s->stand, t->flags);
    s->line.patience = INSISTS;
    s->line.stinted = t->stinted;
}

static void teardown(struct setup *s, const struct oracle *o, const struct trial *t)
{
    check_line(&s->line, o, t);
    assert_int_equal(stream_budget_ends(&s->stand.gate.unfinished), 0);
    if (!(t->flags & LINE_CURVE))
        assert_int_equal(s->line.turns_used, o->messages);
    if (t->stinted)
        assert_int_equal(s->line.turns_awaited, s->line.turns_used);
    line_fini(&s->line);
    stand_fini(&s->stand);
}

static void try_cuts(const struct trial *t, const struct oracle *o, size_t a, size_t b)
{
    struct setup s;
    const uint8_t *at = t->stream.bytes;
    setup(&s, t);
    (void)!(line_feed(&s.line, at, a) && line_feed(&s.line, at + a, b - a) &&
            line_feed(&s.line, at + b, t->stream.len - b));
    teardown(&s, o, t);
}

static void try_pieces(const struct trial *t, const struct oracle *o, size_t most)
{
    struct setup s;
    setup(&s, t);
    line_feed_by(&s.line, t->stream.bytes, t->stream.len, most);
    teardown(&s, o, t);
}

static void try_random_pieces(const struct trial *t, const struct oracle *o, struct property_rng *random)
{
    struct setup s;
    size_t most = (size_t)1 << property_below(random, 10);
    bool open = true;
    setup(&s, t);
    for (size_t at = 0; open && at < t->stream.len;) {
        size_t n = 1 + property_below(random, most);
        n = n < t->stream.len - at ? n : t->stream.len - at;
        open = line_feed(&s.line, t->stream.bytes + at, n);
        at += n;
    }
    teardown(&s, o, t);
}

/* Whole, byte by byte, at every place, and where it is short at every two places. Returns the verdict. */
static enum verdict try_everything(const struct trial *t, struct property_rng *random)
{
    struct oracle o = oracle_of(&t->limits, t->flags, t->stream.bytes, t->stream.len);
    enum verdict v = o.verdict;
    for (size_t cut = 0; cut <= t->stream.len; cut++)
        try_cuts(t, &o, cut, t->stream.len);
    for (size_t a = 0; t->stream.len <= 60 && a <= t->stream.len; a++)
        for (size_t b = a; b <= t->stream.len; b++)
            try_cuts(t, &o, a, b);
    for (size_t most = 1; most <= 3; most++)
        try_pieces(t, &o, most);
    for (int i = 0; random && i < 10; i++)
        try_random_pieces(t, &o, random);
    oracle_free(&o);
    return v;
}

/* ---- random streams ---- */

/* As libzmq 4.3.2 to 4.3.4 writes long topics: without LONG. */
static void put_unmarked(struct stream *s, struct property_rng *r)
{
    char topic[255];
    size_t at = s->len;
    memset(topic, 'T', sizeof(topic));
    stream_command(s, property_below(r, 4) ? "SUBSCRIBE" : "CANCEL", topic, 249 + property_below(r, 7));
    s->bytes[at] = ZMTP_FLAG_COMMAND;
}

static void put_random_command(struct stream *s, struct property_rng *r, bool subscriber)
{
    static const char *const names[] = {"PING", "PONG", "PING", "PONG", "ERROR", "READY", "Other", "SUBSCRIBE"};
    static const uint8_t data[600] = {0, 10, 'c'};
    const char *topics[] = {"SUBSCRIBE", "CANCEL"};
    if (subscriber && property_below(r, 12) == 0) {
        put_unmarked(s, r);
        return;
    }
    if (subscriber && property_below(r, 4)) {
        char topic = (char)('a' + property_below(r, 6));
        char text[24];
        memset(text, topic, sizeof(text));
        stream_command(s, topics[property_below(r, 2)], text, property_below(r, 30) ? property_below(r, 4) : 22);
        return;
    }
    const char *name = names[property_below(r, property_below(r, 6) ? 4 : ARRAY_LEN(names))];
    size_t len = property_below(r, 40) ? 2 + property_below(r, 14) : property_below(r, sizeof(data));
    stream_command(s, name, data, len);
}

static void put_random_frame(struct stream *s, struct property_rng *r, unsigned flags, const struct trial *t)
{
    size_t size = property_below(r, 3) ? property_below(r, 12) : property_below(r, 90);
    if (property_below(r, 12) == 0)
        size = 200 + property_below(r, 300);
    if (t->flags & LINE_CURVE)
        stream_curve(s, property_below(r, 20) ? 0 : flags, property_below(r, 20) ? 17 + size : size);
    else if ((t->flags & LINE_SUBSCRIBER) && property_below(r, 3))
        stream_frame(s, flags, (uint8_t)property_below(r, 3), property_below(r, 8) ? size % 8 : size);
    else
        stream_frame(s, flags, (uint8_t)('A' + property_below(r, 26)), size);
}

/* Messages of one to a few frames, commands around and between; sometimes with a byte changed, often cut short. */
static void put_random_stream(struct trial *t, struct property_rng *r)
{
    struct stream *s = &t->stream;
    bool commands = !(t->flags & (LINE_CURVE | LINE_ZMTP2));
    for (unsigned i = 0; i < 12 && s->len < 700; i++) {
        if (commands && property_below(r, 5) == 0)
            put_random_command(s, r, t->flags & LINE_SUBSCRIBER);
        else
            put_random_frame(s, r, property_below(r, 3) == 0, t);
    }
    if (property_below(r, 4) == 0)
        s->bytes[property_below(r, s->len)] ^= (uint8_t)(1u << property_below(r, 8));
    if (property_below(r, 2))
        s->len -= property_below(r, s->len < 40 ? s->len : 40);
}

static struct rate_limit random_limit(struct property_rng *r, bool frozen_pause)
{
    static const enum action actions[] = {ACTION_PAUSE, ACTION_DROP, ACTION_CLOSE};
    struct rate_limit l = {{1000, NS_PER_S, property_below(r, 8)}, ACTION_PAUSE};
    l.over = actions[frozen_pause ? property_below(r, 3) : 1 + property_below(r, 2)];
    if (property_below(r, 3))
        l.rate.count = 0;
    return l;
}

static void random_limits(struct limits *l, struct property_rng *r, unsigned flags)
{
    static const uint32_t holds[] = {20, 64, 300, 700};
    l->message.hold_bytes = holds[property_below(r, ARRAY_LEN(holds))];
    l->message.over = property_below(r, 2) ? ACTION_DROP : ACTION_CLOSE;
    l->message.frames = property_below(r, 3) ? 100 : 2 + (uint32_t)property_below(r, 3);
    l->message.frame_bytes = property_below(r, 3) ? 1000 : 60 + property_below(r, 40);
    l->message.size_bytes = property_below(r, 3) ? 10000 : 100 + property_below(r, 300);
    l->subscriptions.over = property_below(r, 2) ? ACTION_DROP : ACTION_CLOSE;
    if (property_below(r, 3) == 0)
        l->subscriptions.topic_bytes = 255;
    l->subscriptions.max = property_below(r, 3) ? 100 : 1 + (uint32_t)property_below(r, 3);
    l->subscriptions.source_bytes = property_below(r, 3) ? 10000 : 20 + property_below(r, 60);
    l->subscriptions.messages = random_limit(r, true);
    l->source.commands = random_limit(r, true);
    if (!(flags & LINE_CURVE)) /* where drop means pause: that never ends while time stands still */
        l->source.messages = random_limit(r, false);
}

static void random_streams_fare_as_the_oracle_says(void **state)
{
    static const unsigned kinds[] = {0, LINE_SUBSCRIBER, LINE_SUBSCRIBER, LINE_CURVE, LINE_ZMTP2};
    struct property_rng random = property_rng_new("traffic");
    unsigned seen[VERDICT_COUNT] = {0};
    for (int i = 0; i < 2000; i++) {
        struct trial t;
        trial_init(&t, kinds[property_below(&random, ARRAY_LEN(kinds))]);
        random_limits(&t.limits, &random, t.flags);
        put_random_stream(&t, &random);
        seen[try_everything(&t, &random)]++;
        t.stinted = true;
        try_everything(&t, &random);
        stream_free(&t.stream);
    }
    for (unsigned v = 0; getenv("WEIR_TEST_SHOW") && v < VERDICT_COUNT; v++)
        if (seen[v])
            print_message("%5u %s\n", seen[v], verdict_info(v)->label);
    assert_true(seen[VERDICT_PASS] > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_streams_fare_as_the_oracle_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
