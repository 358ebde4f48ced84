/* SPDX-License-Identifier: MPL-2.0 */
/* Which rule is in force for which source: shares, cohorts, and the limits that remain. */
#include "limits/enforce.h"

#include "base/property.h"
#include "limits/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define SOURCES 20000u

/* Each rule with a limit, all on. */
static struct limits some_limits(void)
{
    const struct rate rate = {.count = 5, .period_ns = 1000000000, .burst = 7};
    struct limits l = {0};
    l.message.frame_bytes = 1000;
    l.message.size_bytes = 2000;
    l.message.frames = 3;
    l.message.complete_within_ns = 4;
    l.source.connections = 5;
    l.source.half_open = 6;
    l.source.connection_rate = l.source.messages.rate = l.source.bytes.rate = l.source.commands.rate = rate;
    l.subscriptions.max = 7;
    l.subscriptions.topic_bytes = 8;
    l.subscriptions.source_bytes = 9;
    l.subscriptions.trie_bytes = 10;
    l.subscriptions.rate = l.subscriptions.total_rate = l.subscriptions.messages.rate = rate;
    l.slow_reader.behind = 11;
    l.duplicate_ids = DUPLICATE_IDS_REFUSE;
    l.ban.strikes.strikes = 12;
    l.ban.paused_ns = 13;
    return l;
}

static bool is_limited(const struct limits *l, enum rule r)
{
    switch (r) {
    case RULE_MESSAGE:
        return l->message.frame_bytes == 1000 && l->message.size_bytes == 2000 && l->message.frames == 3 &&
               l->message.complete_within_ns == 4;
    case RULE_CONNECTIONS:
        return l->source.connections == 5 && l->source.half_open == 6 && l->source.connection_rate.count == 5;
    case RULE_MESSAGES:
        return l->source.messages.rate.count == 5;
    case RULE_BYTES:
        return l->source.bytes.rate.count == 5;
    case RULE_COMMANDS:
        return l->source.commands.rate.count == 5;
    case RULE_SUBSCRIPTIONS:
        return l->subscriptions.max == 7 && l->subscriptions.topic_bytes == 8 && l->subscriptions.source_bytes == 9 &&
               l->subscriptions.rate.count == 5;
    case RULE_SUBSCRIBER_MESSAGES:
        return l->subscriptions.messages.rate.count == 5;
    case RULE_SLOW_READER:
        return l->slow_reader.behind == 11;
    case RULE_ROUTING_IDS:
        return l->duplicate_ids == DUPLICATE_IDS_REFUSE;
    case RULE_BAN:
        return l->ban.strikes.strikes == 12 && l->ban.paused_ns == 13;
    default:
        return false;
    }
}

static bool is_lifted(const struct limits *l, enum rule r)
{
    switch (r) {
    case RULE_MESSAGE:
        return l->message.frame_bytes == UINT64_MAX && l->message.size_bytes == UINT64_MAX &&
               l->message.frames == UINT32_MAX && l->message.complete_within_ns == ENFORCE_NEVER_NS;
    case RULE_CONNECTIONS:
        return l->source.connections == 0 && l->source.half_open == 65535 && l->source.connection_rate.count == 0;
    case RULE_MESSAGES:
        return l->source.messages.rate.count == 0;
    case RULE_BYTES:
        return l->source.bytes.rate.count == 0;
    case RULE_COMMANDS:
        return l->source.commands.rate.count == 0;
    case RULE_SUBSCRIPTIONS:
        return l->subscriptions.max == 16777216 && l->subscriptions.topic_bytes == 65536 &&
               l->subscriptions.source_bytes == 1 << 30 && l->subscriptions.rate.count == 0;
    case RULE_SUBSCRIBER_MESSAGES:
        return l->subscriptions.messages.rate.count == 0;
    case RULE_SLOW_READER:
        return l->slow_reader.behind == 0;
    case RULE_ROUTING_IDS:
        return l->duplicate_ids == DUPLICATE_IDS_PASS;
    case RULE_BAN:
        return l->ban.strikes.strikes == 0 && l->ban.paused_ns == 0;
    default:
        return false;
    }
}

