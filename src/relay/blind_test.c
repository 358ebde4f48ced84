/* SPDX-License-Identifier: MPL-2.0 */
/* Connections whose application may speak something else than ZMTP. */
#include "relay/blind.h"

#include "relay/testing/fixture_clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define REQUEST "GET / HTTP/1.0\r\n\r\n"
#define ANSWER  "HTTP/1.0 200 OK\r\n\r\n"

struct scene {
    struct fixture fixture;
    struct end client, app;
};

static struct scene *scene_new(enum reach_speech speech)
{
    static struct scene s;
    memset(&s, 0, sizeof(s));
    fixture_init(&s.fixture, "tcp://127.0.0.1:*");
    fixture_start(&s.fixture);
    s.client.fd = s.app.fd = -1;
    atomic_store(&s.fixture.gate.reach.speech, speech);
    return &s;
}

static enum reach_speech speech_of(const struct scene *s)
{
    return reach_speech(&s->fixture.gate.reach);
}

static void say(struct end *e, const char *text)
{
    stream_put(&e->out, text, strlen(text));
    end_write(e, SIZE_MAX);
}

static bool has_heard(struct scene *s, struct end *e, const char *text)
{
    fixture_rounds(&s->fixture, 6);
    end_read(e, SIZE_MAX);
    return e->in.len == strlen(text) && (!e->in.len || !memcmp(e->in.bytes, text, e->in.len));
}

static bool is_closed(struct scene *s, struct end *e)
{
    fixture_rounds(&s->fixture, 6);
    end_read(e, SIZE_MAX);
    return e->over;
}

static void connect_client(struct scene *s, const char *words)
{
    end_connect(&s->client, &s->fixture, HOST(1));
    if (words)
        say(&s->client, words);
    fixture_rounds(&s->fixture, 6);
}

static void scene_end(struct scene *s)
{
    end_close(&s->client);
    end_close(&s->app);
    fixture_rounds(&s->fixture, 6);
    fixture_sleep(&s->fixture, 2 * NS_PER_S);
    fixture_assert_empty(&s->fixture);
    fixture_fini(&s->fixture);
}

static void what_is_silent_is_passed_on(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_UNKNOWN);
    connect_client(s, REQUEST);
    assert_true(end_accept(&s->app, &s->fixture));
    fixture_sleep(&s->fixture, BLIND_SILENCE_NS / 2);
    assert_int_equal(speech_of(s), REACH_SPEAKS_UNKNOWN);
    assert_true(has_heard(s, &s->app, ""));
    fixture_sleep(&s->fixture, BLIND_SILENCE_NS);
    assert_int_equal(speech_of(s), REACH_SPEAKS_OTHER);
    assert_int_equal(fixture_cell(&s->fixture, CELL_UNJUDGED), 1);
    assert_true(has_heard(s, &s->app, REQUEST));
    say(&s->app, ANSWER);
    assert_true(has_heard(s, &s->client, ANSWER));
    end_close(&s->app);
    assert_true(is_closed(s, &s->client));
    scene_end(s);
}

/* From then on nobody waits. */
static void a_known_one_is_connected_at_once(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_OTHER);
    connect_client(s, NULL);
    assert_true(end_accept(&s->app, &s->fixture));
    say(&s->app, "220 ready");
    assert_true(has_heard(s, &s->client, "220 ready"));
    say(&s->client, "HELO");
    assert_true(has_heard(s, &s->app, "HELO"));
    end_close(&s->client);
    assert_true(is_closed(s, &s->app));
    scene_end(s);
}

/* The first to connect is passed on when the application speaks; it has not to wait for its client. */
static void an_application_that_speaks_first_decides(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_UNKNOWN);
    connect_client(s, NULL);
    assert_false(end_accept(&s->app, &s->fixture));
    fixture_sleep(&s->fixture, BLIND_SILENCE_NS + 100 * NS_PER_MS);
    assert_true(end_accept(&s->app, &s->fixture));
    say(&s->app, "\xff\xfd\x18"); /* telnet */
    assert_true(has_heard(s, &s->client, "\xff\xfd\x18"));
    assert_int_equal(speech_of(s), REACH_SPEAKS_OTHER);
    scene_end(s);
}

/* No client of ZMTP waits for anything, and each is judged, whatever is believed of the application. */
static void a_zmtp_client_is_a_session(void **state)
{
    static const enum reach_speech all[] = {REACH_SPEAKS_UNKNOWN, REACH_SPEAKS_OTHER};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct scene *s = scene_new(all[i]);
        fixture_pair(&s->fixture, &s->client, &s->app, "DEALER", "ROUTER");
        assert_non_null(fixture_session(&s->fixture));
        assert_int_equal(speech_of(s), REACH_SPEAKS_ZMTP);
        assert_int_equal(fixture_cell(&s->fixture, CELL_UPSTREAM_CONNECTS), 1);
        scene_end(s);
    }
}

static void junk_for_an_application_of_zmtp_is_judged(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_UNKNOWN);
    connect_client(s, REQUEST);
    assert_true(end_accept(&s->app, &s->fixture));
    end_greet(&s->app, "ROUTER", NULL);
    end_write(&s->app, 10);
    fixture_rounds(&s->fixture, 6);
    assert_int_equal(speech_of(s), REACH_SPEAKS_ZMTP);
    assert_int_equal(fixture_verdict(&s->fixture, VERDICT_BAD_GREETING), 1);
    assert_true(is_closed(s, &s->app));
    scene_end(s);
}

