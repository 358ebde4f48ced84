/* SPDX-License-Identifier: MPL-2.0 */
/* The valve in front of a model of an application that keeps some requests, in virtual time: long polls beside quick
 * requests, a flood beside both, and what only looks as if it kept them. */
#include "flow/valve.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MOST    4096u
#define CLIENTS 512u
#define TICK_NS (100 * NS_PER_US)
#define SAMPLES 65536u

enum kind { QUICK, POLL, FLOOD, SINK, KINDS }; /* SINK: never answered, one after the other */

enum state { RESTS, WANTS, WAITS, ASKED };

struct client {
    struct valve_client valve;
    enum kind kind;
    enum state state;
    uint64_t rests_until_ns, wants_since_ns, alarm_ns;
    uint64_t done_ns; /* ASKED: answered then; 0: stands in the application's queue */
    uint64_t order;   /* of coming there */
};

struct model {
    struct valve v;
    struct list woken;
    struct client clients[CLIENTS];
    unsigned count;
    uint64_t now_ns, work_ns, tail_ns, tail_every, poll_ns, rest_ns, stalled_until_ns, free_ns;
    uint64_t coming;
    uint32_t queued, queued_most; /* in the application */
    uint64_t worked, sunk;
    double queue;                       /* in the application: sum over time, in ticks */
    uint32_t latencies[KINDS][SAMPLES]; /* from the wish to the answer, in us */
    unsigned samples[KINDS];
};

static struct model m;

static void wake(struct valve_client *c)
{
    list_push(&m.woken, &c->turn.node);
}

static void begin(uint64_t work_ns, uint64_t poll_ns)
{
    memset(&m, 0, sizeof(m));
    m.now_ns = NS_PER_S;
    m.work_ns = work_ns;
    m.poll_ns = poll_ns;
    m.rest_ns = 100 * NS_PER_MS;
    list_init(&m.woken);
    assert_int_equal(valve_init(&m.v, MOST, 1024, wake), 0);
}

static void end(void)
{
    for (unsigned i = 0; i < m.count; i++)
        valve_leave(&m.v, &m.clients[i].valve, m.now_ns);
    assert_int_equal(m.v.in_hand, 0);
    assert_int_equal(m.v.aside, 0);
    valve_fini(&m.v);
}

/* Quick ones come one after the other, as clients do that were not started by the same hand. */
static void add(enum kind kind, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct client *c = &m.clients[m.count++];
        assert_true(m.count <= CLIENTS);
        *c = (struct client){.kind = kind, .state = RESTS, .alarm_ns = UINT64_MAX};
        c->rests_until_ns = m.now_ns + (kind == QUICK ? i * m.rest_ns / n : 0);
        valve_client_init(&c->valve);
    }
}

static void arm(struct client *c, uint64_t at_ns)
{
    if (at_ns && at_ns < c->alarm_ns)
        c->alarm_ns = at_ns;
}

static void pass(struct client *c)
{
    valve_passed(&m.v, &c->valve, 1, m.now_ns);
    arm(c, valve_look_at(&m.v, &c->valve, m.now_ns));
    valve_rest(&m.v, &c->valve, m.now_ns);
    if (c->kind == SINK) {
        m.sunk++;
        c->state = WANTS;
        return;
    }
    c->state = ASKED;
    c->order = m.coming++;
    c->done_ns = c->kind == POLL ? m.now_ns + m.poll_ns : 0;
    m.queued += c->kind != POLL;
    m.queued_most = m.queued > m.queued_most ? m.queued : m.queued_most;
}

/* All are of one source, but the flood. */
static void want(struct client *c)
{
    struct turns_client who = {
        .owner = c->kind >= FLOOD ? 128 : 64, .weight = TURNS_WEIGHT_ONE, .age_ns = 10 * NS_PER_S, .priority = 1};
    if (valve_allows(&m.v, &c->valve)) {
        pass(c);
        return;
    }
    c->state = WAITS;
    valve_wait(&m.v, &c->valve, &who, m.now_ns);
}

static void wake_all(void)
{
    for (struct valve_client *v; (v = valve_pop(&m.v, &m.woken));) {
        struct client *c = (struct client *)(void *)v;
        if (c->state == WAITS)
            want(c);
    }
}

