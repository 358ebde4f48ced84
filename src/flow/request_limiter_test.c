/* SPDX-License-Identifier: MPL-2.0 */
/* The invariants of docs/internals/admission.md: when a message waits, and that none waits without a reason. */
#include "flow/request_limiter.h"

#include "base/property.h"
#include "flow/request_costs.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#define CONNECTIONS 12u
#define SERVICE     (NS_PER_MS)

/* A server that takes one at a time, in the order of passing, and answers after SERVICE. */
struct bench {
    struct reqlimit l;
    struct taken_page page;
    struct reqlimit_conn c[CONNECTIONS];
    uint32_t offered[CONNECTIONS], passed[CONNECTIONS];
    uint32_t queue[4096], first, last; /* passed, not taken */
    int serves;                        /* a connection, or -1 */
    uint64_t done_ns, now_ns, tick_ns;
    uint64_t skew_ns; /* the clock of each third connection's worker is behind by this, of each other third ahead */
    bool counts, answers;
};

static struct bench *bench_new(bool counter, bool answers)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->now_ns = b->tick_ns = NS_PER_S;
    b->serves = -1;
    b->counts = counter;
    b->answers = answers;
    assert_int_equal(reqlimit_init(&b->l, 64, b->now_ns), 0);
    if (counter) {
        taken_page_begin(&b->page, b->now_ns);
        reqlimit_attach(&b->l, &b->page);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        reqlimit_join(&b->l, &b->c[i], 1 + i, b->now_ns);
    return b;
}

static void bench_free(struct bench *b)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        reqlimit_leave(&b->l, &b->c[i], b->now_ns);
    assert_int_equal(b->l.queue.count, 0);
    assert_int_equal(b->l.stats.established, 0);
    assert_int_equal(b->l.stats.over, 0);
    assert_int_equal(atomic_load(&b->l.in_hand), 0);
    reqlimit_fini(&b->l);
    free(b);
}

static uint64_t bench_clock(const struct bench *b, unsigned i)
{
    return b->now_ns + b->skew_ns - i % 3 * b->skew_ns;
}

static void bench_pass(struct bench *b, unsigned i, uint32_t n)
{
    assert_true(n <= b->offered[i]);
    b->offered[i] -= n;
    b->passed[i] += n;
    for (; n; n--)
        b->queue[b->last++ % 4096] = i;
}

static void bench_drain(struct bench *b)
{
    struct reqlimit_conn *c;
    while ((c = reqlimit_next_woken(&b->l)))
        bench_pass(b, (unsigned)(c - b->c), reqlimit_take(c));
}

/* As relay/request_flow.c does it. */
static bool bench_passes_unasked(struct bench *b, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    if (reqlimit_is_due(c, now_ns))
        reqlimit_arrive(&b->l, c, now_ns);
    if (!reqlimit_is_free(&b->l) && c->lease < n)
        return false;
    if (!reqlimit_quick(&b->l, c, n, now_ns))
        reqlimit_passed(&b->l, c, n, now_ns);
    return true;
}

static void bench_offer(struct bench *b, unsigned i, uint32_t n)
{
    b->offered[i] += n;
    if (!b->c[i].waiter.messages && bench_passes_unasked(b, &b->c[i], b->offered[i], bench_clock(b, i)))
        bench_pass(b, i, b->offered[i]);
    else
        bench_pass(b, i, reqlimit_offer(&b->l, &b->c[i], b->offered[i], bench_clock(b, i)));
    bench_drain(b);
}

static void bench_serve(struct bench *b)
{
    if (b->serves >= 0 && b->now_ns >= b->done_ns) {
        if (b->answers)
            reqlimit_answered(&b->l, &b->c[b->serves], 1, true, bench_clock(b, (unsigned)b->serves));
        b->serves = -1;
    }
    if (b->serves < 0 && b->first != b->last) {
        b->serves = (int)b->queue[b->first++ % 4096];
        b->done_ns = b->now_ns + SERVICE;
        if (b->counts && taken_page_took(&b->page, b->now_ns, b->now_ns))
            reqlimit_look(&b->l, b->now_ns);
    } else if (b->serves < 0 && b->counts && taken_page_found_nothing(&b->page, true, b->now_ns)) {
        reqlimit_look(&b->l, b->now_ns);
    }
    bench_drain(b);
}

/* In steps of 50 us. */
static void bench_step(struct bench *b)
{
    b->now_ns += 50 * NS_PER_US;
    taken_page_beat(&b->page, b->now_ns);
    bench_serve(b);
    if (b->now_ns >= b->tick_ns)
        b->tick_ns = reqlimit_tick(&b->l, b->now_ns);
    bench_drain(b);
}

/* The first four connections ask for a tenth of the server in all. */
static void bench_calm(struct bench *b, uint64_t for_ns)
{
    unsigned k = 0;
    for (uint64_t end_ns = b->now_ns + for_ns, next_ns = b->now_ns; b->now_ns < end_ns; bench_step(b))
        if (b->now_ns >= next_ns) {
            bench_offer(b, k++ % 4, 1);
            next_ns += 10 * SERVICE;
        }
}

