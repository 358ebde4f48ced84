/* SPDX-License-Identifier: MPL-2.0 */
/* CURVE passing through: every frame is a MESSAGE, and nothing is ever dropped. */
#include "security/traffic_drive.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_pass_in_pieces_of_every_size),
        cmocka_unit_test(another_name_is_refused_as_soon_as_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
