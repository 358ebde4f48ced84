/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/topics.h"

#include "base/hash.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#define UNIVERSE 600

static const struct hash_key key = {{1, 2, 3, 4}};

/* Any number but 0 that tells topics apart. */
static uint64_t number_of(const struct hash_key *k, const void *topic, size_t len)
{
    return hash_bytes(k, topic, len) | 1;
}

static enum topics_result add(struct topics *t, struct account *a, const char *topic, uint32_t max)
{
    return topics_add(t, a, number_of(&key, topic, strlen(topic)), strlen(topic), max);
}

static void subscribing_twice_is_one_entry(void **state)
{
    struct account a;
    struct topics t = {0};
    account_init(&a, 1 << 20);
    assert_int_equal(add(&t, &a, "weather", 10), TOPICS_ADDED);
    assert_int_equal(add(&t, &a, "weather", 10), TOPICS_KNOWN);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.topic_bytes, 7);
    assert_int_equal(topics_remove(&t, &a, number_of(&key, "weather", 7), 7), TOPICS_REMOVED);
    assert_int_equal(topics_remove(&t, &a, number_of(&key, "weather", 7), 7), TOPICS_UNKNOWN);
    assert_int_equal(t.topic_bytes, 0);
}

static void an_empty_set_owns_nothing(void **state)
{
    struct account a;
    struct topics t = {0};
    account_init(&a, 1 << 20);
    assert_int_equal(topics_remove(&t, &a, number_of(&key, "x", 1), 1), TOPICS_UNKNOWN);
    topics_clear(&t, &a);
    assert_int_equal(add(&t, &a, "", 10), TOPICS_ADDED); /* the empty topic: everything */
    assert_int_equal(t.topic_bytes, 0);
    assert_true(account_held(&a) > 0);
    assert_int_equal(topics_remove(&t, &a, number_of(&key, "", 0), 0), TOPICS_REMOVED);
    assert_null(t.slots);
    assert_int_equal(account_held(&a), 0);
    assert_int_equal(add(&t, &a, "a", 10), TOPICS_ADDED);
    assert_int_equal(add(&t, &a, "b", 10), TOPICS_ADDED);
    topics_clear(&t, &a);
    assert_int_equal(t.count, 0);
    assert_int_equal(account_held(&a), 0);
}

static void a_full_set_refuses_new_topics_only(void **state)
{
    struct account a;
    struct topics t = {0};
    account_init(&a, 1 << 20);
    assert_int_equal(add(&t, &a, "none", 0), TOPICS_FULL);
    assert_int_equal(add(&t, &a, "one", 2), TOPICS_ADDED);
    assert_int_equal(add(&t, &a, "two", 2), TOPICS_ADDED);
    assert_int_equal(add(&t, &a, "three", 2), TOPICS_FULL);
    assert_int_equal(add(&t, &a, "one", 2), TOPICS_KNOWN);
    assert_int_equal(topics_remove(&t, &a, number_of(&key, "one", 3), 3), TOPICS_REMOVED);
    assert_int_equal(add(&t, &a, "three", 2), TOPICS_ADDED);
    topics_clear(&t, &a);
}

/* Both tables exist while a set grows, so both are charged; a refusal leaves the set as it was. */
static void growth_stays_inside_the_account(void **state)
{
    for (uint64_t limit = 0; limit < 4096; limit += 8) {
        struct account a;
        struct topics t = {0};
        char topic[16];
        int added = 0;
        account_init(&a, limit);
        for (; added < 1000; added++) {
            snprintf(topic, sizeof(topic), "%d", added);
            uint64_t held = account_held(&a);
            enum topics_result r = add(&t, &a, topic, 1000);
            if (r == TOPICS_ADDED)
                continue;
            assert_int_equal(r, TOPICS_NO_MEMORY);
            assert_int_equal(account_held(&a), held);
            break;
        }
        assert_int_equal(t.count, added);
        assert_true(a.peak_bytes <= limit);
        assert_int_equal(account_held(&a), t.capacity * 8);
        for (int i = 0; i < added; i++) {
            snprintf(topic, sizeof(topic), "%d", i);
            assert_int_equal(add(&t, &a, topic, 1000), TOPICS_KNOWN);
        }
        topics_clear(&t, &a);
        assert_int_equal(account_held(&a), 0);
    }
}

