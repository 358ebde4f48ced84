/* SPDX-License-Identifier: MPL-2.0 */
/* The order of turns against a linear search, shares against weights, and what idle time buys. */
#include "flow/turns.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define CLIENTS 300u
#define STEP    NS_PER_MS

static struct turns t;
static struct turn turns[CLIENTS];
static uint64_t now;

static int set_up(void **state)
{
    now = NS_PER_S;
    memset(turns, 0, sizeof(turns));
    return turns_init(&t, 4096);
}

static int tear_down(void **state)
{
    turns_fini(&t);
    return 0;
}

/* Owners are addresses of cache lines. */
static struct turns_client who_is(uint64_t n)
{
    return (struct turns_client){.owner = (n + 1) * 64, .weight = TURNS_WEIGHT_ONE, .priority = 1};
}

static struct turns_source *join(unsigned connection, uint64_t source)
{
    struct turns_client who = who_is(source);
    return turns_join(&t, &turns[connection], &who, now);
}

/* The connection that is served, at once to the end. */
static unsigned serve(uint32_t cost)
{
    struct turns_source *s;
    struct turn *turn = turns_next(&t, cost, now, &s);
    assert_non_null(turn);
    turns_end(&t, s, cost, now);
    return (unsigned)(turn - turns);
}

/* ---- the oracle ---- */

static int64_t idle_of(const struct turns_source *s)
{
    int64_t passed = now > s->since_ns ? (int64_t)(now - s->since_ns) : 0, units = (int64_t)s->waiting + s->under_way;
    int64_t idle = s->idle_ns + (units ? -passed * units : passed);
    return idle < 0 ? 0 : idle > (int64_t)TURNS_IDLE_MOST_NS ? (int64_t)TURNS_IDLE_MOST_NS : idle;
}

static unsigned level_of(const struct turns_source *s)
{
    int64_t ms = idle_of(s) / (int64_t)NS_PER_MS;
    static const int64_t least_ms[] = {4000, 2000, 1000, 500, 200, 50};
    for (unsigned level = 0; level < ARRAY_LEN(least_ms); level++)
        if (ms >= least_ms[level])
            return level;
    return idle_of(s) > 0 ? TURNS_GREEDY - 1 : TURNS_GREEDY;
}

/* Tags of those who turn greedy change when they do, so only those of one level are compared by them. */
static bool precedes(const struct turns_source *a, const struct turns_source *b)
{
    if (level_of(a) != level_of(b))
        return level_of(a) < level_of(b);
    if (level_of(a) != a->level || level_of(b) != b->level)
        return false;
    return a->tag < b->tag || (a->tag == b->tag && (int32_t)(a->order - b->order) < 0);
}

static void check_counts(void)
{
    uint32_t sources = 0, greedy = 0, waiting = 0;
    for (unsigned i = 0; i < TURNS_PRIORITIES; i++) {
        sources -= t.ranks[i].sparse.count + t.ranks[i].greedy.count;
        greedy -= t.ranks[i].greedy.count;
    }
    for (size_t i = 0; i < t.sets * 8; i++) {
        const struct turns_source *s = &t.table[i];
        assert_int_equal(s->waiting == 0, s->place == 0);
        const struct turns_rank *r = &t.ranks[s->priority];
        assert_true(s->place == 0 || (s->level == TURNS_GREEDY ? &r->greedy : &r->sparse)->at[s->place] == s);
        sources += s->waiting != 0;
        greedy += s->waiting && s->level == TURNS_GREEDY;
        waiting += s->waiting;
    }
    assert_int_equal(sources, 0);
    assert_int_equal(greedy, 0);
    assert_int_equal(t.waiting, waiting);
}

/* ---- order ---- */

/* Whose priority has the turn: the first that is waited in, or the next after so many units. */
static unsigned priority_served(const struct turns_source *sources, size_t count, const uint32_t *ahead, uint32_t cost)
{
    unsigned found = TURNS_PRIORITIES;
    for (unsigned p = 0; p < TURNS_PRIORITIES; p++) {
        bool waited_in = false;
        for (size_t k = 0; k < count; k++)
            waited_in |= sources[k].waiting && sources[k].priority == p;
        if (!waited_in)
            continue;
        if (found < TURNS_PRIORITIES && ahead[found] < 7 * cost)
            return found;
        found = p;
    }
    return found;
}

