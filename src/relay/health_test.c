/* SPDX-License-Identifier: MPL-2.0 */
/* The circuit breaker between newcomers and an application that fails. */
#include "relay/testing/fixture.h"

#include "zmtp/greeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define MIB  (1024u * 1024u)
#define MANY 64u

/* What the application does with a connection that it has accepted. */
enum manner { GREETS, STAYS_SILENT, HANGS_UP, SHOWS_ITS_GREETING, TALKS_NONSENSE };

/* Clients, and an application that may be away. */
struct ward {
    struct fixture fixture;
    enum manner manner;
    struct end clients[MANY], apps[MANY];
    unsigned client_count, app_count;
};

static struct ward *ward_new(enum breaker_meets meets)
{
    static struct ward w;
    memset(&w, 0, sizeof(w));
    fixture_init(&w.fixture, NULL);
    struct config_gate *g = &w.fixture.config->gates[0];
    g->socket = SOCKET_ROUTER;
    g->limits.source.connection_rate = (struct rate){0};
    g->breaker = (struct breaker_params){
        .failures = 3, .trials = 2, .for_ns = 2 * NS_PER_S, .max_ns = 8 * NS_PER_S, .slow_start_ns = 0};
    g->breaker_open = meets;
    return &w;
}

static void serve(struct ward *w)
{
    static const uint8_t nonsense[] = {0, 4, 'o', 'o', 'p', 's'};
    uint8_t greeting[ZMTP_GREETING_BYTES];
    struct end e;
    while (w->fixture.app_fd >= 0 && end_accept(&e, &w->fixture)) {
        assert_true(w->app_count < MANY);
        zmtp_greeting_put(greeting, &(struct zmtp_greeting){.major = 3, .minor = 1, .mechanism = MECHANISM_NULL});
        if (w->manner == GREETS)
            end_greet(&e, "ROUTER", NULL);
        if (w->manner == SHOWS_ITS_GREETING || w->manner == TALKS_NONSENSE)
            stream_put(&e.out, greeting, sizeof(greeting));
        if (w->manner == TALKS_NONSENSE)
            stream_put(&e.out, nonsense, sizeof(nonsense));
        end_write(&e, SIZE_MAX);
        w->apps[w->app_count++] = e;
    }
    for (unsigned i = 0; i < w->app_count; i++) {
        struct end *a = &w->apps[i];
        end_read(a, SIZE_MAX);
        /* Past the client's whole greeting. */
        bool enough = w->manner == HANGS_UP || (w->manner == SHOWS_ITS_GREETING && a->in.len >= ZMTP_GREETING_BYTES);
        if (!a->over && !enough)
            continue;
        end_close(a);
        w->apps[i--] = w->apps[--w->app_count];
    }
}

static void pass_time(struct ward *w, uint64_t ns)
{
    for (uint64_t left = ns; left > 0; left -= 5 * NS_PER_MS) {
        fixture_sleep(&w->fixture, 5 * NS_PER_MS);
        serve(w);
    }
    for (unsigned i = 0; i < w->client_count; i++)
        for (unsigned n = 0; n < 2; n++)
            end_read(&w->clients[i], SIZE_MAX);
}

static struct end *come(struct ward *w)
{
    struct end *e = &w->clients[w->client_count++];
    assert_true(w->client_count <= MANY);
    end_connect(e, &w->fixture, 0);
    end_greet(e, "DEALER", NULL);
    end_write(e, SIZE_MAX);
    return e;
}

/* The application and all its connections are gone. */
static void die(struct ward *w)
{
    fixture_app_stop(&w->fixture);
    while (w->app_count)
        end_close(&w->apps[--w->app_count]);
}

static void come_back(struct ward *w, enum manner manner)
{
    w->manner = manner;
    fixture_app_listen(&w->fixture);
}

static enum breaker_state state_of(const struct ward *w)
{
    return breaker_state(&w->fixture.gate.breaker, fixture_now_ns());
}

static void ward_free(struct ward *w)
{
    for (unsigned i = 0; i < w->client_count; i++)
        end_close(&w->clients[i]);
    w->client_count = 0;
    pass_time(w, 50 * NS_PER_MS);
    die(w);
    pass_time(w, 50 * NS_PER_MS);
    fixture_fini(&w->fixture);
}

static void wait_until_open(struct ward *w)
{
    for (unsigned i = 0; i < 200 && state_of(w) != BREAKER_OPEN; i++)
        pass_time(w, 50 * NS_PER_MS);
    assert_int_equal(state_of(w), BREAKER_OPEN);
}

/* ---- an application that is away ---- */

