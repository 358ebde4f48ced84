/* SPDX-License-Identifier: MPL-2.0 */
/* What follows from what libzmq has told of the application's socket. */
#include "relay/told.h"

#include "relay/handshaking.h"
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define LIBZMQ 40304

static struct socket_options options_of(int type, int mechanism)
{
    struct socket_options o = {.version = LIBZMQ};
    socket_options_set(&o, SOCKET_OPTION_TYPE, type);
    socket_options_set(&o, SOCKET_OPTION_MECHANISM, mechanism);
    return o;
}

static void start_told(struct fixture *s, const struct socket_options *o)
{
    fixture_start(s);
    told_take(&s->gate, o);
}

static void say_greeting(struct end *client, struct fixture *s)
{
    end_connect(client, s, 0);
    end_greet(client, "DEALER", NULL);
    end_write(client, ZMTP_GREETING_BYTES);
    fixture_rounds(s, 10);
    end_read(client, SIZE_MAX);
}

static void types_have_libzmqs_numbers(void **state)
{
    const struct socket_options pair = options_of(0, 0), router = options_of(6, 0), xsub = options_of(10, 0);
    const struct socket_options stream = options_of(11, 0), odd = options_of(-1, 0), nothing = {0};
    assert_int_equal(socket_type_told(&pair), SOCKET_PAIR);
    assert_int_equal(socket_type_told(&router), SOCKET_ROUTER);
    assert_int_equal(socket_type_told(&xsub), SOCKET_XSUB);
    assert_int_equal(socket_type_told(&stream), SOCKET_AUTO);
    assert_int_equal(socket_type_told(&odd), SOCKET_AUTO);
    assert_int_equal(socket_type_told(&nothing), SOCKET_AUTO);
    assert_int_equal(socket_type_told(NULL), SOCKET_AUTO);
}

/* A client that says no more than its greeting is answered, and the application does not learn of it. */
static void a_known_application_is_not_asked(void **state)
{
    struct fixture s;
    struct end client, app = {.fd = -1};
    const struct socket_options o = options_of(6, 0);
    fixture_init(&s, NULL);
    start_told(&s, &o);
    say_greeting(&client, &s);
    assert_in_range(client.in.len, ZMTP_GREETING_BYTES, ZMTP_GREETING_BYTES + 64);
    assert_false(end_accept(&app, &s));
    end_write(&client, SIZE_MAX);
    fixture_rounds(&s, 10);
    assert_true(end_accept(&app, &s));
    end_greet(&app, "ROUTER", NULL);
    end_write(&app, SIZE_MAX);
    fixture_rounds(&s, 10);
    assert_int_equal(fixture_cell(&s, CELL_ESTABLISHED), 1);
    end_close(&client), end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

/* An older libzmq, or one with GSSAPI, is asked as ever. */
static void an_unknown_one_is_asked(void **state)
{
    struct socket_options cases[] = {options_of(6, 3), options_of(6, 0), {0}};
    cases[1].version = 40302;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture s;
        struct end client, app = {.fd = -1};
        fixture_init(&s, NULL);
        start_told(&s, &cases[i]);
        say_greeting(&client, &s);
        assert_in_range(client.in.len, 1, ZMTP_GREETING_BYTES - 1);
        assert_true(end_accept(&app, &s));
        end_close(&client), end_close(&app);
        fixture_rounds(&s, 10);
        fixture_fini(&s);
    }
}