/* A copy of the table tells who should be served; the table is small, so that sources share entries too. */
static void any_order_of_calls(struct property_rng *rng)
{
    struct {
        struct turns_source *source;
        uint32_t units;
    } under_way[CLIENTS] = {0};
    uint64_t joined = 0, served = 0, left = 0;
    static struct turns_source before[64];
    for (unsigned step = 0; step < 3000; step++) {
        unsigned i = (unsigned)property_below(rng, CLIENTS);
        /* Two workers' clocks: a few ms back, sometimes. */
        now += property_magnitude(rng, 24);
        now -= property_below(rng, 8) ? 0 : 3 * NS_PER_MS;
        if (property_below(rng, 2) && !turns[i].source && !under_way[i].source) {
            struct turns_client who = {.owner = (1 + property_below(rng, 150)) * 64,
                                       .age_ns = property_magnitude(rng, 31),
                                       .priority = (uint8_t)property_below(rng, TURNS_PRIORITIES),
                                       .weight = (uint16_t)(1 + property_magnitude(rng, 16) % UINT16_MAX)};
            turns_join(&t, &turns[i], &who, now);
            joined++;
        } else if (property_below(rng, 2) && t.waiting) {
            struct turns_source *s;
            uint32_t cost = 1 + (uint32_t)property_below(rng, 256), owed[TURNS_PRIORITIES], ahead[TURNS_PRIORITIES];
            memcpy(before, t.table, t.sets * 8 * sizeof(*before));
            for (unsigned p = 0; p < TURNS_PRIORITIES; p++) {
                owed[p] = t.ranks[p].owed;
                ahead[p] = t.ranks[p].ahead;
            }
            struct turn *turn = turns_next(&t, cost, now, &s);
            assert_non_null(turn);
            assert_null(turn->source);
            assert_int_equal(s->priority, priority_served(before, t.sets * 8, ahead, cost));
            bool greedy_part = s->level == TURNS_GREEDY && owed[s->priority] >= 7 * cost;
            for (size_t k = 0; k < t.sets * 8; k++)
                if (before[k].waiting && before[k].priority == s->priority &&
                    (!greedy_part || before[k].level == TURNS_GREEDY))
                    assert_false(precedes(&before[k], &before[s - t.table]));
            unsigned at = (unsigned)(turn - turns);
            assert_null(under_way[at].source);
            under_way[at].source = s;
            under_way[at].units = cost;
            served++;
        } else if (property_below(rng, 8) == 0) {
            left += turns[i].source != NULL;
            turns_leave(&t, &turns[i], now);
            turns_leave(&t, &turns[i], now);
        } else if (under_way[i].source) {
            (property_below(rng, 3) ? turns_end : turns_refund)(&t, under_way[i].source, under_way[i].units, now);
            under_way[i].source = NULL;
        }
        check_counts();
        assert_int_equal(joined, served + left + t.waiting);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        turns_leave(&t, &turns[i], now);
        if (under_way[i].source)
            turns_end(&t, under_way[i].source, under_way[i].units, now);
    }
    for (size_t k = 0; k < t.sets * 8; k++)
        assert_true(t.table[k].waiting == 0 && t.table[k].under_way == 0 && t.table[k].place == 0);
    check_counts();
}

static void nobody_is_lost_and_the_first_is_served(void **state)
{
    struct property_rng rng = property_rng_new("turns order");
    for (int run = 0; run < 40; run++) {
        turns_fini(&t);
        assert_int_equal(turns_init(&t, 64), 0);
        memset(turns, 0, sizeof(turns));
        now = NS_PER_S;
        any_order_of_calls(&rng);
    }
}

static void lower_priorities_wait(void **state)
{
    for (unsigned i = 0; i < TURNS_PRIORITIES; i++) {
        struct turns_client who = who_is(i);
        who.priority = (uint8_t)(TURNS_PRIORITIES - 1 - i);
        who.age_ns = i == 0 ? NS_PER_S : 0;
        turns_join(&t, &turns[i], &who, now);
    }
    for (unsigned i = TURNS_PRIORITIES; i-- > 0;)
        assert_int_equal(serve(1), i);
}

