/* SPDX-License-Identifier: MPL-2.0 */
#include "firewall/nft_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct firewall_entry entry(const char *who, uint32_t left_ms)
{
    struct firewall_entry e = {.left_ms = left_ms};
    assert_int_equal(network_parse(&e.who, who, NULL), 0);
    return e;
}

static struct firewall_gate gate(const char *listen)
{
    struct firewall_gate g = {0};
    struct endpoint e;
    assert_int_equal(endpoint_parse(&e, listen, true, NULL), 0);
    assert_true(firewall_gate_at(&e, &g.to));
    return g;
}

static void a_whole_table(void **state)
{
    struct firewall_gates gates = {.count = 4,
                                   .at = {gate("tcp://198.51.100.1:5555"), gate("tcp://*:5556"),
                                          gate("tcp://0.0.0.0:5557"), gate("tcp://[2001:db8::1]:5558")}};
    struct firewall_entry entries[] = {entry("192.0.2.0/24", 60000), entry("192.0.2.7", 1500), entry("192.0.2.8", 1),
                                       entry("2001:db8:1::/64", 86400000)};
    struct nft_lengths have = {.v4 = {[9] = true}};
    struct network exempt[] = {entry("192.0.2.8", 0).who, entry("2001:db8:1::/48", 0).who, entry("uid:7", 0).who};
    char *text = NULL;
    size_t len;
    gates.at[1].exempt.count = 3;
    memcpy(gates.at[1].exempt.at, exempt, sizeof(exempt));
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    nft_script_replace(out, "weir", &gates, entries, ARRAY_LEN(entries), &have);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text,
                        "add table inet weir\n"
                        "delete table inet weir\n"
                        "add table inet weir\n"
                        "add counter inet weir dropped\n"
                        "add chain inet weir banned\n"
                        "add set inet weir v4_24 { type ipv4_addr; flags timeout; size 524288; }\n"
                        "add rule inet weir banned ip saddr & 255.255.255.0 @v4_24 counter name dropped drop\n"
                        "add set inet weir v4_32 { type ipv4_addr; flags timeout; size 524288; }\n"
                        "add rule inet weir banned ip saddr @v4_32 counter name dropped drop\n"
                        "add set inet weir v6_64 { type ipv6_addr; flags timeout; size 524288; }\n"
                        "add rule inet weir banned ip6 saddr & ffff:ffff:ffff:ffff:: @v6_64 counter name dropped drop\n"
                        "add chain inet weir gate_0\n"
                        "add rule inet weir gate_0 goto banned\n"
                        "add chain inet weir gate_1\n"
                        "add rule inet weir gate_1 ip saddr 192.0.2.8 accept\n"
                        "add rule inet weir gate_1 ip6 saddr 2001:db8:1::/48 accept\n"
                        "add rule inet weir gate_1 goto banned\n"
                        "add chain inet weir gate_2\n"
                        "add rule inet weir gate_2 goto banned\n"
                        "add chain inet weir gate_3\n"
                        "add rule inet weir gate_3 goto banned\n"
                        "add chain inet weir input { type filter hook input priority -10; policy accept; }\n"
                        "add rule inet weir input ip daddr 198.51.100.1 tcp dport 5555 goto gate_0\n"
                        "add rule inet weir input tcp dport 5556 goto gate_1\n"
                        "add rule inet weir input meta nfproto ipv4 tcp dport 5557 goto gate_2\n"
                        "add rule inet weir input ip6 daddr 2001:db8::1 tcp dport 5558 goto gate_3\n"
                        "add element inet weir v4_24 { 192.0.2.0 timeout 60000ms }\n"
                        "add element inet weir v4_32 { 192.0.2.7 timeout 1500ms, 192.0.2.8 timeout 1ms }\n"
                        "add element inet weir v6_64 { 2001:db8:1:: timeout 86400000ms }\n");
    assert_true(have.v4[24] && have.v4[32] && have.v6[64] && !have.v4[9]);
    free(text);
}

static void changes(void **state)
{
    struct firewall_entry entries[] = {entry("192.0.2.7", 1500), entry("192.0.2.8", 0), entry("192.0.2.16/30", 0)};
    struct nft_lengths have = {.v4 = {[32] = true}};
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    nft_script_change(out, "weir_b", entries, ARRAY_LEN(entries), &have);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text,
                        "add set inet weir_b v4_30 { type ipv4_addr; flags timeout; size 524288; }\n"
                        "add rule inet weir_b banned ip saddr & 255.255.255.252 @v4_30 counter name dropped drop\n"
                        "add element inet weir_b v4_30 { 192.0.2.16 }\n"
                        "delete element inet weir_b v4_30 { 192.0.2.16 }\n"
                        "add element inet weir_b v4_32 { 192.0.2.7, 192.0.2.8 }\n"
                        "delete element inet weir_b v4_32 { 192.0.2.7, 192.0.2.8 }\n"
                        "add element inet weir_b v4_32 { 192.0.2.7 timeout 1500ms }\n");
    assert_true(have.v4[30]);
    free(text);
}

static void the_counter(void **state)
{
    uint64_t packets = 1, bytes = 2;
    assert_true(nft_script_read_counter("table inet weir {\n\tcounter dropped {\n\t\tpackets 17 bytes 1020\n\t}\n}\n",
                                        &packets, &bytes));
    assert_true(packets == 17 && bytes == 1020);
    assert_false(nft_script_read_counter("", &packets, &bytes));
    assert_false(nft_script_read_counter("packets 5", &packets, &bytes));
    assert_false(nft_script_read_counter("packets x bytes y", &packets, &bytes));
    assert_true(packets == 17 && bytes == 1020);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_table),
        cmocka_unit_test(changes),
        cmocka_unit_test(the_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