static void nobody_waits_while_all_are_equal(void **state)
{
    struct bench *b = bench_new(true, true);
    for (unsigned n = 0; n < 2000; n++) {
        bench_offer(b, n % CONNECTIONS, 2);
        assert_int_equal(b->offered[n % CONNECTIONS], 0);
        for (unsigned i = 0; i < 20; i++)
            bench_step(b);
        if (b->last - b->first > 3000)
            break;
    }
    bench_free(b);
}

static void without_counter_and_plain_service_nobody_waits(void **state)
{
    struct bench *b = bench_new(false, false);
    bench_calm(b, 5 * NS_PER_S);
    for (unsigned n = 0; n < 3000; n++) {
        bench_offer(b, n % CONNECTIONS, 1);
        assert_int_equal(b->offered[n % CONNECTIONS], 0);
        for (unsigned i = 0; i < 4; i++)
            bench_step(b);
    }
    assert_int_not_equal(reqlimit_state(&b->l), LIMIT_ACTIVE);
    bench_free(b);
}

/* Strangers flood and wait; a connection that was served in calm time does not wait. */
static void the_established_pass_at_once(void **state)
{
    struct bench *b = bench_new(true, true);
    bench_calm(b, 6 * NS_PER_S);
    uint64_t from = b->passed[0], next_ns = b->now_ns;
    unsigned k = 0;
    for (uint64_t end_ns = b->now_ns + 3 * NS_PER_S; b->now_ns < end_ns; bench_step(b)) {
        for (unsigned i = 4; i < CONNECTIONS; i++)
            if (b->offered[i] < 4)
                bench_offer(b, i, 4);
        if (b->now_ns >= next_ns) {
            bench_offer(b, k % 4, 1);
            assert_int_equal(b->offered[k++ % 4], 0);
            next_ns += 10 * SERVICE;
        }
        assert_true(b->last - b->first <= 8);
    }
    assert_true(b->passed[0] - from >= 70);
    assert_int_equal(reqlimit_state(&b->l), LIMIT_ACTIVE);
    assert_int_equal(b->l.stats.stuck, 0);
    bench_free(b);
}

/* Invariant 6: strangers that want the same are served the same, up to the window and two messages. */
static void equals_are_served_equally(void **state)
{
    struct bench *b = bench_new(true, true);
    bench_calm(b, 6 * NS_PER_S);
    uint32_t least = UINT32_MAX, most = 0, from[CONNECTIONS];
    for (unsigned i = 4; i < CONNECTIONS; i++)
        from[i] = b->passed[i];
    for (uint64_t end_ns = b->now_ns + 4 * NS_PER_S; b->now_ns < end_ns; bench_step(b))
        for (unsigned i = 4; i < CONNECTIONS; i++)
            if (b->offered[i] < 4)
                bench_offer(b, i, 4);
    for (unsigned i = 4; i < CONNECTIONS; i++) {
        least = b->passed[i] - from[i] < least ? b->passed[i] - from[i] : least;
        most = b->passed[i] - from[i] > most ? b->passed[i] - from[i] : most;
    }
    assert_true(most - least <= b->l.release.messages + 2);
    assert_true(most * 8 >= 3000); /* of 4000: up to a quarter may be lost while only strangers are held */
    bench_free(b);
}

/* Invariants 1 and 3, under random events: no message within its credit waits, and while a message waits the
 * application is never idle for longer than one look. */
static void bench_check(const struct bench *b)
{
    uint64_t in_hand = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        const struct reqlimit_conn *c = &b->c[i];
        in_hand += atomic_load(&c->in_hand);
        assert_true(c->debt_ns >= 0 && c->debt_ns < 1e16f);
        assert_true(c->work_ns >= 0 && c->work_ns < 1e18f);
        assert_true(c->share > 0 && c->share < 1e6f);
        assert_true(c->claim.rate >= 0 && c->claim.rate < 1e6f);
        assert_true(reqcost_expected(&b->l, c) > 0 && reqcost_expected(&b->l, c) <= 1e11);
    }
    assert_int_equal(in_hand, atomic_load(&b->l.in_hand));
    assert_true(b->l.capacity > 0 && b->l.capacity < 1e6);
    assert_true(b->l.charged > -1e18 && b->l.charged < 1e18);
}

