/* SPDX-License-Identifier: MPL-2.0 */
/* What becomes of a request that has waited for too long: an earlier one is with the application and not answered. */
#include "relay/request_shed.h"
#include "relay/testing/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define BODY 10u
#define WIRE (2u + BODY + 2u) /* with its delimiter */
#define TEXT "busy"
#define SAID (2u + sizeof(TEXT) - 1u + 2u)
#define LONG (120 * NS_PER_MS) /* more than the interval and the target; less than a request is waited for */

enum { FIRST, LATE };

struct play {
    struct fixture fixture;
    struct end clients[2], apps[2];
};

static void play_init(struct play *p, enum shed_over over)
{
    memset(p, 0, sizeof(*p));
    fixture_init(&p->fixture, NULL);
    p->fixture.limits->concurrency.max = 1;
    p->fixture.limits->concurrency.shed.over = over;
    memcpy(p->fixture.config->gates[0].shed_reply, TEXT, sizeof(TEXT));
    fixture_start(&p->fixture);
    for (unsigned i = 0; i < 2; i++)
        fixture_pair(&p->fixture, &p->clients[i], &p->apps[i], "REQ", "REP");
}

static void play_fini(struct play *p)
{
    for (unsigned i = 0; i < 2; i++) {
        end_close(&p->clients[i]);
        end_close(&p->apps[i]);
    }
    fixture_rounds(&p->fixture, 20);
    fixture_fini(&p->fixture);
}

static void say(struct play *p, struct end *e)
{
    stream_frame(&e->out, ZMTP_FLAG_MORE, 0, 0);
    stream_frame(&e->out, 0, 'x', BODY);
    end_write(e, SIZE_MAX);
    fixture_rounds(&p->fixture, 6);
}

static size_t got(struct end *e)
{
    end_read(e, SIZE_MAX);
    return end_traffic(e, NULL).len;
}

/* The first client has a request with the application; the other waits with one. */
static void one_waits(struct play *p)
{
    say(p, &p->clients[FIRST]);
    say(p, &p->clients[LATE]);
    assert_int_equal(got(&p->apps[FIRST]), WIRE);
    assert_int_equal(got(&p->apps[LATE]), 0);
}

static void everybody_is_well(struct play *p)
{
    say(p, &p->apps[FIRST]);
    for (unsigned i = 0; i < 2; i++) {
        size_t app = got(&p->apps[i]), client = got(&p->clients[i]);
        say(p, &p->clients[i]);
        assert_int_equal(got(&p->apps[i]), app + WIRE);
        say(p, &p->apps[i]);
        assert_int_equal(got(&p->clients[i]), client + WIRE);
    }
}

static void by_default_it_waits(void **state)
{
    struct play p;
    play_init(&p, SHED_OVER_WAIT);
    one_waits(&p);
    fixture_sleep(&p.fixture, 8 * LONG);
    assert_int_equal(got(&p.apps[LATE]), 0);
    say(&p, &p.apps[FIRST]);
    assert_int_equal(got(&p.apps[LATE]), WIRE);
    assert_int_equal(fixture_verdict(&p.fixture, VERDICT_OVERLOADED), 0);
    play_fini(&p);
}

static void it_is_answered(void **state)
{
    struct play p;
    play_init(&p, SHED_OVER_REPLY);
    one_waits(&p);
    fixture_sleep(&p.fixture, 90 * NS_PER_MS);
    assert_int_equal(got(&p.clients[LATE]), 0);
    fixture_sleep(&p.fixture, LONG - 90 * NS_PER_MS);
    assert_int_equal(got(&p.clients[LATE]), SAID);
    struct bytes answer = end_traffic(&p.clients[LATE], NULL);
    assert_memory_equal(answer.at, "\1\0\0\4" TEXT, SAID);
    assert_int_equal(got(&p.apps[LATE]), 0);
    assert_int_equal(fixture_verdict(&p.fixture, VERDICT_OVERLOADED), 1);
    assert_int_equal(fixture_cell(&p.fixture, CELL_DROPPED_MESSAGES), 1);
    everybody_is_well(&p);
    play_fini(&p);
}

static void it_is_left_out(void **state)
{
    struct play p;
    play_init(&p, SHED_OVER_DROP);
    one_waits(&p);
    fixture_sleep(&p.fixture, LONG);
    assert_int_equal(fixture_verdict(&p.fixture, VERDICT_OVERLOADED), 1);
    assert_int_equal(got(&p.clients[LATE]), 0);
    everybody_is_well(&p);
    play_fini(&p);
}

static void its_connection_ends(void **state)
{
    struct play p;
    play_init(&p, SHED_OVER_CLOSE);
    one_waits(&p);
    fixture_sleep(&p.fixture, LONG);
    for (unsigned i = 0; i < 3; i++)
        end_read(&p.clients[LATE], SIZE_MAX);
    assert_true(p.clients[LATE].over);
    assert_false(p.clients[FIRST].over);
    assert_int_equal(fixture_verdict(&p.fixture, VERDICT_OVERLOADED), 1);
    assert_int_equal(got(&p.apps[LATE]), 0);
    play_fini(&p);
}

/* The answers of one connection come in the order of its requests. */
static void nobody_is_answered_out_of_order(void **state)
{
    struct play p;
    play_init(&p, SHED_OVER_REPLY);
    say(&p, &p.clients[FIRST]);
    say(&p, &p.clients[FIRST]);
    assert_int_equal(got(&p.apps[FIRST]), WIRE);
    fixture_sleep(&p.fixture, 4 * LONG);
    assert_int_equal(got(&p.clients[FIRST]), 0);
    say(&p, &p.apps[FIRST]);
    assert_int_equal(got(&p.clients[FIRST]), WIRE);
    assert_int_equal(got(&p.apps[FIRST]), 2 * WIRE);
    assert_int_equal(fixture_verdict(&p.fixture, VERDICT_OVERLOADED), 0);
    play_fini(&p);
}

static void who_leaves_meanwhile_is_shed_too(void **state)
{
    struct play p;
    play_init(&p, SHED_OVER_REPLY);
    one_waits(&p);
    fixture_sleep(&p.fixture, 50 * NS_PER_MS);
    end_close(&p.clients[LATE]);
    fixture_sleep(&p.fixture, LONG);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(got(&p.apps[LATE]), 0);
    assert_true(p.apps[LATE].over);
    play_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_it_waits),
        cmocka_unit_test(it_is_answered),
        cmocka_unit_test(it_is_left_out),
        cmocka_unit_test(its_connection_ends),
        cmocka_unit_test(nobody_is_answered_out_of_order),
        cmocka_unit_test(who_leaves_meanwhile_is_shed_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
