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

/* ---- slow readers ---- */

/* All clients together that take nothing may have half of it waiting in the application. */
#define BEHIND (4 * MIB)

/* A pair whose way back takes little in the kernel. */
struct reading {
    struct fixture fixture;
    struct end client, app;
};

static void reading_init(struct reading *r, const char *client, const char *app)
{
    int little = 1;
    fixture_init(&r->fixture, NULL);
    r->fixture.limits->slow_reader.behind = BEHIND;
    fixture_start(&r->fixture);
    fixture_pair(&r->fixture, &r->client, &r->app, client, app);
    int front = fixture_session(&r->fixture)->front.watch.fd;
    assert_int_equal(setsockopt(front, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
}

static void reading_fini(struct reading *r)
{
    end_close(&r->client);
    end_close(&r->app);
    fixture_rounds(&r->fixture, 10);
    fixture_fini(&r->fixture);
}

/* Takes at most this many bytes. */
static void take(struct reading *r, size_t most)
{
    size_t before = r->client.in.len, upto = before + most;
    do {
        before = r->client.in.len;
        end_read(&r->client, upto - before);
        end_write(&r->app, SIZE_MAX);
        fixture_rounds(&r->fixture, 2);
    } while (r->client.in.len > before);
}

/* One second, in which the application sends and the client takes these many bytes. */
static void second(struct reading *r, size_t said, size_t taken)
{
    if (said)
        stream_frame(&r->app.out, 0, 'x', said);
    for (unsigned i = 0; i < 10; i++) {
        end_write(&r->app, SIZE_MAX);
        fixture_sleep(&r->fixture, 50 * NS_PER_MS);
        take(r, taken / 10);
        fixture_sleep(&r->fixture, 50 * NS_PER_MS);
    }
}

static bool is_closed(const struct reading *r)
{
    return fixture_cell(&r->fixture, CELL_CLOSED) == 1;
}

/* The client sends this many requests, which are passed on. */
static void ask(struct reading *r, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        stream_frame(&r->client.out, 0, 'q', 10);
    for (unsigned i = 0; i < 40; i++) {
        end_write(&r->client, SIZE_MAX);
        fixture_sleep(&r->fixture, 50 * NS_PER_MS);
        end_read(&r->app, SIZE_MAX);
    }
}

static size_t asked(struct reading *r)
{
    return end_traffic(&r->app, NULL).len / 12;
}

/* However long: only a backlog in the application does harm. */
static void a_client_that_takes_nothing_stays(void **state)
{
    struct reading r;
    reading_init(&r, "DEALER", "ROUTER");
    ask(&r, 1);
    second(&r, 2 * MIB, 0);
    for (unsigned i = 0; i < 30; i++)
        second(&r, 0, 0);
    assert_false(is_closed(&r));
    reading_fini(&r);
}

/* Its answers are small, so the application holds little, however many it sends. */
static void one_that_never_reads_is_read_on(void **state)
{
    struct reading r;
    reading_init(&r, "DEALER", "ROUTER");
    ask(&r, 1);
    for (unsigned i = 0; i < 3000; i++)
        stream_frame(&r.app.out, 0, 'a', 100);
    second(&r, 0, 0);
    assert_int_equal(fixture_cell(&r.fixture, CELL_BLOCKED_OUT), 1);
    for (unsigned i = 0; i < 40; i++)
        ask(&r, 100);
    assert_int_equal(asked(&r), 4001);
    assert_false(is_closed(&r));
    reading_fini(&r);
}

/* It has asked for more than it takes, and the application holds that. */
static void one_that_asks_for_much_and_takes_nothing_is_closed(void **state)
{
    struct reading r;
    reading_init(&r, "DEALER", "ROUTER");
    ask(&r, 15);
    for (unsigned i = 0; i < 15; i++)
        stream_frame(&r.app.out, 0, 'a', 100 * KIB);
    for (unsigned i = 0; i < 3; i++)
        second(&r, 0, 0);
    assert_false(is_closed(&r));
    ask(&r, 40);
    assert_true(is_closed(&r));
    assert_int_equal(fixture_verdict(&r.fixture, VERDICT_SLOW_READER), 1);
    reading_fini(&r);
}

/* The same, but the backlog will be taken in some seconds. */
static void one_that_takes_its_answers_slowly_stays(void **state)
{
    struct reading r;
    reading_init(&r, "DEALER", "ROUTER");
    ask(&r, 30);
    for (unsigned i = 0; i < 30; i++)
        stream_frame(&r.app.out, 0, 'a', 100 * KIB);
    for (unsigned i = 0; i < 10; i++) {
        second(&r, 0, 100 * KIB);
        assert_false(is_closed(&r));
    }
    reading_fini(&r);
}

/* A worker that takes one large job at a time: it is sent messages that it has not asked for, and reports its
 * results. */
static void a_busy_worker_stays_and_is_heard(void **state)
{
    struct reading r;
    reading_init(&r, "DEALER", "ROUTER");
    ask(&r, 1);
    for (unsigned i = 0; i < 10; i++)
        second(&r, MIB, 0);
    for (unsigned i = 0; i < 10; i++) {
        second(&r, 0, MIB);
        ask(&r, 1);
        assert_int_equal(asked(&r), 2 + i);
    }
    assert_false(is_closed(&r));
    reading_fini(&r);
}

/* PUSH waits for its receivers by design. */
static void a_worker_that_takes_its_time_stays(void **state)
{
    struct reading r;
    reading_init(&r, "PULL", "PUSH");
    second(&r, 2 * MIB, 0);
    for (unsigned i = 0; i < 20; i++)
        second(&r, 0, 0);
    assert_false(is_closed(&r));
    reading_fini(&r);
}

/* Two subscribers of a publisher: the second keeps up, and the first takes `most` of each message. */
struct audience {
    struct reading lagging, keen;
};

static void audience_init(struct audience *a, size_t behind)
{
    memset(a, 0, sizeof(*a));
    reading_init(&a->lagging, "SUB", "PUB");
    a->lagging.fixture.in_force->slow_reader.behind = 2 * behind; /* for slow subscribers it is half of that */
    fixture_pair(&a->lagging.fixture, &a->keen.client, &a->keen.app, "SUB", "PUB");
}

static void publish(struct audience *a, size_t size, size_t most)
{
    struct fixture *s = &a->lagging.fixture;
    stream_frame(&a->lagging.app.out, 0, 'x', size);
    stream_frame(&a->keen.app.out, 0, 'x', size);
    size_t before = a->keen.client.in.len, taken = a->lagging.client.in.len + most;
    for (unsigned i = 0; i < 400 && a->keen.client.in.len < before + size; i++) {
        end_write(&a->lagging.app, SIZE_MAX);
        end_write(&a->keen.app, SIZE_MAX);
        fixture_round(s);
        end_read(&a->keen.client, SIZE_MAX);
        if (a->lagging.client.in.len < taken)
            end_read(&a->lagging.client, taken - a->lagging.client.in.len);
    }
    assert_true(a->keen.client.in.len >= before + size);
    fixture_sleep(s, 10 * NS_PER_MS);
}

static void audience_fini(struct audience *a)
{
    end_close(&a->keen.client);
    end_close(&a->keen.app);
    reading_fini(&a->lagging);
}

/* The publisher would hold back too much for it. */
static void a_subscriber_too_far_behind_is_closed(void **state)
{
    struct audience a;
    audience_init(&a, 4 * MIB);
    for (unsigned i = 0; i < 20; i++) {
        publish(&a, 256 * KIB, 0);
        if (i < 15)
            assert_false(is_closed(&a.lagging));
    }
    fixture_sleep(&a.lagging.fixture, 500 * NS_PER_MS);
    assert_true(is_closed(&a.lagging));
    assert_int_equal(fixture_verdict(&a.lagging.fixture, VERDICT_SLOW_READER), 1);
    audience_fini(&a);
}

static void fall_behind(struct audience *a, size_t taken)
{
    audience_init(a, 4 * MIB);
    for (unsigned i = 0; i < 80 && !is_closed(&a->lagging); i++) {
        publish(a, 256 * KIB, taken);
        if (i < 15)
            assert_false(is_closed(&a->lagging));
    }
    fixture_sleep(&a->lagging.fixture, 500 * NS_PER_MS);
}

/* It takes part of each message, but would need minutes for the backlog. */
static void one_that_falls_behind_slowly_is_closed(void **state)
{
    struct audience a;
    fall_behind(&a, KIB);
    assert_true(is_closed(&a.lagging));
    audience_fini(&a);
}

/* Half of a burst waits for a slow line, which will take it within seconds. */
static void one_that_takes_a_burst_at_the_pace_of_its_line_stays(void **state)
{
    struct audience a;
    fall_behind(&a, 128 * KIB);
    assert_false(is_closed(&a.lagging));
    audience_fini(&a);
}

/* A publisher's queue holds few bytes of small messages, however many pass meanwhile. */
static void a_pause_among_small_messages_is_forgiven(void **state)
{
    struct audience a;
    audience_init(&a, 2 * MIB);
    publish(&a, KIB, KIB);
    for (unsigned i = 0; i < 3000; i++)
        stream_frame(&a.keen.app.out, 0, 'x', KIB);
    for (unsigned i = 0; i < 400; i++)
        stream_frame(&a.lagging.app.out, 0, 'x', KIB);
    for (unsigned i = 0; i < 1000; i++) {
        end_write(&a.keen.app, SIZE_MAX);
        end_write(&a.lagging.app, SIZE_MAX);
        fixture_round(&a.lagging.fixture);
        end_read(&a.keen.client, SIZE_MAX);
    }
    fixture_sleep(&a.lagging.fixture, 2 * NS_PER_S);
    assert_true(end_traffic(&a.keen.client, NULL).len > 2 * MIB);
    assert_false(is_closed(&a.lagging));
    audience_fini(&a);
}

/* ---- memory ---- */

#define PINNING 40u

/* Workers that take what there is and then nothing for ever, each with as large a backlog as possible in Weir. */
static void receivers_that_stand_still_keep_nobody_out(void **state)
{
    struct reading r[PINNING], late;
    struct fixture *s = &r[0].fixture;
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

/* ---- messages under way ---- */

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
        cmocka_unit_test(a_client_that_takes_nothing_stays),
        cmocka_unit_test(one_that_never_reads_is_read_on),
        cmocka_unit_test(one_that_asks_for_much_and_takes_nothing_is_closed),
        cmocka_unit_test(one_that_takes_its_answers_slowly_stays),
        cmocka_unit_test(a_busy_worker_stays_and_is_heard),
        cmocka_unit_test(a_worker_that_takes_its_time_stays),
        cmocka_unit_test(a_subscriber_too_far_behind_is_closed),
        cmocka_unit_test(one_that_falls_behind_slowly_is_closed),
        cmocka_unit_test(one_that_takes_a_burst_at_the_pace_of_its_line_stays),
        cmocka_unit_test(a_pause_among_small_messages_is_forgiven),
        cmocka_unit_test(receivers_that_stand_still_keep_nobody_out),
        cmocka_unit_test(a_deaf_application_is_not_the_clients_fault),
        cmocka_unit_test(who_holds_room_must_use_it),
        cmocka_unit_test(a_slow_giant_holds_nobody_up),
        cmocka_unit_test(an_application_may_be_late_to_see_the_end),
        cmocka_unit_test(nobody_spins_while_idle),
        cmocka_unit_test(nobody_spins_while_paused_or_blocked),
        cmocka_unit_test(nobody_spins_while_opening),
        cmocka_unit_test(nobody_spins_while_memory_is_out),
        cmocka_unit_test(strangers_of_another_mechanism_keep_nobody_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
