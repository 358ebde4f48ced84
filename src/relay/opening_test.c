/* SPDX-License-Identifier: MPL-2.0 */
/* How a session becomes one: what is learned of the application, when, and what happens to what comes with it. */
#include "relay/stage.h"
#include "zmtp/greeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define KIB 1024u

static void assert_no_verdicts(struct stage *s)
{
    for (unsigned v = 1; v < VERDICT_COUNT; v++)
        if (stage_verdict(s, (enum verdict)v))
            fail_msg("%llu x %s", (unsigned long long)stage_verdict(s, (enum verdict)v),
                     verdict_info((enum verdict)v)->label);
}

/* ---- what comes behind READY ---- */

/* The application has much to say, and says it in one go with its READY, to a gate that gets to read it late. */
static void a_backlog_comes_with_ready(size_t size)
{
    struct stage s;
    struct end client, app = {.fd = -1}, next;
    stage_init(&s, NULL);
    stage_start(&s);
    end_connect(&client, &s, 0);
    end_greet(&client, "PULL", NULL);
    end_write(&client, SIZE_MAX);
    for (unsigned i = 0; i < 2000 && end_traffic(&client, NULL).len < size; i++) {
        while (end_accept(&next, &s)) {
            app = next;
            end_greet(&app, "PUSH", NULL);
            for (size_t put = 0; put < size; put += KIB)
                stream_frame(&app.out, 0, (uint8_t)('a' + put / KIB % 26), KIB - 9);
        }
        end_write(&app, SIZE_MAX);
        stage_round(&s);
        end_read(&client, SIZE_MAX);
    }
    size_t behind = app.out.len - size;
    struct bytes got = end_traffic(&client, NULL);
    assert_int_equal(got.len, size);
    assert_memory_equal(got.at, app.out.bytes + behind, size);
    assert_no_verdicts(&s);
    assert_int_equal(stage_cell(&s, CELL_ESTABLISHED), 1);
    end_close(&client), end_close(&app);
    stage_rounds(&s, 10);
    stage_fini(&s);
}

static void a_backlog_is_no_fault_of_the_application(void **state)
{
    static const size_t sizes[] = {KIB, 58 * KIB, 64 * KIB, 128 * KIB, 292 * KIB, 2048 * KIB};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
        a_backlog_comes_with_ready(sizes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backlog_is_no_fault_of_the_application),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