static void anything_may_happen(void **state)
{
    struct property_rng r = property_rng_new("request_limiter");
    for (unsigned round = 0; round < 12; round++) {
        struct bench *b = bench_new(round % 3 != 0, round % 2);
        b->skew_ns = round % 4 == 3 ? 3 * NS_PER_MS : 0;
        bench_calm(b, 4 * NS_PER_S);
        for (unsigned n = 0, idle = 0; n < 20000; n++) {
            unsigned i = (unsigned)property_below(&r, CONNECTIONS);
            switch (property_below(&r, 40)) {
            case 0:
                reqlimit_leave(&b->l, &b->c[i], bench_clock(b, i));
                reqlimit_join(&b->l, &b->c[i], 1 + property_below(&r, CONNECTIONS), bench_clock(b, i));
                b->offered[i] = 0;
                bench_drain(b);
                break;
            case 1:
                b->offered[i] = 0;
                reqlimit_rest(&b->l, &b->c[i], bench_clock(b, i));
                bench_drain(b);
                break;
            case 2:
            case 3:
            case 4:
            case 5:
                if (b->last - b->first > 3000 || b->offered[i] > 100)
                    break;
                bench_offer(b, i, 1 + (uint32_t)property_below(&r, 4));
                assert_true(!b->offered[i] || !reqcost_credit(&b->l, &b->c[i]));
                break;
            default:
                bench_step(b);
                break;
            }
            assert_int_equal(b->offered[i], b->c[i].waiter.messages);
            idle = b->counts && b->l.queue.count && b->serves < 0 && b->first == b->last ? idle + 1 : 0;
            assert_true(idle < 200);
            if (n % 64 == 0)
                bench_check(b);
        }
        bench_free(b);
    }
}

/* One of the connections that were served in calm time floods. It is held like a stranger, the others are not. */
static void an_established_one_that_floods_is_held(void **state)
{
    struct bench *b = bench_new(true, true);
    bench_calm(b, 20 * NS_PER_S);
    uint64_t next_ns = b->now_ns, from = b->now_ns;
    unsigned k = 0, late = 0, looks = 0;
    for (uint64_t end_ns = b->now_ns + 5 * NS_PER_S; b->now_ns < end_ns; bench_step(b)) {
        if (b->offered[0] < 4)
            bench_offer(b, 0, 4);
        if (b->now_ns < next_ns)
            continue;
        unsigned i = 1 + k++ % 3;
        bench_offer(b, i, 1);
        assert_int_equal(b->offered[i], 0);
        looks += b->now_ns > from + 2 * NS_PER_S;
        late += b->now_ns > from + 2 * NS_PER_S && b->last - b->first > 8;
        next_ns += 10 * SERVICE;
    }
    assert_true(late < looks / 20);
    assert_int_equal(reqlimit_state(&b->l), LIMIT_ACTIVE);
    bench_free(b);
}

/* Connections from `first` on always have a message. Each is shed when it is time. */
static void bench_flood(struct bench *b, unsigned first, uint64_t for_ns, unsigned *shed)
{
    for (uint64_t end_ns = b->now_ns + for_ns; b->now_ns < end_ns; bench_step(b))
        for (unsigned i = first; i < CONNECTIONS; i++) {
            uint64_t again_ns;
            if (b->offered[i] < 2)
                bench_offer(b, i, 2);
            if (!reqlimit_sheds(&b->l, &b->c[i], b->now_ns, &again_ns)) {
                assert_true(!b->l.shed.target_ns || !b->offered[i] || again_ns < b->now_ns + NS_PER_S);
                continue;
            }
            assert_false(b->c[i].waiter.messages);
            b->offered[i] = 0;
            shed[i]++;
            bench_drain(b);
        }
}

/* Strangers that all wait for longer than the target lose the messages that have waited for twice as long. A connection
 * within its claim is never in line. */
static void what_waits_too_long_is_shed(void **state)
{
    struct bench *b = bench_new(true, true);
    unsigned shed[CONNECTIONS] = {0};
    bench_calm(b, 6 * NS_PER_S);
    bench_flood(b, 4, NS_PER_S, shed);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        assert_int_equal(shed[i], 0); /* shedding is off */
    reqlimit_shed_by(&b->l, &(struct codel_params){3 * NS_PER_MS, 100 * NS_PER_MS});
    bench_flood(b, 4, 50 * NS_PER_MS, shed);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        assert_int_equal(shed[i], 0); /* an interval has to pass first */
    bench_flood(b, 4, NS_PER_S, shed);
    for (unsigned i = 4; i < CONNECTIONS; i++)
        assert_true(shed[i] > 10);
    bench_flood(b, CONNECTIONS - 1, 2 * NS_PER_S, shed);
    unsigned before = shed[CONNECTIONS - 1];
    bench_flood(b, CONNECTIONS - 1, 2 * NS_PER_S, shed);
    assert_int_equal(shed[CONNECTIONS - 1], before); /* a single stranger is served within the target */
    bench_free(b);
}

/* A connection that asks for little, beside many of one source, is served in time or waits, but is not shed. */
static void the_modest_are_not_shed(void **state)
{
    struct bench *b = bench_new(true, true);
    unsigned shed[CONNECTIONS] = {0};
    reqlimit_bound(&b->l, 1);
    reqlimit_shed_by(&b->l, &(struct codel_params){2 * NS_PER_MS, 10 * NS_PER_MS});
    for (unsigned i = 4; i < CONNECTIONS - 1; i++) {
        reqlimit_leave(&b->l, &b->c[i], b->now_ns);
        reqlimit_join(&b->l, &b->c[i], 100, b->now_ns);
    }
    for (unsigned n = 0; n < 100; n++) {
        bench_offer(b, CONNECTIONS - 1, 1);
        for (unsigned k = 0; k < 120; k++) {
            uint64_t again_ns;
            bench_step(b);
            assert_false(reqlimit_sheds(&b->l, &b->c[CONNECTIONS - 1], b->now_ns, &again_ns));
            for (unsigned i = 4; i < CONNECTIONS - 1; i++) {
                if (!b->offered[i])
                    bench_offer(b, i, 1);
                if (!reqlimit_sheds(&b->l, &b->c[i], b->now_ns, &again_ns))
                    continue;
                b->offered[i] = 0;
                shed[i]++;
                bench_drain(b);
            }
        }
        assert_true(b->offered[CONNECTIONS - 1] < 4);
    }
    for (unsigned i = 4; i < CONNECTIONS - 1; i++)
        assert_true(shed[i] > 10);
    bench_free(b);
}