/* ---- shares ---- */

/* Always wants more: its idle time is gone. */
static void become_greedy(unsigned connections)
{
    now += TURNS_IDLE_MOST_NS + STEP;
    for (unsigned i = 0; i < connections; i++)
        turns[i].source->idle_ns = 0;
}

static void greedy_sources_share_by_weight(void **state)
{
    struct property_rng rng = property_rng_new("turns shares");
    for (int run = 0; run < 20; run++) {
        struct turns_client who[40];
        double units[40] = {0};
        uint32_t most = 1 + (uint32_t)property_below(&rng, 64);
        tear_down(NULL);
        set_up(NULL);
        for (unsigned i = 0; i < 40; i++) {
            who[i] = who_is(property_next(&rng) >> 8);
            who[i].weight = (uint16_t)(1 + property_magnitude(&rng, 10) % 1024);
            turns_join(&t, &turns[i], &who[i], now);
        }
        become_greedy(40);
        for (unsigned n = 0; n < 20000; n++) {
            uint32_t cost = 1 + (uint32_t)property_below(&rng, most);
            unsigned i = serve(cost);
            units[i] += cost;
            turns_join(&t, &turns[i], &who[i], now);
        }
        for (unsigned i = 0; i < 40; i++)
            for (unsigned k = 0; k < 40; k++) {
                double quanta = (double)most / who[i].weight + (double)most / who[k].weight;
                double apart = units[i] / who[i].weight - units[k] / who[k].weight;
                assert_true(apart <= quanta + units[i] / who[i].weight / 500);
            }
    }
}

static void connections_of_a_source_are_one(void **state)
{
    unsigned served[CLIENTS] = {0};
    for (unsigned i = 0; i < 110; i++)
        join(i, i < 100 ? 0 : i);
    become_greedy(110);
    for (unsigned n = 0; n < 11000; n++) {
        unsigned i = serve(1);
        served[i]++;
        join(i, i < 100 ? 0 : i);
    }
    for (unsigned i = 0; i < 110; i++)
        assert_in_range(served[i], i < 100 ? 9 : 999, i < 100 ? 11 : 1001);
}

static void what_was_not_used_is_not_charged(void **state)
{
    unsigned served[3] = {0};
    for (unsigned i = 0; i < 3; i++)
        join(i, i);
    become_greedy(3);
    for (unsigned n = 0; n < 3000; n++) {
        struct turns_source *s;
        unsigned i = (unsigned)(turns_next(&t, 16, now, &s) - turns);
        if (i == 0) {
            turns_refund(&t, s, 12, now);
            turns_end(&t, s, 4, now);
        } else {
            turns_end(&t, s, 16, now);
        }
        served[i] += i == 0 ? 4 : 16;
        join(i, i);
    }
    assert_in_range(served[0], served[1] - 48, served[1] + 48);
    assert_in_range(served[2], served[1] - 48, served[1] + 48);
}

/* ---- idle time ---- */

static void the_sparse_go_before_the_greedy(void **state)
{
    for (unsigned i = 0; i < 200; i++)
        join(i, i);
    become_greedy(200);
    for (unsigned n = 0; n < 1000; n++) {
        now += STEP;
        join(200, 200);
        assert_int_equal(serve(1), 200);
        unsigned greedy = serve(1);
        assert_int_not_equal(greedy, 200);
        join(greedy, greedy);
        now += STEP;
    }
}

