/* SPDX-License-Identifier: MPL-2.0 */
/* What ends an open session because time has passed. */
#include "relay/deadlines.h"
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define SLOW_NS (2 * NS_PER_S)

/* A client that has sent half of a message, and may take two seconds for all of it. */
struct play {
    struct fixture fixture;
    struct end client, app;
    struct session *session;
};

static void play_init(struct play *p)
{
    fixture_init(&p->fixture, NULL);
    p->fixture.limits->message.complete_within_ns = SLOW_NS;
    fixture_start(&p->fixture);
    fixture_pair(&p->fixture, &p->client, &p->app, "DEALER", "ROUTER");
    p->session = fixture_session(&p->fixture);
    stream_frame(&p->client.out, 0, 'x', 100);
    end_write(&p->client, 50);
    fixture_rounds(&p->fixture, 4);
}

static void play_fini(struct play *p)
{
    end_close(&p->client), end_close(&p->app);
    fixture_rounds(&p->fixture, 10);
    fixture_fini(&p->fixture);
}

static void a_message_that_takes_too_long_ends_it(void **state)
{
    struct play p;
    play_init(&p);
    fixture_sleep(&p.fixture, SLOW_NS - 50 * NS_PER_MS);
    assert_int_equal(fixture_cell(&p.fixture, CELL_CLOSED), 0);
    fixture_sleep(&p.fixture, 100 * NS_PER_MS);
    assert_int_equal(fixture_verdict(&p.fixture, VERDICT_MESSAGE_TOO_SLOW), 1);
    play_fini(&p);
}

/* It was Weir that did not read on: that is no offence. */
static void without_memory_it_gives_way(void **state)
{
    struct play p;
    play_init(&p);
    p.session->progress.begun_ns = p.session->times.active_ns = 1;
    p.session->up.awaits_memory = true;
    deadlines_on_alarm(p.session);
    assert_true(p.session->flags.ended);
    assert_int_equal(p.session->flags.verdict, VERDICT_MEMORY_GIVE_WAY);
    p.session->up.awaits_memory = false;
    session_reap(&p.fixture.worker);
    play_fini(&p);
}

/* A deadline that has moved rings then; it does not ring at once. */
static void another_limit_sets_another_deadline(void **state)
{
    struct play p;
    play_init(&p);
    p.fixture.in_force->message.complete_within_ns = NS_PER_S;
    deadlines_reconsider(p.session);
    fixture_sleep(&p.fixture, 900 * NS_PER_MS);
    assert_int_equal(fixture_cell(&p.fixture, CELL_CLOSED), 0);
    fixture_sleep(&p.fixture, 200 * NS_PER_MS);
    assert_int_equal(fixture_verdict(&p.fixture, VERDICT_MESSAGE_TOO_SLOW), 1);
    play_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_that_takes_too_long_ends_it),
        cmocka_unit_test(without_memory_it_gives_way),
        cmocka_unit_test(another_limit_sets_another_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
