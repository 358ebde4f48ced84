/* SPDX-License-Identifier: MPL-2.0 */
#include "firewall/firewall.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define NOW (1000 * NS_PER_S)

static struct network net(const char *text)
{
    struct network n;
    assert_int_equal(network_parse(&n, text, NULL), 0);
    return n;
}

static void what_a_firewall_accepts(void **state)
{
    static const char *const good[] = {"192.0.2.1", "10.0.0.0/8", "198.51.100.0/24", "2001:db8::/64", "2001:db8::1",
                                       "2001::/16", "fe80::/64",  "126.0.0.0/8",     "128.0.0.0/8"};
    static const char *const bad[] = {
        "0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/7", "127.0.0.1", "127.0.0.0/8", "127.9.9.1", "0.0.0.0", "::/0",
        "::1",       "::",          "::/64",      "::/96",     "2000::/3",    "uid:1000",  "::2"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct network n = net(good[i]);
        assert_true(firewall_accepts(&n));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct network n = net(bad[i]);
        assert_false(firewall_accepts(&n));
    }
    assert_false(firewall_accepts(&(struct network){0}));
    struct network disguised = {.kind = ADDR_V6, .bits = 128, .bytes = {[10] = 0xff, 0xff, 192, 0, 2, 1}};
    assert_false(firewall_accepts(&disguised));
    struct network rest = net("192.0.2.0/24"), bits = net("192.0.2.1"), tail = bits;
    rest.bytes[3] = 1; /* bits that do not count */
    bits.bits = 33;
    tail.bytes[15] = 1;
    assert_false(firewall_accepts(&rest));
    assert_false(firewall_accepts(&bits));
    assert_false(firewall_accepts(&tail));
}

/* No network that is accepted has an address of this machine's loopback in it, nor an unspecified one. */
static void loopback_is_never_in_it(void **state)
{
    struct property_rng r = property_rng_new("loopback_is_never_in_it");
    static const char *const own[] = {"127.0.0.1", "127.255.255.255", "0.0.0.0", "::1", "::"};
    for (unsigned i = 0; i < 200000; i++) {
        struct addr a = {.kind = property_below(&r, 2) ? ADDR_V4 : ADDR_V6};
        for (size_t b = 0; b < sizeof(a.bytes); b++)
            a.bytes[b] = (uint8_t)(property_below(&r, 3) ? property_magnitude(&r, 8) : 127);
        struct network n = network_of(&a, (uint8_t)property_below(&r, 129));
        if (!firewall_accepts(&n))
            continue;
        for (size_t o = 0; o < ARRAY_LEN(own); o++) {
            struct network one = net(own[o]);
            struct addr address = {.kind = (enum addr_kind)one.kind};
            memcpy(address.bytes, one.bytes, sizeof(one.bytes));
            assert_false(network_contains(&n, &address));
        }
    }
}

static void the_time_that_is_left(void **state)
{
    struct ban b = {.who = net("192.0.2.1")};
    struct firewall_entry e;
    b.until_ns = NOW;
    assert_false(firewall_entry_of(&b, NOW, &e)); /* over */
    b.until_ns = NOW + 1;
    assert_true(firewall_entry_of(&b, NOW, &e));
    assert_int_equal(e.left_ms, 1);
    b.until_ns = NOW + 60 * NS_PER_S;
    assert_true(firewall_entry_of(&b, NOW, &e));
    assert_int_equal(e.left_ms, 60000);
    b.until_ns = BAN_FOR_EVER;
    assert_true(firewall_entry_of(&b, NOW, &e));
    assert_int_equal(e.left_ms, FIREWALL_LONGEST_MS);
    b.who = net("127.0.0.1");
    assert_false(firewall_entry_of(&b, NOW, &e));
}

static void the_last_change_counts(void **state)
{
    struct ban_change c[] = {
        {1, BAN_SET, {.who = net("192.0.2.1"), .until_ns = NOW + NS_PER_S}},
        {2, BAN_SET, {.who = net("192.0.2.0/24"), .until_ns = NOW + NS_PER_S}},
        {3, BAN_LIFTED, {.who = net("192.0.2.1"), .until_ns = NOW + NS_PER_S}},
        {4, BAN_SET, {.who = net("127.0.0.1"), .until_ns = NOW + NS_PER_S}},
        {5, BAN_LIFTED, {.who = net("192.0.2.0/24")}},
        {6, BAN_SET, {.who = net("192.0.2.0/24"), .until_ns = NOW + 2 * NS_PER_S}},
        {7, BAN_SET, {.who = net("2001:db8::/64"), .until_ns = NOW - 1}}, /* over before anybody was told */
    };
    struct firewall_entry e[ARRAY_LEN(c)];
    assert_int_equal(firewall_changes(c, ARRAY_LEN(c), NOW, e), 3);
    struct network first = net("192.0.2.0/24"), second = net("192.0.2.1");
    assert_true(network_equal(&e[0].who, &first));
    assert_int_equal(e[0].left_ms, 2000);
    assert_true(network_equal(&e[1].who, &second));
    assert_int_equal(e[1].left_ms, 0);
    assert_int_equal(e[2].left_ms, 0);
}

