/* SPDX-License-Identifier: MPL-2.0 */
/* How a session copes with applications that change and receivers that stand still, and when it sleeps. */
#include "relay/testing/fixture.h"
#include "zmtp/greeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

/* ---- the application ---- */

/* Serves the application until the client is greeted, or time is up. Connections of strangers are greeted too. */
static bool greets_within(struct fixture *s, struct end *client, uint64_t ns)
{
    struct end apps[256];
    unsigned count = 0;
    for (uint64_t left = ns; left > 0 && !end_is_greeted(client); left -= NS_PER_MS) {
        fixture_sleep(s, NS_PER_MS);
        while (count < ARRAY_LEN(apps) && end_accept(&apps[count], s)) {
            end_greet(&apps[count], "ROUTER", NULL);
            end_write(&apps[count++], SIZE_MAX);
        }
        for (unsigned i = 0; i < count; i++)
            end_read(&apps[i], SIZE_MAX);
        end_read(client, SIZE_MAX);
    }
    bool greeted = end_is_greeted(client);
    for (unsigned i = 0; i < count; i++)
        end_close(&apps[i]);
    return greeted;
}

static void greet_wrongly(struct end *e)
{
    uint8_t greeting[ZMTP_GREETING_BYTES];
    zmtp_greeting_put(greeting, &(struct zmtp_greeting){.major = 3, .minor = 1, .mechanism = MECHANISM_CURVE});
    stream_put(&e->out, greeting, sizeof(greeting));
    end_write(e, SIZE_MAX);
}

/* Each client with another mechanism is a reason to ask an idle application again. It must not make all clients behind
 * it wait. */
static void strangers_of_another_mechanism_keep_nobody_waiting(void **state)
{
    struct fixture s;
    struct end strangers[100], client;
    fixture_init(&s, NULL);
    fixture_start(&s);
    fixture_app_stop(&s);
    fixture_rounds(&s, 4);
    for (unsigned i = 0; i < ARRAY_LEN(strangers); i++) {
        end_connect(&strangers[i], &s, 0);
        greet_wrongly(&strangers[i]);
    }
    end_connect(&client, &s, 0);
    end_greet(&client, "DEALER", NULL);
    end_write(&client, SIZE_MAX);
    fixture_rounds(&s, 10);
    fixture_app_listen(&s);
    assert_true(greets_within(&s, &client, 1500 * NS_PER_MS));
    assert_true(fixture_verdict(&s, VERDICT_WRONG_MECHANISM) >= 99);
    for (unsigned i = 0; i < ARRAY_LEN(strangers); i++)
        end_close(&strangers[i]);
    end_close(&client);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

/* ---- memory ---- */

#define PINNING 40u

struct pair {
    struct end client, app;
};

/* Workers that take what there is and then nothing for ever, each with as large a backlog as possible in Weir. */
static void receivers_that_stand_still_keep_nobody_out(void **state)
{
    struct pair r[PINNING], late;
    struct fixture fixture, *s = &fixture;
    fixture_init(s, NULL);
    s->config->memory_bytes = 4 * MIB;
    fixture_start(s);
    for (unsigned i = 0; i < PINNING; i++) {
        fixture_pair(s, &r[i].client, &r[i].app, "PULL", "PUSH");
        stream_frame(&r[i].app.out, 0, 'x', 3 * MIB);
        for (unsigned n = 0; n < 40; n++) {
            end_write(&r[i].app, SIZE_MAX);
            fixture_round(s);
            end_read(&r[i].client, n < 10 ? SIZE_MAX : 0);
        }
    }
    assert_true(fixture_cell(s, CELL_HELD) > MIB);
    fixture_pair(s, &late.client, &late.app, "PULL", "PUSH");
    stream_frame(&late.app.out, 0, 'y', MIB);
    for (unsigned n = 0; n < 2000; n++) {
        end_write(&late.app, SIZE_MAX);
        fixture_round(s);
        end_read(&late.client, SIZE_MAX);
    }
    assert_true(end_traffic(&late.client, NULL).len > MIB);
    assert_int_equal(fixture_verdict(s, VERDICT_NO_MEMORY), 0);
    for (unsigned i = 0; i < PINNING; i++)
        end_close(&r[i].client), end_close(&r[i].app);
    end_close(&late.client), end_close(&late.app);
    fixture_rounds(s, 20);
    fixture_fini(s);
}

/* ---- lingering connections ---- */

/* The application sees the end of its client when it looks. Until then the connection is counted, and bytes from it are
 * discarded. */
static void an_application_may_be_late_to_see_the_end(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "ROUTER");
    end_close(&client);
    fixture_rounds(&s, 4);
    stream_frame(&app.out, 0, 'x', 3 * MIB);
    for (unsigned i = 0; i < 100; i++) {
        end_write(&app, SIZE_MAX);
        fixture_round(&s);
    }
    assert_int_equal(app.sent, app.out.len);
    end_close(&app);
    fixture_rounds(&s, 4);
    fixture_assert_empty(&s);
    fixture_fini(&s);
}

