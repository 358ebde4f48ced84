/* SPDX-License-Identifier: MPL-2.0 */
/* Sessions at the request limiter: with an operator's limit, with the application's counter, and without any proof. */
#include "relay/request_flow.h"
#include "relay/session.h"
#include "relay/testing/fixture.h"
#include "zmtp/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define CLIENTS   12u
#define REQUESTS  3u
#define BODY      10u
#define WIRE      (2u + BODY + 2u) /* with its delimiter */
#define STRANGERS 5u

struct play {
    struct fixture fixture;
    struct end clients[CLIENTS], apps[CLIENTS];
    unsigned count;
};

static void play_init(struct play *p, unsigned count, const char *client_type, const char *app_type, uint32_t max)
{
    memset(p, 0, sizeof(*p));
    p->count = count;
    fixture_init(&p->fixture, NULL);
    p->fixture.limits->concurrency.max = max;
    fixture_start(&p->fixture);
    for (unsigned i = 0; i < count; i++)
        fixture_pair(&p->fixture, &p->clients[i], &p->apps[i], client_type, app_type);
}

static void play_fini(struct play *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        end_close(&p->clients[i]);
        end_close(&p->apps[i]);
    }
    fixture_rounds(&p->fixture, 20);
    fixture_fini(&p->fixture);
}

static void put(struct end *e, uint8_t fill)
{
    stream_frame(&e->out, ZMTP_FLAG_MORE, 0, 0);
    stream_frame(&e->out, 0, fill, BODY);
}

static void ask(struct play *p, unsigned client, unsigned requests)
{
    for (unsigned i = 0; i < requests; i++)
        put(&p->clients[client], (uint8_t)('a' + client));
    end_write(&p->clients[client], SIZE_MAX);
}

/* Bytes of messages that an end has received. */
static size_t got(struct end *e)
{
    end_read(e, SIZE_MAX);
    return end_traffic(e, NULL).len;
}

static size_t all_got(struct play *p)
{
    size_t sum = 0;
    for (unsigned i = 0; i < p->count; i++)
        sum += got(&p->apps[i]);
    return sum;
}

static void reply(struct play *p, unsigned client)
{
    put(&p->apps[client], 'r');
    end_write(&p->apps[client], SIZE_MAX);
    fixture_rounds(&p->fixture, 4);
}

/* Answers one unanswered request. False: there is none. */
static bool reply_to_one(struct play *p, unsigned *answered)
{
    for (unsigned i = 0; i < p->count; i++)
        if (answered[i] < got(&p->apps[i]) / WIRE) {
            answered[i]++;
            reply(p, i);
            return true;
        }
    return false;
}

