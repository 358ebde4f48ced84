/* SPDX-License-Identifier: MPL-2.0 */
/* In which queue a session waits for its turn. */
#include "relay/run_queues.h"

#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void who_moves_much_comes_after_others(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "PUSH", "PULL");
    struct session *session = fixture_session(&s);
    struct run_queues *run = &s.worker.run;
    stream_frame(&client.out, 0, 'x', 100 * 1024);
    end_write(&client, SIZE_MAX);
    session->front.readable = true;
    session_wake(session);
    assert_false(list_empty(&run->light));
    session_run(LIST_ENTRY(list_pop(&run->light), struct session, in.run));
    assert_true(session->flags.heavy);
    assert_true(list_empty(&run->light));
    assert_false(list_empty(&run->heavy)); /* there is more */
    for (unsigned i = 0; i < 100 && end_traffic(&app, NULL).len < 100 * 1024; i++) {
        run_queues_serve(&s.worker);
        end_read(&app, SIZE_MAX);
        fixture_round(&s);
    }
    assert_int_equal(end_traffic(&app, NULL).len, 100 * 1024 + 9);
    stream_frame(&client.out, 0, 'x', 10);
    end_write(&client, SIZE_MAX);
    fixture_rounds(&s, 4);
    assert_false(session->flags.heavy);
    end_close(&client), end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void handshakes_have_a_queue_of_their_own(void **state)
{
    struct fixture s;
    struct end client;
    fixture_init(&s, NULL);
    fixture_start(&s);
    end_connect(&client, &s, 0);
    fixture_rounds(&s, 4);
    session_wake(fixture_session(&s));
    assert_false(list_empty(&s.worker.run.fresh));
    s.worker.run.fresh_at_ns = s.worker.loop.now_ns + 1; /* they rest */
    run_queues_serve(&s.worker);
    assert_false(list_empty(&s.worker.run.fresh));
    s.worker.run.fresh_at_ns = s.worker.loop.now_ns;
    run_queues_serve(&s.worker);
    assert_true(list_empty(&s.worker.run.fresh));
    end_close(&client);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_moves_much_comes_after_others),
        cmocka_unit_test(handshakes_have_a_queue_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
