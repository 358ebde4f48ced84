/* SPDX-License-Identifier: MPL-2.0 */
/* What a gate takes back after a reload, and how many connections it may have. */
#include "relay/gate.h"

#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define NOW     (100 * NS_PER_S)
#define WORKERS 2u

static struct gate gate;
static struct account account;
static struct config *config;

static int setup(void **state)
{
    config = config_from_args("ipc://@weir-gate-test", "ipc://@weir-gate-test-app", stderr);
    assert_non_null(config);
    account_init(&account, config->memory_bytes);
    return gate_init(&gate, &config->gates[0], config, WORKERS, &account, NULL);
}

static int teardown(void **state)
{
    gate_fini(&gate);
    assert_int_equal(account_held(&account), 0);
    config_free(config);
    return 0;
}

static struct limits *limits(void)
{
    return &config->gates[0].limits;
}

static struct source *source(void)
{
    const struct addr a = {.kind = ADDR_V4, .bytes = {192, 0, 2, 1}};
    return source_acquire(gate.sources, source_key_of(&a), NOW);
}

/* An application with few descriptors lowers connections.max, and one with many gives it back. */
static void connections_are_bound_by_the_application(void **state)
{
    uint32_t max = limits()->connections.max;
    assert_int_equal(atomic_load(&gate.counts.max), max);
    assert_false(gate_bound_connections(&gate, limits()));
    atomic_store(&gate.counts.room, max - 1);
    assert_true(gate_bound_connections(&gate, limits()));
    assert_int_equal(atomic_load(&gate.counts.max), max - 1);
    assert_false(gate_bound_connections(&gate, limits())); /* it is no news */
    atomic_store(&gate.counts.room, UINT32_MAX);
    assert_false(gate_bound_connections(&gate, limits()));
    assert_int_equal(atomic_load(&gate.counts.max), max);
}

static void use_up(gcra_word *word, const struct rate *r)
{
    while (gcra_admit(word, r, 1, NOW) == 0)
        ;
}

/* A source that has used up a slow rate does not wait for it under a fast one. */
static void a_faster_rate_forgives(void **state)
{
    const struct rate slow = {.count = 1, .period_ns = 3600 * NS_PER_S, .burst = 1};
    const struct rate fast = {.count = 1000, .period_ns = NS_PER_S, .burst = 1};
    struct source *s = source();
    struct limits was = *limits();
    was.source.messages.rate = was.source.commands.rate = slow;
    use_up(&s->limiters[SOURCE_MESSAGES], &slow);
    use_up(&s->limiters[SOURCE_COMMANDS], &slow);
    limits()->source.messages.rate = fast;
    limits()->source.commands.rate = slow;
    gate_forgive(&gate, &was, limits(), NOW);
    assert_int_equal(gcra_admit(&s->limiters[SOURCE_MESSAGES], &fast, 1, NOW + NS_PER_S), 0);
    assert_true(gcra_admit(&s->limiters[SOURCE_COMMANDS], &slow, 1, NOW + NS_PER_S) > 0);
    source_release(s);
}

static void strikes_of_other_rules_mean_nothing(void **state)
{
    struct strike_rules *rules = &limits()->ban.strikes;
    struct source *s = source();
    *rules = (struct strike_rules){.strikes = 10, .within_ns = 10 * NS_PER_S};
    assert_int_equal(strikes_add(&s->strikes, rules, 3, NOW), STRIKES_QUIET);
    struct limits was = *limits();
    gate_forgive(&gate, &was, limits(), NOW);
    assert_int_equal(strikes_score(&s->strikes, rules, NOW), 3);
    rules->strikes = 20;
    gate_forgive(&gate, &was, limits(), NOW);
    assert_int_equal(strikes_score(&s->strikes, rules, NOW), 0);
    source_release(s);
}

/* What was only counted, in shadow, must not lead to a ban. */
static void strikes_in_shadow_are_forgiven(void **state)
{
    const struct strike_rules *rules = &limits()->ban.strikes;
    struct source *s = source();
    struct limits was = *limits();
    was.enforce[RULE_BAN] = ENFORCE_SHADOW;
    assert_int_equal(strikes_add(&s->strikes, rules, 3, NOW), STRIKES_QUIET);
    gate_forgive(&gate, &was, limits(), NOW);
    assert_int_equal(strikes_score(&s->strikes, rules, NOW), 0);
    source_release(s);
}

static void verdicts_are_counted_by_worker(void **state)
{
    gate_count_verdict(&gate, 0, VERDICT_BAD_READY, 2);
    gate_count_verdict(&gate, 1, VERDICT_BAD_READY, 3);
    gate_count_verdict(&gate, 1, VERDICT_KICKED, 1);
    assert_int_equal(atomic_load(&gate.cells[0].verdict[VERDICT_BAD_READY]), 2);
    assert_int_equal(atomic_load(&gate.cells[1].verdict[VERDICT_BAD_READY]), 3);
    assert_int_equal(atomic_load(&gate.cells[0].verdict[VERDICT_KICKED]), 0);
    assert_int_equal(atomic_load(&gate.cells[1].verdict[VERDICT_KICKED]), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connections_are_bound_by_the_application, setup, teardown),
        cmocka_unit_test_setup_teardown(a_faster_rate_forgives, setup, teardown),
        cmocka_unit_test_setup_teardown(strikes_of_other_rules_mean_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(strikes_in_shadow_are_forgiven, setup, teardown),
        cmocka_unit_test_setup_teardown(verdicts_are_counted_by_worker, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
