/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define KIB        1024u
#define PAIRS      3u
#define FLOWS      (2 * PAIRS)
#define PLAYS      10
#define STEPS_MOST 1000000u

/* One direction of a pair: bytes to send go to from->out, bytes that must arrive are recorded here. */
struct flow {
    struct end *from, *to;
    struct stream expected;
    bool limited;     /* towards the application: drops apply */
    unsigned stalled; /* steps in which the receiver reads nothing */
};

struct play {
    struct fixture fixture;
    struct property_rng random;
    struct end client[PAIRS], app[PAIRS];
    struct flow flows[FLOWS];
    bool small; /* messages that are always held */
    unsigned pongs;
};

static size_t random_size(struct play *p)
{
    if (p->small)
        return (size_t)property_magnitude(&p->random, 13);
    if (property_below(&p->random, 12) == 0)
        return (size_t)property_below(&p->random, 300 * KIB);
    return (size_t)property_magnitude(&p->random, 14);
}

static bool is_dropped(const struct play *p, uint64_t charged)
{
    return p->fixture.limits->message.over == ACTION_DROP && charged > p->fixture.limits->message.size_bytes;
}

/* A message of up to five frames. */
static void say(struct play *p, struct flow *f)
{
    struct stream m = {0};
    uint64_t charged = 0;
    uint64_t frames = property_below(&p->random, 3) ? 1 : 1 + property_below(&p->random, 5);
    for (uint64_t i = 0; i < frames; i++) {
        size_t size = random_size(p);
        stream_frame(&m, i + 1 < frames ? ZMTP_FLAG_MORE : 0, (uint8_t)property_next(&p->random), size);
        charged += size > TRAFFIC_FRAME_BYTES ? size : TRAFFIC_FRAME_BYTES;
    }
    stream_put(&f->from->out, m.bytes, m.len);
    if (!f->limited || !is_dropped(p, charged))
        stream_put(&f->expected, m.bytes, m.len);
    stream_free(&m);
}

static void play_open(struct play *p)
{
    fixture_start(&p->fixture);
    for (unsigned i = 0; i < PAIRS; i++) {
        fixture_pair(&p->fixture, &p->client[i], &p->app[i], "DEALER", "ROUTER");
        p->flows[2 * i] = (struct flow){.from = &p->client[i], .to = &p->app[i], .limited = true};
        p->flows[2 * i + 1] = (struct flow){.from = &p->app[i], .to = &p->client[i]};
    }
}

static bool is_through(struct play *p, struct flow *f)
{
    unsigned pongs;
    if (f->from->sent < f->from->out.len || f->to->in.len < f->expected.len)
        return false;
    struct bytes got = end_traffic(f->to, &pongs);
    p->pongs += pongs;
    return got.len == f->expected.len;
}

static bool all_through(struct play *p)
{
    for (unsigned i = 0; i < FLOWS; i++)
        if (!is_through(p, &p->flows[i]))
            return false;
    return true;
}

static void step(struct play *p)
{
    struct flow *f = &p->flows[property_below(&p->random, FLOWS)];
    switch (property_below(&p->random, 8)) {
    case 0:
    case 1:
        end_write(f->from, (size_t)property_magnitude(&p->random, 19));
        break;
    case 2:
    case 3:
    case 4:
        if (f->stalled)
            f->stalled--;
        else if (property_below(&p->random, 50) == 0)
            f->stalled = (unsigned)property_below(&p->random, 40);
        else
            end_read(f->to, (size_t)property_magnitude(&p->random, 19));
        break;
    case 5:
        fixture_sleep(&p->fixture, property_below(&p->random, 5 * NS_PER_MS));
        break;
    default:
        fixture_round(&p->fixture);
    }
}

static void play(struct play *p, unsigned messages)
{
    for (unsigned i = 0; i < FLOWS; i++)
        for (unsigned n = 0; n < messages; n++)
            say(p, &p->flows[i]);
    for (unsigned n = 0; n < STEPS_MOST; n++) {
        step(p);
        if (n % 64 == 0 && all_through(p))
            return;
    }
    fail_msg("traffic stands still");
}