/* The linker puts this in place of calloc(): see meson.build. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
static bool calloc_fails;

void *__wrap_calloc(size_t n, size_t size)
{
    return calloc_fails ? NULL : __real_calloc(n, size);
}

static void a_failed_allocation_changes_nothing(void **state)
{
    struct account a;
    struct topics t = {0};
    account_init(&a, 1 << 20);
    calloc_fails = true;
    enum topics_result first = add(&t, &a, "0", 100);
    calloc_fails = false;
    assert_int_equal(first, TOPICS_NO_MEMORY);
    assert_int_equal(account_held(&a), 0);
    while (t.count < t.capacity * 3 / 4 || t.count == 0) {
        char topic[16];
        snprintf(topic, sizeof(topic), "%u", t.count);
        assert_int_equal(add(&t, &a, topic, 100), TOPICS_ADDED);
    }
    uint64_t held = account_held(&a);
    calloc_fails = true;
    enum topics_result known = add(&t, &a, "0", 100), other = add(&t, &a, "new", 100);
    calloc_fails = false;
    assert_int_equal(known, TOPICS_KNOWN);
    assert_int_equal(other, TOPICS_NO_MEMORY);
    assert_int_equal(account_held(&a), held);
    assert_int_equal(add(&t, &a, "new", 100), TOPICS_ADDED);
    topics_clear(&t, &a);
    assert_int_equal(account_held(&a), 0);
}

/* The oracle: one flag a topic. */
struct model {
    struct topics set;
    struct account account;
    struct property_rng rng;
    bool held[UNIVERSE];
    uint32_t count;
    uint64_t bytes;
    struct hash_key key;
};

/* Topics of different lengths, with NULs inside. */
static size_t name_topic(unsigned i, uint8_t *ret)
{
    memset(ret, 0, 64);
    memcpy(ret, &i, sizeof(i));
    return 4 + i % 60;
}

static void model_add(struct model *m, unsigned i, uint32_t max)
{
    uint8_t topic[64];
    size_t len = name_topic(i, topic);
    enum topics_result expected = m->held[i] ? TOPICS_KNOWN : m->count >= max ? TOPICS_FULL : TOPICS_ADDED;
    assert_int_equal(topics_add(&m->set, &m->account, number_of(&m->key, topic, len), len, max), expected);
    if (expected != TOPICS_ADDED)
        return;
    m->held[i] = true;
    m->count++;
    m->bytes += len;
}

static void model_remove(struct model *m, unsigned i)
{
    uint8_t topic[64];
    size_t len = name_topic(i, topic);
    enum topics_result expected = m->held[i] ? TOPICS_REMOVED : TOPICS_UNKNOWN;
    assert_int_equal(topics_remove(&m->set, &m->account, number_of(&m->key, topic, len), len), expected);
    if (expected != TOPICS_REMOVED)
        return;
    m->held[i] = false;
    m->count--;
    m->bytes -= len;
}

static void model_check_all(struct model *m)
{
    uint32_t used = 0;
    for (unsigned i = 0; i < UNIVERSE; i++)
        if (m->held[i])
            model_add(m, i, UINT32_MAX); /* KNOWN: nothing that is held got lost behind a hole */
    for (uint32_t i = 0; i < m->set.capacity; i++)
        used += m->set.slots[i] != 0;
    assert_int_equal(used, m->count);
}

static void agrees_with_a_plain_set(void **state)
{
    struct property_rng rng = property_rng_new("topics");
    for (int run = 0; run < 20; run++) {
        struct model m = {.rng = rng};
        uint64_t bias = 1 + property_below(&m.rng, 9);
        account_init(&m.account, 1 << 20);
        for (size_t i = 0; i < sizeof(m.key.bytes); i++)
            m.key.bytes[i] = (uint8_t)property_next(&m.rng);
        for (int step = 0; step < 8000; step++) {
            unsigned i = (unsigned)property_below(&m.rng, UNIVERSE);
            if (property_below(&m.rng, 10) < bias)
                model_add(&m, i, 400);
            else
                model_remove(&m, i);
            assert_int_equal(m.set.count, m.count);
            assert_int_equal(m.set.topic_bytes, m.bytes);
            assert_int_equal(account_held(&m.account), (uint64_t)m.set.capacity * 8);
            if (step % 500 == 0)
                model_check_all(&m);
        }
        topics_clear(&m.set, &m.account);
        assert_int_equal(account_held(&m.account), 0);
        rng = m.rng;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscribing_twice_is_one_entry),      cmocka_unit_test(an_empty_set_owns_nothing),
        cmocka_unit_test(a_full_set_refuses_new_topics_only),  cmocka_unit_test(growth_stays_inside_the_account),
        cmocka_unit_test(a_failed_allocation_changes_nothing), cmocka_unit_test(agrees_with_a_plain_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
