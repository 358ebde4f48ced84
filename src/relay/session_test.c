/* SPDX-License-Identifier: MPL-2.0 */
/* What a session does about applications that change and receivers that stand still, and when it sleeps. */
#include "relay/stage.h"
#include "zmtp/greeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

/* ---- the application ---- */

/* Serves the application until the client is greeted, or time is up; connections of strangers are greeted too. */
static bool greets_within(struct stage *s, struct end *client, uint64_t ns)
{
    struct end apps[256];
    unsigned count = 0;
    for (uint64_t left = ns; left > 0 && !end_is_greeted(client); left -= NS_PER_MS) {
        stage_sleep(s, NS_PER_MS);
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

/* Each client with another mechanism is a reason to ask an idle application again; it must not be one to let everybody
 * behind it wait. */
static void strangers_of_another_mechanism_keep_nobody_waiting(void **state)
{
    struct stage s;
    struct end strangers[100], client;
    stage_init(&s, NULL);
    stage_start(&s);
    stage_app_stop(&s);
    stage_rounds(&s, 4);
    for (unsigned i = 0; i < ARRAY_LEN(strangers); i++) {
        end_connect(&strangers[i], &s, 0);
        greet_wrongly(&strangers[i]);
    }
    end_connect(&client, &s, 0);
    end_greet(&client, "DEALER", NULL);
    end_write(&client, SIZE_MAX);
    stage_rounds(&s, 10);
    stage_app_listen(&s);
    assert_true(greets_within(&s, &client, 1500 * NS_PER_MS));
    assert_true(stage_verdict(&s, VERDICT_WRONG_MECHANISM) >= 99);
    for (unsigned i = 0; i < ARRAY_LEN(strangers); i++)
        end_close(&strangers[i]);
    end_close(&client);
    stage_rounds(&s, 10);
    stage_fini(&s);
}

/* ---- slow readers ---- */

#define SLOW_BYTES  (64 * KIB)
#define SLOW_WITHIN (5 * NS_PER_S)

/* A pair whose way back takes little in the kernel. */
struct reading {
    struct stage stage;
    struct end client, app;
};

static struct session *only_session(struct stage *s)
{
    return LIST_ENTRY(s->worker.sessions.next, struct session, in_worker);
}

static void reading_init(struct reading *r, const char *client, const char *app)
{
    int little = 1;
    stage_init(&r->stage, NULL);
    r->stage.limits->slow_reader.bytes = SLOW_BYTES;
    r->stage.limits->slow_reader.within_ns = SLOW_WITHIN;
    stage_start(&r->stage);
    stage_pair(&r->stage, &r->client, &r->app, client, app);
    int front = only_session(&r->stage)->front.watch.fd;
    assert_int_equal(setsockopt(front, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
}

static void reading_fini(struct reading *r)
{
    end_close(&r->client);
    end_close(&r->app);
    stage_rounds(&r->stage, 10);
    stage_fini(&r->stage);
}

/* So much, as long as there is any. */
static void take(struct reading *r, size_t most)
{
    size_t before = r->client.in.len, upto = before + most;
    do {
        before = r->client.in.len;
        end_read(&r->client, upto - before);
        end_write(&r->app, SIZE_MAX);
        stage_rounds(&r->stage, 2);
    } while (r->client.in.len > before);
}

/* One second, in which the application says so much and the client takes so much. */
static void second(struct reading *r, size_t said, size_t taken)
{
    if (said)
        stream_frame(&r->app.out, 0, 'x', said);
    for (unsigned i = 0; i < 10; i++) {
        end_write(&r->app, SIZE_MAX);
        stage_sleep(&r->stage, 50 * NS_PER_MS);
        take(r, taken / 10);
        stage_sleep(&r->stage, 50 * NS_PER_MS);
    }
}

static bool is_closed(const struct reading *r)
{
    return stage_cell(&r->stage, CELL_CLOSED) == 1;
}

static void a_client_that_takes_nothing_is_closed(void **state)
{
    struct reading r;
    reading_init(&r, "DEALER", "ROUTER");
    second(&r, 2 * MIB, 0);
    for (unsigned i = 0; i < 3; i++)
        second(&r, 0, 0);
    assert_false(is_closed(&r));
    for (unsigned i = 0; i < 3; i++)
        second(&r, 0, 0);
    assert_true(is_closed(&r));
    assert_int_equal(stage_verdict(&r.stage, VERDICT_SLOW_READER), 1);
    reading_fini(&r);
}

/* It empties what waits for it in Weir again and again, but that is little, and more waits behind it. */
static void a_client_that_takes_too_little_is_closed(void **state)
{
    struct reading r;
    reading_init(&r, "DEALER", "ROUTER");
    second(&r, 2 * MIB, SLOW_BYTES / 10);
    for (unsigned i = 0; i < 15 && !is_closed(&r); i++)
        second(&r, 0, SLOW_BYTES / 10);
    assert_int_equal(stage_verdict(&r.stage, VERDICT_SLOW_READER), 1);
    reading_fini(&r);
}

static void a_client_that_takes_enough_stays(void **state)
{
    struct reading r;
    reading_init(&r, "DEALER", "ROUTER");
    second(&r, 2 * MIB, SLOW_BYTES / 4);
    for (unsigned i = 0; i < 60; i++)
        second(&r, 0, SLOW_BYTES / 4);
    assert_false(is_closed(&r));
    reading_fini(&r);
}

/* It is late now and then, but takes all there is: little in all, because little is said. */
static void a_client_that_catches_up_stays(void **state)
{
    struct reading r;
    reading_init(&r, "DEALER", "ROUTER");
    for (unsigned i = 0; i < 20; i++) {
        second(&r, 12 * KIB, 0);
        second(&r, 0, MIB);
        second(&r, 0, MIB);
    }
    for (unsigned i = 0; i < 5; i++) {
        second(&r, 200 * KIB, 0);
        for (unsigned n = 0; n < 3; n++)
            second(&r, 0, 0);
        second(&r, 0, 10 * MIB);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_takes_nothing_is_closed),
        cmocka_unit_test(a_client_that_takes_too_little_is_closed),
        cmocka_unit_test(a_client_that_takes_enough_stays),
        cmocka_unit_test(a_client_that_catches_up_stays),
        cmocka_unit_test(a_worker_that_takes_its_time_stays),
        cmocka_unit_test(strangers_of_another_mechanism_keep_nobody_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