/* Against the oracle that applies one change after the other. */
static void changes_come_to_the_same(void **state)
{
    struct property_rng r = property_rng_new("changes_come_to_the_same");
    enum { NETWORKS = 8, CHANGES = 64 };
    for (unsigned round = 0; round < 500; round++) {
        struct ban_change c[CHANGES];
        struct firewall_entry e[CHANGES];
        int64_t naive[NETWORKS];
        size_t count = property_below(&r, CHANGES + 1), named = 0;
        memset(naive, -1, sizeof(naive));
        for (size_t i = 0; i < count; i++) {
            unsigned k = (unsigned)property_below(&r, NETWORKS), ms = (unsigned)property_below(&r, 3) * 500;
            struct addr a = {.kind = ADDR_V4, .bytes = {10, 0, 0, (uint8_t)(k / 2)}};
            c[i] = (struct ban_change){.seq = i + 1, .event = property_below(&r, 2) ? BAN_SET : BAN_LIFTED};
            c[i].ban = (struct ban){.who = network_of(&a, k % 2 ? 32 : 30), .until_ns = NOW + ms * NS_PER_MS};
            naive[k % 2 ? k : 0] = c[i].event == BAN_SET ? (int64_t)ms : 0; /* all /30 are one network */
        }
        size_t n = firewall_changes(c, count, NOW, e);
        for (unsigned k = 0; k < NETWORKS; k++)
            named += naive[k] >= 0;
        assert_int_equal(n, named);
        for (size_t i = 0; i < n; i++) {
            assert_true(firewall_may_follow(i ? &e[i - 1].who : NULL, &e[i]));
            assert_int_equal(e[i].left_ms, naive[e[i].who.bits == 30 ? 0 : e[i].who.bytes[3] * 2 + 1]);
        }
    }
}

static void a_table_is_put_into_order(void **state)
{
    struct firewall_entry e[] = {
        {net("192.0.2.9"), 1}, {net("192.0.2.0/24"), 2}, {net("192.0.2.9"), 1}, {net("10.0.0.1"), 4}};
    assert_int_equal(firewall_sort(e, ARRAY_LEN(e)), 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(firewall_may_follow(i ? &e[i - 1].who : NULL, &e[i]));
    assert_false(firewall_may_follow(&e[0].who, &e[0]));
    assert_false(firewall_may_follow(&e[1].who, &e[0]));
    e[0].left_ms = FIREWALL_LONGEST_MS + 1;
    assert_false(firewall_may_follow(NULL, &e[0]));
}

static void gate_at(const char *listen, bool possible, enum addr_kind kind, uint16_t port)
{
    struct endpoint e;
    struct addr a;
    assert_int_equal(endpoint_parse(&e, listen, true, NULL), 0);
    assert_int_equal(firewall_gate_at(&e, &a), possible);
    if (!possible)
        return;
    assert_int_equal(a.kind, kind);
    assert_int_equal(a.port, port);
}

static void where_gates_are(void **state)
{
    gate_at("tcp://192.0.2.1:5555", true, ADDR_V4, 5555);
    gate_at("tcp://0.0.0.0:5556", true, ADDR_V4, 5556);
    gate_at("tcp://[2001:db8::1]:5557", true, ADDR_V6, 5557);
    gate_at("tcp://[::]:5558", true, ADDR_NONE, 5558);
    gate_at("tcp://*:5559", true, ADDR_NONE, 5559);
    gate_at("tcp://*:*", false, ADDR_NONE, 0);
    gate_at("ipc:///run/x", false, ADDR_NONE, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_firewall_accepts),  cmocka_unit_test(loopback_is_never_in_it),
        cmocka_unit_test(the_time_that_is_left),    cmocka_unit_test(the_last_change_counts),
        cmocka_unit_test(changes_come_to_the_same), cmocka_unit_test(a_table_is_put_into_order),
        cmocka_unit_test(where_gates_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