static void idle_time_is_earned_as_it_is_spent(void **state)
{
    struct turns_source *s = join(0, 0);
    assert_int_equal(s->idle_ns, TURNS_IDLE_FIRST_NS);
    serve(1);
    now += 300 * STEP;
    join(0, 0);
    assert_int_equal(s->idle_ns, TURNS_IDLE_FIRST_NS + 300 * STEP);
    now += 200 * STEP; /* one waits */
    assert_int_equal(serve(1), 0);
    assert_int_equal(s->idle_ns, TURNS_IDLE_FIRST_NS + 100 * STEP);
    now += 10 * NS_PER_S;
    join(0, 0);
    assert_int_equal(s->idle_ns, TURNS_IDLE_MOST_NS);
    for (unsigned i = 1; i < 10; i++)
        join(i, 0);
    now += 50 * STEP; /* ten wait */
    turns_leave(&t, &turns[9], now);
    assert_int_equal(s->idle_ns, TURNS_IDLE_MOST_NS - 500 * STEP);
    struct turns_source *served;
    assert_non_null(turns_next(&t, 2, now, &served)); /* eight wait, two are under way */
    now += 40 * STEP;
    turns_end(&t, s, 2, now);
    assert_int_equal(s->idle_ns, TURNS_IDLE_MOST_NS - 900 * STEP);
    now -= 3 * STEP; /* by another worker's clock */
    turns_leave(&t, &turns[8], now);
    assert_int_equal(s->idle_ns, TURNS_IDLE_MOST_NS - 900 * STEP);
}

/* A batch of which one unit is used costs what one costs. */
static void unused_units_cost_no_idle_time(void **state)
{
    struct turns_source *s, *sparse;
    for (unsigned i = 0; i < 100; i++)
        join(i, i);
    become_greedy(100);
    for (unsigned n = 0; n < 300; n++) {
        now += STEP;
        unsigned i = serve(1);
        join(i, i);
    }
    sparse = join(200, 200);
    sparse->idle_ns = 900 * STEP;
    assert_ptr_equal(turns_next(&t, 100, now, &s), &turns[200]);
    assert_true(sparse->idle_ns < 600 * (int64_t)STEP);
    turns_refund(&t, s, 99, now);
    turns_end(&t, s, 1, now);
    assert_in_range(sparse->idle_ns, 890 * STEP, 900 * STEP);
    struct turn *turn = turns_next(&t, 100, now, &s);
    turns_refund(&t, s, 100, now);
    assert_int_equal(s->idle_ns, 0);
    join((unsigned)(turn - turns), (uint64_t)(turn - turns));
}

/* An hour as a sparse source, well above the equal share of a thousand greedy ones, is no debt to starve for. */
static void who_was_sparse_for_long_does_not_starve(void **state)
{
    for (unsigned i = 0; i < 100; i++)
        join(i, i);
    become_greedy(100);
    for (unsigned n = 0; n < 50000; n++) {
        now += STEP;
        join(200, 200);
        assert_int_equal(serve(1), 200);
        now += STEP;
        unsigned greedy = serve(1);
        join(greedy, greedy);
    }
    join(200, 200);
    now += 2 * TURNS_IDLE_MOST_NS;
    unsigned served = 0;
    for (unsigned n = 0; n < 1000; n++) {
        unsigned i = serve(1);
        served += i == 200;
        join(i, i);
    }
    assert_in_range(served, 5, 11);
}

/* Fifty that ask for a little, all together for as much as there is. */
static void a_crowd_of_sparse_sources_does_not_starve_the_greedy(void **state)
{
    unsigned greedy = 0;
    join(200, 200);
    become_greedy(0);
    turns[200].source->idle_ns = 0;
    for (unsigned n = 0; n < 8000; n++) {
        now += STEP;
        if (!turns[n % 50].source)
            join(n % 50, n % 50);
        if (serve(1) == 200) {
            greedy++;
            join(200, 200);
        }
    }
    assert_in_range(greedy, 8000 / 51, 1010);
}

/* Ten times a third of the application each: what they pay rises until some of them are greedy too. */
static void sparse_sources_that_take_much_pay_more(void **state)
{
    unsigned served[21] = {0}, sum = 0;
    for (unsigned i = 0; i < 10; i++)
        join(200 + i, 200 + i);
    become_greedy(0);
    for (unsigned i = 0; i < 10; i++)
        turns[200 + i].source->idle_ns = 0;
    for (unsigned n = 0; n < 40000; n++) {
        now += STEP;
        for (unsigned i = 0; n % 3 == 0 && i < 10; i++)
            if (!turns[i].source)
                join(i, i);
        unsigned i = serve(1), k = i >= 200 ? i - 200 + 10 : i;
        served[k] += n >= 20000;
        sum += n >= 20000;
        if (i >= 200)
            join(i, i);
    }
    for (unsigned k = 0; k < 20; k++)
        assert_in_range(served[k], sum / 20 / 2, sum / 20 * 2);
}