/* ---- sleep ---- */

/* In every state an idle worker wakes up at most as often as its timers need: a hundred times a second when memory is
 * short, ten times while a connection is paused or blocked, hardly ever when idle. */
static void wakes_at_most(struct fixture *s, unsigned a_second)
{
    fixture_rounds(s, 20);
    unsigned rounds = fixture_sleep_as_told(s, 20 * NS_PER_S);
    if (rounds > 20 * a_second + 20)
        fail_msg("%u rounds in 20 s", rounds);
}

static void nobody_spins_while_idle(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "ROUTER");
    wakes_at_most(&s, 1);
    /* In the middle of a message, and of a header. */
    stream_frame(&client.out, 0, 'x', 100);
    end_write(&client, 50);
    wakes_at_most(&s, 2);
    /* A client that will send nothing more: it is the application's turn. */
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    wakes_at_most(&s, 1);
    end_close(&client);
    end_close(&app);
    fixture_rounds(&s, 10);
    wakes_at_most(&s, 1);
    fixture_fini(&s);
}

static void nobody_spins_while_paused_or_blocked(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    s.limits->source.messages = (struct rate_limit){.rate = {.count = 1, .period_ns = 3600 * NS_PER_S}};
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "ROUTER");
    for (unsigned i = 0; i < 100; i++)
        stream_frame(&client.out, 0, 'x', 100);
    end_write(&client, SIZE_MAX);
    fixture_rounds(&s, 10);
    assert_int_equal(fixture_cell(&s, CELL_PAUSED), 1);
    wakes_at_most(&s, 12);
    stream_frame(&app.out, 0, 'x', 4 * MIB);
    end_write(&app, SIZE_MAX);
    fixture_rounds(&s, 10);
    assert_int_equal(fixture_cell(&s, CELL_BLOCKED_OUT), 1);
    wakes_at_most(&s, 12);
    end_close(&app);
    wakes_at_most(&s, 12);
    end_close(&client);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void nobody_spins_while_opening(void **state)
{
    struct fixture s;
    struct end silent, client;
    fixture_init(&s, NULL);
    s.limits->handshake.within_ns = 3600 * NS_PER_S;
    s.limits->source.connection_rate = (struct rate){.count = 1, .period_ns = 3600 * NS_PER_S, .burst = 1};
    fixture_start(&s);
    struct end waiting;
    end_connect(&silent, &s, 0);
    fixture_rounds(&s, 4);
    end_connect(&client, &s, 0);
    end_greet(&client, "DEALER", NULL);
    end_write(&client, SIZE_MAX);
    fixture_rounds(&s, 4);
    end_connect(&waiting, &s, 0);
    end_greet(&waiting, "DEALER", NULL);
    end_write(&waiting, SIZE_MAX);
    /* The application accepts and stays silent; the probe asks it again and again. */
    wakes_at_most(&s, 10);
    assert_int_equal(fixture_cell(&s, CELL_WAITING), 1);
    assert_int_equal(fixture_cell(&s, CELL_HALF_OPEN), 2);
    /* It is not even reachable. */
    fixture_app_stop(&s);
    wakes_at_most(&s, 20);
    end_close(&silent);
    end_close(&client);
    end_close(&waiting);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void nobody_spins_while_memory_is_out(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    s.config->memory_bytes = 16 * KIB;
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "ROUTER");
    uint64_t rest = s.account.limit_bytes - account_held(&s.account) - KIB;
    assert_true(account_charge(&s.account, rest));
    stream_frame(&client.out, 0, 'x', 100);
    end_write(&client, SIZE_MAX);
    wakes_at_most(&s, 120);
    end_read(&app, SIZE_MAX);
    assert_int_equal(end_traffic(&app, NULL).len, 0);
    account_release(&s.account, rest);
    fixture_sleep(&s, 50 * NS_PER_MS);
    end_read(&app, SIZE_MAX);
    assert_int_equal(end_traffic(&app, NULL).len, 102);
    end_close(&client);
    end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receivers_that_stand_still_keep_nobody_out),
        cmocka_unit_test(an_application_may_be_late_to_see_the_end),
        cmocka_unit_test(nobody_spins_while_idle),
        cmocka_unit_test(nobody_spins_while_paused_or_blocked),
        cmocka_unit_test(nobody_spins_while_opening),
        cmocka_unit_test(nobody_spins_while_memory_is_out),
        cmocka_unit_test(strangers_of_another_mechanism_keep_nobody_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