/* It closes one connection, and then the application is asked. */
static void a_wrong_belief_ends_by_itself(void **state)
{
    struct fixture s;
    struct end client, app = {.fd = -1};
    const struct socket_options o = options_of(6, 0);
    fixture_init(&s, NULL);
    start_told(&s, &o);
    end_connect(&client, &s, 0);
    end_greet(&client, "DEALER", NULL);
    end_write(&client, SIZE_MAX);
    fixture_rounds(&s, 10);
    assert_true(end_accept(&app, &s));
    end_greet(&app, "ROUTER", NULL);
    app.out.bytes[11] = 0; /* ZMTP 3.0 */
    end_write(&app, SIZE_MAX);
    fixture_rounds(&s, 10);
    assert_int_equal(fixture_verdict(&s, VERDICT_APPLICATION_CHANGED), 1);
    assert_false(app_facts_told(&s.gate.app));
    end_close(&client), end_close(&app);
    fixture_rounds(&s, 10);
    say_greeting(&client, &s);
    assert_true(end_accept(&app, &s));
    end_close(&client), end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void who_says_hello_is_known(void **state)
{
    static const struct {
        int mechanism;
        enum socket_option role;
        int serves;
        enum initiator expected;
    } cases[] = {
        {0, SOCKET_OPTION_PLAIN_SERVER, 0, INITIATOR_UNKNOWN}, {1, SOCKET_OPTION_PLAIN_SERVER, 1, INITIATOR_CLIENT},
        {1, SOCKET_OPTION_PLAIN_SERVER, 0, INITIATOR_APP},     {2, SOCKET_OPTION_CURVE_SERVER, 1, INITIATOR_CLIENT},
        {2, SOCKET_OPTION_PLAIN_SERVER, 1, INITIATOR_UNKNOWN},
    };
    struct fixture s;
    fixture_init(&s, NULL);
    fixture_start(&s);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct handshake_app app;
        struct socket_options o = options_of(6, cases[i].mechanism);
        socket_options_set(&o, cases[i].role, cases[i].serves);
        told_take(&s.gate, &o);
        assert_true(app_facts_get(&s.gate.app, &app, false, 0));
        assert_int_equal(app.initiator, cases[i].expected);
        assert_false(app.as_server);
    }
    told_take(&s.gate, NULL);
    assert_false(app_facts_told(&s.gate.app));
    fixture_fini(&s);
}

/* ---- ZMQ_HANDSHAKE_IVL ---- */