static void one_request_is_in_hand_at_a_time(void **state)
{
    struct play p;
    unsigned answered[CLIENTS] = {0};
    play_init(&p, 3, "REQ", "REP", 1);
    for (unsigned i = 0; i < 3; i++)
        ask(&p, i, REQUESTS);
    fixture_rounds(&p.fixture, 10);
    for (unsigned n = 1; n <= 3 * REQUESTS; n++) {
        assert_int_equal(all_got(&p), n * WIRE);
        assert_true(reply_to_one(&p, answered));
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(got(&p.clients[i]), REQUESTS * WIRE);
    play_fini(&p);
}

static void connections_take_turns(void **state)
{
    struct play p;
    unsigned answered[CLIENTS] = {0};
    play_init(&p, 3, "REQ", "REP", 1);
    ask(&p, 0, 30);
    fixture_rounds(&p.fixture, 4);
    ask(&p, 1, 1);
    ask(&p, 2, 1);
    fixture_rounds(&p.fixture, 4);
    for (unsigned n = 0; n < 4; n++)
        assert_true(reply_to_one(&p, answered));
    assert_int_equal(got(&p.clients[1]), WIRE);
    assert_int_equal(got(&p.clients[2]), WIRE);
    assert_true(got(&p.clients[0]) < 5 * WIRE);
    play_fini(&p);
}

static unsigned pongs_at(struct end *e)
{
    unsigned pongs;
    end_read(e, SIZE_MAX);
    end_traffic(e, &pongs);
    return pongs;
}

/* Neither end may take the other for dead while the client stands in line. An end that sends no PINGs will not. */
static void who_stands_in_line_is_kept_alive(void **state)
{
    struct play p;
    static const uint8_t ping[] = {0, 50, 'c', 't', 'x'};
    play_init(&p, 2, "REQ", "REP", 1);
    /* One reply took half a second: a request is waited for at least that long before it is forgotten. */
    ask(&p, 0, 1);
    fixture_sleep(&p.fixture, 500 * NS_PER_MS);
    reply(&p, 0);
    ask(&p, 0, 1);
    fixture_rounds(&p.fixture, 4);
    ask(&p, 1, 1);
    fixture_rounds(&p.fixture, 4);
    assert_int_equal(got(&p.apps[1]), 0);
    fixture_sleep(&p.fixture, 900 * NS_PER_MS);
    assert_true(pongs_at(&p.clients[1]) >= 3);
    assert_int_equal(pongs_at(&p.apps[1]), 0);
    stream_command(&p.apps[1].out, "PING", ping, sizeof(ping));
    end_write(&p.apps[1], SIZE_MAX);
    fixture_rounds(&p.fixture, 4);
    assert_int_equal(pongs_at(&p.apps[1]), 1);
    fixture_sleep(&p.fixture, 900 * NS_PER_MS);
    assert_true(pongs_at(&p.apps[1]) >= 4);
    play_fini(&p);
}

/* Nothing was answered yet, and one client asks for more and more: it is not taken for one that expects no answers. */
static void an_operators_limit_holds_who_is_not_answered_yet(void **state)
{
    struct play p;
    play_init(&p, 3, "DEALER", "ROUTER", 16);
    for (unsigned n = 0; n < 10; n++)
        for (unsigned i = 0; i < 3; i++) {
            ask(&p, i, 20);
            fixture_sleep(&p.fixture, 10 * NS_PER_MS);
        }
    assert_int_equal(all_got(&p), 16 * WIRE);
    play_fini(&p);
}

/* An application that never answers is not waited for either. */
static void an_operators_limit_ends_where_nothing_is_answered(void **state)
{
    struct play p;
    play_init(&p, 3, "DEALER", "ROUTER", 1);
    for (unsigned i = 0; i < 3; i++)
        ask(&p, i, 20);
    fixture_rounds(&p.fixture, 10);
    assert_int_equal(all_got(&p), WIRE);
    fixture_sleep(&p.fixture, 4 * NS_PER_S);
    assert_int_equal(all_got(&p), 60 * WIRE);
    play_fini(&p);
}

/* A connection that is not answered for long is not waited for. */
static void what_is_not_answered_is_forgotten(void **state)
{
    struct play p;
    play_init(&p, 3, "DEALER", "ROUTER", 1);
    ask(&p, 2, 1);
    fixture_rounds(&p.fixture, 4);
    reply(&p, 2);
    ask(&p, 0, 1);
    fixture_rounds(&p.fixture, 4);
    ask(&p, 1, 1);
    fixture_sleep(&p.fixture, 50 * NS_PER_MS);
    assert_int_equal(got(&p.apps[1]), 0);
    fixture_sleep(&p.fixture, NS_PER_S);
    assert_int_equal(got(&p.apps[1]), WIRE);
    play_fini(&p);
}

static void who_leaves_gives_its_place_to_others(void **state)
{
    struct play p;
    play_init(&p, 3, "REQ", "REP", 1);
    for (unsigned i = 0; i < 3; i++) {
        ask(&p, i, 1);
        fixture_rounds(&p.fixture, 4);
    }
    end_close(&p.clients[1]); /* it stands in line */
    end_close(&p.apps[1]);
    fixture_rounds(&p.fixture, 10);
    assert_int_equal(got(&p.apps[2]), 0);
    end_close(&p.clients[0]); /* its request is in hand */
    end_close(&p.apps[0]);
    fixture_sleep(&p.fixture, 20 * NS_PER_MS);
    fixture_rounds(&p.fixture, 4);
    assert_int_equal(got(&p.apps[2]), WIRE);
    play_fini(&p);
}

static void switched_off_nothing_waits(void **state)
{
    struct play p;
    memset(&p, 0, sizeof(p));
    p.count = 2;
    fixture_init(&p.fixture, NULL);
    p.fixture.limits->concurrency.limit = CONCURRENCY_LIMIT_OFF;
    p.fixture.limits->concurrency.max = 1;
    fixture_start(&p.fixture);
    for (unsigned i = 0; i < 2; i++)
        fixture_pair(&p.fixture, &p.clients[i], &p.apps[i], "REQ", "REP");
    ask(&p, 0, 100);
    ask(&p, 1, 100);
    fixture_rounds(&p.fixture, 10);
    assert_int_equal(all_got(&p), 200 * WIRE);
    play_fini(&p);
}

/* Nothing comes back from a PULL: an operator's limit on messages in hand would never be free again. */
static void what_is_never_answered_is_not_in_hand(void **state)
{
    struct play p;
    play_init(&p, 2, "PUSH", "PULL", 1);
    ask(&p, 0, 100);
    ask(&p, 1, 100);
    fixture_rounds(&p.fixture, 10);
    assert_int_equal(all_got(&p), 200 * WIRE);
    play_fini(&p);
}

/* ---- classes ---- */

/* Clients 0 and 1 are of "first", 2 and 3 of "heavy", the others of none. */
static void play_classes(struct play *p, unsigned count)
{
    memset(p, 0, sizeof(*p));
    p->count = count;
    fixture_init(&p->fixture, "tcp://127.0.0.1:*");
    p->fixture.limits->concurrency.max = 1;
    struct classes *c = classes_new(4);
    unsigned first = classes_add(c, "first", 1, 1), heavy = classes_add(c, "heavy", 4, 2);
    for (unsigned i = 0; i < 4; i++) {
        struct network n;
        char text[32];
        snprintf(text, sizeof(text), "127.0.1.%u", i + 1);
        assert_int_equal(network_parse(&n, text, NULL), 0);
        classes_add_network(c, i < 2 ? first : heavy, &n);
    }
    classes_settle(c);
    p->fixture.config->gates[0].class_table = c;
    fixture_start(&p->fixture);
    for (unsigned i = 0; i < count; i++)
        fixture_pair_by_address(&p->fixture, &p->clients[i], &p->apps[i], "REQ", "REP", 0x7f000101u + i);
}

static uint64_t class_cell(const struct play *p, unsigned class, enum class_cell c)
{
    return atomic_load(&p->fixture.gate.class_cells[0].at[class][c]);
}

static void classes_are_counted(void **state)
{
    struct play p;
    play_classes(&p, 5);
    assert_int_equal(class_cell(&p, 0, CLASS_CONNECTIONS), 1);
    assert_int_equal(class_cell(&p, 1, CLASS_CONNECTIONS), 2);
    assert_int_equal(class_cell(&p, 2, CLASS_CONNECTIONS), 2);
    ask(&p, 2, 1);
    fixture_rounds(&p.fixture, 4);
    reply(&p, 2);
    ask(&p, 4, 1);
    fixture_rounds(&p.fixture, 4);
    assert_int_equal(class_cell(&p, 0, CLASS_MESSAGES), 1);
    assert_int_equal(class_cell(&p, 1, CLASS_MESSAGES), 0);
    assert_int_equal(class_cell(&p, 2, CLASS_MESSAGES), 1);
    end_close(&p.clients[0]);
    end_close(&p.apps[0]);
    fixture_rounds(&p.fixture, 20);
    assert_int_equal(class_cell(&p, 1, CLASS_CONNECTIONS), 1);
    play_fini(&p);
}

/* ---- with the application's counter ---- */

/* An application that takes messages and counts them. */
struct counted {
    struct play play;
    struct taken_page page;
    size_t taken[CLIENTS]; /* bytes of each connection */
    const char *client_type, *app_type;
};

/* Starts with one client. */
static void counted_init(struct counted *c, const char *client_type, const char *app_type)
{
    c->client_type = client_type;
    c->app_type = app_type;
    memset(&c->page, 0, sizeof(c->page));
    memset(c->taken, 0, sizeof(c->taken));
    play_init(&c->play, 1, client_type, app_type, 0);
    taken_page_begin(&c->page, fixture_now_ns());
    gate_limiter_attach(&c->play.fixture.gate.limiter, &c->page);
}

/* Lets time pass while the heart beats. */
static void counted_sleep(struct counted *c, uint64_t ns)
{
    for (uint64_t end_ns = fixture_now_ns() + ns; fixture_now_ns() < end_ns;) {
        taken_page_beat(&c->page, fixture_now_ns());
        fixture_sleep(&c->play.fixture, NS_PER_MS);
    }
}

/* The application takes up to `most` messages, answers each if `answers`, and waits for more. Returns how many. */
static unsigned counted_take(struct counted *c, unsigned most, bool answers)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->play.count && n < most; i++)
        for (; n < most && c->taken[i] + WIRE <= got(&c->play.apps[i]); n++) {
            c->taken[i] += WIRE;
            if (taken_page_took(&c->page, fixture_now_ns(), fixture_now_ns()))
                gate_limiter_look(fixture_gate(&c->play.fixture));
            if (answers)
                reply(&c->play, i);
        }
    if (n < most && taken_page_found_nothing(&c->page, true, fixture_now_ns()))
        gate_limiter_look(fixture_gate(&c->play.fixture));
    fixture_rounds(&c->play.fixture, 4);
    return n;
}