static void check_flow(struct flow *f)
{
    struct bytes got = end_traffic(f->to, NULL);
    assert_int_equal(got.len, f->expected.len);
    assert_memory_equal(got.at, f->expected.bytes, got.len);
    stream_free(&f->expected);
}

/* Ends in a random way: the client, the application, or the gate ends the connection, in the middle of something. */
static void play_close(struct play *p)
{
    for (unsigned i = 0; i < FLOWS; i++)
        check_flow(&p->flows[i]);
    for (unsigned i = 0; i < PAIRS; i++) {
        say(p, &p->flows[2 * i]);
        stream_free(&p->flows[2 * i].expected);
        end_write(&p->client[i], (size_t)property_below(&p->random, 64));
        fixture_rounds(&p->fixture, (unsigned)property_below(&p->random, 3));
        if (property_below(&p->random, 3) == 0)
            end_close(&p->app[i]);
        if (property_below(&p->random, 3) == 0)
            end_close(&p->client[i]);
    }
    fixture_rounds(&p->fixture, 20);
    if (property_below(&p->random, 2))
        for (unsigned i = 0; i < PAIRS; i++) {
            end_close(&p->client[i]);
            end_close(&p->app[i]);
            fixture_rounds(&p->fixture, 20);
        }
    fixture_fini(&p->fixture);
    for (unsigned i = 0; i < PAIRS; i++) {
        end_close(&p->client[i]);
        end_close(&p->app[i]);
    }
}

static void what_is_admitted_arrives_unchanged(void **state)
{
    struct play p = {.random = property_rng_new("lane")};
    for (unsigned i = 0; i < PLAYS; i++) {
        fixture_init(&p.fixture, NULL);
        p.small = property_below(&p.random, 3) == 0;
        p.fixture.limits->message.hold_bytes = 4 * KIB << property_below(&p.random, 8);
        play_open(&p);
        fixture_disturb(property_below(&p.random, 4) ? &p.random : NULL);
        play(&p, p.small ? 400 : 60);
        play_close(&p);
    }
}

static uint64_t judged(const struct fixture *s)
{
    return fixture_cell(s, CELL_MESSAGES_IN) + fixture_cell(s, CELL_DROPPED_MESSAGES);
}

static void what_is_over_a_limit_is_left_out_whole(void **state)
{
    struct play p = {.random = property_rng_new("lane"), .small = true};
    for (unsigned i = 0; i < PLAYS; i++) {
        fixture_init(&p.fixture, NULL);
        p.fixture.limits->message.over = ACTION_DROP;
        p.fixture.limits->message.size_bytes = 1000 + property_below(&p.random, 5000);
        play_open(&p);
        fixture_disturb(property_below(&p.random, 4) ? &p.random : NULL);
        play(&p, 400);
        /* The last ones may be among the dropped, and still under way. */
        for (unsigned n = 0; n < 1000 && judged(&p.fixture) < 400 * PAIRS; n++)
            fixture_round(&p.fixture);
        assert_int_equal(judged(&p.fixture), 400 * PAIRS);
        assert_true(fixture_cell(&p.fixture, CELL_DROPPED_MESSAGES) > 0);
        play_close(&p);
    }
}

static void what_is_over_a_rate_waits(void **state)
{
    struct play p = {.random = property_rng_new("lane")};
    uint64_t pauses = 0;
    for (unsigned i = 0; i < PLAYS; i++) {
        fixture_init(&p.fixture, NULL);
        p.small = property_below(&p.random, 2);
        p.fixture.limits->source.messages =
            (struct rate_limit){.rate = {.count = 300, .period_ns = NS_PER_S, .burst = 20}};
        p.fixture.limits->source.bytes =
            (struct rate_limit){.rate = {.count = 4 << 20, .period_ns = NS_PER_S, .burst = 1 << 18}};
        play_open(&p);
        fixture_disturb(property_below(&p.random, 4) ? &p.random : NULL);
        play(&p, p.small ? 200 : 40);
        pauses += fixture_cell(&p.fixture, CELL_PAUSES);
        play_close(&p);
    }
    assert_true(pauses > 0 && p.pongs > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_admitted_arrives_unchanged),
        cmocka_unit_test(what_is_over_a_limit_is_left_out_whole),
        cmocka_unit_test(what_is_over_a_rate_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
