/* SPDX-License-Identifier: MPL-2.0 */
#include "base/addr.h"

#include "base/property.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void of_v6(struct addr *ret, const char *text, uint16_t port)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET6, text, &sa.sin6_addr), 1);
    addr_from_sockaddr(ret, (struct sockaddr *)&sa);
}

static void peers_are_named(void **state)
{
    char s[ADDR_TEXT_MAX];
    struct addr a;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(5555), .sin_addr.s_addr = htonl(0xc0000201)};
    addr_from_sockaddr(&a, (struct sockaddr *)&v4);
    assert_int_equal(a.kind, ADDR_V4);
    assert_string_equal(addr_format(s, sizeof(s), &a), "192.0.2.1:5555");
    assert_string_equal(addr_format_host(s, sizeof(s), &a), "192.0.2.1");
    of_v6(&a, "2001:db8::1", 65535);
    assert_int_equal(a.kind, ADDR_V6);
    assert_string_equal(addr_format(s, sizeof(s), &a), "[2001:db8::1]:65535");
    assert_string_equal(addr_format_host(s, sizeof(s), &a), "2001:db8::1");
    of_v6(&a, "1111:2222:3333:4444:5555:6666:7777:8888", 65535);
    assert_string_equal(addr_format(s, sizeof(s), &a), "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
    addr_from_uid(&a, UINT32_MAX);
    assert_int_equal(a.kind, ADDR_UID);
    assert_string_equal(addr_format(s, sizeof(s), &a), "uid:4294967295");
    assert_string_equal(addr_format_host(s, sizeof(s), &a), "uid:4294967295");
}

static void a_mapped_address_is_the_ipv4_address(void **state)
{
    struct addr mapped, plain;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = htonl(0xc0000201)};
    of_v6(&mapped, "::ffff:192.0.2.1", 7);
    addr_from_sockaddr(&plain, (struct sockaddr *)&v4);
    assert_int_equal(mapped.kind, plain.kind);
    assert_int_equal(mapped.port, plain.port);
    assert_memory_equal(mapped.bytes, plain.bytes, sizeof(plain.bytes));
}

static void loopback_and_users_are_here(void **state)
{
    static const struct {
        const char *text;
        bool own;
    } v6[] = {
        {"::1", true},         {"::", false}, {"::2", false}, {"::ffff:127.1.2.3", true}, {"::ffff:128.0.0.1", false},
        {"2001:db8::1", false}};
    struct addr a;
    for (size_t i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
        of_v6(&a, v6[i].text, 1);
        assert_int_equal(addr_is_own(&a), v6[i].own);
    }
    addr_from_uid(&a, 0);
    assert_true(addr_is_own(&a));
    assert_true(addr_is_own(&(struct addr){.kind = ADDR_NONE}));
    assert_false(addr_is_own(&(struct addr){.kind = ADDR_V4, .bytes = {10, 0, 0, 1}}));
}

static void other_families_are_nobody(void **state)
{
    char s[ADDR_TEXT_MAX];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct addr a;
    addr_from_sockaddr(&a, (struct sockaddr *)&un);
    assert_int_equal(a.kind, ADDR_NONE);
    assert_string_equal(addr_format(s, sizeof(s), &a), "unknown");
}

