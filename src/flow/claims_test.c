/* SPDX-License-Identifier: MPL-2.0 */
/* Claims are what was served in calm time, and cannot be minted. */
#include "flow/claims.h"

#include "base/attr.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define CONNECTIONS 24u
#define SOURCES     6u

static struct calm_time calm_for(uint64_t stretches)
{
    struct calm_time c;
    calm_time_init(&c, 0);
    calm_time_advance(&c, stretches * CALM_STRETCH_NS);
    return c;
}

static void served_in_calm_time_is_claimed(void **state)
{
    struct calm_time calm = calm_for(10);
    struct claim c = {.stretch = (uint32_t)calm.stretch, .calm = (uint32_t)calm.calm, .first = (uint32_t)calm.calm};
    for (unsigned i = 0; i < 200; i++) {
        claim_update(&c, &calm);
        claim_spend(&c, 0.1 * CALM_STRETCH_NS);
        calm_time_advance(&calm, (calm.stretch + 1) * CALM_STRETCH_NS);
        assert_int_equal(claim_is_ripe(&c), i >= CLAIM_RIPE);
    }
    assert_true(c.rate > 0.07 && c.rate <= 0.1001);
}

static void served_while_somebody_waits_is_not(void **state)
{
    struct calm_time calm = calm_for(10);
    struct claim c = {.stretch = (uint32_t)calm.stretch, .calm = (uint32_t)calm.calm};
    for (unsigned i = 0; i < 200; i++) {
        claim_update(&c, &calm);
        claim_spend(&c, CALM_STRETCH_NS);
        calm_time_disturb(&calm);
        calm_time_advance(&calm, (calm.stretch + 1) * CALM_STRETCH_NS);
    }
    assert_true(c.rate <= 0);
}

static void a_claim_fades_over_hours(void **state)
{
    struct calm_time calm = calm_for(300);
    struct claim c = {.rate = 0.2, .recent = 0.2, .stretch = 300, .calm = 300};
    calm_time_advance(&calm, 700 * NS_PER_S);
    claim_update(&c, &calm);
    assert_true(c.rate > 0.17);
    calm_time_advance(&calm, 4300 * NS_PER_S);
    claim_update(&c, &calm);
    assert_true(c.rate > 0.07 && c.rate < 0.11);
}

/* A connection that comes back takes over a claim of its source, with its debt. It does not get a fresh one. */
static void what_is_left_behind_is_inherited_once(void **state)
{
    struct claims table;
    struct calm_time calm = calm_for(100);
    struct claim claim = {.rate = 0.3, .recent = 0.3}, next;
    assert_int_equal(claims_init(&table, 64), 0);
    struct claims_source *s = claims_acquire(&table, 7, 0);
    claims_inherit(s, &next, &calm, 0);
    assert_true(next.rate <= 0);
    s->live_rate = 0.3;
    s->claimants = 1;
    claims_release(s, &claim, 5e6, 1e6, &calm, 0);
    s = claims_acquire(&table, 7, 0);
    assert_true(claims_inherit(s, &next, &calm, 0) > 4.9e6);
    assert_true(next.rate > 0.29 && claim_is_ripe(&next));
    claims_acquire(&table, 7, 0);
    assert_true(claims_inherit(s, &claim, &calm, 0) <= 0);
    assert_true(claim.rate <= 0);
    claims_fini(&table);
}

static void a_full_set_shares_and_never_refuses(void **state)
{
    struct claims table;
    assert_int_equal(claims_init(&table, 8), 0);
    for (uint64_t key = 1; key <= 100; key++)
        assert_non_null(claims_acquire(&table, key, 0));
    claims_fini(&table);
}

/* Invariant 4: connections of several sources come, are served, leave and come back. The sum of all claims, times the
 * calm time, is never more than what was served in that time. */
struct crowd {
    struct claims table;
    struct calm_time calm;
    struct claim claims[CONNECTIONS];
    struct claims_source *sources[CONNECTIONS];
    bool gone[CONNECTIONS];
    uint64_t now_ns;
};

static void crowd_join(struct crowd *c, unsigned i)
{
    c->sources[i] = claims_acquire(&c->table, 1 + i % SOURCES, c->now_ns);
    claims_inherit(c->sources[i], &c->claims[i], &c->calm, c->now_ns);
    c->gone[i] = false;
}

static void crowd_leave(struct crowd *c, unsigned i)
{
    claims_release(c->sources[i], &c->claims[i], 0, 0, &c->calm, c->now_ns);
    c->claims[i].rate = 0;
    c->gone[i] = true;
}

static double crowd_sum(const struct crowd *c)
{
    double sum = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++)
        sum += (double)c->claims[i].rate;
    for (size_t i = 0; i < c->table.sets * 8; i++)
        sum += claims_left(&c->table.table[i], &c->calm, c->now_ns);
    return sum;
}

/* Returns what was spent in this stretch. */
static double crowd_step(struct crowd *c, struct property_rng *r)
{
    double spent = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (c->gone[i]) {
            if (property_below(r, 10) == 0)
                crowd_join(c, i);
            continue;
        }
        claims_update(c->sources[i], &c->claims[i], &c->calm, c->now_ns);
        if (property_below(r, 20) == 0) {
            crowd_leave(c, i);
            if (property_below(r, 2))
                crowd_join(c, i);
            continue;
        }
        double cost = (double)property_below(r, CALM_STRETCH_NS / CONNECTIONS);
        claim_spend(&c->claims[i], cost);
        spent += cost;
    }
    return spent;
}

static void the_sum_never_exceeds_what_was_served(void **state)
{
    struct property_rng r = property_rng_new("claims");
    for (unsigned round = 0; round < 10; round++) {
        struct crowd c = {.calm = calm_for(1)};
        double served = 0;
        assert_int_equal(claims_init(&c.table, 64), 0);
        for (unsigned i = 0; i < CONNECTIONS; i++)
            crowd_join(&c, i);
        for (unsigned stretch = 1; stretch < 400; stretch++) {
            bool calm_now = property_below(&r, 3) != 0;
            c.now_ns = stretch * CALM_STRETCH_NS;
            calm_time_advance(&c.calm, c.now_ns);
            double spent = crowd_step(&c, &r);
            served += calm_now ? spent : 0;
            if (!calm_now)
                calm_time_disturb(&c.calm);
            assert_true(crowd_sum(&c) * (double)calm_time_ns(&c.calm) <= served * 1.001 + 1);
        }
        claims_fini(&c.table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(served_in_calm_time_is_claimed),
        cmocka_unit_test(served_while_somebody_waits_is_not),
        cmocka_unit_test(a_claim_fades_over_hours),
        cmocka_unit_test(what_is_left_behind_is_inherited_once),
        cmocka_unit_test(a_full_set_shares_and_never_refuses),
        cmocka_unit_test(the_sum_never_exceeds_what_was_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
