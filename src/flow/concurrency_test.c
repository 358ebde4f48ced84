/* SPDX-License-Identifier: MPL-2.0 */
/* The window in front of a model of k servers, FIFO, with more work than they can do, in virtual time. */
#include "flow/concurrency.h"

#include "base/property.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define MOST       4096u
#define SERVERS    64u
#define HOP_NS     20000ull /* from Weir to the application and back */
#define SETTLE_NS  (200 * NS_PER_MS)
#define OBSERVE_NS (3 * NS_PER_S)

enum service { CONSTANT, EXPONENTIAL, MIXED };

struct request {
    uint64_t admitted_ns, answered_ns;
    uint32_t round;
};

/* Requests are answered in the order of `answered_ns`; a server takes the next one as soon as it is free. */
struct model {
    struct concurrency w;
    struct property_rng rng;
    enum service service;
    uint64_t mean_ns, now_ns;
    unsigned servers;
    uint64_t free_ns[SERVERS];
    struct request hand[MOST];
    uint32_t in_hand;
    uint64_t replies;
    /* since observe() */
    uint64_t since_ns, worked_ns, answered;
    double area; /* in hand x time */
};

static double uniform(struct model *m)
{
    return ((double)(property_next(&m->rng) >> 11) + 1) / 9007199254740993.0;
}

/* A mixture of nine short ones and one that takes eleven times as long. */
static uint64_t service_ns(struct model *m)
{
    if (m->service == EXPONENTIAL)
        return (uint64_t)(-log(uniform(m)) * (double)m->mean_ns) + 1;
    if (m->service == MIXED)
        return property_below(&m->rng, 10) ? m->mean_ns / 2 : m->mean_ns * 11 / 2;
    return m->mean_ns;
}

static unsigned first_free(const struct model *m)
{
    unsigned first = 0;
    for (unsigned i = 1; i < m->servers; i++)
        if (m->free_ns[i] < m->free_ns[first])
            first = i;
    return first;
}

static void admit(struct model *m)
{
    while (m->in_hand < concurrency_limit(&m->w)) {
        unsigned server = first_free(m);
        uint64_t takes_ns = service_ns(m), start_ns = m->now_ns + HOP_NS / 2;
        start_ns = start_ns > m->free_ns[server] ? start_ns : m->free_ns[server];
        m->free_ns[server] = start_ns + takes_ns;
        m->worked_ns += takes_ns;
        m->hand[m->in_hand++] = (struct request){m->now_ns, m->free_ns[server] + HOP_NS / 2, concurrency_round(&m->w)};
    }
}

static void answer(struct model *m)
{
    uint32_t next = 0;
    for (uint32_t i = 1; i < m->in_hand; i++)
        if (m->hand[i].answered_ns < m->hand[next].answered_ns)
            next = i;
    struct request r = m->hand[next];
    m->area += (double)m->in_hand * (double)(r.answered_ns - m->now_ns);
    m->now_ns = r.answered_ns;
    m->answered++;
    m->replies++;
    concurrency_sample(&m->w, &(struct concurrency_reply){.round = r.round,
                                                          .in_hand = m->in_hand,
                                                          .contended = true,
                                                          .latency_ns = r.answered_ns - r.admitted_ns,
                                                          .answered = m->replies,
                                                          .now_ns = m->now_ns});
    m->hand[next] = m->hand[--m->in_hand];
    assert_true(concurrency_limit(&m->w) >= 1 && concurrency_limit(&m->w) <= MOST);
}

static void run_for(struct model *m, uint64_t ns)
{
    for (uint64_t end = m->now_ns + ns; m->now_ns < end; answer(m))
        admit(m);
}

static void observe(struct model *m, uint64_t ns)
{
    m->since_ns = m->now_ns;
    m->worked_ns = m->answered = 0;
    m->area = 0;
    run_for(m, ns);
}

static double mean_in_hand(const struct model *m)
{
    return m->area / (double)(m->now_ns - m->since_ns);
}

static double utilisation(const struct model *m)
{
    return (double)m->worked_ns / (double)(m->now_ns - m->since_ns) / m->servers;
}

