/* SPDX-License-Identifier: MPL-2.0 */
/* The connections of each source, compared with a plain count of all of them. */
#include "relay/source_conns.h"

#include "base/property.h"
#include "relay/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define SOURCES 40u
#define MOST    2000u

struct table {
    struct property_rng random;
    struct account account;
    struct pressure pressure;
    struct config config;
    struct config_gate config_gate;
    struct policy_publisher publisher;
    struct gate gate;
    struct worker worker;
    struct source *sources[SOURCES];
    struct session *sessions[SOURCES * MOST];
    unsigned count;
};

static struct worker_gate *gate_of(struct table *t)
{
    return &t->worker.gates[0];
}

static struct table *table_new(void)
{
    static struct table t;
    memset(&t, 0, sizeof(t));
    t.random = property_rng_new("peer");
    t.config.sources = 1024;
    account_init(&t.account, UINT64_MAX);
    pressure_init(&t.pressure, t.account.limit_bytes);
    assert_int_equal(gate_init(&t.gate, &t.config_gate, &t.config, 1, &t.account, NULL), 0);
    t.config.gates = &t.config_gate;
    t.config.gate_count = 1;
    policy_publisher_init(&t.publisher, policy_snapshot_new(&t.config, &t.config, NULL));
    assert_int_equal(worker_init(&t.worker, 0, &t.account, &t.pressure, &t.gate, &t.publisher, 1), 0);
    for (unsigned i = 0; i < SOURCES; i++)
        t.sources[i] = source_acquire(t.gate.sources, (struct source_key){.bits = i + 1, .kind = SOURCE_UID}, 1);
    return &t;
}

static void table_free(struct table *t)
{
    for (unsigned i = 0; i < SOURCES; i++)
        source_release(t->sources[i]);
    worker_fini(&t->worker);
    gate_fini(&t->gate);
    policy_publisher_fini(&t->publisher);
    assert_int_equal(account_held(&t->account), 0);
}

static void add(struct table *t, struct source *source)
{
    struct session *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    list_init(&s->in.conns);
    struct source_conns *p = source_conns_get(gate_of(t), source);
    assert_non_null(p);
    source_conns_add(p, s);
    t->sessions[t->count++] = s;
}

static void drop(struct table *t, unsigned index)
{
    struct session *s = t->sessions[index];
    source_conns_remove(s->conns, s);
    free(s);
    t->sessions[index] = t->sessions[--t->count];
}

static unsigned count_of(const struct table *t, const struct source *source)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->count; i++)
        n += t->sessions[i]->conns->source == source;
    return n;
}

static void compare(struct table *t)
{
    for (unsigned i = 0; i < SOURCES; i++) {
        unsigned n = count_of(t, t->sources[i]);
        struct source_conns *p = source_conns_find(gate_of(t), t->sources[i]);
        assert_int_equal(p ? p->count : 0, n);
    }
}

/* A few sources take most of the turns, so that some hold far more than others. */
static void everybody_is_counted(void **state)
{
    struct table *t = table_new();
    compare(t);
    for (unsigned phase = 0; phase < 6; phase++) {
        uint64_t growth = phase % 2 ? 2 : 8;
        for (unsigned i = 0; i < 1500; i++) {
            uint64_t pick = property_below(&t->random, 1 + property_below(&t->random, SOURCES));
            if (property_below(&t->random, 10) < growth)
                add(t, t->sources[pick]);
            else if (t->count)
                drop(t, (unsigned)property_below(&t->random, t->count));
            if (i % 8 == 0)
                compare(t);
        }
    }
    while (t->count)
        drop(t, t->count - 1);
    compare(t);
    table_free(t);
}

static void most_topics_counts_topics(void **state)
{
    struct table *t = table_new();
    for (unsigned i = 0; i < 5; i++)
        for (unsigned n = 0; n <= i; n++)
            add(t, t->sources[i]);
    assert_null(source_conns_with_most_topics(gate_of(t), 0));
    atomic_store(&t->sources[1]->topic_bytes, 70);
    atomic_store(&t->sources[3]->topic_bytes, 60);
    atomic_store(&t->sources[4]->topic_bytes, 80); /* all of them on connections of other workers */
    for (unsigned i = 0; i < t->count; i++)
        t->sessions[i]->topics.count = t->sessions[i]->conns->source != t->sources[4];
    assert_ptr_equal(source_conns_with_most_topics(gate_of(t), 0)->source, t->sources[1]);
    assert_ptr_equal(source_conns_with_most_topics(gate_of(t), 69)->source, t->sources[1]);
    assert_null(source_conns_with_most_topics(gate_of(t), 70));
    while (t->count)
        drop(t, 0);
    table_free(t);
}

/* All in one slot at once: far more sources than the table has places. */
static void chains_hold_everybody(void **state)
{
    struct table *t = table_new();
    struct source *many[500];
    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        many[i] =
            source_acquire(t->gate.sources, (struct source_key){.bits = (uint64_t)(i + 1) << 32, .kind = SOURCE_V4}, 1);
        add(t, many[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        assert_ptr_equal(source_conns_find(gate_of(t), many[i])->source, many[i]);
    while (t->count)
        drop(t, (unsigned)property_below(&t->random, t->count));
    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        assert_null(source_conns_find(gate_of(t), many[i]));
        source_release(many[i]);
    }
    table_free(t);
}

/* A worker whose clock reading is a little older than that of the worker that wrote the last line is no reason for
 * another line. */
static void notices_are_held_back_whoever_writes_them(void **state)
{
    struct table *t = table_new();
    uint64_t held = 0, now = 1000 * NS_PER_S;
    assert_true(log_limit_pass(&t->gate.notices.verdicts[VERDICT_SLOW_READER], now, &held));
    assert_false(log_limit_pass(&t->gate.notices.verdicts[VERDICT_SLOW_READER], now - 1, &held));
    assert_false(log_limit_pass(&t->gate.notices.verdicts[VERDICT_SLOW_READER], now + 10 * NS_PER_S - 1, &held));
    assert_true(log_limit_pass(&t->gate.notices.verdicts[VERDICT_PEER_ERROR], now, &held));
    assert_int_equal(held, 0);
    assert_true(log_limit_pass(&t->gate.notices.verdicts[VERDICT_SLOW_READER], now + 10 * NS_PER_S, &held));
    assert_int_equal(held, 2);
    table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_is_counted),
        cmocka_unit_test(most_topics_counts_topics),
        cmocka_unit_test(chains_hold_everybody),
        cmocka_unit_test(notices_are_held_back_whoever_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
