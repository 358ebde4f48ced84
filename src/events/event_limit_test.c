/* SPDX-License-Identifier: MPL-2.0 */
#include "events/event_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START (1000 * NS_PER_S)

/* Ten at once and then two a second; of one source three at once, and one a second. */
static const struct event_rates usual = {
    .each = {.count = 2, .period_ns = NS_PER_S, .burst = 9},
    .source = {.count = 1, .period_ns = NS_PER_S, .burst = 2},
};

static struct event_limit *new_limit(void)
{
    struct event_limit *l = malloc(sizeof(*l));
    assert_non_null(l);
    event_limit_init(l);
    l->key = (struct hash_key){{3}}; /* with which none of these sources meet in one word */
    return l;
}

static struct event offence_of(uint8_t last, enum verdict v)
{
    return (struct event){.kind = EVENT_OFFENCE,
                          .verdict = (uint8_t)v,
                          .source = {.kind = ADDR_V4, .port = last, .bytes = {192, 0, 2, last}}};
}

/* Passes so many of `n` from source `last`; *ret_suppressed is the number that the last of them tells. */
static unsigned pass(struct event_limit *l, uint8_t last, enum verdict v, unsigned n, uint64_t now,
                     uint64_t *ret_suppressed)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < n; i++) {
        struct event e = offence_of(last, v);
        e.source.port = (uint16_t)i; /* another connection of the same source */
        if (!event_limit_pass(l, &usual, &e, now))
            continue;
        passed++;
        *ret_suppressed = e.suppressed;
    }
    return passed;
}

static void one_source_does_not_hide_the_others(void **state)
{
    struct event_limit *l = new_limit();
    uint64_t suppressed = 0;
    assert_int_equal(pass(l, 1, VERDICT_BAD_GREETING, 100, START, &suppressed), 3);
    assert_int_equal(suppressed, 0);
    assert_int_equal(pass(l, 2, VERDICT_BAD_GREETING, 1, START, &suppressed), 1);
    assert_int_equal(suppressed, 97); /* told by the next of this kind, from any source */
    assert_int_equal(pass(l, 2, VERDICT_BAD_READY, 1, START, &suppressed), 1);
    assert_int_equal(suppressed, 0);
    free(l);
}

static void all_together_are_limited_too(void **state)
{
    struct event_limit *l = new_limit();
    uint64_t suppressed = 0;
    unsigned passed = 0;
    for (unsigned s = 1; s <= 200; s++)
        passed += pass(l, (uint8_t)s, VERDICT_BAD_GREETING, 1, START, &suppressed);
    assert_int_equal(passed, 10);
    /* A source that the kind has refused has used up nothing of its own. */
    assert_int_equal(pass(l, 200, VERDICT_BAD_GREETING, 5, START + 10 * NS_PER_S, &suppressed), 3);
    assert_int_equal(event_limit_take(l, EVENT_OFFENCE, VERDICT_BAD_GREETING), 2);
    assert_int_equal(event_limit_take(l, EVENT_OFFENCE, VERDICT_BAD_GREETING), 0);
    free(l);
}

/* Over an hour: the lines that are written, and those that are told as left out, are all there were. */
static void nothing_is_lost_without_a_word(void **state)
{
    struct event_limit *l = new_limit();
    uint64_t told = 0, written = 0;
    for (uint64_t i = 0; i < 36000; i++) {
        uint64_t suppressed = 0;
        unsigned n = pass(l, (uint8_t)(i % 7), VERDICT_OVER_MESSAGES, 1, START + i * 100 * NS_PER_MS, &suppressed);
        written += n;
        told += n ? suppressed : 0;
    }
    told += event_limit_take(l, EVENT_OFFENCE, VERDICT_OVER_MESSAGES);
    assert_int_equal(written + told, 36000);
    assert_true(written >= 7200 && written <= 7210); /* two a second */
    free(l);
}

static void bans_always_pass(void **state)
{
    struct event_limit *l = new_limit();
    for (unsigned i = 0; i < 10000; i++) {
        struct event e = offence_of(1, VERDICT_BAD_GREETING);
        e.kind = EVENT_BAN;
        assert_true(event_limit_pass(l, &usual, &e, START));
        assert_int_equal(e.suppressed, 0);
    }
    free(l);
}

static void what_has_no_source_is_limited_as_well(void **state)
{
    struct event_limit *l = new_limit();
    unsigned passed = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct event e = {.kind = EVENT_BREAKER_OPENED};
        passed += event_limit_pass(l, &usual, &e, START);
    }
    assert_int_equal(passed, 10);
    free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_source_does_not_hide_the_others),   cmocka_unit_test(all_together_are_limited_too),
        cmocka_unit_test(nothing_is_lost_without_a_word),        cmocka_unit_test(bans_always_pass),
        cmocka_unit_test(what_has_no_source_is_limited_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
