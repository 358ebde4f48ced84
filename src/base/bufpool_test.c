/* SPDX-License-Identifier: MPL-2.0 */
#include "base/bufpool.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

#define MIB (1024u * 1024u)

static void sizes_are_powers_of_two_from_512_to_a_mebibyte(void **state)
{
    struct account a;
    struct bufpool p;
    account_init(&a, 16 * MIB);
    bufpool_init(&p, &a);
    for (size_t want = 0; want <= MIB; want = want * 2 + 1) {
        uint32_t cap = 0;
        uint8_t *data = bufpool_get(&p, want, &cap);
        assert_non_null(data);
        assert_true(cap >= want && cap >= 512 && cap <= MIB && (cap & (cap - 1)) == 0);
        assert_true(cap == 512 || cap / 2 < want);
        memset(data, 0xa5, cap);
        bufpool_put(&p, data, cap);
    }
    uint32_t cap = 7;
    assert_null(bufpool_get(&p, MIB + 1, &cap));
    assert_null(bufpool_get(&p, SIZE_MAX, &cap));
    assert_int_equal(cap, 7);
    bufpool_put(&p, NULL, 0);
    bufpool_fini(&p);
    assert_int_equal(account_held(&a), 0);
}

static void a_refusal_of_the_account_changes_nothing(void **state)
{
    struct account a;
    struct bufpool p;
    uint32_t cap;
    account_init(&a, 4096);
    bufpool_init(&p, &a);
    uint8_t *all = bufpool_get(&p, 4096, &cap);
    assert_non_null(all);
    cap = 7;
    assert_null(bufpool_get(&p, 1, &cap));
    assert_int_equal(cap, 7);
    assert_int_equal(account_held(&a), 4096);
    bufpool_put(&p, all, 4096);
    bufpool_fini(&p);
    assert_int_equal(account_held(&a), 0);
}

static void idle_buffers_give_way_to_one_that_is_needed(void **state)
{
    struct account a;
    struct bufpool p;
    uint32_t cap;
    account_init(&a, 8192);
    bufpool_init(&p, &a);
    uint8_t *small[8];
    for (int i = 0; i < 8; i++)
        assert_non_null(small[i] = bufpool_get(&p, 512, &cap));
    for (int i = 0; i < 8; i++)
        bufpool_put(&p, small[i], 512);
    assert_int_equal(account_held(&a), UNDER_ASAN ? 0 : 4096);
    uint8_t *large = bufpool_get(&p, 8192, &cap);
    assert_non_null(large);
    assert_int_equal(p.idle_bytes, 0);
    bufpool_put(&p, large, cap);
    bufpool_fini(&p);
    assert_int_equal(account_held(&a), 0);
}

/* Many workers that have rested cannot keep a small account full. */
static void nothing_rests_while_the_account_is_more_than_half_full(void **state)
{
    struct account a;
    struct bufpool pools[16];
    uint32_t cap;
    account_init(&a, 8 * MIB);
    for (unsigned i = 0; i < ARRAY_LEN(pools); i++) {
        bufpool_init(&pools[i], &a);
        uint8_t *data = bufpool_get(&pools[i], MIB, &cap);
        assert_non_null(data);
        bufpool_put(&pools[i], data, cap);
    }
    assert_int_equal(account_held(&a), UNDER_ASAN ? 0 : 4 * MIB);
    for (unsigned i = 0; i < ARRAY_LEN(pools); i++)
        bufpool_fini(&pools[i]);
    assert_int_equal(account_held(&a), 0);
}

static void the_chosen_call_fails(void **state)
{
    struct account a;
    struct bufpool p;
    uint32_t cap;
    account_init(&a, MIB);
    bufpool_init(&p, &a);
    p.fail_after = 2;
    uint8_t *first = bufpool_get(&p, 1, &cap);
    assert_non_null(first);
    assert_null(bufpool_get(&p, 1, &cap));
    uint8_t *third = bufpool_get(&p, 1, &cap);
    assert_non_null(third);
    bufpool_put(&p, first, 512);
    bufpool_put(&p, third, 512);
    bufpool_fini(&p);
    assert_int_equal(account_held(&a), 0);
}

/* The linker puts this in place of malloc(): see meson.build. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
static unsigned mallocs_to_fail;

void *__wrap_malloc(size_t size)
{
    return mallocs_to_fail && mallocs_to_fail-- ? NULL : __real_malloc(size);
}

static void a_failed_malloc_changes_nothing(void **state)
{
    struct account a;
    struct bufpool p;
    uint32_t cap = 7;
    account_init(&a, MIB);
    bufpool_init(&p, &a);
    mallocs_to_fail = 1;
    uint8_t *data = bufpool_get(&p, 4096, &cap);
    mallocs_to_fail = 0;
    assert_null(data);
    assert_int_equal(cap, 7);
    assert_int_equal(account_held(&a), 0);
    assert_non_null(data = bufpool_get(&p, 512, &cap));
    bufpool_put(&p, data, cap);
    /* What is idle is given back before a second try, so this fails only if that fails too. */
    mallocs_to_fail = 1;
    data = bufpool_get(&p, 4096, &cap);
    mallocs_to_fail = 0;
    assert_int_equal(data != NULL, !UNDER_ASAN);
    assert_int_equal(account_held(&a), data ? 4096 : 0);
    bufpool_put(&p, data, 4096);
    bufpool_fini(&p);
    assert_int_equal(account_held(&a), 0);
}

struct lent {
    uint8_t *data;
    uint32_t cap;
    uint8_t mark;
};

static void put_checked(struct bufpool *p, struct lent *l)
{
    for (uint32_t i = 0; l->data && i < l->cap; i += 509)
        assert_int_equal(l->data[i], l->mark); /* nobody else was given the same bytes */
    bufpool_put(p, l->data, l->cap);
    l->data = NULL;
}

static void the_account_is_what_is_lent_plus_what_is_idle(void **state)
{
    struct property_rng rng = property_rng_new("bufpool");
    struct lent lent[32] = {0};
    struct account a;
    struct bufpool p;
    unsigned refused = 0;
    account_init(&a, 6 * MIB);
    bufpool_init(&p, &a);
    for (int round = 0; round < 5000; round++) {
        struct lent *l = &lent[property_below(&rng, 32)];
        if (l->data) {
            put_checked(&p, l);
        } else if ((l->data = bufpool_get(&p, property_magnitude(&rng, 20), &l->cap))) {
            l->mark = (uint8_t)round;
            memset(l->data, l->mark, l->cap);
        } else {
            refused++;
        }
        uint64_t held = p.idle_bytes;
        for (int i = 0; i < 32; i++)
            held += lent[i].data ? lent[i].cap : 0;
        assert_int_equal(account_held(&a), held);
        assert_true(p.idle_bytes <= (UNDER_ASAN ? 0 : BUFPOOL_IDLE_BYTES));
    }
    assert_true(refused < 2500);
    for (int i = 0; i < 32; i++)
        put_checked(&p, &lent[i]);
    bufpool_fini(&p);
    assert_int_equal(account_held(&a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_powers_of_two_from_512_to_a_mebibyte),
        cmocka_unit_test(a_refusal_of_the_account_changes_nothing),
        cmocka_unit_test(idle_buffers_give_way_to_one_that_is_needed),
        cmocka_unit_test(nothing_rests_while_the_account_is_more_than_half_full),
        cmocka_unit_test(the_chosen_call_fails),
        cmocka_unit_test(a_failed_malloc_changes_nothing),
        cmocka_unit_test(the_account_is_what_is_lent_plus_what_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