static void who_comes_while_it_is_open_is_refused(void **state)
{
    struct ward *w = ward_new(BREAKER_MEETS_REFUSE);
    fixture_start(&w->fixture);
    struct end *first = come(w);
    pass_time(w, 100 * NS_PER_MS);
    assert_true(end_is_greeted(first));
    die(w);
    struct end *waiting = come(w);
    wait_until_open(w);
    pass_time(w, 20 * NS_PER_MS);
    assert_true(first->over && waiting->over);
    struct end *late = come(w);
    pass_time(w, 5 * NS_PER_MS);
    assert_true(late->over && late->in.len == 0);
    assert_int_equal(fixture_verdict(&w->fixture, VERDICT_BREAKER_OPEN), 2);
    come_back(w, GREETS);
    pass_time(w, 500 * NS_PER_MS); /* after that one newcomer probes whether it is back */
    assert_int_equal(state_of(w), BREAKER_OPEN);
    struct end *again = come(w);
    pass_time(w, 100 * NS_PER_MS);
    assert_true(end_is_greeted(again));
    assert_int_equal(state_of(w), BREAKER_CLOSED);
    ward_free(w);
}

static void who_comes_while_it_is_open_may_wait(void **state)
{
    struct ward *w = ward_new(BREAKER_MEETS_PAUSE);
    w->fixture.limits->handshake.within_ns = 60 * NS_PER_S;
    fixture_start(&w->fixture);
    die(w);
    for (unsigned i = 0; i < 20; i++)
        come(w);
    wait_until_open(w);
    pass_time(w, 20 * NS_PER_S);
    assert_int_equal(fixture_cell(&w->fixture, CELL_CLOSED), 0);
    come_back(w, GREETS);
    pass_time(w, 3 * NS_PER_S);
    for (unsigned i = 0; i < 20; i++)
        assert_true(end_is_greeted(&w->clients[i]));
    assert_int_equal(state_of(w), BREAKER_CLOSED);
    assert_int_equal(fixture_verdict(&w->fixture, VERDICT_BREAKER_OPEN), 0);
    ward_free(w);
}

static void an_absence_is_asked_about_ever_more_rarely(void **state)
{
    struct ward *w = ward_new(BREAKER_MEETS_PAUSE);
    w->fixture.limits->handshake.within_ns = 3600 * NS_PER_S;
    fixture_start(&w->fixture);
    die(w);
    come(w);
    pass_time(w, 100 * NS_PER_S);
    /* 2, 4, 8, 8, ... s; half a second more until the client has asked again, and up to a quarter less by chance. */
    uint64_t opened = atomic_load(&w->fixture.gate.breaker.opened);
    assert_in_range(opened, 10, 20);
    ward_free(w);
}

/* ---- an application that fails in the handshake ---- */

/* Clients come one after the other until the breaker is open, or `most` have come. */
static unsigned come_until_open(struct ward *w, unsigned most)
{
    unsigned came = 0;
    while (came < most && state_of(w) == BREAKER_CLOSED) {
        came++;
        come(w);
        pass_time(w, 30 * NS_PER_MS);
    }
    return came;
}

static void broken_handshakes_open_it(void **state)
{
    static const enum manner manners[] = {SHOWS_ITS_GREETING, TALKS_NONSENSE};
    for (unsigned i = 0; i < ARRAY_LEN(manners); i++) {
        struct ward *w = ward_new(BREAKER_MEETS_PAUSE);
        w->manner = manners[i];
        fixture_start(&w->fixture);
        assert_in_range(come_until_open(w, 40), 3, 5);
        assert_int_equal(state_of(w), BREAKER_OPEN);
        assert_int_equal(breaker_cause(&w->fixture.gate.breaker), BREAKER_HANDSHAKE);
        ward_free(w);
    }
}

/* PLAIN and CURVE applications end the connection of a client that does not know the password; a PAIR that of every
 * second client. Clients must not be able to shut the others out. */
static void what_clients_can_bring_about_opens_nothing(void **state)
{
    static const enum socket_type types[] = {SOCKET_PAIR, SOCKET_AUTO};
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        struct ward *w = ward_new(BREAKER_MEETS_PAUSE);
        w->manner = SHOWS_ITS_GREETING;
        w->fixture.config->gates[0].socket = types[i];
        fixture_start(&w->fixture);
        come_until_open(w, 20);
        assert_int_equal(state_of(w), BREAKER_CLOSED);
        ward_free(w);
    }
}