static void answer(struct client *c)
{
    uint64_t us = (m.now_ns - c->wants_since_ns) / NS_PER_US;
    if (m.samples[c->kind] < SAMPLES)
        m.latencies[c->kind][m.samples[c->kind]++] = (uint32_t)us;
    c->state = RESTS;
    c->rests_until_ns = m.now_ns + (c->kind == QUICK ? m.rest_ns : 0);
    valve_answered(&m.v, &c->valve, 1, m.now_ns);
}

/* One server, first come first served. */
static void work(void)
{
    if (m.now_ns < m.free_ns || m.now_ns < m.stalled_until_ns)
        return;
    struct client *next = NULL, *done = NULL;
    for (unsigned i = 0; i < m.count; i++) {
        struct client *c = &m.clients[i];
        if (c->state != ASKED || c->kind == POLL)
            continue;
        if (c->done_ns && c->done_ns <= m.now_ns)
            done = c;
        else if (!c->done_ns && (!next || c->order < next->order))
            next = c;
    }
    if (done) {
        m.queued--;
        m.worked++;
        answer(done);
    }
    bool tail = m.tail_every && m.worked % m.tail_every == 0;
    if (next)
        m.free_ns = next->done_ns = m.now_ns + (tail ? m.tail_ns : m.work_ns);
}

static void tick(void)
{
    m.now_ns += TICK_NS;
    m.queue += m.queued;
    work();
    for (unsigned i = 0; i < m.count; i++) {
        struct client *c = &m.clients[i];
        if (c->state == ASKED && c->kind == POLL && c->done_ns <= m.now_ns)
            answer(c);
        if (c->alarm_ns <= m.now_ns) {
            c->alarm_ns = UINT64_MAX;
            arm(c, valve_look(&m.v, &c->valve, m.now_ns));
        }
        if (c->state == RESTS && c->rests_until_ns <= m.now_ns) {
            c->state = WANTS;
            c->wants_since_ns = m.now_ns;
        }
        if (c->state == WANTS)
            want(c);
    }
    wake_all();
}

