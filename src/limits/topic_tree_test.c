/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/topic_tree.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define EACH (TOPIC_SET_BYTES + TOPIC_HOLDER_BYTES)

static struct account account;
static struct topic_tree tree;

static int set_up(void **state)
{
    account_init(&account, 1 << 22);
    topic_tree_init(&tree, &account);
    return 0;
}

static int tear_down(void **state)
{
    topic_tree_fini(&tree);
    assert_int_equal(account_held(&account), 0);
    return 0;
}

static struct bytes text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static struct topic *hold(const char *s)
{
    struct topic_found f;
    assert_int_equal(topic_tree_hold(&tree, text(s), UINT64_MAX, &f), TOPIC_HELD);
    return f.topic;
}

/* A topic costs the nodes that no other one has; a table reaches from the lowest to the highest byte that follows. */
static void what_is_shared_costs_once(void **state)
{
    struct topic *weather = hold("weather");
    assert_int_equal(topic_tree_cost(&tree), 7 * TOPIC_NODE_BYTES + EACH);
    assert_ptr_equal(hold("weather"), weather);
    assert_int_equal(topic_tree_cost(&tree), 7 * TOPIC_NODE_BYTES + EACH + TOPIC_HOLDER_BYTES);
    topic_tree_release(&tree, weather);
    struct topic *we = hold("we"), *everything = hold("");
    assert_int_equal(topic_tree_cost(&tree), 7 * TOPIC_NODE_BYTES + 3 * EACH);
    struct topic *west = hold("west"); /* a and s part in the bit of 16: less than 32 apart */
    assert_int_equal(topic_tree_cost(&tree), 9 * TOPIC_NODE_BYTES + 4 * EACH + 32 * 8);
    assert_int_equal(topic_tree_release(&tree, weather), 5 * TOPIC_NODE_BYTES + EACH + 32 * 8);
    assert_int_equal(topic_tree_cost(&tree), 4 * TOPIC_NODE_BYTES + 3 * EACH);
    uint64_t all[] = {(uintptr_t)west, 0, (uintptr_t)everything, (uintptr_t)we};
    topic_tree_release_all(&tree, all, 4);
    assert_int_equal(topic_tree_cost(&tree), 0);
    assert_int_equal(tree.count, 0);
}

static void a_full_tree_refuses_and_changes_nothing(void **state)
{
    struct topic_found f;
    struct topic *a = hold("aa");
    uint64_t cost = topic_tree_cost(&tree), held = account_held(&account);
    assert_int_equal(topic_tree_hold(&tree, text("ab"), cost + TOPIC_NODE_BYTES + EACH, &f), TOPIC_TREE_FULL);
    assert_int_equal(topic_tree_hold(&tree, text("aa"), cost + TOPIC_HOLDER_BYTES - 1, &f), TOPIC_TREE_FULL);
    assert_int_equal(topic_tree_cost(&tree), cost);
    assert_int_equal(account_held(&account), held);
    topic_tree_find(&tree, text("ab"), &f);
    assert_null(f.topic);
    topic_tree_find(&tree, text("aa"), &f);
    assert_ptr_equal(f.topic, a);
}

/* Topics that share nearly all cost the application little and Weir their text. */
static void text_is_bounded_too(void **state)
{
    static uint8_t topic[60000];
    enum topic_result r = TOPIC_HELD;
    unsigned n = 0;
    for (; r == TOPIC_HELD && n < 100; n++) {
        struct topic_found f;
        topic[sizeof(topic) - 1] = (uint8_t)n;
        r = topic_tree_hold(&tree, (struct bytes){topic, sizeof(topic)}, UINT64_MAX, &f);
    }
    assert_int_equal(r, TOPIC_TREE_FULL);
    assert_true(tree.text_bytes <= account.limit_bytes / 8);
}

static void no_memory_changes_nothing(void **state)
{
    struct topic_found f;
    hold("one");
    uint64_t cost = topic_tree_cost(&tree), held = account_held(&account);
    for (uint64_t room = 0; room < 60; room += 4) {
        account.limit_bytes = held + room + 1000 * (room == 0);
        if (room == 0)
            continue;
        enum topic_result r = topic_tree_hold(&tree, text("two"), UINT64_MAX, &f);
        if (r == TOPIC_HELD)
            topic_tree_release(&tree, f.topic);
        assert_int_equal(topic_tree_cost(&tree), cost);
        assert_int_equal(account_held(&account), held);
    }
    account.limit_bytes = 1 << 22;
}