/* The first client asks now and then; the others do not. */
static void counted_calm(struct counted *c, bool answers)
{
    for (unsigned n = 0; n < 100; n++) {
        ask(&c->play, 0, 1);
        fixture_rounds(&c->play.fixture, 4);
        counted_sleep(c, NS_PER_MS);
        assert_int_equal(counted_take(c, UINT32_MAX, answers), 1);
        counted_sleep(c, 50 * NS_PER_MS);
    }
}

/* Bytes from connections 1 and up that have reached the application. */
static size_t strangers_got(struct counted *c)
{
    size_t sum = 0;
    for (unsigned i = 1; i < c->play.count; i++)
        sum += got(&c->play.apps[i]);
    return sum;
}

/* Strangers wait while the application is busy; the client that was there before does not. */
static void strangers_wait(struct counted *c, bool answers)
{
    counted_calm(c, answers);
    ask(&c->play, 0, 1);
    fixture_rounds(&c->play.fixture, 4);
    assert_int_equal(counted_take(c, 1, false), 1);
    for (; c->play.count < 1 + STRANGERS; c->play.count++)
        fixture_pair(&c->play.fixture, &c->play.clients[c->play.count], &c->play.apps[c->play.count], c->client_type,
                     c->app_type);
    for (unsigned i = 1; i < c->play.count; i++)
        ask(&c->play, i, 50);
    counted_sleep(c, 100 * NS_PER_MS);
    size_t held = STRANGERS * 50 * WIRE;
    assert_true(strangers_got(c) < held / 4);
    assert_true(gate_limiter_holds(&c->play.fixture.gate.limiter));
    size_t before = got(&c->play.apps[0]);
    ask(&c->play, 0, 1);
    fixture_rounds(&c->play.fixture, 4);
    assert_int_equal(got(&c->play.apps[0]), before + WIRE);
}

