/* SPDX-License-Identifier: MPL-2.0 */
/* The valve against a plain count, whatever the order of calls, and from several threads. */
#include "flow/valve.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define CLIENTS 24u
#define THREADS 4u
#define MOST    4096u

struct client {
    struct valve_client valve;
    struct list *woken; /* its worker's */
    uint32_t in_hand;   /* by plain count */
};

static struct valve v;
static struct client clients[CLIENTS];
static struct list woken;
static uint64_t now;

static void wake(struct valve_client *c)
{
    list_push(((struct client *)(void *)c)->woken, &c->turn.node);
}

static void begin(struct client *c, struct list *list)
{
    valve_client_init(&c->valve);
    c->woken = list;
    c->in_hand = 0;
}

static int set_up(void **state)
{
    now = NS_PER_S;
    list_init(&woken);
    for (unsigned i = 0; i < CLIENTS; i++)
        begin(&clients[i], &woken);
    return valve_init(&v, MOST, 64, wake);
}

static int tear_down(void **state)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        valve_leave(&v, &clients[i].valve, now);
    valve_fini(&v);
    return 0;
}

static struct turns_client who_is(size_t source)
{
    return (struct turns_client){.owner = (source + 1) * 64, .weight = TURNS_WEIGHT_ONE, .priority = 1};
}

static void pass(struct client *c, uint32_t n)
{
    valve_passed(&v, &c->valve, n, now);
    c->in_hand += n;
}

static void answer(struct client *c, uint32_t n)
{
    valve_answered(&v, &c->valve, n, now);
    c->in_hand -= n < c->in_hand ? n : c->in_hand;
}

static void wait_for_turn(struct client *c, size_t source)
{
    struct turns_client who = who_is(source);
    valve_wait(&v, &c->valve, &who, now);
}

/* No answer comes for as long as one could be waited for. */
static void forget(struct client *c)
{
    now += ANSWERS_FORGET_NS + 9 * atomic_load(&v.answers.mean_ns);
    assert_int_equal(valve_look(&v, &c->valve, now), 0);
    c->in_hand = 0;
}

/* ---- counts ---- */

static void check(void)
{
    uint32_t in_hand = 0, waiting = 0, charged = 0, under_way = 0; /* in hand: as far as it is counted */
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct valve_client *c = &clients[i].valve;
        assert_int_equal(c->asked.in_hand, clients[i].in_hand);
        assert_true(c->asked.until <= c->asked.in_hand);
        assert_true(c->charged <= c->asked.in_hand + c->granted);
        assert_true(c->uncounted <= c->asked.in_hand);
        /* Without a place in the line it waits for a reply of its own. */
        if (c->turn.source == NULL && c->waits)
            assert_true(c->asked.in_hand > 0);
        assert_true(c->waits || c->turn.source == NULL);
        in_hand += c->asked.in_hand - c->uncounted + c->granted;
        waiting += c->turn.source != NULL;
        charged += c->charged;
    }
    for (size_t i = 0; i < v.turns.sets * 8; i++)
        under_way += v.turns.table[i].under_way;
    assert_int_equal(v.in_hand, in_hand);
    assert_int_equal(v.turns.waiting, waiting);
    assert_int_equal(under_way, charged);
    /* Nobody stands in line for nothing. */
    if (waiting)
        assert_true(v.answers.mode == ANSWERS_LIMITED && v.busy && in_hand >= v.answers.limit);
}

static void check_empty(void)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        valve_leave(&v, &clients[i].valve, now);
        clients[i].in_hand = 0;
    }
    check();
    assert_int_equal(v.in_hand, 0);
    assert_int_equal(v.turns.waiting, 0);
}

static void any_call(struct property_rng *rng)
{
    struct client *c = &clients[property_below(rng, CLIENTS)];
    uint32_t allowed = valve_allows(&v, &c->valve), n = 1 + (uint32_t)property_magnitude(rng, 6);
    uint64_t again_ns;
    switch (property_below(rng, 14)) {
    case 0:
    case 1:
    case 2:
        pass(c, n < allowed ? n : allowed);
        break;
    case 3:
    case 4:
        wait_for_turn(c, property_below(rng, 2 * CLIENTS));
        break;
    case 5:
    case 6:
    case 7:
        answer(c, n);
        break;
    case 8:
        valve_rest(&v, &c->valve, now);
        break;
    case 9:
        if (property_below(rng, 8))
            break;
        valve_excuse(&v, &c->valve, now);
        c->in_hand = 0;
        break;
    case 10:
        if (property_below(rng, 8))
            break;
        valve_leave(&v, &c->valve, now);
        begin(c, &woken);
        break;
    case 11:
        if (valve_sheds(&v, &c->valve, now, &again_ns))
            assert_true(v.shed.target_ns != 0 && !c->valve.waits);
        break;
    case 12:
        valve_look(&v, &c->valve, now);
        c->in_hand = c->valve.asked.in_hand;
        break;
    default:
        while (valve_pop(&v, &woken))
            ;
    }
}

