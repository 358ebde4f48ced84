/* SPDX-License-Identifier: MPL-2.0 */
/* Messages: whole, dropped, streaming, waiting for room; and the commands around and between their frames. */
#include "security/traffic_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define MORE ZMTP_FLAG_MORE

static struct stand stand;
static struct line line;
static struct stream sent, wanted;

static int set_up(void **state)
{
    stand_init(&stand);
    line_init(&line, &stand, 0);
    return 0;
}

static int tear_down(void **state)
{
    line_fini(&line);
    stand_fini(&stand);
    stream_free(&sent);
    stream_free(&wanted);
    return 0;
}

/* Starts over, as another kind of line. */
static void again(unsigned flags)
{
    struct limits l = stand.limits;
    line_fini(&line);
    stand_fini(&stand);
    stand_init(&stand);
    stand.limits = l;
    line_init(&line, &stand, flags);
}

/* Feeds it as a whole and byte by byte, and expects the verdict, and `wanted` to have passed. */
static void expect(unsigned flags, enum verdict v)
{
    size_t sizes[] = {sent.len, 1, 2, 3, 7, 64};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        again(flags);
        line_feed_by(&line, sent.bytes, sent.len, sizes[i]);
        assert_int_equal(line.verdict, v);
        assert_int_equal(line.out_len, wanted.len);
        if (wanted.len)
            assert_memory_equal(line.out, wanted.bytes, wanted.len);
    }
    sent.len = wanted.len = 0;
}

/* ---- dropping ---- */

/* What was admitted before must not go with it. */
static void a_message_cut_short_is_dropped_alone(void **state)
{
    stand.limits.message.over = ACTION_DROP;
    stand.limits.message.frame_bytes = 100;
    stream_frame(&sent, 0, 'a', 10);
    stream_frame(&wanted, 0, 'a', 10);
    stream_frame(&sent, 0, 'b', 101);
    sent.len -= 50;
    expect(0, VERDICT_PASS);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_message_cut_short_is_dropped_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