/* Every rule by itself, at every cohort: in force, in shadow or nowhere, and never in both. */
static void test_a_rule_is_in_one_place_at_most(void **state)
{
    const uint32_t ways[] = {ENFORCE_ON, 1, 75, 99, ENFORCE_SHADOW, ENFORCE_OFF};
    for (unsigned r = 0; r < RULE_COUNT; r++)
        for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
            for (unsigned cohort = 0; cohort < ENFORCE_COHORTS; cohort++) {
                struct limits l = some_limits(), force, shadow;
                l.enforce[r] = ways[w];
                enum enforcement e = enforcement_of(ways[w], cohort);
                bool shadows = enforce_split(&l, cohort, &force, &shadow);
                assert_int_equal(shadows, e == ENFORCEMENT_SHADOW);
                assert_ptr_equal(force.shadow, shadows ? &shadow : NULL);
                for (unsigned i = 0; i < RULE_COUNT; i++) {
                    bool on = i != r || e == ENFORCEMENT_ON, only_counted = i == r && e == ENFORCEMENT_SHADOW;
                    assert_true(on ? is_limited(&force, i) : is_lifted(&force, i));
                    assert_true(only_counted ? is_limited(&shadow, i) : is_lifted(&shadow, i));
                    assert_int_equal(limits_hold(&force, i), on);
                    assert_int_equal(limits_hold(&shadow, i), only_counted);
                }
                /* Sums over all clients are always in force. */
                assert_int_equal(force.subscriptions.trie_bytes, 10);
                assert_int_equal(force.subscriptions.total_rate.count, 5);
            }
}

static void test_the_words(void **state)
{
    for (unsigned cohort = 0; cohort < ENFORCE_COHORTS; cohort++) {
        assert_int_equal(enforcement_of(ENFORCE_ON, cohort), ENFORCEMENT_ON);
        assert_int_equal(enforcement_of(ENFORCE_SHADOW, cohort), ENFORCEMENT_SHADOW);
        assert_int_equal(enforcement_of(ENFORCE_OFF, cohort), ENFORCEMENT_OFF);
        assert_int_equal(enforcement_of(100 - 25, cohort), cohort < 25 ? ENFORCEMENT_ON : ENFORCEMENT_SHADOW);
    }
}

/* A snapshot makes one copy for each share: between two borders every cohort must have the same. */
static void test_shares(void **state)
{
    struct property_rng rng = property_rng_new("enforce");
    for (unsigned run = 0; run < 1000; run++) {
        struct limits l = some_limits();
        unsigned shares = 1;
        for (unsigned r = 0; r < RULE_COUNT; r++)
            l.enforce[r] = (uint32_t)property_below(&rng, ENFORCE_OFF + 1);
        for (unsigned cohort = 0, next = enforce_next_share(&l, 0); cohort + 1 < ENFORCE_COHORTS; cohort++) {
            bool same = true;
            for (unsigned r = 0; r < RULE_COUNT; r++)
                same &= enforcement_of(l.enforce[r], cohort) == enforcement_of(l.enforce[r], cohort + 1);
            assert_int_equal(same, cohort + 1 != next);
            if (!same)
                next = enforce_next_share(&l, cohort + 1);
            shares += !same;
        }
        assert_true(shares <= RULE_COUNT + 1);
    }
}

static void test_lots_are_even_and_stay(void **state)
{
    struct hash_key key, same, other;
    unsigned cohorts[ENFORCE_COHORTS] = {0}, alike = 0;
    enforce_key(&key, "orders");
    enforce_key(&same, "orders");
    enforce_key(&other, "Orders");
    for (unsigned i = 0; i < SOURCES; i++) {
        struct source_key k = {.bits = (uint64_t)i << 32, .kind = SOURCE_V4};
        unsigned cohort = enforce_cohort(&key, k);
        assert_true(cohort < ENFORCE_COHORTS);
        assert_int_equal(enforce_cohort(&same, k), cohort);
        alike += enforce_cohort(&other, k) == cohort;
        cohorts[cohort]++;
    }
    /* 200 each are expected, with a deviation of 14; no seed: the same numbers each time. */
    for (unsigned i = 0; i < ENFORCE_COHORTS; i++)
        assert_in_range(cohorts[i], 130, 270);
    assert_in_range(alike, 100, 300);
}

static void test_default_matters_not(void **state)
{
    struct limits l = some_limits();
    assert_false(enforce_matters(&l));
    assert_int_equal(enforce_next_share(&l, 0), ENFORCE_COHORTS);
    l.enforce[RULE_COUNT - 1] = ENFORCE_OFF;
    assert_true(enforce_matters(&l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rule_is_in_one_place_at_most),
        cmocka_unit_test(test_the_words),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_lots_are_even_and_stay),
        cmocka_unit_test(test_default_matters_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