/* Every held message reaches an application that takes messages. */
static void all_of_it_passes(struct counted *c, bool answers)
{
    size_t all = STRANGERS * 50 * WIRE;
    for (unsigned n = 0; n < 20000 && strangers_got(c) < all; n++) {
        counted_sleep(c, NS_PER_MS);
        counted_take(c, 2, answers);
    }
    assert_int_equal(strangers_got(c), all);
    counted_sleep(c, 2 * NS_PER_MS);
    assert_false(gate_limiter_holds(&c->play.fixture.gate.limiter));
    assert_int_equal(c->play.fixture.gate.limiter.limit.stats.stuck, 0);
}

static void strangers_wait_for_an_application_that_answers(void **state)
{
    struct counted c;
    counted_init(&c, "DEALER", "ROUTER");
    strangers_wait(&c, true);
    all_of_it_passes(&c, true);
    play_fini(&c.play);
}

static void strangers_wait_for_an_application_that_only_takes(void **state)
{
    struct counted c;
    counted_init(&c, "PUSH", "PULL");
    strangers_wait(&c, false);
    all_of_it_passes(&c, false);
    play_fini(&c.play);
}

/* A counter that stands still, or whose process is gone, holds nothing for good. */
static void a_counter_that_stands_still_lets_all_pass(void **state)
{
    struct counted c;
    counted_init(&c, "PUSH", "PULL");
    strangers_wait(&c, false);
    counted_sleep(&c, 4 * NS_PER_S);
    assert_int_equal(strangers_got(&c), STRANGERS * 50 * WIRE);
    play_fini(&c.play);
}

static void a_counter_that_is_gone_lets_all_pass(void **state)
{
    struct counted c;
    counted_init(&c, "PUSH", "PULL");
    strangers_wait(&c, false);
    gate_limiter_attach(&c.play.fixture.gate.limiter, NULL);
    fixture_sleep(&c.play.fixture, 20 * NS_PER_MS);
    assert_int_equal(strangers_got(&c), STRANGERS * 50 * WIRE);
    play_fini(&c.play);
}

