/* SPDX-License-Identifier: MPL-2.0 */
/* Messages of clients that take their time. */
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

/* An application that does not read any more, but still sends: its client is not blamed for the undelivered message. */
static void a_deaf_application_is_not_the_clients_fault(void **state)
{
    struct fixture s;
    struct end client, app;
    fixture_init(&s, NULL);
    s.limits->message.complete_within_ns = NS_PER_S;
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "DEALER", "ROUTER");
    assert_int_equal(shutdown(app.fd, SHUT_RD), 0);
    stream_frame(&client.out, 0, 'w', 100);
    stream_frame(&client.out, 0, 'h', 10 * KIB);
    end_write(&client, KIB);
    fixture_sleep(&s, 5 * NS_PER_S);
    stream_frame(&app.out, 0, 'r', 100);
    end_write(&app, SIZE_MAX);
    fixture_rounds(&s, 4);
    end_read(&client, SIZE_MAX);
    assert_int_equal(end_traffic(&client, NULL).len, 102);
    end_close(&app);
    fixture_rounds(&s, 4);
    assert_int_equal(fixture_cell(&s, CELL_CLOSED), 1);
    for (unsigned v = 1; v < VERDICT_COUNT; v++)
        assert_int_equal(fixture_verdict(&s, (enum verdict)v), 0);
    end_close(&client);
    fixture_fini(&s);
}

/* A message of 30 MiB begins: more of it arrives than is gathered, and then it gets its room. */
static void begin_giant(struct fixture *s, struct end *client, struct session *session)
{
    stream_frame(&client->out, 0, 's', 30 * MIB);
    for (unsigned i = 0; i < 100 && session->up.traffic.reserved == 0; i++) {
        end_write(client, 100 * KIB);
        fixture_rounds(s, 4);
    }
    assert_int_equal(session->up.traffic.reserved, 30 * MIB);
}

/* The verdict on a message of 30 MiB that streams at `rate` bytes a second for `seconds`. Another message waits for
 * room meanwhile; its beginning came at `other_rate`. The session is looked at ten times a second. PASS: it goes on. */
static enum verdict streams_at(uint64_t rate, uint64_t other_rate, unsigned seconds)
{
    struct fixture s;
    struct end client, app, other, other_app;
    fixture_init(&s, NULL);
    s.limits->message.unfinished_bytes = 4 * MIB;
    s.limits->message.min_rate = 64 * KIB;
    fixture_start(&s);
    fixture_pair(&s, &client, &app, "PUSH", "PULL");
    struct session *first = fixture_session(&s);
    begin_giant(&s, &client, first);
    fixture_pair(&s, &other, &other_app, "PUSH", "PULL");
    stream_frame(&other.out, 0, 's', 5 * MIB);
    for (unsigned i = 0; i < 10 * seconds; i++) {
        end_write(&client, rate / 10);
        end_write(&other, other_rate / 10);
        if (fixture_cell(&s, CELL_CLOSED) == 0)
            session_arm(first, fixture_now_ns());
        fixture_sleep(&s, 100 * NS_PER_MS);
        end_read(&app, SIZE_MAX);
        end_read(&other_app, SIZE_MAX);
    }
    enum verdict end = fixture_verdict(&s, VERDICT_MESSAGE_TOO_SLOW)    ? VERDICT_MESSAGE_TOO_SLOW
                       : fixture_verdict(&s, VERDICT_MESSAGE_GIVES_WAY) ? VERDICT_MESSAGE_GIVES_WAY
                                                                        : VERDICT_PASS;
    /* The waiting message went on if the first was cut. */
    assert_int_equal(end_traffic(&other_app, NULL).len > 0, end != VERDICT_PASS);
    end_close(&client), end_close(&app), end_close(&other), end_close(&other_app);
    fixture_rounds(&s, 20);
    fixture_fini(&s);
    return end;
}

static void who_holds_room_must_use_it(void **state)
{
    assert_int_equal(streams_at(40 * KIB, 160 * KIB, 20), VERDICT_MESSAGE_TOO_SLOW);
    assert_int_equal(streams_at(80 * KIB, 160 * KIB, 20), VERDICT_PASS);
    assert_int_equal(streams_at(400 * KIB, MIB, 20), VERDICT_PASS);
    assert_int_equal(streams_at(400 * KIB, 4 * MIB, 20), VERDICT_MESSAGE_GIVES_WAY);
}

/* A message that is larger than the pool, and slow: small messages that stream do not wait for it, nor for others of
 * their size. */
static void a_slow_giant_holds_nobody_up(void **state)
{
    struct fixture s;
    struct end giant, giant_app, others[8], apps[8];
    fixture_init(&s, NULL);
    s.limits->message.unfinished_bytes = MIB;
    fixture_start(&s);
    fixture_pair(&s, &giant, &giant_app, "PUSH", "PULL");
    begin_giant(&s, &giant, fixture_session(&s));
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        fixture_pair(&s, &others[i], &apps[i], "PUSH", "PULL");
        stream_frame(&others[i].out, 0, 's', 200 * KIB); /* together more than the pool */
        end_write(&others[i], 150 * KIB);
    }
    fixture_sleep(&s, 20 * NS_PER_MS);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
            end_write(&others[i], SIZE_MAX);
            end_read(&apps[i], SIZE_MAX);
        }
        fixture_sleep(&s, NS_PER_MS);
    }
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        assert_int_equal(end_traffic(&apps[i], NULL).len, 200 * KIB + 9);
        end_close(&others[i]), end_close(&apps[i]);
    }
    assert_int_equal(fixture_cell(&s, CELL_CLOSED), 0);
    end_close(&giant), end_close(&giant_app);
    fixture_rounds(&s, 20);
    fixture_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deaf_application_is_not_the_clients_fault),
        cmocka_unit_test(who_holds_room_must_use_it),
        cmocka_unit_test(a_slow_giant_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