static void run_for(uint64_t ns)
{
    memset(m.samples, 0, sizeof(m.samples));
    m.queued_most = m.queued;
    m.worked = m.sunk = 0;
    m.queue = 0;
    for (uint64_t until = m.now_ns + ns; m.now_ns < until;)
        tick();
    m.queue = m.queue * (double)TICK_NS / (double)ns;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* In us. */
static uint32_t percentile(enum kind kind, unsigned percent)
{
    qsort(m.latencies[kind], m.samples[kind], sizeof(uint32_t), by_value);
    return m.samples[kind] ? m.latencies[kind][(m.samples[kind] - 1) * percent / 100] : UINT32_MAX;
}

static void say(const char *what)
{
    struct valve_stats stats;
    valve_stats(&m.v, &stats);
    fprintf(stderr, "%s: quick %u, median %u us, p99 %u us; polls %u, p99 %u us; limit %u, waiting %u, queued %u\n",
            what, m.samples[QUICK], percentile(QUICK, 50), percentile(QUICK, 99), m.samples[POLL], percentile(POLL, 99),
            stats.limit, stats.waiting, m.queued_most);
}

/* Five clients ask ten times a second what takes 300 us, beside all these polls, and must not notice them once the
 * valve has seen both; at the beginning not for long. */
static void quick_requests_do_not_wait_for_polls(void **state)
{
    static const struct {
        uint64_t poll_ms;
        unsigned pollers;
    } cases[] = {{100, 20}, {400, 20}, {400, 60}, {400, 100}, {1000, 100}, {5000, 20}, {5000, 100}, {20000, 200}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char what[64];
        begin(300 * NS_PER_US, cases[i].poll_ms * NS_PER_MS);
        add(QUICK, 5);
        add(POLL, cases[i].pollers);
        snprintf(what, sizeof(what), "%u polls of %u ms, first", cases[i].pollers, (unsigned)cases[i].poll_ms);
        run_for(6 * NS_PER_S);
        say(what);
        assert_true(m.samples[QUICK] >= 300 / 6);
        run_for(20 * NS_PER_S);
        say("then");
        assert_true(m.samples[QUICK] >= 880 && percentile(QUICK, 50) <= 1000);
        if (cases[i].poll_ms <= 400)
            assert_true(m.samples[QUICK] >= 980 && percentile(QUICK, 99) <= 5000);
        end();
    }
}

/* A hundred greedy clients of another source keep the server busy with requests of 2 ms. */
static void a_flood_beside_polls_is_held_back(void **state)
{
    static const uint64_t polls_ms[] = {100, 400, 5000};
    for (size_t i = 0; i < ARRAY_LEN(polls_ms); i++) {
        begin(2 * NS_PER_MS, polls_ms[i] * NS_PER_MS);
        add(QUICK, 5);
        add(POLL, 20);
        run_for(2 * NS_PER_S);
        say("before the flood");
        add(FLOOD, 100);
        run_for(NS_PER_S);
        say("its first second");
        run_for(10 * NS_PER_S);
        say("ten seconds of flood");
        assert_true(m.worked >= 5000 / 2 && m.queued_most <= 48);
        assert_true(percentile(QUICK, 50) <= 20000);
        end();
    }
}

/* Nothing is kept, but all take two hundred times as long from now on. */
static void an_application_that_becomes_slow_keeps_nothing(void **state)
{
    begin(NS_PER_MS, 0);
    add(QUICK, 5);
    add(FLOOD, 100);
    run_for(3 * NS_PER_S);
    say("fast");
    m.work_ns = 200 * NS_PER_MS;
    run_for(10 * NS_PER_S);
    say("slow");
    assert_true(m.queued_most <= 24);
    run_for(10 * NS_PER_S);
    say("and slow");
    assert_true(m.queued_most <= 3);
    end();
}

static void a_pause_leaves_no_queue_behind(void **state)
{
    begin(2 * NS_PER_MS, 0);
    add(QUICK, 5);
    add(FLOOD, 100);
    run_for(2 * NS_PER_S);
    say("before");
    for (int i = 0; i < 4; i++) {
        m.stalled_until_ns = m.now_ns + 3 * NS_PER_S;
        run_for(3 * NS_PER_S);
        say("a pause of three seconds");
        run_for(NS_PER_S);
        say("a second later");
        assert_true(percentile(QUICK, 50) <= 50000);
        run_for(NS_PER_S);
        say("two");
        assert_true(m.queued <= 3 && percentile(QUICK, 99) <= 50000);
    }
    end();
}

/* Where hardly anybody waits nobody needs to be let in. */
static void now_and_then_a_long_one_is_no_reason(void **state)
{
    static const struct {
        uint64_t work_ms, tail_ms, every;
        unsigned clients;
    } cases[] = {{1, 300, 100, 100}, {1, 300, 100, 300}, {5, 500, 20, 300}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(cases[i].work_ms * NS_PER_MS, 0);
        m.tail_ns = cases[i].tail_ms * NS_PER_MS;
        m.tail_every = cases[i].every;
        add(QUICK, 5);
        add(FLOOD, cases[i].clients);
        run_for(5 * NS_PER_S);
        run_for(30 * NS_PER_S);
        say("a long one now and then");
        fprintf(stderr, "mean queue %.1f\n", m.queue);
        assert_true(m.queue <= (cases[i].every == 100 ? 6 : 24));
        end();
    }
}

static void pauses_now_and_then_are_no_reason(void **state)
{
    begin(NS_PER_MS, 0);
    add(QUICK, 5);
    add(FLOOD, 100);
    run_for(2 * NS_PER_S);
    for (int i = 0; i < 10; i++) {
        run_for(2 * NS_PER_S);
        m.stalled_until_ns = m.now_ns + 300 * NS_PER_MS;
    }
    run_for(2 * NS_PER_S);
    say("pauses of 300 ms");
    fprintf(stderr, "mean queue %.1f\n", m.queue);
    assert_true(m.queue <= 6 && m.queued_most <= 24);
    end();
}

/* Twenty connections send without end what the application never answers, beside five that it does. */
static void what_is_never_answered_does_not_open_the_valve(void **state)
{
    begin(300 * NS_PER_US, 0);
    add(QUICK, 5);
    run_for(NS_PER_S);
    add(SINK, 20);
    run_for(10 * NS_PER_S);
    say("never answered");
    fprintf(stderr, "sunk %u, mode %u\n", (unsigned)m.sunk, m.v.answers.mode);
    assert_true(valve_is_limited(&m.v));
    assert_true(m.sunk <= 10 * 1000 && m.samples[QUICK] >= 100);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_requests_do_not_wait_for_polls),
        cmocka_unit_test(a_flood_beside_polls_is_held_back),
        cmocka_unit_test(an_application_that_becomes_slow_keeps_nothing),
        cmocka_unit_test(a_pause_leaves_no_queue_behind),
        cmocka_unit_test(now_and_then_a_long_one_is_no_reason),
        cmocka_unit_test(pauses_now_and_then_are_no_reason),
        cmocka_unit_test(what_is_never_answered_does_not_open_the_valve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