/* The operator switches the limit off while clients wait, and on again. */
static void who_waits_goes_on_when_it_is_switched_off(void **state)
{
    struct counted c;
    counted_init(&c, "DEALER", "ROUTER");
    strangers_wait(&c, true);
    c.play.fixture.in_force->concurrency.limit = CONCURRENCY_LIMIT_OFF;
    LIST_FOREACH(n, &c.play.fixture.worker.sessions.all)
    session_reconsider(LIST_ENTRY(n, struct session, in.worker));
    fixture_rounds(&c.play.fixture, 6);
    assert_int_equal(strangers_got(&c), STRANGERS * 50 * WIRE);
    assert_false(gate_limiter_holds(&c.play.fixture.gate.limiter));
    c.play.fixture.in_force->concurrency.limit = CONCURRENCY_LIMIT_AUTO;
    LIST_FOREACH(n, &c.play.fixture.worker.sessions.all)
    session_reconsider(LIST_ENTRY(n, struct session, in.worker));
    ask(&c.play, 1, 1);
    fixture_rounds(&c.play.fixture, 4);
    assert_int_equal(strangers_got(&c), STRANGERS * 50 * WIRE);
    assert_true(gate_limiter_holds(&c.play.fixture.gate.limiter));
    play_fini(&c.play);
}

/* The messages that a connection has offered go with it. */
static void who_leaves_while_it_waits_is_forgotten(void **state)
{
    struct counted c;
    counted_init(&c, "DEALER", "ROUTER");
    strangers_wait(&c, true);
    for (unsigned i = 1; i < c.play.count; i++) {
        end_close(&c.play.apps[i]);
        end_close(&c.play.clients[i]);
    }
    fixture_rounds(&c.play.fixture, 20);
    assert_false(gate_limiter_holds(&c.play.fixture.gate.limiter));
    c.play.count = 1;
    while (counted_take(&c, UINT32_MAX, true))
        ;
    counted_calm(&c, true);
    play_fini(&c.play);
}

/* ---- without any proof ---- */

static void nothing_waits_without_proof(const char *client_type, const char *app_type)
{
    struct play p;
    play_init(&p, CLIENTS, client_type, app_type, 0);
    for (unsigned n = 0; n < 100; n++) {
        ask(&p, 0, 1);
        fixture_sleep(&p.fixture, 50 * NS_PER_MS);
    }
    for (unsigned i = 1; i < CLIENTS; i++)
        ask(&p, i, 200);
    fixture_rounds(&p.fixture, 20);
    assert_int_equal(all_got(&p), (100 + (CLIENTS - 1) * 200) * WIRE);
    assert_false(gate_limiter_holds(&p.fixture.gate.limiter));
    play_fini(&p);
}

static void a_message_is_not_a_request(void **state)
{
    nothing_waits_without_proof("DEALER", "ROUTER");
    nothing_waits_without_proof("PUSH", "PULL");
    nothing_waits_without_proof("DEALER", "DEALER");
}

/* The limiter has no work while nothing is sent. */
static void an_idle_gate_does_not_wake_up(void **state)
{
    struct play p;
    play_init(&p, 2, "REQ", "REP", 0);
    ask(&p, 0, 1);
    fixture_rounds(&p.fixture, 4);
    reply(&p, 0);
    fixture_sleep(&p.fixture, 5 * NS_PER_S);
    assert_true(fixture_sleep_as_told(&p.fixture, 10 * NS_PER_S) < 20);
    play_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_is_in_hand_at_a_time),
        cmocka_unit_test(connections_take_turns),
        cmocka_unit_test(who_stands_in_line_is_kept_alive),
        cmocka_unit_test(what_is_not_answered_is_forgotten),
        cmocka_unit_test(an_operators_limit_holds_who_is_not_answered_yet),
        cmocka_unit_test(an_operators_limit_ends_where_nothing_is_answered),
        cmocka_unit_test(who_leaves_gives_its_place_to_others),
        cmocka_unit_test(switched_off_nothing_waits),
        cmocka_unit_test(what_is_never_answered_is_not_in_hand),
        cmocka_unit_test(classes_are_counted),
        cmocka_unit_test(strangers_wait_for_an_application_that_answers),
        cmocka_unit_test(strangers_wait_for_an_application_that_only_takes),
        cmocka_unit_test(a_counter_that_stands_still_lets_all_pass),
        cmocka_unit_test(a_counter_that_is_gone_lets_all_pass),
        cmocka_unit_test(who_waits_goes_on_when_it_is_switched_off),
        cmocka_unit_test(who_leaves_while_it_waits_is_forgotten),
        cmocka_unit_test(a_message_is_not_a_request),
        cmocka_unit_test(an_idle_gate_does_not_wake_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
