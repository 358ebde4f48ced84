/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/testing/fixture.h"
#include "relay/lane_input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

/* The client has sent this many bytes, which nobody has read. */
static void send_bytes(struct fixture_duo *p, size_t size)
{
    static const uint8_t bytes[1 << 17];
    stream_put(&p->client.out, bytes, size);
    end_write(&p->client, SIZE_MAX);
    p->session->front.readable = true;
}

/* The lane holds the beginning of a message, which was judged. */
static void hold(struct fixture_duo *p, size_t size)
{
    struct lane *l = &p->session->up;
    assert_true(lane_buffer_make_room(l, p->session, size));
    memset(l->buf, 'h', size);
    l->scanned = l->end = (uint32_t)size;
}

static void little_is_read_into_the_scratch(void **state)
{
    struct fixture_duo p;
    struct lane_window w;
    fixture_duo_init(&p);
    struct lane *l = &p.session->up;
    assert_false(lane_input_next(l, p.session, &w));
    send_bytes(&p, 100);
    hold(&p, 10);
    assert_true(lane_input_next(l, p.session, &w));
    assert_true(w.in_scratch);
    assert_int_equal(w.scan - w.base, 10);
    assert_int_equal(w.end - w.scan, 100);
    assert_memory_equal(w.base, "hhhhhhhhhh", 10);
    assert_false(p.session->front.readable); /* a short read has emptied the socket */
    assert_false(lane_input_next(l, p.session, &w));
    lane_buffer_drop(l, p.session);
    fixture_duo_fini(&p);
}

static void behind_a_long_beginning_nothing_is_copied(void **state)
{
    struct fixture_duo p;
    struct lane_window w;
    fixture_duo_init(&p);
    struct lane *l = &p.session->up;
    hold(&p, 10000);
    send_bytes(&p, 100);
    assert_true(lane_input_next(l, p.session, &w));
    assert_false(w.in_scratch);
    assert_ptr_equal(w.base, l->buf);
    assert_ptr_equal(w.scan, l->buf + 10000);
    assert_ptr_equal(w.end, l->buf + 10100);
    assert_int_equal(l->end, 10100);
    lane_buffer_drop(l, p.session);
    fixture_duo_fini(&p);
}

static void what_was_not_judged_comes_first(void **state)
{
    struct fixture_duo p;
    struct lane_window w;
    fixture_duo_init(&p);
    struct lane *l = &p.session->up;
    hold(&p, 10);
    l->scanned = 4;
    send_bytes(&p, 100);
    assert_true(lane_input_next(l, p.session, &w));
    assert_int_equal(w.scan - w.base, 4);
    assert_int_equal(w.end - w.base, 10);
    assert_true(p.session->front.readable);
    lane_buffer_drop(l, p.session);
    fixture_duo_fini(&p);
}

static void full_reads_grow(void **state)
{
    struct fixture_duo p;
    struct lane_window w;
    fixture_duo_init(&p);
    struct lane *l = &p.session->up;
    size_t first = (size_t)1 << LANE_READ_LOG2_FIRST;
    send_bytes(&p, 4 * first);
    assert_true(lane_input_next(l, p.session, &w));
    assert_int_equal(w.end - w.scan, first);
    assert_true(lane_input_next(l, p.session, &w));
    assert_int_equal(w.end - w.scan, 2 * first);
    assert_true(lane_input_next(l, p.session, &w));
    assert_int_equal(w.end - w.scan, first);
    assert_int_equal(l->read_log2, LANE_READ_LOG2_FIRST + 2);
    fixture_duo_fini(&p);
}

static void the_end_is_read_once(void **state)
{
    struct fixture_duo p;
    struct lane_window w;
    fixture_duo_init(&p);
    assert_int_equal(shutdown(p.client.fd, SHUT_WR), 0);
    p.session->front.readable = true;
    assert_false(lane_input_next(&p.session->up, p.session, &w));
    assert_true(p.session->up.eof);
    assert_false(p.session->front.readable);
    p.session->front.readable = true;
    assert_false(lane_input_next(&p.session->up, p.session, &w));
    assert_true(p.session->front.readable);
    fixture_duo_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_is_read_into_the_scratch),
        cmocka_unit_test(behind_a_long_beginning_nothing_is_copied),
        cmocka_unit_test(what_was_not_judged_comes_first),
        cmocka_unit_test(full_reads_grow),
        cmocka_unit_test(the_end_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
