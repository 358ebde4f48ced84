/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/end_detail.h"
#include "relay/handshaking.h"
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void assert_says(const struct session *s, enum verdict v, const char *words)
{
    char detail[96];
    assert_string_equal(end_detail(detail, sizeof(detail), s, v), words);
}

static void what_was_announced_and_what_is_allowed(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    s.limits->message.frame_bytes = 1024;
    s.limits->message.size_bytes = 4096;
    s.limits->message.frames = 3;
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "ROUTER");
    struct session *session = fixture_session(&s);
    session->up.traffic.dec.size = 2048;
    assert_says(session, VERDICT_FRAME_TOO_LARGE, ": announced 2KiB, allowed 1KiB");
    assert_says(session, VERDICT_TOO_MANY_FRAMES, ": allowed 3");
    session->up.traffic.dec.size = 8192;
    assert_says(session, VERDICT_MESSAGE_TOO_LARGE, ": announced 8KiB, allowed 4KiB");
    assert_says(session, VERDICT_SLOW_READER, "");
    session->up.traffic.dec.size = 0;
    end_close(&client), end_close(&app);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

static void what_does_not_fit(void **state)
{
    struct fixture s;
    struct end client;
    fixture_init(&s, NULL);
    fixture_start(&s);
    end_connect(&client, &s, 0);
    fixture_rounds(&s, 4);
    struct session *session = fixture_session(&s);
    struct handshake *h = &session->handshaking->handshake;
    h->client_socket = SOCKET_SUB;
    h->app.socket = SOCKET_ROUTER;
    assert_says(session, VERDICT_WRONG_SOCKET_TYPE, ": it is a SUB, the application a ROUTER");
    h->app_socket = SOCKET_PULL; /* what it has said now counts */
    assert_says(session, VERDICT_WRONG_SOCKET_TYPE, ": it is a SUB, the application a PULL");
    h->client.mechanism = MECHANISM_NULL;
    h->app.mechanism = MECHANISM_CURVE;
    assert_says(session, VERDICT_WRONG_MECHANISM, ": it speaks NULL, the application CURVE");
    h->client.major = 2;
    assert_says(session, VERDICT_OLD_VERSION, ": it speaks ZMTP 2.0");
    memcpy(h->routing_id, "w\n", 2);
    h->routing_id_len = 2;
    assert_says(session, VERDICT_DUPLICATE_ROUTING_ID, ": \"w\\x0a\"");
    session->handshaking->claim.holder = (struct addr){.kind = ADDR_V4, .bytes = {192, 0, 2, 1}, .port = 4711};
    assert_says(session, VERDICT_DUPLICATE_ROUTING_ID, ": \"w\\x0a\" belongs to 192.0.2.1:4711");
    assert_says(session, VERDICT_HANDSHAKE_TIMEOUT, "");
    end_close(&client);
    fixture_rounds(&s, 10);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_announced_and_what_is_allowed),
        cmocka_unit_test(what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