static void bench_served(struct bench *b, uint64_t for_ns, uint32_t *served)
{
    unsigned shed[CONNECTIONS] = {0};
    bench_flood(b, 4, for_ns / 2, shed);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        served[i] = b->passed[i];
    for (uint64_t end_ns = b->now_ns + for_ns, next_ns = b->now_ns; b->now_ns < end_ns;) {
        bench_flood(b, 4, 10 * NS_PER_MS, shed);
        for (; b->now_ns >= next_ns; next_ns += 40 * NS_PER_MS) {
            bench_offer(b, 0, 1);
            assert_int_equal(b->offered[0], 0);
        }
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        served[i] = b->passed[i] - served[i];
}

/* Among strangers that always want more, four of weight 4 are served four times as much as four of weight 1. A
 * connection within its claim passes at once, even in the last class. */
static void weights_count_among_those_that_wait(void **state)
{
    struct bench *b = bench_new(true, true);
    uint32_t served[CONNECTIONS], heavy = 0, light = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++)
        reqlimit_class(&b->l, &b->c[i], i >= 4 && i < 8 ? 4 : 1, i == 0 ? 4 : 2);
    bench_calm(b, 6 * NS_PER_S);
    bench_served(b, 8 * NS_PER_S, served);
    for (unsigned i = 4; i < CONNECTIONS; i++)
        *(i < 8 ? &heavy : &light) += served[i];
    assert_true(heavy > 3 * light && heavy < 5 * light);
    bench_free(b);
}

static void priorities_count_among_those_that_wait(void **state)
{
    struct bench *b = bench_new(true, true);
    uint32_t served[CONNECTIONS], first = 0, last = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++)
        reqlimit_class(&b->l, &b->c[i], 1, i < 4 ? 4 : i < 8 ? 1 : 3);
    bench_calm(b, 6 * NS_PER_S);
    bench_served(b, 4 * NS_PER_S, served);
    for (unsigned i = 4; i < CONNECTIONS; i++)
        *(i < 8 ? &first : &last) += served[i];
    assert_true(first > 6 * last && first < 8 * last);
    bench_free(b);
}

/* The clock of one worker is behind by a fifth of a service, that of another ahead. Measurements and waits are as with
 * one clock. */
static void clocks_that_differ_change_nothing(void **state)
{
    struct bench *b = bench_new(true, true);
    uint32_t served[CONNECTIONS];
    b->skew_ns = SERVICE / 5;
    bench_calm(b, 6 * NS_PER_S);
    bench_check(b);
    for (unsigned i = 0; i < 4; i++)
        assert_true(reqcost_expected(&b->l, &b->c[i]) < 5.0 * SERVICE);
    bench_served(b, 4 * NS_PER_S, served);
    bench_check(b);
    for (unsigned i = 4; i < CONNECTIONS; i++) {
        assert_true(reqcost_expected(&b->l, &b->c[i]) < 5.0 * SERVICE);
        assert_true(served[i] > 250);
    }
    bench_free(b);
}

/* The page holds random values: the books stay finite, a connection within its claim passes at once, and none waits
 * long. */
static void a_page_may_say_anything(void **state)
{
    struct property_rng r = property_rng_new("request_limiter page");
    for (unsigned round = 0; round < 6; round++) {
        struct bench *b = bench_new(true, round % 2);
        uint64_t since_ns[CONNECTIONS] = {0};
        bench_calm(b, 4 * NS_PER_S);
        _Atomic uint64_t *words = (_Atomic uint64_t *)(void *)&b->page;
        b->counts = false;
        for (unsigned n = 0; n < 8000; n++) {
            size_t at = 1 + property_below(&r, sizeof(b->page) / sizeof(*words) - 1);
            if (n % 5 == 0 && (round % 3 || n < 4000))
                atomic_store(&words[property_below(&r, 2) ? at : 1 + at % 6], property_magnitude(&r, 64));
            for (unsigned i = 4; i < CONNECTIONS; i++) {
                since_ns[i] = b->offered[i] ? since_ns[i] : b->now_ns;
                if (!b->offered[i])
                    bench_offer(b, i, 1);
                assert_true(b->now_ns - since_ns[i] < 12 * NS_PER_S);
            }
            if (n % 10 == 0) {
                bench_offer(b, n % 4, 1);
                assert_true(!b->offered[n % 4] || !reqcost_credit(&b->l, &b->c[n % 4]));
            }
            b->now_ns += 5 * NS_PER_MS;
            b->first = b->last; /* all done */
            b->tick_ns = reqlimit_tick(&b->l, b->now_ns);
            bench_drain(b);
            bench_check(b);
        }
        b->serves = -1;
        bench_free(b);
    }
}