/* It had only stalled: what was passed on meanwhile has no answer, and newcomers are judged again. */
static void a_greeting_ends_the_belief(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_UNKNOWN);
    connect_client(s, REQUEST);
    assert_true(end_accept(&s->app, &s->fixture));
    fixture_sleep(&s->fixture, BLIND_SILENCE_NS + 100 * NS_PER_MS);
    assert_int_equal(speech_of(s), REACH_SPEAKS_OTHER);
    end_greet(&s->app, "ROUTER", NULL);
    end_write(&s->app, 10);
    assert_true(is_closed(s, &s->client));
    assert_int_equal(s->client.in.len, 0);
    assert_int_equal(speech_of(s), REACH_SPEAKS_ZMTP);
    assert_int_equal(fixture_cell(&s->fixture, CELL_UNJUDGED), 0);
    scene_end(s);
}

/* Nothing is decided while nobody has said anything, and the first word decides. */
static void two_that_are_silent_wait_for_each_other(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_UNKNOWN);
    connect_client(s, NULL);
    fixture_sleep(&s->fixture, 10 * BLIND_SILENCE_NS);
    assert_true(end_accept(&s->app, &s->fixture));
    assert_int_equal(speech_of(s), REACH_SPEAKS_UNKNOWN);
    assert_false(is_closed(s, &s->client));
    say(&s->client, REQUEST);
    assert_true(has_heard(s, &s->app, REQUEST));
    scene_end(s);
}

static void a_client_that_leaves_is_nobodys(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_UNKNOWN);
    connect_client(s, NULL);
    end_close(&s->client);
    fixture_rounds(&s->fixture, 6);
    fixture_assert_empty(&s->fixture);
    assert_int_equal(fixture_verdict(&s->fixture, VERDICT_HANDSHAKE_ABANDONED), 1);
    scene_end(s);
}

/* What does not fit waits in the kernel, in order. */
static void much_is_passed_on_both_ways(void **state)
{
    enum { MUCH = 4 << 20 };
    struct scene *s = scene_new(REACH_SPEAKS_OTHER);
    static char block[65536];
    memset(block, 'x', sizeof(block));
    connect_client(s, "x");
    assert_true(end_accept(&s->app, &s->fixture));
    for (unsigned i = 0; i < MUCH / sizeof(block); i++)
        stream_put(&s->client.out, block, sizeof(block));
    for (unsigned i = 0; i < 10000 && s->app.in.len < MUCH + 1; i++) {
        end_write(&s->client, SIZE_MAX);
        fixture_round(&s->fixture);
        end_read(&s->app, i % 2 ? 100000 : 0);
    }
    assert_int_equal(s->app.in.len, MUCH + 1);
    scene_end(s);
}

/* The program has ended, and its client keeps the connection. */
static void a_client_that_stays_does_not_hold_up_the_end(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_OTHER);
    connect_client(s, REQUEST);
    assert_true(end_accept(&s->app, &s->fixture));
    assert_true(has_heard(s, &s->app, REQUEST));
    say(&s->app, ANSWER);
    loop_signal(&s->fixture.worker.loop, &s->fixture.worker.signals.drain);
    assert_true(has_heard(s, &s->client, ANSWER));
    assert_false(is_closed(s, &s->client));
    end_close(&s->app);
    assert_true(is_closed(s, &s->client));
    fixture_assert_empty(&s->fixture);
    scene_end(s);
}

static void those_that_wait_are_closed_when_weir_drains(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_UNKNOWN);
    connect_client(s, NULL);
    loop_signal(&s->fixture.worker.loop, &s->fixture.worker.signals.drain);
    assert_true(is_closed(s, &s->client));
    scene_end(s);
}

/* Without memory it is a session's, which has a verdict for that. */
static void without_memory_there_is_a_verdict(void **state)
{
    struct scene *s = scene_new(REACH_SPEAKS_UNKNOWN);
    for (unsigned n = 1; n < 5; n++) {
        fixture_fail_allocation(n);
        connect_client(s, REQUEST);
        fixture_fail_allocation(0);
        end_close(&s->client);
        fixture_sleep(&s->fixture, 2 * BLIND_SILENCE_NS);
        while (end_accept(&s->app, &s->fixture))
            end_close(&s->app);
        fixture_rounds(&s->fixture, 6);
        fixture_assert_empty(&s->fixture);
    }
    s->app.fd = -1;
    scene_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_silent_is_passed_on),
        cmocka_unit_test(a_known_one_is_connected_at_once),
        cmocka_unit_test(an_application_that_speaks_first_decides),
        cmocka_unit_test(a_zmtp_client_is_a_session),
        cmocka_unit_test(junk_for_an_application_of_zmtp_is_judged),
        cmocka_unit_test(a_greeting_ends_the_belief),
        cmocka_unit_test(two_that_are_silent_wait_for_each_other),
        cmocka_unit_test(a_client_that_leaves_is_nobodys),
        cmocka_unit_test(much_is_passed_on_both_ways),
        cmocka_unit_test(a_client_that_stays_does_not_hold_up_the_end),
        cmocka_unit_test(those_that_wait_are_closed_when_weir_drains),
        cmocka_unit_test(without_memory_there_is_a_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