static void endpoints_are_understood(void **state)
{
    static const struct {
        const char *text;
        bool to_bind;
        const char *formatted;
    } examples[] = {
        {"tcp://127.0.0.1:5555", false, "tcp://127.0.0.1:5555"},
        {"tcp://127.0.0.1:1", true, "tcp://127.0.0.1:1"},
        {"tcp://0.0.0.0:65535", true, "tcp://0.0.0.0:65535"},
        {"tcp://127.0.0.1:*", true, "tcp://127.0.0.1:0"},
        {"tcp://127.0.0.1:0", true, "tcp://127.0.0.1:0"},
        {"tcp://*:5555", true, "tcp://[::]:5555"},
        {"tcp://*:*", true, "tcp://[::]:0"},
        {"tcp://[::1]:5555", false, "tcp://[::1]:5555"},
        {"tcp://[2001:DB8:0:0::1]:80", false, "tcp://[2001:db8::1]:80"},
        {"tcp://localhost:5555", false, "tcp://127.0.0.1:5555"},
        {"ipc:///run/app/zmq.sock", false, "ipc:///run/app/zmq.sock"},
        {"ipc://relative.sock", true, "ipc://relative.sock"},
        {"ipc://@abstract", true, "ipc://@abstract"},
        {"tcp://lo:5555", true, "tcp://127.0.0.1:5555"},
        {"tcp://lo:*", true, "tcp://127.0.0.1:0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        char s[ENDPOINT_TEXT_MAX];
        const char *why = "";
        struct endpoint e;
        if (endpoint_parse(&e, examples[i].text, examples[i].to_bind, &why) < 0)
            fail_msg("%s: %s", examples[i].text, why);
        assert_string_equal(endpoint_format(s, sizeof(s), &e), examples[i].formatted);
    }
}

static void endpoints_that_are_wrong_say_why(void **state)
{
    static const struct {
        const char *text;
        bool to_bind;
        const char *word;
    } examples[] = {
        {"", true, "tcp://"},
        {"udp://127.0.0.1:1", true, "tcp://"},
        {"127.0.0.1:5555", true, "tcp://"},
        {"TCP://127.0.0.1:5555", true, "tcp://"},
        {"tcp://", true, "port"},
        {"tcp://127.0.0.1", true, "port"},
        {"tcp://[::1]", true, "port"},
        {"tcp://127.0.0.1:", true, "port"},
        {"tcp://127.0.0.1:65536", true, "port"},
        {"tcp://127.0.0.1:99999", true, "port"},
        {"tcp://127.0.0.1:000001", true, "port"},
        {"tcp://127.0.0.1:-1", true, "port"},
        {"tcp://127.0.0.1:80x", true, "port"},
        {"tcp://127.0.0.1:0", false, "port"},
        {"tcp://127.0.0.1:*", false, "port"},
        {"tcp://:5555", true, "host"},
        {"tcp://*:5555", false, "*"},
        {"tcp://1.2.3:5555", true, "IPv4"},
        {"tcp://256.0.0.1:5555", true, "IPv4"},
        {"tcp://0x7f000001:5555", true, "IPv4"},
        {"tcp://::1:5555", true, "brackets"},
        {"tcp://[::1:5555", true, "brackets"},
        {"tcp://[]:5555", true, "IPv6"},
        {"tcp://[::g]:5555", true, "IPv6"},
        {"tcp://[127.0.0.1]:5555", true, "IPv6"},
        {"tcp://a b:5555", true, "host"},
        {"tcp://127.0.0.1;127.0.0.2:5555", true, "host"},
        {"tcp://no-such-host.invalid:5555", false, "name"},
        {"tcp://no-such-interface0:5555", true, "name"},
        {"ipc://", true, "path"},
        {"ipc://@", true, "path"},
        {"ipc://*", true, "path"},
    };
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        const char *why = NULL;
        struct endpoint e, before;
        memset(&before, 0x5a, sizeof(before));
        e = before;
        if (endpoint_parse(&e, examples[i].text, examples[i].to_bind, &why) != -EINVAL)
            fail_msg("%s was accepted", examples[i].text);
        if (!why || !strstr(why, examples[i].word))
            fail_msg("%s: \"%s\" does not speak of \"%s\"", examples[i].text, why ? why : "", examples[i].word);
        assert_memory_equal(&e, &before, sizeof(e));
        assert_int_equal(endpoint_parse(&e, examples[i].text, examples[i].to_bind, NULL), -EINVAL);
    }
}

static void a_unix_path_ends_where_the_kernel_says(void **state)
{
    char text[256] = "ipc://", s[ENDPOINT_TEXT_MAX];
    struct endpoint e;
    const char *why;
    memset(text + 6, 'p', 107);
    assert_int_equal(endpoint_parse(&e, text, true, &why), 0);
    assert_int_equal(e.len, sizeof(struct sockaddr_un));
    assert_string_equal(endpoint_format(s, sizeof(s), &e), text);
    text[6 + 107] = 'p';
    assert_int_equal(endpoint_parse(&e, text, true, &why), -EINVAL);
    assert_non_null(strstr(why, "107"));
    assert_int_equal(endpoint_parse(&e, "ipc://@ab", true, &why), 0);
    assert_int_equal(e.len, offsetof(struct sockaddr_un, sun_path) + 3);
    assert_int_equal(e.un.sun_path[0], 0);
}

static void numeric_endpoints_survive_the_round_trip(void **state)
{
    struct property_rng rng = property_rng_new("addr");
    for (int i = 0; i < 2000; i++) {
        char host[INET6_ADDRSTRLEN], text[ENDPOINT_TEXT_MAX], again[ENDPOINT_TEXT_MAX];
        uint64_t bytes[2] = {property_next(&rng), property_next(&rng)};
        bool v6 = property_below(&rng, 2);
        struct endpoint e;
        inet_ntop(v6 ? AF_INET6 : AF_INET, bytes, host, sizeof(host));
        unsigned port = 1 + (unsigned)property_below(&rng, 65535);
        snprintf(text, sizeof(text), v6 ? "tcp://[%s]:%u" : "tcp://%s:%u", host, port);
        assert_int_equal(endpoint_parse(&e, text, false, NULL), 0);
        assert_string_equal(endpoint_format(again, sizeof(again), &e), text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_are_named),
        cmocka_unit_test(a_mapped_address_is_the_ipv4_address),
        cmocka_unit_test(loopback_and_users_are_here),
        cmocka_unit_test(other_families_are_nobody),
        cmocka_unit_test(endpoints_are_understood),
        cmocka_unit_test(endpoints_that_are_wrong_say_why),
        cmocka_unit_test(a_unix_path_ends_where_the_kernel_says),
        cmocka_unit_test(numeric_endpoints_survive_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