/* However many may lie untaken, no stranger's message passes while one of an established connection does. */
static void no_stranger_overtakes_the_established(void **state)
{
    struct bench *b = bench_new(true, true);
    unsigned shed[CONNECTIONS] = {0}, others = 0;
    bench_calm(b, 6 * NS_PER_S);
    bench_flood(b, 4, NS_PER_S, shed);
    for (unsigned n = 0; n < 100; n++) {
        b->l.release.messages = 4;
        b->l.release.cost_ns = 1e9;
        bench_flood(b, 4, 5 * SERVICE, shed);
        others += b->last - b->first;
        bench_offer(b, n % 4, 1);
        assert_int_equal(b->offered[n % 4], 0);
        for (uint32_t last = b->last; last - b->first < 1000 && last != b->first; bench_flood(b, 4, 1, shed))
            assert_int_equal(b->last, last);
    }
    assert_true(others > 100); /* these lay there before it */
    bench_free(b);
}

/* There are established connections, but none of them sends anything: strangers lose nothing for them. */
static void nothing_is_lost_for_those_that_are_silent(void **state)
{
    struct bench *b = bench_new(true, true);
    unsigned shed[CONNECTIONS] = {0};
    bench_calm(b, 6 * NS_PER_S);
    bench_flood(b, 4, NS_PER_S, shed);
    assert_true(b->l.release.patient);
    bench_flood(b, 4, 11 * NS_PER_S, shed);
    assert_int_equal(reqlimit_state(&b->l), LIMIT_ACTIVE);
    assert_false(b->l.release.patient);
    uint32_t from = b->first;
    bench_flood(b, 4, 4 * NS_PER_S, shed);
    assert_true(b->first - from > 4000 * 0.9);
    bench_free(b);
}

/* Messages that another worker granted, and that were not taken yet, are among those offered again. */
static void what_was_granted_is_not_granted_twice(void **state)
{
    struct bench *b = bench_new(true, true);
    unsigned shed[CONNECTIONS] = {0}, seen = 0;
    bench_calm(b, 6 * NS_PER_S);
    for (unsigned n = 0; n < 200; n++) {
        bench_flood(b, 4, 20 * SERVICE, shed);
        b->l.release.messages = 6;
        b->l.release.cost_ns = 1e9;
        b->tick_ns = reqlimit_tick(&b->l, b->now_ns);
        for (unsigned i = 4; i < CONNECTIONS; i++) {
            seen += b->c[i].granted != 0;
            b->offered[i]++;
            bench_pass(b, i, reqlimit_offer(&b->l, &b->c[i], b->offered[i], b->now_ns));
            assert_int_equal(b->c[i].waiter.messages, b->offered[i]);
        }
        bench_drain(b);
    }
    assert_true(seen > 10);
    bench_free(b);
}

/* A relay asks before it knows the number of messages. Those that pass then are measured all the same. */
static void who_asks_first_is_measured(void **state)
{
    struct bench *b = bench_new(false, true);
    unsigned locked = 0;
    for (unsigned n = 0; n < 200; n++) {
        if (reqlimit_is_due(&b->c[0], b->now_ns))
            reqlimit_arrive(&b->l, &b->c[0], b->now_ns);
        if (!reqlimit_quick(&b->l, &b->c[0], 1, b->now_ns)) {
            reqlimit_passed(&b->l, &b->c[0], 1, b->now_ns);
            locked++;
        }
        b->offered[0]++;
        bench_pass(b, 0, 1);
        for (unsigned i = 0; i < 40; i++)
            bench_step(b);
    }
    assert_true(locked < 60);
    assert_true(b->c[0].cost_ns > 0.8f * SERVICE && b->c[0].cost_ns < 1.2f * SERVICE);
    assert_true(b->l.latency.samples >= 20);
    bench_free(b);
}

/* A flood without answers says nothing about how the service answers. */
static void a_flood_does_not_tell_what_the_service_is(void **state)
{
    struct bench *b = bench_new(false, true);
    unsigned k = 0;
    bench_calm(b, 6 * NS_PER_S);
    double messages = b->l.plain.messages, answers = b->l.plain.answers;
    assert_true(answers > 0.9 * messages);
    for (unsigned i = 4; i < CONNECTIONS; i++) /* all at once, before a tick */
        for (unsigned n = 0; n < 300; n++)
            bench_offer(b, i, 1);
    for (uint64_t end_ns = b->now_ns + 300 * NS_PER_MS; b->now_ns < end_ns; bench_step(b))
        if (b->now_ns % (10 * SERVICE) == 0)
            bench_offer(b, k++ % 4, 1);
    assert_true(b->l.plain.answers > 0.9 * b->l.plain.messages);
    bench_free(b);
}