static void another_priority_is_another_time(void **state)
{
    for (unsigned i = 0; i < 10; i++)
        join(i, i);
    become_greedy(10);
    for (unsigned n = 0; n < 10000; n++) {
        unsigned i = serve(1);
        join(i, i);
    }
    for (unsigned i = 0; i < 10; i++) {
        struct turns_client who = who_is(i < 5 ? i : 100 + i);
        turns_leave(&t, &turns[i], now);
        who.priority = 0;
        turns_join(&t, &turns[i], &who, now)->idle_ns = 0;
    }
    unsigned old = 0;
    for (unsigned n = 0; n < 1000; n++) {
        unsigned i = serve(1);
        struct turns_client who = who_is(i < 5 ? i : 100 + i);
        who.priority = 0;
        old += i < 5;
        turns_join(&t, &turns[i], &who, now);
    }
    assert_in_range(old, 490, 510);
}

/* Greedy sources, two of each priority but one, and a sparse one behind them all. */
static void no_priority_starves_another(void **state)
{
    static const uint8_t priorities[] = {0, 0, 1, 1, 3, 3};
    unsigned served[TURNS_PRIORITIES] = {0};
    for (unsigned i = 0; i < ARRAY_LEN(priorities); i++) {
        struct turns_client who = who_is(i);
        who.priority = priorities[i];
        turns_join(&t, &turns[i], &who, now);
    }
    become_greedy(ARRAY_LEN(priorities));
    for (unsigned n = 0; n < 6400; n++) {
        unsigned i = serve(1);
        struct turns_client who = who_is(i);
        who.priority = priorities[i];
        served[priorities[i]]++;
        turns_join(&t, &turns[i], &who, now);
    }
    assert_in_range(served[0], 6400 * 7 / 8 - 1, 6400 * 7 / 8 + 1);
    assert_in_range(served[1], 6400 * 7 / 64 - 1, 6400 * 7 / 64 + 1);
    assert_in_range(served[3], 6400 / 64 - 1, 6400 / 64 + 1);
}

/* One that always wants more, with priority, is before those who ask for little; but a stranger waits for no more than
 * seven of its requests. */
static void the_greedy_with_priority_go_before_the_sparse_without(void **state)
{
    struct turns_client first = who_is(0);
    first.priority = 0;
    turns_join(&t, &turns[0], &first, now);
    become_greedy(1);
    for (unsigned round = 0; round < 100; round++) {
        join(1, 1);
        for (unsigned n = 0; n < 7; n++) {
            assert_int_equal(serve(1), 0);
            turns_join(&t, &turns[0], &first, now);
        }
        assert_int_equal(serve(1), 1);
        now += 100 * NS_PER_MS;
    }
}

static void a_full_set_is_shared(void **state)
{
    tear_down(NULL);
    assert_int_equal(turns_init(&t, 1), 0);
    unsigned served[CLIENTS] = {0};
    for (unsigned i = 0; i < CLIENTS; i++)
        join(i, i);
    assert_in_range(t.ranks[1].sparse.count, 32, 64);
    become_greedy(CLIENTS);
    for (unsigned n = 0; n < 100 * CLIENTS; n++) {
        unsigned i = serve(1);
        served[i]++;
        join(i, i);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_in_range(served[i], 10, 1000);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_lost_and_the_first_is_served),
        TEST(lower_priorities_wait),
        TEST(greedy_sources_share_by_weight),
        TEST(connections_of_a_source_are_one),
        TEST(what_was_not_used_is_not_charged),
        TEST(the_sparse_go_before_the_greedy),
        TEST(idle_time_is_earned_as_it_is_spent),
        TEST(unused_units_cost_no_idle_time),
        TEST(who_was_sparse_for_long_does_not_starve),
        TEST(a_crowd_of_sparse_sources_does_not_starve_the_greedy),
        TEST(sparse_sources_that_take_much_pay_more),
        TEST(another_priority_is_another_time),
        TEST(no_priority_starves_another),
        TEST(the_greedy_with_priority_go_before_the_sparse_without),
        TEST(a_full_set_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