static void counts_hold_whatever_the_order_of_calls(void **state)
{
    struct property_rng rng = property_rng_new("valve calls");
    for (int run = 0; run < 100; run++) {
        tear_down(NULL);
        set_up(NULL);
        if (run % 2)
            valve_be_strict(&v);
        if (run % 3)
            valve_shed_by(&v, &(struct codel_params){.target_ns = NS_PER_MS, .interval_ns = 10 * NS_PER_MS});
        for (unsigned step = 0; step < 2000; step++) {
            now += property_magnitude(&rng, 22);
            now -= property_below(&rng, 8) ? 0 : 3 * NS_PER_MS;
            uint32_t in_hand = v.in_hand;
            bool limited = v.answers.mode == ANSWERS_LIMITED;
            any_call(&rng);
            check();
            if (limited && v.answers.mode == ANSWERS_LIMITED && v.in_hand > in_hand)
                assert_true(v.in_hand <= v.answers.limit);
        }
        check_empty();
    }
}

/* ---- modes ---- */

static void an_application_that_never_answers_is_not_limited(void **state)
{
    for (unsigned n = 0; n < 10000; n++) {
        struct client *c = &clients[n % CLIENTS];
        if (n < 4) {
            assert_int_equal(valve_allows(&v, &c->valve), VALVE_UNDECIDED);
            pass(c, VALVE_UNDECIDED - 1);
            assert_int_equal(valve_look_at(&v, &c->valve, now), now + ANSWERS_FORGET_NS);
            pass(c, 1);
            assert_int_equal(valve_allows(&v, &c->valve), 0);
            assert_int_equal(valve_look_at(&v, &c->valve, now), now + VALVE_UNDECIDED_NS);
            wait_for_turn(c, 0);
            assert_true(c->valve.waits);
        } else {
            assert_int_equal(valve_allows(&v, &c->valve), VALVE_UNLIMITED);
            pass(c, 1);
        }
        now = valve_look_at(&v, &c->valve, now);
        assert_int_equal(valve_look(&v, &c->valve, now), 0);
        assert_false(c->valve.waits);
        c->in_hand = 0;
    }
    check();
}

static void answer_all(unsigned times)
{
    for (unsigned n = 0; n < times; n++) {
        struct client *c = &clients[n % CLIENTS];
        if (valve_allows(&v, &c->valve)) {
            pass(c, 1);
            now += 2 * NS_PER_MS;
            answer(c, 1);
        }
    }
}