static struct model *model(struct property_rng rng, enum service service, unsigned servers, uint64_t mean_ns)
{
    static struct model m;
    memset(&m, 0, sizeof(m));
    m.rng = rng;
    m.service = service;
    m.servers = servers;
    m.mean_ns = mean_ns;
    concurrency_init(&m.w, MOST);
    return &m;
}

/* Of runs that differ by chance alone, so that a bound holds for the window and not for one run's luck. */
struct typical {
    double in_hand, utilisation;
};

#define RUNS 8

static struct typical typical_of(struct property_rng *rng, enum service service, unsigned servers, uint64_t mean_ns)
{
    struct typical t = {0};
    for (int run = 0; run < RUNS; run++) {
        struct model *m = model((struct property_rng){property_next(rng)}, service, servers, mean_ns);
        run_for(m, NS_PER_S);
        observe(m, OBSERVE_NS);
        t.in_hand += mean_in_hand(m) / RUNS;
        t.utilisation += utilisation(m) / RUNS;
    }
    fprintf(stderr, "%u servers of %llu us, service %d: in hand %.2f, utilisation %.3f\n", servers,
            (unsigned long long)(mean_ns / NS_PER_US), (int)service, t.in_hand, t.utilisation);
    return t;
}

static void say(const char *what, const struct model *m)
{
    fprintf(stderr, "%s, service %d: %u servers, in hand %.2f, utilisation %.3f, pair %u and %u\n", what,
            (int)m->service, m->servers, mean_in_hand(m), utilisation(m), m->w.low, m->w.high);
}

static void one_server_has_one_or_two_in_hand(void **state)
{
    struct model *m = model((struct property_rng){0}, CONSTANT, 1, 2 * NS_PER_MS);
    run_for(m, SETTLE_NS);
    observe(m, OBSERVE_NS);
    say("one server", m);
    assert_true(mean_in_hand(m) <= 2 && utilisation(m) >= 0.97);
}

static void eight_servers_have_about_eight(void **state)
{
    struct model *m = model((struct property_rng){0}, CONSTANT, 8, 2 * NS_PER_MS);
    run_for(m, SETTLE_NS);
    observe(m, OBSERVE_NS);
    say("eight servers", m);
    assert_true(mean_in_hand(m) >= 7 && mean_in_hand(m) <= 12 && utilisation(m) >= 0.95);
}

static void fast_servers_get_their_batches(void **state)
{
    struct property_rng rng = property_rng_new("concurrency fast");
    for (enum service service = CONSTANT; service <= MIXED; service++) {
        struct typical t = typical_of(&rng, service, 1, 20000);
        assert_true(t.utilisation >= 0.97 && t.in_hand < 150);
    }
}

/* By chance alone the window must neither collapse nor run away. Some hundred replies are needed to tell, so it takes
 * longer than with equal ones. */
static void random_service_is_told_from_a_queue(void **state)
{
    struct property_rng rng = property_rng_new("concurrency random");
    for (enum service service = EXPONENTIAL; service <= MIXED; service++) {
        struct typical one = typical_of(&rng, service, 1, 2 * NS_PER_MS);
        assert_true(one.in_hand <= 4);
        struct typical eight = typical_of(&rng, service, 8, 2 * NS_PER_MS);
        assert_true(eight.in_hand >= 6 && eight.in_hand <= 12 && eight.utilisation >= 0.8);
    }
}

static void it_follows_the_application(void **state)
{
    static const struct {
        unsigned servers;
        uint64_t mean_ns;
    } phases[] = {
        {8, 2 * NS_PER_MS}, {1, 2 * NS_PER_MS}, {8, 2 * NS_PER_MS},  {8, 6 * NS_PER_MS}, {8, 2 * NS_PER_MS},
        {2, 2 * NS_PER_MS}, {2, 4 * NS_PER_MS}, {16, 4 * NS_PER_MS}, {4, 2 * NS_PER_MS},
    };
    struct model *m = model((struct property_rng){0}, CONSTANT, 1, 20000);
    run_for(m, SETTLE_NS);
    for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
        for (unsigned server = m->servers; server < phases[i].servers; server++)
            m->free_ns[server] = 0;
        m->servers = phases[i].servers;
        m->mean_ns = phases[i].mean_ns;
        run_for(m, SETTLE_NS);
        observe(m, NS_PER_S);
        say("after a change", m);
        assert_true(utilisation(m) >= 0.85 && mean_in_hand(m) <= 1.5 * m->servers + 1);
    }
}

