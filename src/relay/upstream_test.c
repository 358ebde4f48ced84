/* SPDX-License-Identifier: MPL-2.0 */
/* When a client gets its connection to the application, and when an attempt is repeated. */
#include "relay/handshaking.h"
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* A client that has sent all that the handshake wants of it. */
static void come(struct fixture *s, struct end *client)
{
    end_connect(client, s, 0);
    end_greet(client, "DEALER", NULL);
    end_write(client, SIZE_MAX);
    fixture_rounds(s, 4);
}

/* The application greets whoever has connected. */
static void serve(struct fixture *s, struct end *app)
{
    struct end next;
    for (unsigned i = 0; i < 10; i++) {
        while (end_accept(&next, s)) {
            *app = next;
            end_greet(app, "ROUTER", NULL);
            end_write(app, SIZE_MAX);
        }
        fixture_rounds(s, 4);
    }
}

static void an_application_that_is_away_is_tried_again(void **state)
{
    struct fixture s;
    struct end client, app = {.fd = -1};
    fixture_init(&s, NULL);
    fixture_start(&s);
    fixture_app_stop(&s);
    come(&s, &client);
    struct session *session = fixture_session(&s);
    assert_true(session->back.watch.fd < 0);
    assert_true(session->handshaking->upstream.retry_ns > fixture_now_ns());
    assert_int_equal(fixture_cell(&s, CELL_UPSTREAM_FAILURES), 1);
    fixture_sleep(&s, 10 * NS_PER_S);
    assert_in_range(fixture_cell(&s, CELL_UPSTREAM_FAILURES), 15, 40); /* up to half a second apart */
    assert_int_equal(fixture_cell(&s, CELL_UPSTREAM_CONNECTS), 0);
    fixture_app_listen(&s);
    fixture_sleep(&s, 600 * NS_PER_MS);
    serve(&s, &app);
    assert_int_equal(fixture_cell(&s, CELL_ESTABLISHED), 1);
    assert_int_equal(fixture_cell(&s, CELL_UPSTREAM_CONNECTS), 1);
    end_close(&client), end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static struct session *newest(struct fixture *s)
{
    return LIST_ENTRY(s->worker.sessions.all.prev, struct session, in.worker);
}

/* The application has three places. It still holds those of two clients that have left: they are free when it has
 * closed the connections. */
static void who_finds_no_place_tries_again(void **state)
{
    struct fixture s;
    struct end clients[4], apps[4];
    fixture_init(&s, NULL);
    fixture_start(&s);
    for (unsigned i = 0; i < 3; i++) {
        fixture_pair(&s, &clients[i], &apps[i], "DEALER", "ROUTER");
        if (i > 0)
            session_close(newest(&s), VERDICT_DRAINING);
    }
    atomic_store(&s.gate.counts.max, 3);
    come(&s, &clients[3]);
    struct session *session = newest(&s);
    assert_int_equal(session->state, SESSION_HANDSHAKING);
    assert_true(session->handshaking->upstream.no_place);
    assert_in_range(session->handshaking->upstream.retry_ns, fixture_now_ns(), fixture_now_ns() + 20 * NS_PER_MS);
    fixture_sleep(&s, 100 * NS_PER_MS);
    assert_true(session->handshaking->upstream.no_place);
    end_close(&apps[1]), end_close(&apps[2]);
    fixture_sleep(&s, NS_PER_S);
    assert_false(session->handshaking->upstream.no_place);
    serve(&s, &apps[3]);
    assert_int_equal(fixture_cell(&s, CELL_ESTABLISHED), 4);
    for (unsigned i = 0; i < 4; i++)
        end_close(&clients[i]), end_close(&apps[i]);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_application_that_is_away_is_tried_again),
        cmocka_unit_test(who_finds_no_place_tries_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