static void who_answers_is_limited_and_who_stops_is_not(void **state)
{
    struct valve_stats stats;
    answer_all(100);
    valve_stats(&v, &stats);
    assert_true(stats.limited && stats.in_hand == 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        for (uint32_t n = valve_allows(&v, &clients[i].valve); n; n = 0)
            pass(&clients[i], n < 4 ? n : 4);
    assert_int_equal(v.in_hand, stats.limit);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (!valve_allows(&v, &clients[i].valve))
            wait_for_turn(&clients[i], i);
    check();
    assert_true(v.turns.waiting > 0);
    /* Whatever is passed is forgotten, until the valve has learned. */
    for (unsigned round = 0; round < 100 && v.answers.mode == ANSWERS_LIMITED; round++)
        for (unsigned i = 0; i < CLIENTS; i++) {
            struct client *c = &clients[i];
            if (c->in_hand == 0 && c->valve.granted)
                pass(c, c->valve.granted);
            forget(c);
            if (!valve_allows(&v, &c->valve))
                wait_for_turn(c, i);
        }
    assert_int_equal(v.answers.mode, ANSWERS_OPEN);
    assert_int_equal(v.turns.waiting, 0);
    check();
}

/* Clients that take no answers say nothing about the application. */
static void excused_requests_teach_nothing(void **state)
{
    for (unsigned n = 0; n < 1000; n++) {
        struct client *c = &clients[n % CLIENTS];
        pass(c, 1);
        valve_excuse(&v, &c->valve, now);
        c->in_hand = 0;
        assert_int_equal(v.answers.mode, ANSWERS_UNDECIDED);
        assert_int_equal(v.in_hand, 0);
    }
    check_empty();
}

static void a_strict_one_stays_limited(void **state)
{
    valve_be_strict(&v);
    for (unsigned n = 0; n < 1000; n++) {
        struct client *c = &clients[n % CLIENTS];
        if (valve_allows(&v, &c->valve))
            pass(c, 1);
        forget(c);
        assert_int_equal(v.answers.mode, ANSWERS_LIMITED);
    }
    check_empty();
}

/* One client that always has some requests in hand: the window must not stay where it was. */
static void a_pipelining_client_is_followed(void **state)
{
    struct client *c = &clients[0];
    valve_be_strict(&v);
    for (unsigned n = 0; n < 2000; n++) {
        if (valve_allows(&v, &c->valve))
            pass(c, valve_allows(&v, &c->valve));
        wait_for_turn(c, 0);
        if (c->valve.granted)
            pass(c, c->valve.granted);
        now += 2 * NS_PER_MS;
        answer(c, 1);
        check();
    }
    assert_in_range(concurrency_limit(&v.answers.concurrency), 1, 3);
}

static void forgetting_waits_for_what_is_still_answered(void **state)
{
    struct client *c = &clients[0];
    assert_int_equal(valve_look_at(&v, &c->valve, now), 0);
    pass(c, 3);
    uint64_t at = valve_look_at(&v, &c->valve, now);
    assert_int_equal(at, now + ANSWERS_FORGET_NS);
    now += 500 * NS_PER_MS;
    answer(c, 3);
    assert_int_equal(valve_look_at(&v, &c->valve, now), 0);
    pass(c, 1);
    assert_int_equal(valve_look_at(&v, &c->valve, now), now + ANSWERS_FORGET_NS + 8 * 500 * NS_PER_MS);
}

/* ---- threads ---- */

struct worker {
    pthread_t thread;
    struct list woken;
    struct client clients[8];
    struct property_rng rng;
    uint64_t now;
};

static void some_call(struct worker *w, struct client *c, size_t source)
{
    uint32_t allowed = valve_allows(&v, &c->valve);
    w->now += property_below(&w->rng, 100000);
    switch (property_below(&w->rng, 16)) {
    case 0:
        valve_leave(&v, &c->valve, w->now);
        begin(c, &w->woken);
        return;
    case 1:
        valve_rest(&v, &c->valve, w->now);
        return;
    case 2:
        valve_look(&v, &c->valve, w->now + (property_below(&w->rng, 2) ? 3600 * NS_PER_S : 0));
        return;
    default:
        break;
    }
    if (c->valve.asked.in_hand && property_below(&w->rng, 2)) {
        valve_answered(&v, &c->valve, 1, w->now);
    } else if (!atomic_load(&c->valve.waits) && allowed) {
        valve_passed(&v, &c->valve, 1, w->now);
    } else if (!atomic_load(&c->valve.waits)) {
        struct turns_client who = who_is(source);
        valve_wait(&v, &c->valve, &who, w->now);
    }
}

/* At the end all replies have come and nothing more is to be passed. */
static void *hammer(void *argument)
{
    struct worker *w = argument;
    for (unsigned n = 0; n < 20000; n++) {
        size_t i = property_below(&w->rng, ARRAY_LEN(w->clients));
        some_call(w, &w->clients[i], i);
        while (property_below(&w->rng, 2) && valve_pop(&v, &w->woken))
            ;
    }
    for (unsigned i = 0; i < ARRAY_LEN(w->clients); i++) {
        valve_answered(&v, &w->clients[i].valve, UINT32_MAX, w->now);
        valve_rest(&v, &w->clients[i].valve, w->now);
    }
    return NULL;
}

static void threads_lose_nothing_and_nobody(void **state)
{
    static struct worker workers[THREADS];
    struct property_rng rng = property_rng_new("valve threads");
    uint32_t granted = 0;
    valve_be_strict(&v);
    for (unsigned i = 0; i < THREADS; i++) {
        struct worker *w = &workers[i];
        *w = (struct worker){.rng = {property_next(&rng)}, .now = NS_PER_S + i * NS_PER_MS};
        list_init(&w->woken);
        for (unsigned k = 0; k < ARRAY_LEN(w->clients); k++)
            begin(&w->clients[k], &w->woken);
        assert_int_equal(pthread_create(&w->thread, NULL, hammer, w), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned k = 0; k < ARRAY_LEN(workers[i].clients); k++)
            granted += workers[i].clients[k].valve.granted;
    assert_int_equal(v.in_hand, granted);
    /* Whoever still waits does so because others were given turns. */
    assert_true(v.turns.waiting == 0 || granted >= concurrency_limit(&v.answers.concurrency));
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned k = 0; k < ARRAY_LEN(workers[i].clients); k++)
            valve_leave(&v, &workers[i].clients[k].valve, NS_PER_S);
    check_empty();
}

/* The last reply comes while somebody lines up for it: one of the two must see the other. */
struct race {
    struct client a, b;
    _Atomic unsigned round, done;
};

#define RACES 4000u

static void *answers(void *argument)
{
    struct race *r = argument;
    for (unsigned n = 1; n <= RACES; n++) {
        while (atomic_load(&r->round) != n)
            ;
        valve_answered(&v, &r->a.valve, 8, now);
        atomic_fetch_add(&r->done, 1);
    }
    return NULL;
}

static void a_reply_and_a_newcomer_do_not_miss_each_other(void **state)
{
    static struct race r;
    pthread_t thread;
    memset(&r, 0, sizeof(r));
    valve_be_strict(&v);
    uint32_t limit = concurrency_limit(&v.answers.concurrency);
    begin(&r.a, &woken);
    assert_int_equal(pthread_create(&thread, NULL, answers, &r), 0);
    for (unsigned n = 1; n <= RACES; n++) {
        begin(&r.a, &woken);
        begin(&r.b, &woken);
        pass(&r.a, limit);
        r.a.valve.asked.until = 0; /* not followed: its replies take the short way */
        atomic_store(&v.busy, false);
        atomic_store(&r.round, n);
        wait_for_turn(&r.b, 0);
        while (atomic_load(&r.done) != n)
            ;
        assert_false(r.b.valve.waits);
        valve_leave(&v, &r.b.valve, now);
        valve_leave(&v, &r.a.valve, now);
        assert_int_equal(v.in_hand, 0);
    }
    pthread_join(thread, NULL);
}

/* ---- shedding ---- */

/* Who waits lines up again at once; one request at a time is worked on. Returns how many of the client's were shed. */
static unsigned shed_of(struct client *c, size_t source)
{
    uint64_t again_ns;
    if (!c->valve.turn.source || !valve_sheds(&v, &c->valve, now, &again_ns))
        return 0;
    wait_for_turn(c, source);
    return 1;
}

static void work_on_one(struct client *c, size_t source)
{
    uint32_t granted = valve_allows(&v, &c->valve);
    while (valve_pop(&v, &woken))
        ;
    if (granted) {
        pass(c, 1);
        now += NS_PER_MS;
        answer(c, 1);
    }
    if (!c->valve.turn.source)
        wait_for_turn(c, source);
}

/* Source 0 has all connections but one and always wants more than the application can do; source 1 asks now and then.
 */
static void a_standing_queue_is_shed_and_nobody_else(void **state)
{
    unsigned shed = 0, served = 0;
    valve_be_fixed(&v, 1);
    valve_shed_by(&v, &(struct codel_params){.target_ns = 5 * NS_PER_MS, .interval_ns = 100 * NS_PER_MS});
    for (unsigned round = 0; round < 400; round++) {
        for (unsigned i = 1; i < CLIENTS; i++) {
            work_on_one(&clients[i], 0);
            shed += shed_of(&clients[i], 0);
            if (round < 2)
                assert_int_equal(shed, 0);
        }
        if (round % 4 == 0 && !clients[0].valve.turn.source && valve_allows(&v, &clients[0].valve) == 0)
            wait_for_turn(&clients[0], 1);
        assert_int_equal(shed_of(&clients[0], 1), 0);
        if (valve_allows(&v, &clients[0].valve)) {
            pass(&clients[0], 1);
            answer(&clients[0], 1);
            valve_rest(&v, &clients[0].valve, now);
            served++;
        }
    }
    assert_true(served > 50);
    assert_true(shed > 100);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(counts_hold_whatever_the_order_of_calls),
        TEST(an_application_that_never_answers_is_not_limited),
        TEST(who_answers_is_limited_and_who_stops_is_not),
        TEST(excused_requests_teach_nothing),
        TEST(a_strict_one_stays_limited),
        TEST(a_pipelining_client_is_followed),
        TEST(forgetting_waits_for_what_is_still_answered),
        TEST(a_standing_queue_is_shed_and_nobody_else),
        TEST(threads_lose_nothing_and_nobody),
        TEST(a_reply_and_a_newcomer_do_not_miss_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