/* One server that takes what came last: what it answers has never waited, and what waits is not answered before the
 * limit falls. Nothing of that may look as if there were servers for all of them. */
static void a_server_that_takes_the_newest_first_is_seen_through(void **state)
{
    struct concurrency w;
    struct request hand[MOST];
    uint32_t in_hand = 0;
    uint64_t answered = 0, limits = 0;
    uint32_t highest = 0;
    concurrency_init(&w, MOST);
    for (uint64_t now = 0; now < 3 * NS_PER_S; answered++) {
        while (in_hand < concurrency_limit(&w))
            hand[in_hand++] = (struct request){.admitted_ns = now, .round = concurrency_round(&w)};
        now += 2 * NS_PER_MS;
        const struct request *r = &hand[in_hand - 1];
        struct concurrency_reply reply = {.round = r->round,
                                          .in_hand = in_hand,
                                          .contended = true,
                                          .latency_ns = now - r->admitted_ns,
                                          .answered = answered + 1,
                                          .now_ns = now};
        concurrency_sample(&w, &reply);
        in_hand--;
        limits += now > SETTLE_NS ? concurrency_limit(&w) : 0;
        highest = concurrency_limit(&w) > highest ? concurrency_limit(&w) : highest;
    }
    double mean = (double)limits / (double)(answered - SETTLE_NS / (2 * NS_PER_MS));
    fprintf(stderr, "newest first: limit %.2f, at most %u\n", mean, highest);
    assert_true(mean <= 4 && highest <= 8);
}

/* Nobody waits: the limit is not what decides, and stays. */
static void without_anybody_waiting_it_learns_nothing(void **state)
{
    struct concurrency w;
    struct property_rng rng = property_rng_new("concurrency idle");
    concurrency_init(&w, MOST);
    for (int i = 0; i < 100000; i++) {
        struct concurrency_reply r = {.round = concurrency_round(&w),
                                      .in_hand = 1,
                                      .latency_ns = 1 + property_magnitude(&rng, 40),
                                      .answered = (uint64_t)i,
                                      .now_ns = (uint64_t)i * NS_PER_MS};
        concurrency_sample(&w, &r);
        assert_in_range(concurrency_limit(&w), CONCURRENCY_FIRST / 2, CONCURRENCY_FIRST);
    }
}

static void whatever_it_is_told_it_stays_in_range(void **state)
{
    struct property_rng rng = property_rng_new("concurrency range");
    for (uint32_t most = 1; most <= 1u << 20; most *= 3) {
        struct concurrency w;
        concurrency_init(&w, most);
        for (int i = 0; i < 20000; i++) {
            struct concurrency_reply r = {.round = concurrency_round(&w) - (uint32_t)property_below(&rng, 2),
                                          .in_hand = (uint32_t)property_magnitude(&rng, 32),
                                          .contended = property_below(&rng, 4),
                                          .latency_ns = property_magnitude(&rng, 64),
                                          .answered = property_magnitude(&rng, 64),
                                          .now_ns = property_magnitude(&rng, 64)};
            concurrency_sample(&w, &r);
            assert_in_range(concurrency_limit(&w), 1, most);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_server_has_one_or_two_in_hand),
        cmocka_unit_test(eight_servers_have_about_eight),
        cmocka_unit_test(fast_servers_get_their_batches),
        cmocka_unit_test(random_service_is_told_from_a_queue),
        cmocka_unit_test(it_follows_the_application),
        cmocka_unit_test(a_server_that_takes_the_newest_first_is_seen_through),
        cmocka_unit_test(without_anybody_waiting_it_learns_nothing),
        cmocka_unit_test(whatever_it_is_told_it_stays_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