/* ---- against a plain list ---- */

#define UNIVERSE 300u

struct entry {
    uint8_t text[24];
    size_t len;
    uint32_t holders;
    struct topic *topic;
};

static int by_text(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    size_t most = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->text, y->text, most);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* The nodes of the trie, from the topics in order: each adds what it does not share with the one before. Tables are
 * bounded from both sides: at least what a branch spans, at most so much for each bit. */
static void check_cost(struct entry *all)
{
    struct entry *sorted[UNIVERSE];
    size_t n = 0;
    uint64_t exact = 0, least = 0;
    for (size_t i = 0; i < UNIVERSE; i++)
        if (all[i].holders) {
            sorted[n++] = &all[i];
            exact += TOPIC_SET_BYTES + (uint64_t)all[i].holders * TOPIC_HOLDER_BYTES;
        }
    qsort(sorted, n, sizeof(sorted[0]), by_text);
    for (size_t i = 0; i < n; i++) {
        size_t shared = 0;
        while (i && shared < sorted[i]->len && shared < sorted[i - 1]->len &&
               sorted[i]->text[shared] == sorted[i - 1]->text[shared])
            shared++;
        exact += (uint64_t)TOPIC_NODE_BYTES * (sorted[i]->len - shared);
        if (i && shared < sorted[i - 1]->len)
            least += 8u * (uint64_t)(sorted[i]->text[shared] - sorted[i - 1]->text[shared]);
    }
    assert_int_equal(tree.count, n);
    assert_true(topic_tree_cost(&tree) >= exact + least);
    assert_true(topic_tree_cost(&tree) <= exact + 2048 * n);
}

static void agrees_with_a_plain_list(void **state)
{
    static struct entry all[UNIVERSE];
    struct property_rng rng = property_rng_new("topic_tree");
    memset(all, 0, sizeof(all));
    for (size_t i = 0; i < UNIVERSE; i++) { /* few letters, NULs and prefixes among them; a number makes them differ */
        all[i].len = 2 + property_below(&rng, 21);
        all[i].text[0] = (uint8_t)i;
        all[i].text[1] = (uint8_t)(i >> 8);
        for (size_t k = 2; k < all[i].len; k++)
            all[i].text[k] = (uint8_t)(property_below(&rng, 3) * 127);
        if (i % 3 && all[i].len > 2)
            memcpy(all[i].text, all[i - 1].text, 2 + property_below(&rng, all[i].len - 2));
        for (size_t k = 0; k < i; k++)
            if (all[k].len == all[i].len && memcmp(all[k].text, all[i].text, all[i].len) == 0)
                all[i].len = 0; /* not used */
    }
    for (int step = 0; step < 20000; step++) {
        struct entry *e = &all[property_below(&rng, UNIVERSE)];
        struct bytes topic = {e->text, e->len};
        struct topic_found f;
        if (e->len == 0)
            continue;
        topic_tree_find(&tree, topic, &f);
        assert_ptr_equal(f.topic, e->holders ? e->topic : NULL);
        if (property_below(&rng, 10) < 4 + 3 * (unsigned)(step / 2000 % 2)) {
            assert_int_equal(topic_tree_hold(&tree, topic, UINT64_MAX, &f), TOPIC_HELD);
            e->topic = f.topic;
            e->holders++;
        } else if (e->holders) {
            topic_tree_release(&tree, e->topic);
            e->holders--;
        }
        if (step % 100 == 0)
            check_cost(all);
    }
    for (size_t i = 0; i < UNIVERSE; i++)
        for (; all[i].holders; all[i].holders--)
            topic_tree_release(&tree, all[i].topic);
    assert_int_equal(topic_tree_cost(&tree), 0);
    assert_int_equal(account_held(&account), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_shared_costs_once), TEST(a_full_tree_refuses_and_changes_nothing),
        TEST(text_is_bounded_too),       TEST(no_memory_changes_nothing),
        TEST(agrees_with_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
