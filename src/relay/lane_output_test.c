/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/testing/fixture.h"
#include "relay/lane_output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* The kernel has no memory for a while, which no event reports: the write is retried. */
static void what_the_kernel_had_no_memory_for_is_tried_again(void **state)
{
    static const uint8_t message[] = {0x00, 5, 'h', 'e', 'l', 'l', 'o'};
    struct fixture s;
    struct end client, app;
    unsigned pongs = 0;
    fixture_init(&s, NULL);
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "DEALER");
    for (unsigned i = 1; i <= 3; i++) {
        stream_put(&client.out, message, sizeof(message));
        end_write(&client, SIZE_MAX);
        fixture_starve(i);
        fixture_sleep(&s, 100 * NS_PER_MS);
        fixture_starve(0);
        end_read(&app, SIZE_MAX);
        assert_int_equal(end_traffic(&app, &pongs).len, i * sizeof(message));
    }
    end_close(&client);
    end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

/* The client takes nothing: the rest waits, and a frame of Weir's own is not put in between. Then all of it comes. */
static void what_is_not_taken_waits(void **state)
{
    static const uint8_t own[] = {ZMTP_FLAG_COMMAND, 7, 4, 'P', 'O', 'N', 'G', 'x', 'y'};
    struct fixture s;
    struct end client, app;
    unsigned pongs = 0;
    size_t size = 4 * 1024 * 1024;
    fixture_init(&s, NULL);
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "DEALER");
    struct session *session = fixture_session(&s);
    assert_true(lane_output_send(&session->down, session, own, sizeof(own), true));
    stream_frame(&app.out, 0, 'x', size);
    for (unsigned i = 0; i < 100 && !session->down.blocked; i++) {
        end_write(&app, SIZE_MAX);
        fixture_rounds(&s, 2);
    }
    assert_true(session->down.blocked);
    assert_int_equal(fixture_cell(&s, CELL_BLOCKED_OUT), 1);
    assert_false(lane_output_send(&session->down, session, own, sizeof(own), true));
    end_read(&client, SIZE_MAX);
    (void)end_traffic(&client, &pongs);
    assert_int_equal(pongs, 1);
    for (unsigned i = 0; i < 1000 && end_traffic(&client, &pongs).len < size; i++) {
        assert_int_equal(pongs, 0);
        end_read(&client, SIZE_MAX);
        end_write(&app, SIZE_MAX);
        fixture_rounds(&s, 2);
    }
    assert_false(session->down.blocked);
    assert_int_equal(fixture_cell(&s, CELL_BLOCKED_OUT), 0);
    assert_int_equal(end_traffic(&client, NULL).len, size + 9);
    end_close(&client);
    end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

/* Its connection is reset while messages for it wait: what it has sent before is delivered. */
static void an_application_that_is_gone_shuts_the_lane(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "DEALER");
    struct session *session = fixture_session(&s);
    stream_frame(&app.out, 0, 'x', 100);
    end_write(&app, SIZE_MAX);
    end_close(&app);
    stream_frame(&client.out, 0, 'x', 100);
    end_write(&client, SIZE_MAX);
    session->front.readable = true;
    (void)lane_run(&session->up, session);
    assert_true(session->up.shut);
    assert_false(session->flags.ended);
    session_wake(session);
    fixture_rounds(&s, 10);
    for (unsigned i = 0; i < 2; i++)
        end_read(&client, SIZE_MAX);
    assert_int_equal(end_traffic(&client, NULL).len, 102);
    assert_true(client.over);
    end_close(&client);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_kernel_had_no_memory_for_is_tried_again),
        cmocka_unit_test(what_is_not_taken_waits),
        cmocka_unit_test(an_application_that_is_gone_shuts_the_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
