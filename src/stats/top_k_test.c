/* SPDX-License-Identifier: MPL-2.0 */
#include "stats/top_k.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define MOST 64u

struct item {
    uint64_t weight;
    uint32_t name, again; /* that the whole row was copied */
};

static int by_weight(const void *a, const void *b)
{
    uint64_t left = ((const struct item *)a)->weight, right = ((const struct item *)b)->weight;
    return (left < right) - (left > right);
}

static void check(const struct top_k *h, struct item *all, size_t count)
{
    const struct item *kept = (const void *)h->rows;
    size_t expected = count < h->room ? count : h->room;
    assert_int_equal(h->count, expected);
    qsort(all, count, sizeof(*all), by_weight);
    for (size_t i = 0; i < expected; i++) {
        assert_int_equal(kept[i].weight, all[i].weight);
        assert_int_equal(kept[i].again, kept[i].name * 7u);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(kept[j].name, kept[i].name);
    }
}

/* Against sorting everything. */
static void the_heaviest_are_kept(void **state)
{
    struct property_rng rng = property_rng_new("the_heaviest_are_kept");
    for (int round = 0; round < 2000; round++) {
        struct item rows[MOST], all[4 * MOST];
        size_t room = (size_t)property_below(&rng, MOST), count = (size_t)property_below(&rng, 4 * MOST);
        unsigned bits = 1 + (unsigned)property_below(&rng, 64);
        struct top_k h = {.rows = (void *)rows, .row_bytes = sizeof(rows[0]), .room = room};
        for (size_t i = 0; i < count; i++) {
            all[i] = (struct item){property_magnitude(&rng, bits), (uint32_t)i, (uint32_t)i * 7u};
            bool keeps = top_k_keeps(&h, all[i].weight);
            assert_true(keeps || h.count == room);
            top_k_offer(&h, &all[i]);
        }
        top_k_sort(&h);
        check(&h, all, count);
    }
}

static void no_room_keeps_nothing(void **state)
{
    struct top_k h = {.row_bytes = sizeof(struct item)};
    assert_false(top_k_keeps(&h, UINT64_MAX));
    top_k_offer(&h, &(struct item){.weight = UINT64_MAX});
    top_k_sort(&h);
    assert_int_equal(h.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_heaviest_are_kept),
                                       cmocka_unit_test(no_room_keeps_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
