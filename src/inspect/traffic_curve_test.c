/* SPDX-License-Identifier: MPL-2.0 */
/* CURVE passing through: every frame is a MESSAGE, and nothing is ever dropped. */
#include "inspect/traffic_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* The verdict on a stream in pieces of `most` bytes; it passes byte for byte when there is none. */
static enum verdict verdict_on(const struct stream *st, size_t most)
{
    struct stand s;
    struct line l;
    stand_init(&s);
    line_init(&l, &s, LINE_CURVE);
    line_feed_by(&l, st->bytes, st->len, most);
    enum verdict v = l.verdict;
    if (v == VERDICT_PASS) {
        assert_int_equal(l.out_len, st->len);
        assert_memory_equal(l.out, st->bytes, st->len);
    }
    line_fini(&l);
    stand_fini(&s);
    return v;
}

/* The name and the flags may come in pieces; while they do, the caller is not asked to look at the same bytes again. */
static void frames_pass_in_pieces_of_every_size(void **state)
{
    struct stream st = {0};
    for (size_t box = 17; box < 600; box += 83)
        stream_curve(&st, 0, box);
    for (size_t most = 1; most < 80; most++)
        assert_int_equal(verdict_on(&st, most), VERDICT_PASS);
    assert_int_equal(verdict_on(&st, st.len), VERDICT_PASS);
    stream_free(&st);
}

static void another_name_is_refused_as_soon_as_it_is_there(void **state)
{
    for (size_t wrong = 0; wrong < 8; wrong++) {
        struct stream st = {0};
        struct stand s;
        struct line l;
        stream_curve(&st, 0, 17);
        stream_curve(&st, 0, 600); /* longer than message.hold, to be refused by its beginning */
        size_t first = 2 + 33;
        st.bytes[first + 9 + wrong] ^= 0x20;
        for (size_t most = 1; most < 60; most++)
            assert_int_equal(verdict_on(&st, most), VERDICT_BAD_CURVE_FRAME);
        stand_init(&s);
        line_init(&l, &s, LINE_CURVE);
        assert_true(line_feed(&l, st.bytes, first + 9 + 7));
        assert_false(line_feed(&l, st.bytes + first + 9 + 7, 1));
        assert_int_equal(l.verdict, VERDICT_BAD_CURVE_FRAME);
        assert_int_equal(l.out_len, first);
        line_fini(&l);
        stand_fini(&s);
        stream_free(&st);
    }
}

/* ---- turns ---- */

enum { EMPTY = 17, PONG = 17 + 5, PING = 17 + 7, BODY = 17 + 100, LARGE = 17 + 1000 };

struct pair {
    struct stand stand;
    struct line up, down;
};

static void pair_init(struct pair *p)
{
    stand_init(&p->stand);
    line_init(&p->up, &p->stand, LINE_CURVE);
    line_init(&p->down, &p->stand, LINE_CURVE | LINE_OUTBOUND);
    p->up.twin = &p->down.traffic;
}

static void pair_fini(struct pair *p)
{
    line_fini(&p->up);
    line_fini(&p->down);
    stand_fini(&p->stand);
}

/* Turns that a frame takes. */
static uint64_t takes(struct line *l, size_t box)
{
    struct stream st = {0};
    uint64_t before = l->turns_used;
    stream_curve(&st, 0, box);
    assert_true(line_feed_by(l, st.bytes, st.len, 50));
    stream_free(&st);
    return l->turns_used - before;
}

/* As REQ and REP have it; and no client has more than two for one. */
static void a_delimiter_takes_the_frame_behind_it_along(void **state)
{
    struct pair p;
    pair_init(&p);
    struct line *both[] = {&p.up, &p.down};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        assert_int_equal(takes(both[i], EMPTY) + takes(both[i], BODY), 1);
        assert_int_equal(takes(both[i], EMPTY) + takes(both[i], LARGE), 1);
        assert_int_equal(takes(both[i], BODY) + takes(both[i], BODY), 2);
        assert_int_equal(takes(both[i], EMPTY) + takes(both[i], EMPTY) + takes(both[i], EMPTY), 3);
        assert_int_equal(takes(both[i], BODY) + takes(both[i], BODY) + takes(both[i], LARGE), 2);
    }
    pair_fini(&p);
}

