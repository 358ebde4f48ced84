/* SPDX-License-Identifier: MPL-2.0 */
/* How long either end of a handshake may take. */
#include "relay/handshaking.h"
#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct fixture_clients *clients_new(void)
{
    static struct fixture_clients c;
    memset(&c, 0, sizeof(c));
    fixture_init(&c.fixture, "tcp://127.0.0.1:*");
    c.fixture.limits->handshake.within_ns = 3600 * NS_PER_S;
    return &c;
}

static void assert_no_verdicts(struct fixture *s)
{
    for (unsigned v = 1; v < VERDICT_COUNT; v++)
        if (fixture_verdict(s, (enum verdict)v))
            fail_msg("%llu x %s", (unsigned long long)fixture_verdict(s, (enum verdict)v),
                     verdict_info((enum verdict)v)->label);
}

static void a_handshake_has_its_time(void **state)
{
    struct fixture_clients *c = clients_new();
    c->fixture.limits->handshake.within_ns = 300 * NS_PER_MS;
    fixture_start(&c->fixture);
    struct end *silent = come_silently(c, HOST(1));
    settle(c);
    fixture_sleep(&c->fixture, 250 * NS_PER_MS);
    assert_int_equal(atomic_load(&c->fixture.gate.counts.open), 1);
    fixture_sleep(&c->fixture, 60 * NS_PER_MS);
    settle(c);
    assert_true(silent->over);
    assert_int_equal(fixture_verdict(&c->fixture, VERDICT_HANDSHAKE_TIMEOUT), 1);
    fixture_clients_free(c);
}

/* An application of unknown type that sends READY only after the client's gets that after a while. */
static void a_ready_is_not_held_for_ever(void **state)
{
    struct fixture s;
    struct end client, app = {.fd = -1};
    fixture_init(&s, NULL);
    fixture_start(&s);
    end_connect(&client, &s, 0);
    end_greet(&client, "DEALER", NULL);
    end_write(&client, SIZE_MAX);
    for (unsigned i = 0; i < 50 && app.fd < 0; i++) {
        fixture_rounds(&s, 2);
        end_accept(&app, &s);
    }
    assert_true(app.fd >= 0);
    end_greet(&app, "ROUTER", NULL);
    end_write(&app, ZMTP_GREETING_BYTES);
    fixture_rounds(&s, 10);
    end_read(&app, SIZE_MAX);
    assert_int_equal(app.in.len, ZMTP_GREETING_BYTES);
    fixture_sleep(&s, 200 * NS_PER_MS);
    fixture_rounds(&s, 10);
    end_read(&app, SIZE_MAX);
    assert_true(app.in.len > ZMTP_GREETING_BYTES);
    end_write(&app, SIZE_MAX);
    fixture_rounds(&s, 10);
    assert_int_equal(fixture_cell(&s, CELL_ESTABLISHED), 1);
    assert_no_verdicts(&s);
    end_close(&client), end_close(&app);
    fixture_fini(&s);
}

/* Both ends have their time: the client's is over after handshake.within, the application's after 30 s. */
static void an_application_has_longer_than_a_client(void **state)
{
    struct fixture s;
    struct end client, app = {.fd = -1};
    fixture_init(&s, NULL);
    s.limits->handshake.within_ns = NS_PER_S;
    fixture_start(&s);
    end_connect(&client, &s, 0);
    end_greet(&client, "DEALER", NULL);
    end_write(&client, SIZE_MAX);
    fixture_rounds(&s, 4);
    struct session *session = fixture_session(&s);
    assert_true(session->handshaking->clock.apps_turn);
    fixture_sleep(&s, 5 * NS_PER_S);
    assert_true(end_accept(&app, &s));
    assert_int_equal(fixture_cell(&s, CELL_CLOSED), 0);
    assert_true(session->handshaking->clock.late); /* the application was reported as silent */
    assert_false(handshaking_clock_is_overdue(session));
    fixture_sleep(&s, 26 * NS_PER_S);
    assert_int_equal(fixture_cell(&s, CELL_CLOSED), 1);
    assert_int_equal(fixture_verdict(&s, VERDICT_APPLICATION_ABSENT), 1);
    assert_int_equal(fixture_verdict(&s, VERDICT_HANDSHAKE_TIMEOUT), 0);
    end_close(&client), end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void a_client_is_overdue_after_a_second_of_its_own(void **state)
{
    struct fixture s;
    struct end client;
    fixture_init(&s, NULL);
    s.limits->handshake.within_ns = 10 * NS_PER_S;
    fixture_start(&s);
    end_connect(&client, &s, 0);
    fixture_rounds(&s, 4);
    struct session *session = fixture_session(&s);
    assert_false(session->handshaking->clock.apps_turn);
    fixture_sleep(&s, 900 * NS_PER_MS);
    assert_false(handshaking_clock_is_overdue(session));
    fixture_sleep(&s, 200 * NS_PER_MS);
    assert_true(handshaking_clock_is_overdue(session));
    end_close(&client);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_has_its_time),
        cmocka_unit_test(an_application_has_longer_than_a_client),
        cmocka_unit_test(a_client_is_overdue_after_a_second_of_its_own),
        cmocka_unit_test(a_ready_is_not_held_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