static void a_healthy_gate_takes_no_lock(void **state)
{
    struct bench *b = bench_new(true, true);
    bench_calm(b, 6 * NS_PER_S);
    unsigned quick = 0;
    for (unsigned n = 0; n < 100; n++, b->now_ns += 50 * NS_PER_US)
        if (reqlimit_quick(&b->l, &b->c[0], 1, b->now_ns))
            quick++;
        else
            assert_int_equal(reqlimit_offer(&b->l, &b->c[0], 1, b->now_ns), 1);
    assert_true(quick > 90);
    bench_free(b);
}

/* ---- workers ---- */

#define WORKERS 4u

struct shared {
    struct bench *b;
    pthread_mutex_t lock;
};

struct work {
    struct shared *s;
    unsigned first;
    uint64_t passed, answered;
};

static uint32_t work_offer(struct work *w, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    if (reqlimit_quick(&w->s->b->l, c, n, now_ns))
        return n;
    pthread_mutex_lock(&w->s->lock);
    uint32_t may = reqlimit_offer(&w->s->b->l, c, n, now_ns);
    reqlimit_tick(&w->s->b->l, now_ns);
    reqlimit_rest(&w->s->b->l, c, now_ns);
    may += c->granted; /* by the tick */
    c->granted = 0;
    list_del(&c->woken);
    pthread_mutex_unlock(&w->s->lock);
    return may;
}

static void work_answer(struct work *w, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns)
{
    bool locked = reqlimit_answer_needs_lock(&w->s->b->l, c, n);
    if (locked)
        pthread_mutex_lock(&w->s->lock);
    reqlimit_answered(&w->s->b->l, c, n, locked, now_ns);
    if (locked)
        pthread_mutex_unlock(&w->s->lock);
}

static void *work(void *argument)
{
    struct work *w = argument;
    for (unsigned n = 0; n < 20000; n++) {
        uint64_t now_ns = NS_PER_S + n * 100 * NS_PER_US;
        struct reqlimit_conn *c = &w->s->b->c[w->first + n % (CONNECTIONS / WORKERS)];
        uint32_t may = work_offer(w, c, 1 + n % 7, now_ns);
        w->passed += may;
        work_answer(w, c, may, now_ns + 50 * NS_PER_US);
        w->answered += may;
    }
    return NULL;
}

/* Each worker has its own connections and shares the gate. The sums lose nothing, and no field has a data race. */
static void workers_share_a_gate(void **state)
{
    struct shared s = {bench_new(false, true), PTHREAD_MUTEX_INITIALIZER};
    struct work w[WORKERS];
    pthread_t threads[WORKERS];
    uint64_t passed = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        w[i] = (struct work){.s = &s, .first = i * (CONNECTIONS / WORKERS)};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        passed += w[i].passed;
    }
    assert_int_equal(atomic_load(&s.b->l.passed), passed);
    assert_int_equal(atomic_load(&s.b->l.answered), passed);
    s.b->now_ns = 4 * NS_PER_S;
    bench_free(s.b);
}

/* Connection 8 has poured `n` messages into a plain service, without a counter, before anything was held; two may be in
 * hand now. */
static struct bench *bench_with_backlog(uint32_t n)
{
    struct bench *b = bench_new(false, true);
    plain_service_is(&b->l.plain, true);
    bench_calm(b, 5 * NS_PER_S);
    reqlimit_passed(&b->l, &b->c[8], n, b->now_ns);
    b->l.latency.state = LATENCY_HOLDING;
    b->l.latency.window = 2;
    b->l.latency.drained = false;
    return b;
}

/* Before anything was held, one connection sent hundreds of messages. libzmq serves connections in turn. So another
 * connection with nothing in hand does not wait for all of these. */
static void a_backlog_of_one_holds_up_nobody_else(void **state)
{
    struct bench *b = bench_with_backlog(700);
    assert_int_equal(reqlimit_state(&b->l), LIMIT_ACTIVE);
    assert_int_equal(reqlimit_offer(&b->l, &b->c[8], 1, b->now_ns), 0);
    assert_int_equal(reqlimit_offer(&b->l, &b->c[9], 1, b->now_ns), 1);
    assert_int_equal(reqlimit_offer(&b->l, &b->c[10], 1, b->now_ns), 0);
    assert_int_equal(atomic_load(&b->l.busy), 2);
    bench_free(b);
}

/* The connection with the backlog has waited so long that it is first in line. It waits for its own messages, and
 * newcomers do not wait with it. */
static void who_waits_for_itself_is_behind_others(void **state)
{
    struct bench *b = bench_with_backlog(700);
    assert_int_equal(reqlimit_offer(&b->l, &b->c[8], 1, b->now_ns), 0);
    reqlimit_passed(&b->l, &b->c[9], 1, b->now_ns); /* the window is full: two are busy */
    b->c[8].waiter.since -= (uint32_t)(60 * NS_PER_S >> COARSE_SHIFT);
    reqlimit_look(&b->l, b->now_ns);
    assert_int_equal(reqlimit_offer(&b->l, &b->c[10], 1, b->now_ns), 0);
    reqlimit_answered(&b->l, &b->c[9], 1, true, b->now_ns);
    assert_ptr_equal(reqlimit_next_woken(&b->l), &b->c[10]);
    assert_int_equal(reqlimit_take(&b->c[10]), 1);
    assert_null(reqlimit_next_woken(&b->l));
    bench_free(b);
}