/* The same holds for clients that connect, ask for a connection, and leave, or never send anything. */
static void clients_that_leave_open_nothing(void **state)
{
    struct ward *w = ward_new(BREAKER_MEETS_PAUSE);
    fixture_start(&w->fixture);
    pass_time(w, 50 * NS_PER_MS);
    for (unsigned i = 0; i < 30; i++) {
        come(w);
        fixture_rounds(&w->fixture, i % 3);
        end_close(&w->clients[--w->client_count]);
        pass_time(w, 10 * NS_PER_MS);
    }
    end_connect(&w->clients[w->client_count++], &w->fixture, 0);
    pass_time(w, 6 * NS_PER_S);
    assert_int_equal(fixture_verdict(&w->fixture, VERDICT_HANDSHAKE_TIMEOUT), 1);
    assert_int_equal(atomic_load(&w->fixture.gate.breaker.opened), 0);
    ward_free(w);
}

static void few_at_a_time_try_a_half_open_gate(void **state)
{
    struct ward *w = ward_new(BREAKER_MEETS_PAUSE);
    w->manner = SHOWS_ITS_GREETING;
    w->fixture.limits->handshake.within_ns = 60 * NS_PER_S;
    fixture_start(&w->fixture);
    come_until_open(w, 40);
    assert_int_equal(state_of(w), BREAKER_OPEN);
    w->manner = STAYS_SILENT;
    while (w->app_count)
        end_close(&w->apps[--w->app_count]);
    uint64_t connects = fixture_cell(&w->fixture, CELL_UPSTREAM_CONNECTS);
    for (unsigned i = 0; i < 20; i++)
        come(w);
    /* The clients know the application from before: the gate still believes its greeting. */
    app_facts_learn(&w->fixture.gate.app, &(struct handshake_app){.mechanism = MECHANISM_NULL, .minor = 1},
                    fixture_now_ns());
    atomic_store(&w->fixture.gate.reach.verified_ns, fixture_now_ns() + 3600 * NS_PER_S);
    for (unsigned i = 0; i < 40; i++) {
        pass_time(w, 100 * NS_PER_MS);
        assert_true(state_of(w) == BREAKER_CLOSED || fixture_cell(&w->fixture, CELL_UPSTREAM_CONNECTS) - connects <= 2);
    }
    assert_int_equal(state_of(w), BREAKER_HALF_OPEN);
    assert_int_equal(fixture_cell(&w->fixture, CELL_UPSTREAM_CONNECTS) - connects, 2);
    /* When one of the two leaves, another gets its place. */
    for (unsigned i = 0; fixture_cell(&w->fixture, CELL_UPSTREAM_CONNECTS) - connects == 2; i++) {
        assert_true(i < w->client_count);
        end_close(&w->clients[i]);
        pass_time(w, 250 * NS_PER_MS);
    }
    assert_int_equal(fixture_cell(&w->fixture, CELL_UPSTREAM_CONNECTS) - connects, 3);
    assert_int_equal(state_of(w), BREAKER_HALF_OPEN);
    w->manner = GREETS;
    for (unsigned i = 0; i < w->app_count; i++) {
        end_greet(&w->apps[i], "ROUTER", NULL);
        end_write(&w->apps[i], SIZE_MAX);
    }
    pass_time(w, NS_PER_S);
    assert_int_equal(state_of(w), BREAKER_CLOSED);
    assert_true(fixture_cell(&w->fixture, CELL_ESTABLISHED) >= 15);
    ward_free(w);
}

static void who_is_held_back_for_too_long_is_told_why(void **state)
{
    struct ward *w = ward_new(BREAKER_MEETS_PAUSE);
    w->manner = SHOWS_ITS_GREETING;
    w->fixture.config->gates[0].breaker.for_ns = w->fixture.config->gates[0].breaker.max_ns = 3600 * NS_PER_S;
    fixture_start(&w->fixture);
    come_until_open(w, 40);
    assert_int_equal(state_of(w), BREAKER_OPEN);
    struct end *held = come(w);
    pass_time(w, 29 * NS_PER_S);
    assert_false(held->over);
    pass_time(w, 2 * NS_PER_S);
    assert_true(held->over);
    assert_int_equal(fixture_verdict(&w->fixture, VERDICT_BREAKER_OPEN), 1);
    ward_free(w);
}

/* It accepts, and sends nothing. */
static void silence_opens_it_behind_a_living_connection(void **state)
{
    struct ward *w = ward_new(BREAKER_MEETS_PAUSE);
    fixture_start(&w->fixture);
    struct end *first = come(w);
    pass_time(w, 100 * NS_PER_MS);
    assert_true(end_is_greeted(first));
    w->manner = STAYS_SILENT;
    for (unsigned i = 0; i < 3; i++)
        come(w);
    pass_time(w, 4 * NS_PER_S);
    assert_int_equal(state_of(w), BREAKER_CLOSED);
    pass_time(w, 2 * NS_PER_S);
    assert_int_equal(atomic_load(&w->fixture.gate.breaker.opened), 1);
    assert_false(first->over);
    ward_free(w);
}

