/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_reach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW NS_PER_S

/* The call that fails; 0: none does. */
static unsigned malloc_fails_at, mallocs;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return ++mallocs == malloc_fails_at ? NULL : __real_malloc(size);
}

static struct network net(const char *text)
{
    struct network n;
    assert_int_equal(network_parse(&n, text, NULL), 0);
    return n;
}

static void some_networks_are_too_wide(void **state)
{
    static const char *const wide[] = {"0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/7", "::/0", "2000::/3", "2000::/15"};
    static const char *const narrow[] = {"10.0.0.0/8", "192.0.2.1", "2001::/16", "2001:db8::/32", "uid:0"};
    for (size_t i = 0; i < ARRAY_LEN(wide); i++)
        assert_true(ban_reach_is_too_wide(&(struct network){net(wide[i]).kind, net(wide[i]).bits, {0}}));
    for (size_t i = 0; i < ARRAY_LEN(narrow); i++) {
        struct network n = net(narrow[i]);
        assert_false(ban_reach_is_too_wide(&n));
    }
}

/* All /8 of IPv4 that clients come from but one, and `more`. */
static size_t slash_eights(struct network *ret, unsigned without)
{
    size_t count = 0;
    for (unsigned i = 1; i < 224; i++)
        if (i != without && i != 127)
            ret[count++] = (struct network){.kind = ADDR_V4, .bits = 8, .bytes = {(uint8_t)i}};
    return count;
}

static void all_of_ipv4(void **state)
{
    struct network all[256];
    size_t count = slash_eights(all, 0);
    assert_true(ban_reach_leaves_nobody(all, count));
    count = slash_eights(all, 10);
    assert_false(ban_reach_leaves_nobody(all, count));
    count = slash_eights(all, 223);
    assert_false(ban_reach_leaves_nobody(all, count));
    count = slash_eights(all, 1);
    assert_false(ban_reach_leaves_nobody(all, count));
    assert_false(ban_reach_leaves_nobody(all, 0));
    /* Networks in others, and wider ones than may be banned. */
    const struct network halves[] = {net("0.0.0.0/1"), net("10.0.0.0/8"), net("10.1.0.0/16"), net("128.0.0.0/1")};
    assert_true(ban_reach_leaves_nobody(halves, 4));
    assert_false(ban_reach_leaves_nobody(halves, 3));
}

static void all_of_ipv6(void **state)
{
    const struct network most[] = {net("2000::/4"), net("3000::/5"), net("3800::/6"), net("3c00::/6")};
    assert_true(ban_reach_leaves_nobody(most, 4));
    assert_false(ban_reach_leaves_nobody(most, 3));
    const struct network hole[] = {net("2000::/4"), net("3000::1"), net("3000:0:0:1::/64"), net("3800::/5")};
    assert_false(ban_reach_leaves_nobody(hole, 4));
}

static void the_table_and_one_more(void **state)
{
    const struct hash_key key = {{1}};
    struct bans *t = bans_new(1024, &key);
    struct network all[256], last = net("10.0.0.0/8"), half = net("10.0.0.0/9"), other = net("10.128.0.0/9");
    size_t count = slash_eights(all, 10);
    assert_non_null(t);
    for (size_t i = 0; i < count; i++) {
        assert_false(ban_reach_would_leave_nobody(t, &all[i], NOW));
        assert_true(bans_set(t, &all[i], NS_PER_S, BAN_REASON_OPERATOR, NOW));
    }
    assert_true(ban_reach_would_leave_nobody(t, &last, NOW));
    assert_false(ban_reach_would_leave_nobody(t, &half, NOW));
    assert_true(bans_set(t, &half, NS_PER_S, BAN_REASON_OPERATOR, NOW));
    assert_true(ban_reach_would_leave_nobody(t, &other, NOW));
    assert_false(ban_reach_would_leave_nobody(t, &all[0], NOW));          /* it is banned already */
    assert_false(ban_reach_would_leave_nobody(t, &last, NOW + NS_PER_S)); /* they have run out */
    bans_free(t);
}

/* 1.0.0.0/8 is banned already, and 10.0.0.0/8 is not: there is somebody left. Not knowing, it says the contrary. */
static void without_memory_the_answer_is_the_safe_one(void **state)
{
    const struct hash_key key = {{1}};
    struct bans *t = bans_new(1024, &key);
    struct network all[256];
    size_t count = slash_eights(all, 10);
    assert_non_null(t);
    for (size_t i = 0; i < count; i++)
        assert_true(bans_set(t, &all[i], NS_PER_S, BAN_REASON_OPERATOR, NOW));
    for (malloc_fails_at = 1; malloc_fails_at <= 2; malloc_fails_at++) {
        mallocs = 0;
        assert_true(ban_reach_would_leave_nobody(t, &all[0], NOW));
    }
    malloc_fails_at = 0;
    assert_false(ban_reach_would_leave_nobody(t, &all[0], NOW));
    bans_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_networks_are_too_wide),
        cmocka_unit_test(all_of_ipv4),
        cmocka_unit_test(all_of_ipv6),
        cmocka_unit_test(the_table_and_one_more),
        cmocka_unit_test(without_memory_the_answer_is_the_safe_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
