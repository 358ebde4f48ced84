/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/ban_lists.h"

#include "base/clock.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START (100 * NS_PER_S)

static const struct ban_lists none;

static struct network net(const char *text)
{
    struct network n;
    assert_int_equal(network_parse(&n, text, NULL), 0);
    return n;
}

static struct bans *new_table(void)
{
    const struct hash_key key = {{7}};
    struct bans *t = bans_new(BANS_CAPACITY, &key);
    assert_non_null(t);
    return t;
}

static bool has(struct bans *t, const char *text, enum ban_reason reason)
{
    struct network n = net(text);
    struct ban b;
    return bans_get(t, &n, START, &b) && b.reason == reason && b.until_ns == BAN_FOR_EVER;
}

static struct ban_lists_result apply(struct bans *t, const struct ban_lists *was, const struct ban_lists *now)
{
    struct ban_lists_result r;
    ban_lists_apply(t, was, now, START, &r);
    return r;
}

static void lists_come_and_go(void **state)
{
    struct bans *t = new_table();
    struct network a[] = {net("192.0.2.0/24"), net("192.0.2.1"), net("2001:db8::/32")};
    struct network b[] = {net("192.0.2.1"), net("198.51.100.1")};
    const struct ban_lists first = {a, 3}, second = {b, 2};
    assert_int_equal(apply(t, &none, &first).set, 3);
    assert_true(has(t, "192.0.2.0/24", BAN_REASON_LIST) && has(t, "2001:db8::/32", BAN_REASON_LIST));
    uint64_t seq = bans_seq(t);
    assert_int_equal(apply(t, &first, &first).set, 0); /* no change for those that follow the table */
    assert_int_equal(bans_seq(t), seq);
    struct ban_lists_result r = apply(t, &first, &second);
    assert_int_equal(r.set, 1);
    assert_int_equal(r.lifted, 2);
    assert_int_equal(r.without_place, 0);
    assert_false(has(t, "192.0.2.0/24", BAN_REASON_LIST));
    assert_true(has(t, "192.0.2.1", BAN_REASON_LIST) && has(t, "198.51.100.1", BAN_REASON_LIST));
    assert_int_equal(apply(t, &second, &none).lifted, 2);
    bans_free(t);
}

static void what_others_have_said(void **state)
{
    const struct ban_terms terms = {.for_ns = NS_PER_S, .max_ns = NS_PER_S};
    struct bans *t = new_table();
    struct network n[] = {net("192.0.2.1"), net("192.0.2.2"), net("192.0.2.3"), net("192.0.2.4")};
    const struct ban_lists lists = {n, 4};
    struct ban b;
    assert_true(bans_punish(t, &n[0], &terms, BAN_REASON_EXCESS, 0, START, &b));
    bans_set(t, &n[1], NS_PER_S, BAN_REASON_OPERATOR, START);
    bans_set(t, &n[2], BAN_FOR_EVER, BAN_REASON_OPERATOR, START);
    assert_int_equal(apply(t, &none, &lists).set, 3);
    assert_true(has(t, "192.0.2.1", BAN_REASON_LIST) && has(t, "192.0.2.2", BAN_REASON_LIST));
    assert_true(has(t, "192.0.2.3", BAN_REASON_OPERATOR));
    /* An operator lifts one, until the lists are read again. An operator's own ban outlives the list. */
    assert_true(bans_lift(t, &n[3], START));
    assert_int_equal(apply(t, &lists, &lists).set, 1);
    assert_true(has(t, "192.0.2.4", BAN_REASON_LIST));
    assert_int_equal(apply(t, &lists, &none).lifted, 3);
    assert_true(has(t, "192.0.2.3", BAN_REASON_OPERATOR));
    bans_free(t);
}

static int compare(const void *a, const void *b)
{
    return network_compare(a, b);
}

/* The largest number of networks, wherever they lie, finds room: at most a few sets are full. */
static void the_largest_lists_have_room(void **state)
{
    struct property_rng rng = property_rng_new("listed");
    struct bans *t = new_table();
    struct network *n = calloc(BAN_LISTS_MOST, sizeof(*n));
    assert_non_null(n);
    for (uint32_t i = 0; i < BAN_LISTS_MOST; i++) {
        struct addr a = {.kind = ADDR_V4};
        uint32_t bits = (uint32_t)property_next(&rng) & 0x7fff0000u;
        bits |= i;
        memcpy(a.bytes, &bits, sizeof(bits));
        n[i] = network_of(&a, 32);
    }
    qsort(n, BAN_LISTS_MOST, sizeof(*n), compare);
    struct ban_lists_result r = apply(t, &none, &(struct ban_lists){n, BAN_LISTS_MOST});
    assert_int_equal(r.set, BAN_LISTS_MOST);
    assert_true(r.without_place < 16);
    struct bans_stats s;
    bans_stats(t, &s);
    assert_int_equal(s.banned, BAN_LISTS_MOST - r.without_place);
    free(n);
    bans_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_come_and_go),
        cmocka_unit_test(what_others_have_said),
        cmocka_unit_test(the_largest_lists_have_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
