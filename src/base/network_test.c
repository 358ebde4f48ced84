/* SPDX-License-Identifier: MPL-2.0 */
#include "base/network.h"

#include "base/property.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct network parsed(const char *text)
{
    struct network n;
    const char *why = "";
    if (network_parse(&n, text, &why))
        fail_msg("%s: %s", text, why);
    return n;
}

static struct addr addr_of(const char *text)
{
    struct network n = parsed(text);
    struct addr a = {.kind = (enum addr_kind)n.kind};
    memcpy(a.bytes, n.bytes, sizeof(a.bytes));
    return a;
}

static void what_is_read_is_written_the_same(void **state)
{
    static const char *const texts[] = {"192.0.2.1",     "192.0.2.0/24",  "0.0.0.0/0",      "10.0.0.0/8",
                                        "2001:db8::/48", "2001:db8::/64", "2001:db8::1",    "::/0",
                                        "uid:0",         "uid:1000",      "uid:4294967295", "128.0.0.0/1"};
    char text[NETWORK_TEXT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct network n = parsed(texts[i]);
        assert_string_equal(network_format(text, sizeof(text), &n), texts[i]);
    }
    struct network all = parsed("192.0.2.1/32");
    assert_string_equal(network_format(text, sizeof(text), &all), "192.0.2.1");
}

static void what_is_no_network_is_refused(void **state)
{
    static const char *const wrongs[] = {"",
                                         "/",
                                         "/24",
                                         "192.0.2.1/",
                                         "192.0.2.1/33",
                                         "192.0.2/24",
                                         "192.0.2.0/2x",
                                         "2001:db8::/129",
                                         "::ffff:192.0.2.1",
                                         "uid:",
                                         "uid:4294967296",
                                         "uid:-1",
                                         "localhost",
                                         "192.0.2.0/24 ",
                                         "192.0.2.0/184467440737095516160",
                                         "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222:3333/64"};
    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        struct network n = {.kind = 77};
        const char *why = NULL;
        assert_int_equal(network_parse(&n, wrongs[i], &why), -EINVAL);
        assert_non_null(why);
        assert_int_equal(n.kind, 77);
        assert_int_equal(network_parse(&n, wrongs[i], NULL), -EINVAL);
    }
}

static void who_lies_in_it(void **state)
{
    struct network half = parsed("10.128.0.0/9"), v6 = parsed("2001:db8:1::/48"), user = parsed("uid:1000");
    struct addr in = addr_of("10.200.1.2"), out = addr_of("10.127.255.255"), six = addr_of("2001:db8:1:2::3");
    assert_true(network_contains(&half, &in));
    assert_false(network_contains(&half, &out));
    assert_true(network_contains(&v6, &six));
    assert_false(network_contains(&half, &six));
    struct addr me, other, nobody = {.kind = ADDR_NONE};
    addr_from_uid(&me, 1000);
    addr_from_uid(&other, 1001);
    assert_true(network_contains(&user, &me));
    assert_false(network_contains(&user, &other));
    struct network none = {.kind = ADDR_NONE};
    assert_false(network_contains(&none, &nobody));
    in.port = 77; /* ports do not matter */
    assert_true(network_contains(&half, &in));
}

static void it_agrees_with_a_comparison_bit_by_bit(void **state)
{
    struct property_rng rng = property_rng_new("network");
    for (unsigned run = 0; run < 20000; run++) {
        struct addr a = {.kind = run % 2 ? ADDR_V4 : ADDR_V6}, b = {.kind = a.kind};
        unsigned max = network_bits_max((uint8_t)a.kind);
        uint8_t bits = (uint8_t)property_below(&rng, max + 1);
        for (unsigned i = 0; i < max / 8; i++)
            b.bytes[i] = a.bytes[i] = (uint8_t)property_next(&rng);
        unsigned flip = (unsigned)property_below(&rng, max);
        b.bytes[flip / 8] ^= (uint8_t)(0x80 >> flip % 8);
        struct network n = network_of(&a, bits);
        assert_true(network_contains(&n, &a));
        assert_int_equal(network_contains(&n, &b), flip >= bits);
    }
}

