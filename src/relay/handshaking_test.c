/* SPDX-License-Identifier: MPL-2.0 */
/* The handshake of a session: what is learned of the application, when, and what becomes of bytes that arrive with
 * it. */
#include "relay/testing/fixture.h"
#include "zmtp/greeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define KIB 1024u

static void assert_no_verdicts(struct fixture *s)
{
    for (unsigned v = 1; v < VERDICT_COUNT; v++)
        if (fixture_verdict(s, (enum verdict)v))
            fail_msg("%llu x %s", (unsigned long long)fixture_verdict(s, (enum verdict)v),
                     verdict_info((enum verdict)v)->label);
}

/* ---- bytes behind READY ---- */

/* The application has much to send, and sends it in one go with its READY, to a gate that reads it late. */
static void a_backlog_comes_with_ready(size_t size)
{
    struct fixture s;
    struct end client, app = {.fd = -1}, next;
    fixture_init(&s, NULL);
    fixture_start(&s);
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
        fixture_round(&s);
        end_read(&client, SIZE_MAX);
    }
    size_t behind = app.out.len - size;
    struct bytes got = end_traffic(&client, NULL);
    assert_int_equal(got.len, size);
    assert_memory_equal(got.at, app.out.bytes + behind, size);
    assert_no_verdicts(&s);
    assert_int_equal(fixture_cell(&s, CELL_ESTABLISHED), 1);
    end_close(&client), end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void a_backlog_is_no_fault_of_the_application(void **state)
{
    static const size_t sizes[] = {KIB, 58 * KIB, 64 * KIB, 128 * KIB, 292 * KIB, 2048 * KIB};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
        a_backlog_comes_with_ready(sizes[i]);
}

/* ---- an application that comes back as another ---- */

/* The application comes with this type and serves one client. The client leaves, and then the application. */
static void live_once(struct fixture *s, const char *client_type, const char *app_type)
{
    struct end client, app;
    fixture_app_listen(s);
    fixture_pair(s, &client, &app, client_type, app_type);
    end_close(&client), end_close(&app);
    fixture_rounds(s, 10);
    fixture_app_stop(s);
    fixture_sleep(s, 2 * NS_PER_S);
}

static enum socket_type type_of(const char *name)
{
    return socket_type_parse((struct bytes){(const uint8_t *)name, strlen(name)});
}

static void another_type_is_learned_from_its_own_ready(void **state)
{
    static const char *const lives[][2] = {{"DEALER", "ROUTER"}, {"SUB", "PUB"}, {"REQ", "REP"}, {"PUSH", "PULL"}};
    struct fixture s;
    fixture_init(&s, NULL);
    fixture_start(&s);
    for (unsigned i = 0; i < 3 * ARRAY_LEN(lives); i++) {
        live_once(&s, lives[i % 4][0], lives[i % 4][1]);
        assert_int_equal(gate_socket(&s.gate), type_of(lives[i % 4][1]));
    }
    assert_no_verdicts(&s);
    assert_int_equal(fixture_cell(&s, CELL_ESTABLISHED), 3 * ARRAY_LEN(lives));
    fixture_fini(&s);
}

/* Facts that follow from the type are replaced with it. */
static void the_limiter_is_told_of_another_type(void **state)
{
    struct fixture s;
    struct reqlimit *l = &s.gate.limiter.limit;
    fixture_init(&s, NULL);
    fixture_start(&s);
    live_once(&s, "REQ", "REP");
    assert_int_equal(l->plain.state, PLAIN_YES);
    live_once(&s, "DEALER", "ROUTER");
    assert_int_equal(l->plain.state, PLAIN_UNKNOWN);
    live_once(&s, "REQ", "REP");
    assert_int_equal(l->plain.state, PLAIN_YES);
    live_once(&s, "PUSH", "PULL");
    assert_int_equal(l->plain.state, PLAIN_UNKNOWN);
    fixture_fini(&s);
}

/* A client that does not fit is refused by the type that the application shows now, and the breaker does not count
 * it. */
static void a_client_of_the_wrong_type_is_no_failure_of_the_application(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    s.config->gates[0].breaker.failures = 1;
    fixture_start(&s);
    live_once(&s, "DEALER", "ROUTER");
    fixture_app_listen(&s);
    for (unsigned i = 0; i < 5; i++) {
        end_connect(&client, &s, 0);
        end_greet(&client, "DEALER", NULL);
        end_write(&client, SIZE_MAX);
        for (unsigned n = 0; n < 20; n++) {
            fixture_rounds(&s, 2);
            if (!end_accept(&app, &s))
                continue;
            end_greet(&app, "PUB", NULL);
            end_write(&app, SIZE_MAX);
            fixture_rounds(&s, 4);
            end_close(&app);
        }
        end_close(&client);
        fixture_sleep(&s, 2 * NS_PER_S);
    }
    assert_int_equal(fixture_verdict(&s, VERDICT_WRONG_SOCKET_TYPE), 5);
    assert_int_equal(atomic_load(&s.gate.breaker.opened), 0);
    assert_int_equal(gate_socket(&s.gate), SOCKET_PUB);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backlog_is_no_fault_of_the_application),
        cmocka_unit_test(another_type_is_learned_from_its_own_ready),
        cmocka_unit_test(the_limiter_is_told_of_another_type),
        cmocka_unit_test(a_client_of_the_wrong_type_is_no_failure_of_the_application),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
