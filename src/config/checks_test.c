/* SPDX-License-Identifier: MPL-2.0 */
/* Values that contradict one another, and defaults that follow others. */
#include "config/config_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* One gate with `more` in it, as the rest of a flow mapping. The places: line 2. */
static struct reading with(const char *more)
{
    char text[1024];
    snprintf(text, sizeof(text), "gates:\n- {listen: 'ipc:///a', forward: 'ipc:///b',\n%s}\n", more);
    return reading_of(text);
}

static void says(const char *more, const char *said)
{
    struct reading r = with(more);
    assert_string_equal(r.said, said);
    reading_free(&r);
}

static void test_smaller_must_be_smaller(void **state)
{
    says("message: {frame: 2MiB, size: 1MiB}",
         "weir.yaml:3:18: message.frame is larger than message.size: 2MiB, allowed up to 1MiB\n");
    says("message: {frame: 512MiB}",
         "weir.yaml:3:18: message.frame is larger than message.size: 512MiB, allowed up to 256MiB (the default)\n");
    says("message: {hold: 64KiB, size: 32KiB}",
         "weir.yaml:3:17: message.hold is larger than message.size: 64KiB, allowed up to 32KiB\n");
    says("connections: {max: 100, half_open: 101}",
         "weir.yaml:3:36: connections.half_open is larger than connections.max: 101, allowed up to 100\n");
    says("connections: {max: 100}, source: {connections: {max: 200, half_open: 150}}",
         "weir.yaml:3:54: source.connections.max is larger than connections.max: 200, allowed up to 100\n"
         "weir.yaml:3:70: source.connections.half_open is larger than connections.half_open: 150, allowed up to 100 "
         "(the default)\n");
    says("subscriptions: {topic: 2KiB, source_bytes: 1KiB}",
         "weir.yaml:3:24: subscriptions.topic is larger than subscriptions.source_bytes: 2KiB, allowed up to 1KiB\n");
    says("breaker: {for: 2s, max: 1s}",
         "weir.yaml:3:16: breaker.for is larger than breaker.max: 2s, allowed up to 1s\n");
}

/* A wrong value is reported once; values that it would have contradicted are not. */
static void test_no_follow_up_of_a_wrong_value(void **state)
{
    says("message: {frame: 2MiB, size: 1X}",
         "weir.yaml:3:30: message.size is not a size: \"1X\", allowed 256B to 1024GiB, such as 64KiB; units: B, kB, "
         "MB, GB (of 1000), KiB, MiB, GiB (of 1024)\n");
    says(
        "source: {messages: {rate: 1, burst: 3}}",
        "weir.yaml:3:27: source.messages.rate is not a rate: \"1\", allowed 1/d to 1000000000/s, or unlimited, such as "
        "500/s; per s, m, h or d\n");
}

static void test_connections_from_clients(void **state)
{
    says("upstream: {source: client}",
         "weir.yaml:3:20: upstream.source: client needs an application on tcp, where there are addresses: ipc:///b\n");
    says("upstream: {source: weir}", "");
}