/* Its asker has left fifty messages there, and the estimate of when they are worked off is far too slow. It holds
 * others back while answers are slow, and not any longer. */
static void messages_left_behind_count_while_answers_are_slow(void **state)
{
    struct bench *b = bench_with_backlog(50);
    struct latency_window *w = &b->l.latency;
    reqlimit_leave(&b->l, &b->c[8], b->now_ns);
    reqlimit_join(&b->l, &b->c[8], 9, b->now_ns);
    b->l.capacity = 0.05;
    w->held_at_ns = b->now_ns;
    w->lately_ns = 3 * w->calm_ns + 5 * NS_PER_MS;
    assert_int_equal(reqlimit_offer(&b->l, &b->c[9], 1, b->now_ns), 0);
    reqlimit_tick(&b->l, b->now_ns + NS_PER_MS);
    assert_null(reqlimit_next_woken(&b->l));
    w->lately_ns = w->calm_ns;
    reqlimit_tick(&b->l, b->now_ns + 2 * NS_PER_MS);
    assert_ptr_equal(reqlimit_next_woken(&b->l), &b->c[9]);
    assert_int_equal(reqlimit_take(&b->c[9]), 1);
    bench_free(b);
}

/* The client of a connection does not take its answers, so they are not read. Whether the application still works on
 * its messages is not known: these hold others back for as long as the application needs for them, not until it reads.
 */
static void answers_that_are_not_taken_hold_up_nobody(void **state)
{
    struct bench *b = bench_with_backlog(50);
    struct latency_window *w = &b->l.latency;
    w->drained = true;
    w->held_at_ns = b->now_ns;
    w->lately_ns = 3 * w->calm_ns + 5 * NS_PER_MS;
    reqlimit_unread(&b->c[8], true, b->now_ns);
    assert_int_equal(reqlimit_offer(&b->l, &b->c[9], 1, b->now_ns), 0);
    reqlimit_tick(&b->l, b->now_ns += 10 * NS_PER_MS); /* a client may be slow for a moment */
    assert_int_equal(atomic_load(&b->l.in_hand), 50);
    struct reqlimit_conn *woken = NULL;
    for (unsigned i = 0; i < 90 && !woken; i++) {
        reqlimit_tick(&b->l, b->now_ns += NS_PER_MS);
        woken = reqlimit_next_woken(&b->l);
    }
    assert_ptr_equal(woken, &b->c[9]);
    assert_int_equal(reqlimit_take(woken), 1);
    assert_int_equal(atomic_load(&b->l.in_hand), 1);
    assert_int_equal(atomic_load(&b->l.busy), 1);
    assert_int_equal(reqlimit_conn_in_hand(&b->c[8]), 50); /* it is still owed these answers */
    bench_free(b);
}

/* Connection 8 of 50 messages has not taken its answers for a while. */
static struct bench *bench_with_unread(void)
{
    struct bench *b = bench_with_backlog(50);
    reqlimit_unread(&b->c[8], true, b->now_ns);
    for (unsigned i = 0; i < 60; i++)
        reqlimit_tick(&b->l, b->now_ns += NS_PER_MS);
    assert_int_equal(atomic_load(&b->l.in_hand), 0);
    return b;
}

/* It reads again: its old answers are not taken for those of new messages. */
static void old_answers_are_not_those_of_new_messages(void **state)
{
    struct bench *b = bench_with_unread();
    uint64_t calm_ns = (uint64_t)b->l.latency.lately_ns;
    reqlimit_unread(&b->c[8], false, b->now_ns);
    reqlimit_tick(&b->l, b->now_ns += NS_PER_MS);
    assert_int_equal(atomic_load(&b->l.in_hand), 50);
    reqlimit_passed(&b->l, &b->c[8], 1, b->now_ns);
    assert_int_equal(atomic_load(&b->c[8].awaited), 51);
    reqlimit_answered(&b->l, &b->c[8], 50, true, b->now_ns);
    assert_int_equal(atomic_load(&b->c[8].awaited), 1);
    assert_true((uint64_t)b->l.latency.lately_ns == calm_ns);
    assert_int_equal(atomic_load(&b->l.in_hand), 1);
    reqlimit_answered(&b->l, &b->c[8], 1, true, b->now_ns += 5 * NS_PER_MS);
    assert_int_equal(atomic_load(&b->l.in_hand), 0);
    assert_int_equal(atomic_load(&b->l.busy), 0);
    bench_free(b);
}

