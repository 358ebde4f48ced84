/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/testing/fixture.h"
#include "relay/lane_pause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void a_pause_ends_when_its_time_has_come(void **state)
{
    struct fixture_duo p;
    fixture_duo_init(&p);
    struct session *s = p.session;
    struct traffic_result r = {.wait_ns = NS_PER_S};
    s->progress.begun_ns = 1;
    lane_pause_begin(&s->up, s, &r);
    lane_pause_begin(&s->up, s, &r); /* one pause */
    assert_int_equal(fixture_cell(&p.fixture, CELL_PAUSED), 1);
    assert_int_equal(fixture_cell(&p.fixture, CELL_PAUSES), 1);
    assert_int_equal(s->up.read_log2, LANE_READ_LOG2_FIRST - 1);
    assert_false(lane_pause_is_over(&s->up, s));
    p.fixture.worker.loop.now_ns += NS_PER_S;
    assert_true(lane_pause_is_over(&s->up, s));
    assert_int_equal(fixture_cell(&p.fixture, CELL_PAUSED), 0);
    assert_int_equal(s->progress.begun_ns, session_now_ns(s)); /* it was Weir that waited */
    assert_true(lane_pause_is_over(&s->up, s));
    s->progress.begun_ns = 0;
    fixture_duo_fini(&p);
}

/* Nobody can answer a PING inside CURVE. */
static void in_curve_it_is_short(void **state)
{
    struct fixture_duo p;
    fixture_duo_init(&p);
    struct session *s = p.session;
    struct traffic_result r = {.wait_ns = 3600 * NS_PER_S};
    s->up.traffic.curve = true;
    lane_pause_begin(&s->up, s, &r);
    assert_int_equal(s->times.resume_ns, session_now_ns(s) + session_limits(s)->heartbeat.max_pause_ns);
    assert_true(s->up.traffic.grace);
    lane_pause_end(&s->up, s);
    lane_pause_end(&s->up, s);
    s->up.traffic.curve = s->up.traffic.grace = false;
    fixture_duo_fini(&p);
}

static void only_the_inbound_lane_is_in_line(void **state)
{
    struct fixture_duo p;
    fixture_duo_init(&p);
    struct session *s = p.session;
    s->progress.begun_ns = 1;
    s->flags.in_line = true;
    assert_true(lane_pause_has_turn(&s->down, s));
    assert_false(lane_pause_has_turn(&s->up, s));
    assert_true(s->up.held_back);
    assert_int_equal(s->progress.begun_ns, 1);
    s->flags.in_line = false;
    assert_true(lane_pause_has_turn(&s->up, s));
    assert_false(s->up.held_back);
    assert_int_equal(s->progress.begun_ns, session_now_ns(s));
    s->progress.begun_ns = 0;
    fixture_duo_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pause_ends_when_its_time_has_come),
        cmocka_unit_test(in_curve_it_is_short),
        cmocka_unit_test(only_the_inbound_lane_is_in_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
