/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/testing/fixture.h"
#include "relay/lane_buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct bytes text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static void assert_holds(const struct lane *l, const char *s)
{
    assert_int_equal(l->end - l->start, strlen(s));
    assert_memory_equal(l->buf + l->start, s, strlen(s));
}

static void bytes_stand_in_their_order(void **state)
{
    struct fixture_duo p;
    fixture_duo_init(&p);
    struct lane *l = &p.session->up;
    assert_true(lane_buffer_append(l, p.session, text("")));
    assert_null(l->buf);
    assert_true(lane_buffer_append(l, p.session, text("held")));
    assert_true(lane_buffer_append(l, p.session, text(" back")));
    assert_true(lane_buffer_insert(l, p.session, (const uint8_t *)"own ", 4));
    assert_holds(l, "own held back");
    assert_int_equal(l->ready, 4);
    assert_int_equal(fixture_cell(&p.fixture, CELL_HELD), l->cap);
    lane_buffer_drop(l, p.session);
    assert_null(l->buf);
    assert_int_equal(fixture_cell(&p.fixture, CELL_HELD), 0);
    lane_buffer_drop(l, p.session);
    fixture_duo_fini(&p);
}

static void room_is_made_at_the_end(void **state)
{
    struct fixture_duo p;
    fixture_duo_init(&p);
    struct lane *l = &p.session->up;
    assert_true(lane_buffer_append(l, p.session, text("gone, still here")));
    l->start = l->ready = l->scanned = 6;
    uint32_t cap = l->cap;
    assert_true(lane_buffer_make_room(l, p.session, cap - l->end + 6)); /* what has gone makes room enough */
    assert_int_equal(l->cap, cap);
    assert_int_equal(l->start, 0);
    assert_holds(l, "still here");
    assert_true(lane_buffer_make_room(l, p.session, cap));
    assert_in_range(l->cap, cap + 10, BUFPOOL_MAX_BYTES);
    assert_holds(l, "still here");
    lane_buffer_drop(l, p.session);
    fixture_duo_fini(&p);
}

static void without_memory_nothing_changes(void **state)
{
    struct fixture_duo p;
    fixture_duo_init(&p);
    struct lane *l = &p.session->up;
    assert_true(lane_buffer_append(l, p.session, text("here")));
    uint32_t cap = l->cap;
    assert_false(lane_buffer_make_room(l, p.session, BUFPOOL_MAX_BYTES));
    p.fixture.worker.loop.pool.fail_after = 1;
    assert_false(lane_buffer_make_room(l, p.session, cap));
    assert_int_equal(l->cap, cap);
    assert_holds(l, "here");
    assert_int_equal(fixture_cell(&p.fixture, CELL_HELD), cap);
    lane_buffer_drop(l, p.session);
    fixture_duo_fini(&p);
}

/* A window in the scratch: "AAABBheld", of which the receiver has taken one "A" and the "B"s are left out. */
static void what_was_not_written_stands_before_what_is_held(void **state)
{
    struct fixture_duo p;
    fixture_duo_init(&p);
    struct lane *l = &p.session->up;
    uint8_t scratch[] = "AAABBheld";
    struct lane_window w = {scratch, scratch, scratch + 9, true};
    struct traffic_result r = {.span_count = 1, .keep = scratch + 5, .scanned = scratch + 7};
    struct bytes rest = {scratch + 1, 2};
    assert_true(lane_buffer_keep(l, p.session, &w, &r, &rest, 2));
    assert_holds(l, "AAheld");
    assert_int_equal(l->ready, 2);
    assert_int_equal(l->scanned, 4);
    lane_buffer_drop(l, p.session);
    fixture_duo_fini(&p);
}

static void a_few_bytes_do_not_keep_a_large_buffer(void **state)
{
    struct fixture_duo p;
    fixture_duo_init(&p);
    struct lane *l = &p.session->up;
    assert_true(lane_buffer_make_room(l, p.session, 65536));
    uint8_t scratch[] = "few";
    struct lane_window w = {scratch, scratch, scratch + 3, true};
    struct traffic_result r = {.keep = scratch, .scanned = scratch};
    assert_true(lane_buffer_keep(l, p.session, &w, &r, NULL, 0));
    assert_holds(l, "few");
    assert_in_range(l->cap, 3, 4096);
    w = (struct lane_window){l->buf, l->buf, l->buf + l->end, false};
    r = (struct traffic_result){.keep = l->buf + 3, .scanned = l->buf + 3};
    assert_true(lane_buffer_keep(l, p.session, &w, &r, NULL, 0)); /* nothing is left */
    assert_null(l->buf);
    fixture_duo_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stand_in_their_order),
        cmocka_unit_test(room_is_made_at_the_end),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(what_was_not_written_stands_before_what_is_held),
        cmocka_unit_test(a_few_bytes_do_not_keep_a_large_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