/* ---- stalls ---- */

static struct ward *ward_with_stalls(void)
{
    struct ward *w = ward_new(BREAKER_MEETS_REFUSE);
    w->fixture.config->gates[0].breaker_stall_ns = 10 * NS_PER_S;
    return w;
}

/* Fills the kernel's buffers between Weir and an application that does not read. */
static struct end *fill(struct ward *w, struct end *ret_app)
{
    struct end *c = &w->clients[w->client_count++];
    fixture_pair(&w->fixture, c, ret_app, "DEALER", "ROUTER");
    stream_frame(&c->out, 0, 'x', 8 * MIB);
    for (unsigned i = 0; i < 100; i++) {
        end_write(c, SIZE_MAX);
        fixture_rounds(&w->fixture, 2);
    }
    assert_int_equal(fixture_cell(&w->fixture, CELL_BLOCKED_IN), 1);
    return c;
}

static void an_application_that_takes_nothing_opens_it(void **state)
{
    struct ward *w = ward_with_stalls();
    struct end app;
    fixture_start(&w->fixture);
    struct end *client = fill(w, &app);
    fixture_sleep(&w->fixture, 9 * NS_PER_S);
    assert_int_equal(state_of(w), BREAKER_CLOSED);
    fixture_sleep(&w->fixture, 4 * NS_PER_S);
    assert_int_equal(atomic_load(&w->fixture.gate.breaker.opened), 1);
    assert_int_equal(breaker_cause(&w->fixture.gate.breaker), BREAKER_STALL);
    assert_false(client->over);
    /* It goes on reading: that is all it needs. */
    for (unsigned i = 0; i < 1000; i++) {
        end_read(&app, 100000);
        end_write(client, SIZE_MAX);
        fixture_sleep(&w->fixture, 20 * NS_PER_MS);
    }
    assert_int_equal(state_of(w), BREAKER_CLOSED);
    assert_int_equal(client->sent, client->out.len);
    end_close(&app);
    ward_free(w);
}

static void one_that_takes_a_little_is_alive(void **state)
{
    struct ward *w = ward_with_stalls();
    struct end app, other, other_app;
    fixture_start(&w->fixture);
    fill(w, &app);
    fixture_pair(&w->fixture, &other, &other_app, "DEALER", "ROUTER");
    for (unsigned i = 0; i < 10; i++) {
        fixture_sleep(&w->fixture, 8 * NS_PER_S);
        /* One byte on any connection, or a message of the application's own. */
        stream_frame(i % 2 ? &other.out : &other_app.out, 0, 'x', 1);
        end_write(i % 2 ? &other : &other_app, SIZE_MAX);
    }
    assert_int_equal(atomic_load(&w->fixture.gate.breaker.opened), 0);
    end_close(&other), end_close(&other_app), end_close(&app);
    ward_free(w);
}

static void nobody_waits_for_an_idle_application(void **state)
{
    struct ward *w = ward_with_stalls();
    struct end app;
    fixture_start(&w->fixture);
    fixture_pair(&w->fixture, &w->clients[w->client_count++], &app, "DEALER", "ROUTER");
    fixture_sleep(&w->fixture, 100 * NS_PER_S);
    assert_int_equal(atomic_load(&w->fixture.gate.breaker.opened), 0);
    end_close(&app);
    ward_free(w);
}

/* With the defaults no stall is timed, however long the application takes. */
static void stalls_are_let_be_by_default(void **state)
{
    struct ward *w = ward_new(BREAKER_MEETS_PAUSE);
    struct end app;
    fixture_start(&w->fixture);
    fill(w, &app);
    fixture_sleep(&w->fixture, 600 * NS_PER_S);
    assert_int_equal(atomic_load(&w->fixture.gate.breaker.opened), 0);
    end_close(&app);
    ward_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_while_it_is_open_is_refused),
        cmocka_unit_test(who_comes_while_it_is_open_may_wait),
        cmocka_unit_test(an_absence_is_asked_about_ever_more_rarely),
        cmocka_unit_test(broken_handshakes_open_it),
        cmocka_unit_test(what_clients_can_bring_about_opens_nothing),
        cmocka_unit_test(clients_that_leave_open_nothing),
        cmocka_unit_test(few_at_a_time_try_a_half_open_gate),
        cmocka_unit_test(who_is_held_back_for_too_long_is_told_why),
        cmocka_unit_test(silence_opens_it_behind_a_living_connection),
        cmocka_unit_test(an_application_that_takes_nothing_opens_it),
        cmocka_unit_test(one_that_takes_a_little_is_alive),
        cmocka_unit_test(nobody_waits_for_an_idle_application),
        cmocka_unit_test(stalls_are_let_be_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
