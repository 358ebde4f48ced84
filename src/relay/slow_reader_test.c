/* SPDX-License-Identifier: MPL-2.0 */
/* Clients that do not take what the application sends to them. */
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