/* Clients on another IP version than the application have no address of theirs to come from. */
static void test_upstream_and_ip_versions(void **state)
{
    static const struct {
        const char *listen, *forward, *warned; /* of which clients; NULL: of none */
    } rows[] = {
        {"tcp://*:1", "tcp://127.0.0.1:2", "IPv6"},
        {"tcp://0.0.0.0:1", "tcp://127.0.0.1:2", NULL},
        {"tcp://[::]:1", "tcp://[::1]:2", "IPv4"},
        {"tcp://[2001:db8::1]:1", "tcp://[::1]:2", NULL},
        {"tcp://[2001:db8::1]:1", "tcp://127.0.0.1:2", "IPv6"},
        {"tcp://0.0.0.0:1", "tcp://[::1]:2", "IPv4"},
        {"tcp://127.0.0.1:1", "tcp://[::1]:2", NULL},
        {"ipc:///a", "tcp://127.0.0.1:2", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[160], begin[128] = "";
        snprintf(text, sizeof(text), "gates: [{listen: '%s', forward: '%s', upstream: {source: client}}]",
                 rows[i].listen, rows[i].forward);
        struct reading r = reading_of(text);
        assert_non_null(r.config);
        if (rows[i].warned)
            snprintf(begin, sizeof(begin), "warning: upstream.source: client closes clients on %s", rows[i].warned);
        assert_true(rows[i].warned ? strstr(r.said, begin) != NULL : r.said[0] == 0);
        reading_free(&r);
    }
}

static void test_load_balancers(void **state)
{
    says("proxy_protocol: {from: [10.0.0.5, 'uid:1000']}", "");
    says(
        "proxy_protocol: {from: ['::/0']}",
        "weir.yaml:3:25: warning: proxy_protocol.from is the whole world: whoever reaches this gate can say that he is "
        "anybody; allowed, but better the addresses of your load balancers\n");
    struct reading r =
        reading_of("gates: [{listen: 'tcp://*:1', forward: 'tcp://127.0.0.1:2', ban: {exempt: [10.0.0.9]}, "
                   "proxy_protocol: {from: [10.0.0.5, 10.0.0.6]}}]\n");
    assert_non_null(r.config);
    assert_int_equal(r.config->gates[0].balancers.count, 2);
    assert_int_equal(r.config->gates[0].limits.ban.exempt.count, 1);
    assert_int_equal(r.config->gates[0].kernel_spares.count, 3);
    reading_free(&r);
}

static void test_bans_in_the_kernel(void **state)
{
    says("ban: {kernel: nftables}", "weir.yaml:3:15: ban.kernel needs a gate that listens on tcp: ipc:///a\n");
    says("ban: {kernel: off}", "");
    says("ban: {interface: eth0}", "weir.yaml:3:18: warning: ban.interface has no effect unless ban.kernel is xdp\n");
    struct reading r = reading_of("kernel: {table: weir_2}\n"
                                  "gates: [{listen: 'tcp://*:5555', forward: 'ipc:///b', ban: {kernel: nftables}}]\n");
    assert_string_equal(r.said, "");
    assert_int_equal(r.config->gates[0].ban_kernel, BAN_KERNEL_NFTABLES);
    assert_string_equal(r.config->kernel_table, "weir_2");
    reading_free(&r);
    r = reading_of("gates: [{listen: 'tcp://*:5555', forward: 'ipc:///b', ban: {kernel: xdp}}]\n");
    assert_string_equal(r.said,
                        "weir.yaml:1:69: ban.kernel: xdp needs ban.interface, the network interface that clients "
                        "come over\n");
    reading_free(&r);
    r = reading_of("gates: [{listen: 'tcp://*:5555', forward: 'ipc:///b', ban: {kernel: xdp, interface: eth0}}]\n");
    assert_string_equal(r.said, "");
    assert_int_equal(r.config->gates[0].ban_kernel, BAN_KERNEL_XDP);
    assert_string_equal(r.config->gates[0].ban_interface, "eth0");
    reading_free(&r);
    /* The operator's own table is not to be deleted. */
    r = reading_of("kernel: {table: filter}\ngates: [{listen: 'ipc:///a', forward: 'ipc:///b'}]\n");
    assert_string_equal(r.said,
                        "weir.yaml:1:17: kernel.table must begin with weir: \"filter\", allowed weir, weir_2, ...\n");
    reading_free(&r);
}

static void test_defaults_follow_smaller_limits(void **state)
{
    struct reading r = with("message: {size: 2KiB}, connections: {max: 40}, source: {connections: {max: 7}},"
                            "subscriptions: {source_bytes: 1KiB}");
    assert_string_equal(r.said, "");
    const struct limits *l = &r.config->gates[0].limits;
    assert_int_equal(l->message.frame_bytes, 2048);
    assert_int_equal(l->message.hold_bytes, 4096); /* its least */
    assert_int_equal(l->connections.half_open, 40);
    assert_int_equal(l->source.half_open, 7);
    assert_int_equal(l->subscriptions.source_bytes, 1024);
    assert_int_equal(l->subscriptions.topic_bytes, 1024);
    reading_free(&r);
}

/* A rule without an `enforce` follows the gate, wherever that stands in the file; a rule with one keeps it. */
static void test_rules_follow_the_gate(void **state)
{
    struct reading r =
        with("source: {messages: {enforce: 25%}, bytes: {enforce: off}}, enforce: shadow, ban: {enforce: on}");
    assert_string_equal(r.said, "");
    const uint32_t *enforce = r.config->gates[0].limits.enforce;
    for (unsigned rule = 0; rule < RULE_COUNT; rule++)
        assert_int_equal(enforce[rule], rule == RULE_MESSAGES ? 75
                                        : rule == RULE_BYTES  ? ENFORCE_OFF
                                        : rule == RULE_BAN    ? ENFORCE_ON
                                                              : ENFORCE_SHADOW);
    reading_free(&r);
    r = with("source: {}");
    assert_false(enforce_matters(&r.config->gates[0].limits));
    reading_free(&r);
}

static void test_what_is_no_rule_has_no_enforce(void **state)
{
    says("connections: {enforce: shadow}",
         "weir.yaml:3:15: connections has no enforce of its own: they keep Weir and the application within their "
         "descriptors; allowed in the sections of rules, see weir help config\n");
    says("source: {enforce: off}",
         "weir.yaml:3:10: source has no enforce of its own: its parts have an enforce each, such as "
         "source.messages.enforce; allowed in the sections of rules, see weir help config\n");
}

static void test_bursts_follow_rates(void **state)
{
    struct reading r = with("source: {messages: {rate: 30/m}, bytes: {rate: 1MiB/m}}");
    assert_string_equal(r.said, "");
    const struct limits *l = &r.config->gates[0].limits;
    assert_int_equal(l->source.messages.rate.burst, 1); /* half a message */
    assert_int_equal(l->source.bytes.rate.burst, 1024 * 1024 / 60);
    reading_free(&r);

    r = with("source: {messages: {rate: 30/m, burst: 0}, connections: {rate: 7/s}}");
    l = &r.config->gates[0].limits;
    assert_int_equal(l->source.messages.rate.burst, 0);
    assert_int_equal(l->source.connection_rate.burst, 200);
    reading_free(&r);
}

static void test_settings_without_effect(void **state)
{
    struct reading r = with("source: {messages: {burst: 3, over: drop}, bytes: {rate: unlimited, burst: 5}}");
    assert_non_null(r.config); /* warnings do not fail */
    assert_string_equal(
        r.said, "weir.yaml:3:28: warning: source.messages.burst has no effect while source.messages.rate is unlimited\n"
                "weir.yaml:3:37: warning: source.messages.over has no effect while source.messages.rate is unlimited\n"
                "weir.yaml:3:76: warning: source.bytes.burst has no effect while source.bytes.rate is unlimited\n");
    reading_free(&r);
}

static void test_concurrency_and_exempt_without_effect(void **state)
{
    struct reading r = with("concurrency: {limit: off, max: 5, shed: {over: close}}");
    assert_non_null(r.config);
    assert_string_equal(
        r.said, "weir.yaml:3:32: warning: concurrency.max has no effect while concurrency.limit is off\n"
                "weir.yaml:3:48: warning: concurrency.shed.over has no effect while concurrency.limit is off\n");
    reading_free(&r);
    r = with("ban: {exempt: [10.0.0.0/8, 0.0.0.0/0]}");
    assert_non_null(r.config);
    assert_string_equal(r.said, "weir.yaml:3:28: warning: ban.exempt is the whole world: no ban has an effect at this "
                                "gate for IPv4; ban.strikes: 0 ends those for offences, and leaves those by an "
                                "operator\n");
    reading_free(&r);
}

/* ---- between gates ---- */

static void two(const char *first, const char *second, const char *said)
{
    char text[1024];
    snprintf(text, sizeof(text), "gates:\n- {%s}\n- {%s}\n", first, second);
    struct reading r = reading_of(text);
    assert_string_equal(r.said, said);
    assert_int_equal(r.config != NULL, said[0] == '\0');
    reading_free(&r);
}

static void test_names(void **state)
{
    two("name: a, listen: 'ipc:///a', forward: 'ipc:///b'", "name: a, listen: 'ipc:///c', forward: 'ipc:///d'",
        "weir.yaml:3:10: name is not unique: \"a\", also the gate at line 2\n");
    two("listen: 'ipc:///a', forward: 'ipc:///b'", "name: a, listen: 'ipc:///c', forward: 'ipc:///d'",
        "weir.yaml:2:3: name is missing: each of 2 gates needs one, allowed 1 to 32 of A-Z a-z 0-9 _ -\n");
    two("name: a, listen: 'ipc:///a', forward: 'ipc:///b'", "name: b, listen: 'ipc:///c', forward: 'ipc:///b'", "");
}

static void listeners(const char *first, const char *second, bool collide)
{
    char a[256], b[256], said[512] = "";
    snprintf(a, sizeof(a), "name: a, listen: '%s', forward: 'ipc:///x'", first);
    snprintf(b, sizeof(b), "name: b, listen: '%s', forward: 'ipc:///x'", second);
    if (collide)
        snprintf(
            said, sizeof(said),
            "weir.yaml:3:21: listen is taken: %s, by %s of the gate at line 2; each gate needs an address of its own\n",
            second, first);
    two(a, b, said);
}

static void test_listeners_do_not_share(void **state)
{
    listeners("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555", true);
    listeners("tcp://[::1]:5555", "tcp://[::1]:5555", true);
    listeners("tcp://*:5555", "tcp://0.0.0.0:5555", true);
    listeners("tcp://*:5555", "tcp://[::]:5555", true);
    listeners("tcp://*:5555", "tcp://127.0.0.1:5555", true);
    listeners("tcp://127.0.0.1:5555", "tcp://*:5555", true);
    listeners("tcp://0.0.0.0:5555", "tcp://127.0.0.2:5555", true);
    listeners("tcp://[::1]:5555", "tcp://[::]:5555", true);
    listeners("ipc:///run/x", "ipc:///run/x", true);
    listeners("ipc://@x", "ipc://@x", true);
    listeners("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556", false);
    listeners("tcp://127.0.0.1:5555", "tcp://127.0.0.2:5555", false);
    listeners("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", false);
    listeners("tcp://127.0.0.1:5555", "tcp://[::1]:5555", false);
    listeners("tcp://0.0.0.0:5555", "tcp://[::1]:5555", false);
    listeners("tcp://*:5555", "tcp://127.0.0.1:5556", false);
    listeners("ipc:///run/x", "ipc:///run/xy", false);
    listeners("ipc:///run/x", "ipc://@/run/x", false);
}

static void counters(const char *first, const char *second, const char *said)
{
    char a[512], b[512];
    snprintf(a, sizeof(a), "name: a, listen: 'ipc:///a', forward: 'ipc:///x', counter: %s", first);
    snprintf(b, sizeof(b), "name: b, listen: 'ipc:///b', forward: 'ipc:///x', %s", second);
    two(a, b, said);
}

static void test_counters_have_places_of_their_own(void **state)
{
    char much[160], said[256];
    counters("/run/a", "counter: /run/b", "");
    counters("/run/a", "counter: /run/a",
             "weir.yaml:3:63: counter is taken: /run/a, also the gate at line 2; each gate needs a path of its own\n");
    counters("/run/a", "counter: /a",
             "weir.yaml:3:63: counter is taken: /a is where the gate at line 2 listens or forwards to\n");
    counters("/run/a", "counter: /b",
             "weir.yaml:3:63: counter is taken: /b is where the gate at line 3 listens or forwards to\n");
    counters("/run/a", "counter: b",
             "weir.yaml:3:63: counter is not an absolute path: \"b\", allowed a file below a folder, up to 255 "
             "characters, such as "
             "/var/lib/weir/state\n");
    snprintf(much, sizeof(much), "counter: /%0100d/main.taken", 0);
    snprintf(said, sizeof(said),
             "weir.yaml:3:63: counter is too long for a Unix socket: 112 bytes, allowed up to 107\n");
    counters("/run/a", much, said);
}

static void leads_back(const char *listen, const char *forward, bool back)
{
    char text[512], said[512] = "";
    snprintf(text, sizeof(text), "gates: [{listen: '%s',\nforward: '%s'}]", listen, forward);
    if (back)
        snprintf(said, sizeof(said),
                 "weir.yaml:2:10: forward leads back to listen: %s, allowed the address of the application\n", forward);
    struct reading r = reading_of(text);
    assert_string_equal(r.said, said);
    reading_free(&r);
}

static void test_circles(void **state)
{
    leads_back("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555", true);
    leads_back("tcp://*:5555", "tcp://127.0.0.1:5555", true);
    leads_back("tcp://0.0.0.0:5555", "tcp://127.1.2.3:5555", true);
    leads_back("tcp://*:5555", "tcp://[::1]:5555", true);
    leads_back("ipc:///run/x", "ipc:///run/x", true);
    leads_back("tcp://127.0.0.1:5555", "tcp://127.0.0.2:5555", false);
    leads_back("tcp://*:5555", "tcp://192.0.2.1:5555", false);
    leads_back("tcp://127.0.0.1:*", "tcp://127.0.0.1:5555", false);
    leads_back("ipc:///run/x", "tcp://127.0.0.1:5555", false);
    two("name: a, listen: 'ipc:///a', forward: 'ipc:///b'", "name: b, listen: 'ipc:///b', forward: 'ipc:///c'", "");
    two("name: a, listen: 'ipc:///a', forward: 'ipc:///b'", "name: b, listen: 'ipc:///b', forward: 'ipc:///a'",
        "weir.yaml:2:42: forward leads back to this gate through others: ipc:///b, allowed the address of the "
        "application\n"
        "weir.yaml:3:42: forward leads back to this gate through others: ipc:///a, allowed the address of the "
        "application\n");
}

static void test_admin_address(void **state)
{
    struct reading r = reading_of("admin: {listen: '0.0.0.0:9700'}\n"
                                  "gates: [{listen: 'ipc:///a', forward: 'ipc:///b'}]\n");
    assert_non_null(r.config);
    assert_string_equal(r.said, "weir.yaml:1:17: warning: admin.listen can be reached from other machines, and asks "
                                "nobody for a password: 0.0.0.0:9700\n");
    reading_free(&r);

    r = reading_of("gates: [{listen: 'tcp://127.0.0.1:9700', forward: 'ipc:///b'}]\n"
                   "admin: {listen: '127.0.0.1:9700'}\n");
    assert_null(r.config);
    assert_string_equal(r.said, "weir.yaml:2:17: admin.listen is taken: 127.0.0.1:9700, by tcp://127.0.0.1:9700 of the "
                                "gate at line 1\n");
    reading_free(&r);

    r = reading_of("gates: [{listen: 'tcp://127.0.0.1:5555', forward: 'ipc:///b'}]\n"
                   "admin: {listen: '[::1]:9700'}\n");
    assert_non_null(r.config);
    assert_string_equal(r.said, "");
    reading_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smaller_must_be_smaller),
        cmocka_unit_test(test_no_follow_up_of_a_wrong_value),
        cmocka_unit_test(test_connections_from_clients),
        cmocka_unit_test(test_upstream_and_ip_versions),
        cmocka_unit_test(test_load_balancers),
        cmocka_unit_test(test_bans_in_the_kernel),
        cmocka_unit_test(test_defaults_follow_smaller_limits),
        cmocka_unit_test(test_rules_follow_the_gate),
        cmocka_unit_test(test_what_is_no_rule_has_no_enforce),
        cmocka_unit_test(test_bursts_follow_rates),
        cmocka_unit_test(test_settings_without_effect),
        cmocka_unit_test(test_concurrency_and_exempt_without_effect),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_listeners_do_not_share),
        cmocka_unit_test(test_counters_have_places_of_their_own),
        cmocka_unit_test(test_circles),
        cmocka_unit_test(test_admin_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