/* All answers come before anybody has looked at it again, or it leaves as it is. */
static void who_does_not_read_may_be_answered_or_leave(void **state)
{
    struct bench *b = bench_with_unread();
    reqlimit_passed(&b->l, &b->c[8], 2, b->now_ns);
    assert_int_equal(reqlimit_conn_in_hand(&b->c[8]), 52);
    assert_int_equal(atomic_load(&b->l.in_hand), 0);
    assert_int_equal(atomic_load(&b->c[8].awaited), 0); /* nothing is measured now */
    reqlimit_answered(&b->l, &b->c[8], 60, true, b->now_ns);
    assert_int_equal(atomic_load(&b->c[8].in_hand), 0);
    reqlimit_passed(&b->l, &b->c[8], 3, b->now_ns);
    assert_int_equal(atomic_load(&b->l.in_hand), 3);
    bench_free(b);
    bench_free(bench_with_unread());
}

/* It was quiet for long, and stops reading only then. */
static void who_was_quiet_is_looked_at_when_it_stops_reading(void **state)
{
    struct bench *b = bench_with_backlog(50);
    for (unsigned i = 0; i < 1500; i++)
        reqlimit_tick(&b->l, b->now_ns += NS_PER_MS);
    if (atomic_load(&b->c[8].silent)) /* nothing of it is in hand */
        reqlimit_passed(&b->l, &b->c[8], 1, b->now_ns);
    atomic_store(&b->c[8].silent, false);
    reqlimit_count_passed(&b->l, &b->c[8], 10, b->now_ns);
    assert_true(reqlimit_unread_needs_lock(&b->c[8], b->now_ns += NS_PER_S));
    reqlimit_unread(&b->c[8], true, b->now_ns);
    reqlimit_activate(&b->l, &b->c[8], b->now_ns);
    for (unsigned i = 0; i < 60; i++)
        reqlimit_tick(&b->l, b->now_ns += NS_PER_MS);
    assert_int_equal(atomic_load(&b->l.in_hand), 0);
    bench_free(b);
}

/* A note is never answered, and the answer to the next message is taken for its own. */
static void notes_among_requests_hold_up_nobody(void **state)
{
    struct bench *b = bench_new(false, true);
    bench_calm(b, 5 * NS_PER_S);
    for (unsigned i = 0; i < 4; i++) {
        bench_offer(b, i, 1);
        b->answers = false;
        for (unsigned k = 0; k < 30; k++)
            bench_step(b);
        b->answers = true;
        bench_offer(b, i, 1);
        for (unsigned k = 0; k < 30; k++)
            bench_step(b);
        assert_int_equal(atomic_load(&b->c[i].in_hand), 1);
        assert_int_equal(atomic_load(&b->c[i].awaited), 0);
    }
    for (unsigned i = 0; i < 300; i++)
        reqlimit_tick(&b->l, b->now_ns += NS_PER_MS);
    assert_int_equal(atomic_load(&b->l.in_hand), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_false(atomic_load(&b->c[i].silent));
    bench_free(b);
}

/* The application has ended while the release window waited for what it would take next. */
static void a_counter_may_go_at_any_time(void **state)
{
    struct bench *b = bench_new(true, false);
    bench_calm(b, 5 * NS_PER_S);
    b->l.release.idle = true;
    b->l.idle_taken = b->l.counter.taken;
    reqlimit_attach(&b->l, NULL);
    reqlimit_look(&b->l, b->now_ns);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_while_all_are_equal),
        cmocka_unit_test(without_counter_and_plain_service_nobody_waits),
        cmocka_unit_test(the_established_pass_at_once),
        cmocka_unit_test(equals_are_served_equally),
        cmocka_unit_test(anything_may_happen),
        cmocka_unit_test(an_established_one_that_floods_is_held),
        cmocka_unit_test(what_waits_too_long_is_shed),
        cmocka_unit_test(the_modest_are_not_shed),
        cmocka_unit_test(weights_count_among_those_that_wait),
        cmocka_unit_test(priorities_count_among_those_that_wait),
        cmocka_unit_test(clocks_that_differ_change_nothing),
        cmocka_unit_test(a_page_may_say_anything),
        cmocka_unit_test(no_stranger_overtakes_the_established),
        cmocka_unit_test(nothing_is_lost_for_those_that_are_silent),
        cmocka_unit_test(what_was_granted_is_not_granted_twice),
        cmocka_unit_test(who_asks_first_is_measured),
        cmocka_unit_test(a_flood_does_not_tell_what_the_service_is),
        cmocka_unit_test(a_healthy_gate_takes_no_lock),
        cmocka_unit_test(workers_share_a_gate),
        cmocka_unit_test(a_backlog_of_one_holds_up_nobody_else),
        cmocka_unit_test(who_waits_for_itself_is_behind_others),
        cmocka_unit_test(messages_left_behind_count_while_answers_are_slow),
        cmocka_unit_test(answers_that_are_not_taken_hold_up_nobody),
        cmocka_unit_test(old_answers_are_not_those_of_new_messages),
        cmocka_unit_test(who_does_not_read_may_be_answered_or_leave),
        cmocka_unit_test(who_was_quiet_is_looked_at_when_it_stops_reading),
        cmocka_unit_test(notes_among_requests_hold_up_nobody),
        cmocka_unit_test(a_counter_may_go_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