/* So an idle connection with heartbeats asks nothing, and is answered nothing. */
static void heartbeats_of_the_application_are_no_messages(void **state)
{
    struct pair p;
    pair_init(&p);
    assert_int_equal(takes(&p.up, PONG), 1);   /* not asked for */
    assert_int_equal(takes(&p.down, PING), 1); /* nothing shows yet what it is */
    assert_int_equal(takes(&p.up, PONG), 0);
    p.stand.now_ns += TRAFFIC_CURVE_PING_NS;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(takes(&p.down, PING), 0);
        assert_int_equal(takes(&p.up, PONG), 0);
        p.stand.now_ns += TRAFFIC_CURVE_PING_NS;
    }
    assert_int_equal(takes(&p.down, PING), 0);
    assert_int_equal(takes(&p.down, PING), 1); /* so soon: an answer */
    assert_int_equal(takes(&p.up, PING) + takes(&p.up, BODY), 2);
    assert_int_equal(takes(&p.up, PONG) + takes(&p.up, PONG), 1);
    pair_fini(&p);
}

/* An application without heartbeats has answers of that size: each is one, for no client says PONG. */
static void answers_of_the_size_of_a_ping_are_answers(void **state)
{
    struct pair p;
    pair_init(&p);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(takes(&p.up, BODY), 1);
        assert_int_equal(takes(&p.down, PING), 1);
        p.stand.now_ns += TRAFFIC_CURVE_PING_NS;
    }
    /* Heartbeats begin; then one such answer is taken for a PING, until the next frame of that size. */
    assert_int_equal(takes(&p.down, PING) + takes(&p.up, PONG), 1);
    p.stand.now_ns += TRAFFIC_CURVE_PING_NS;
    assert_int_equal(takes(&p.up, BODY), 1);
    assert_int_equal(takes(&p.down, PING), 0);
    p.stand.now_ns += TRAFFIC_CURVE_PING_NS;
    assert_int_equal(takes(&p.down, PING), 2);
    assert_int_equal(takes(&p.up, PONG), 0);
    p.stand.now_ns += TRAFFIC_CURVE_PING_NS;
    assert_int_equal(takes(&p.down, PING), 0);
    pair_fini(&p);
}

/* Frames wait as messages do: whole where they come at once, large ones at their ends; and nothing is dropped. */
static void frames_wait_for_turns(void **state)
{
    const size_t boxes[] = {EMPTY, LARGE, BODY, LARGE, PING};
    struct stream st = {0};
    struct pair p;
    pair_init(&p);
    p.up.stinted = true;
    p.up.patience = STOPS;
    p.up.shed = SHED_DROP;
    for (size_t i = 0; i < ARRAY_LEN(boxes); i++)
        stream_curve(&st, 0, boxes[i]);
    line_feed(&p.up, st.bytes, st.len);
    const size_t large = 9 + 16 + LARGE, waits_at[] = {0, 35 + large, 35 + large + 135, st.len - 42};
    for (size_t i = 0; i < ARRAY_LEN(waits_at); i++) {
        assert_true(p.up.waiting);
        assert_int_equal(p.up.out_len, waits_at[i]);
        p.up.turns = 1;
        line_feed(&p.up, NULL, 0);
    }
    assert_int_equal(p.up.out_len, st.len);
    assert_memory_equal(p.up.out, st.bytes, st.len);
    stream_curve(&st, 0, LARGE);
    assert_false(line_feed_by(&p.up, st.bytes + p.up.out_len, large, 100));
    assert_int_equal(p.up.out_len, st.len - 1);
    stream_free(&st);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delimiter_takes_the_frame_behind_it_along),
        cmocka_unit_test(heartbeats_of_the_application_are_no_messages),
        cmocka_unit_test(answers_of_the_size_of_a_ping_are_answers),
        cmocka_unit_test(frames_wait_for_turns),
        cmocka_unit_test(frames_pass_in_pieces_of_every_size),
        cmocka_unit_test(another_name_is_refused_as_soon_as_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