static void expect_timeout(int64_t ivl_ms, uint64_t within_ns, uint64_t after_ns, enum verdict v)
{
    struct fixture s;
    struct end client;
    struct socket_options o = options_of(6, 0);
    socket_options_set(&o, SOCKET_OPTION_HANDSHAKE_IVL, ivl_ms);
    fixture_init(&s, NULL);
    s.limits->handshake.within_ns = within_ns;
    start_told(&s, &o);
    end_connect(&client, &s, 0);
    fixture_rounds(&s, 4);
    fixture_sleep(&s, after_ns - 20 * NS_PER_MS);
    assert_int_equal(atomic_load(&s.gate.counts.open), 1);
    fixture_sleep(&s, 40 * NS_PER_MS);
    assert_int_equal(fixture_verdict(&s, v), 1);
    end_close(&client);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void the_shorter_time_of_a_client_counts(void **state)
{
    expect_timeout(300, NS_PER_S, 300 * NS_PER_MS, VERDICT_OVER_HANDSHAKE_IVL);
    expect_timeout(3000, NS_PER_S, NS_PER_S, VERDICT_HANDSHAKE_TIMEOUT);
    expect_timeout(1000, NS_PER_S, NS_PER_S, VERDICT_HANDSHAKE_TIMEOUT);
    expect_timeout(0, NS_PER_S, NS_PER_S, VERDICT_HANDSHAKE_TIMEOUT);
    assert_int_equal(verdict_info(VERDICT_OVER_HANDSHAKE_IVL)->strikes, 0);
}

static void the_longer_time_of_the_application_counts(void **state)
{
    static const struct {
        int64_t ivl_ms;
        uint64_t expected_ns;
    } cases[] = {{2000, 30 * NS_PER_S}, {90000, 90 * NS_PER_S}, {0, 24 * 3600 * NS_PER_S}, {-1, 30 * NS_PER_S}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture s;
        struct end client;
        struct socket_options o = options_of(6, 0);
        socket_options_set(&o, SOCKET_OPTION_HANDSHAKE_IVL, cases[i].ivl_ms);
        fixture_init(&s, NULL);
        start_told(&s, &o);
        end_connect(&client, &s, 0);
        fixture_rounds(&s, 4);
        assert_int_equal(told_app_within(fixture_session(&s)), cases[i].expected_ns);
        end_close(&client);
        fixture_rounds(&s, 10);
        fixture_fini(&s);
    }
}

/* ---- heartbeats ---- */

static void the_silence_of_heartbeats_is_halved(void **state)
{
    static const struct {
        int64_t ivl, timeout, ttl;
        uint64_t interval_ns, max_pause_ns;
    } cases[] = {
        {0, 100, 100, 200 * NS_PER_MS, 5 * NS_PER_S},        /* none */
        {1000, -1, 0, 200 * NS_PER_MS, 500 * NS_PER_MS},     /* as the interval */
        {1000, 300, 0, 150 * NS_PER_MS, 150 * NS_PER_MS},    /* shorter */
        {100, 60000, 0, 200 * NS_PER_MS, 5 * NS_PER_S},      /* longer */
        {100, 60000, 200, 100 * NS_PER_MS, 100 * NS_PER_MS}, /* the client's is shorter */
        {100, 0, 0, 200 * NS_PER_MS, 5 * NS_PER_S},          /* any silence */
        {100, 0, 1000, 200 * NS_PER_MS, 500 * NS_PER_MS},    {1, -1, 0, 10 * NS_PER_MS, 10 * NS_PER_MS},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture s;
        struct end client;
        struct socket_options o = options_of(6, 0);
        socket_options_set(&o, SOCKET_OPTION_HEARTBEAT_IVL, cases[i].ivl);
        socket_options_set(&o, SOCKET_OPTION_HEARTBEAT_TIMEOUT, cases[i].timeout);
        socket_options_set(&o, SOCKET_OPTION_HEARTBEAT_TTL, cases[i].ttl);
        fixture_init(&s, NULL);
        start_told(&s, &o);
        end_connect(&client, &s, 0);
        fixture_rounds(&s, 4);
        assert_int_equal(told_heartbeat_interval(fixture_session(&s)), cases[i].interval_ns);
        assert_int_equal(told_max_pause(fixture_session(&s)), cases[i].max_pause_ns);
        end_close(&client);
        fixture_rounds(&s, 10);
        fixture_fini(&s);
    }
}

/* ---- ZMQ_ROUTER_HANDOVER ---- */

static void expect_second(bool hands_over, bool in_file, unsigned refused)
{
    struct fixture s;
    struct end clients[2], apps[2];
    struct socket_options o = options_of(6, 0);
    socket_options_set(&o, SOCKET_OPTION_ROUTER_HANDOVER, hands_over);
    fixture_init(&s, NULL);
    if (in_file)
        memset(s.config->gates[0].given, 0xff, sizeof(s.config->gates[0].given));
    start_told(&s, &o);
    for (unsigned i = 0; i < 2; i++) {
        apps[i] = (struct end){.fd = -1};
        end_connect(&clients[i], &s, 0);
        end_greet(&clients[i], "DEALER", "one name");
        end_write(&clients[i], SIZE_MAX);
        fixture_rounds(&s, 10);
        if (!end_accept(&apps[i], &s))
            continue;
        end_greet(&apps[i], "ROUTER", NULL);
        end_write(&apps[i], SIZE_MAX);
        fixture_rounds(&s, 10);
    }
    fixture_sleep(&s, NS_PER_S);
    assert_int_equal(fixture_verdict(&s, VERDICT_DUPLICATE_ROUTING_ID), refused);
    assert_int_equal(fixture_cell(&s, CELL_ESTABLISHED), 2 - refused);
    for (unsigned i = 0; i < 2; i++)
        end_close(&clients[i]), end_close(&apps[i]);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void with_handover_the_application_decides(void **state)
{
    expect_second(true, false, 0);
    expect_second(false, false, 1);
    expect_second(true, true, 1);
}

static void handover_may_change(void **state)
{
    struct fixture s;
    struct end client;
    const struct socket_options o = options_of(6, 0);
    fixture_init(&s, NULL);
    start_told(&s, &o);
    end_connect(&client, &s, 0);
    fixture_rounds(&s, 4);
    assert_false(told_hands_over(fixture_session(&s)));
    told_hand_over(&s.gate, true);
    assert_true(told_hands_over(fixture_session(&s)));
    assert_true(app_facts_told(&s.gate.app));
    told_hand_over(&s.gate, false);
    assert_false(told_hands_over(fixture_session(&s)));
    end_close(&client);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_libzmqs_numbers),
        cmocka_unit_test(a_known_application_is_not_asked),
        cmocka_unit_test(an_unknown_one_is_asked),
        cmocka_unit_test(a_wrong_belief_ends_by_itself),
        cmocka_unit_test(who_says_hello_is_known),
        cmocka_unit_test(the_shorter_time_of_a_client_counts),
        cmocka_unit_test(the_longer_time_of_the_application_counts),
        cmocka_unit_test(the_silence_of_heartbeats_is_halved),
        cmocka_unit_test(with_handover_the_application_decides),
        cmocka_unit_test(handover_may_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