static void lists(void **state)
{
    struct networks list = {.count = 3, .at = {parsed("127.0.0.0/8"), parsed("::1"), parsed("10.0.0.0/8")}};
    struct addr in = addr_of("10.1.1.1"), out = addr_of("11.1.1.1"), loop = addr_of("::1");
    assert_true(networks_contain(&list, &in));
    assert_true(networks_contain(&list, &loop));
    assert_false(networks_contain(&list, &out));
    list.count = 0;
    assert_false(networks_contain(&list, &in));
}

static void bits_behind_the_prefix_are_no_network(void **state)
{
    static const char *const examples[][2] = {
        {"198.51.100.7/24", "198.51.100.0/24"}, {"255.255.255.255/0", "0.0.0.0/0"},
        {"10.192.0.0/9", "10.128.0.0/9"},       {"2001:db8::1/32", "2001:db8::/32"},
        {"2001:db8::3/127", "2001:db8::2/127"},
    };
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        struct network n;
        char s[NETWORK_TEXT_MAX];
        assert_int_equal(network_parse(&n, examples[i][0], NULL), -EDOM);
        assert_string_equal(network_format(s, sizeof(s), &n), examples[i][1]);
    }
}

/* Bit by bit. */
static bool lies_in(const struct addr *a, const struct network *n)
{
    bool same = (enum addr_kind)n->kind == a->kind;
    for (unsigned bit = 0; bit < n->bits; bit++)
        same = same && ((a->bytes[bit / 8] ^ n->bytes[bit / 8]) >> (7 - bit % 8) & 1) == 0;
    return same;
}

/* Few different bytes, so that networks hold one another. */
static void any_network(struct property_rng *rng, struct network *ret)
{
    static const uint8_t bytes[] = {0, 0x0f, 0x80, 0xff};
    char s[NETWORK_TEXT_MAX];
    struct network n = {.kind = (uint8_t)(ADDR_V4 + property_below(rng, 3))};
    unsigned most = n.kind == ADDR_V6 ? 128 : 32;
    n.bits = (uint8_t)(n.kind == ADDR_UID ? 32 : property_below(rng, most + 1));
    for (unsigned i = 0; i < most / 8; i++)
        n.bytes[i] = bytes[property_below(rng, ARRAY_LEN(bytes))];
    int r = network_parse(ret, network_format(s, sizeof(s), &n), NULL);
    assert_true(r == 0 || r == -EDOM || n.kind == ADDR_V6); /* ::ffff:0:0/96 is refused */
    if (r == -EINVAL)
        *ret = (struct network){.kind = ADDR_V6};
}

static void a_network_holds_its_addresses_and_stands_before_them(void **state)
{
    struct property_rng rng = property_rng_new("networks");
    for (int i = 0; i < 20000; i++) {
        struct network a, b;
        any_network(&rng, &a);
        any_network(&rng, &b);
        struct addr of_b = {.kind = (enum addr_kind)b.kind};
        memcpy(of_b.bytes, b.bytes, sizeof(of_b.bytes));
        assert_int_equal(network_contains(&a, &of_b), lies_in(&of_b, &a));
        int order = network_compare(&a, &b);
        assert_true((order < 0) == (network_compare(&b, &a) > 0));
        assert_true((order == 0) == (memcmp(&a, &b, sizeof(a)) == 0));
        if (order != 0 && lies_in(&of_b, &a) && a.bits <= b.bits)
            assert_true(order < 0);
    }
}

static void sorted_networks_are_in_that_order(void **state)
{
    struct property_rng rng = property_rng_new("sorted networks");
    struct network all[200];
    network_sort(NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        any_network(&rng, &all[i]);
    network_sort(all, ARRAY_LEN(all));
    for (size_t i = 1; i < ARRAY_LEN(all); i++)
        assert_true(network_compare(&all[i - 1], &all[i]) <= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_is_written_the_same),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(who_lies_in_it),
        cmocka_unit_test(it_agrees_with_a_comparison_bit_by_bit),
        cmocka_unit_test(lists),
        cmocka_unit_test(bits_behind_the_prefix_are_no_network),
        cmocka_unit_test(a_network_holds_its_addresses_and_stands_before_them),
        cmocka_unit_test(sorted_networks_are_in_that_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
