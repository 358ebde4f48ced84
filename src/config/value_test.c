/* SPDX-License-Identifier: MPL-2.0 */
/* Each type: the values that it takes, and the sentence for those that it does not. */
#include "config/value.h"

#include "base/attr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct schema_key *key(const char *path)
{
    const struct schema_key *k = schema_find(&schema_gate, path);
    return k ? k : schema_find(&schema_top, path);
}

struct wrong {
    const char *path, *text, *sentence;
};

static const struct wrong wrongs[] = {
    {"workers", "x", "workers is not a number: \"x\", allowed 0 to 64"},
    {"workers", "", "workers is not a number: \"\", allowed 0 to 64"},
    {"workers", "-1", "workers is not a number: \"-1\", allowed 0 to 64"},
    {"workers", "1.5", "workers is not a number: \"1.5\", allowed 0 to 64"},
    {"workers", "65", "workers is too large: \"65\", allowed 0 to 64"},
    {"workers", "4294967297", "workers is too large: \"4294967297\", allowed 0 to 64"},
    {"workers", "18446744073709551617", "workers is too large: \"18446744073709551617\", allowed 0 to 64"},
    {"sources", "1023", "sources is too small: \"1023\", allowed 1024 to 16777216"},
    {"handshake.bytes", "511", "handshake.bytes is too small: \"511\", allowed 512B to 64KiB"},
    {"handshake.bytes", "65KiB", "handshake.bytes is too large: \"65KiB\", allowed 512B to 64KiB"},
    {"handshake.bytes", "1 KiB",
     "handshake.bytes is not a size: \"1 KiB\", allowed 512B to 64KiB, such as 64KiB; units: B, kB, MB, GB (of 1000), "
     "KiB, MiB, GiB (of 1024)"},
    {"handshake.bytes", "1kib",
     "handshake.bytes is not a size: \"1kib\", allowed 512B to 64KiB, such as 64KiB; units: B, kB, MB, GB (of 1000), "
     "KiB, MiB, GiB (of 1024)"},
    {"handshake.within", "5",
     "handshake.within is not a duration: \"5\", allowed 100ms to 10m, such as 5s; units: ms, s, m, h, d"},
    {"handshake.within", "0", "handshake.within is too small: \"0\", allowed 100ms to 10m"},
    {"handshake.within", "11m", "handshake.within is too large: \"11m\", allowed 100ms to 10m"},
    {"source.messages.rate", "500",
     "source.messages.rate is not a rate: \"500\", allowed 1/d to 1000000000/s, or unlimited, such as 500/s; per s, m, "
     "h or d"},
    {"source.messages.rate", "500KiB/s",
     "source.messages.rate is not a rate: \"500KiB/s\", allowed 1/d to 1000000000/s, or unlimited, such as 500/s; per "
     "s, m, h or d"},
    {"source.messages.rate", "1000000001/s",
     "source.messages.rate is too large: \"1000000001/s\", allowed 1/d to 1000000000/s, or unlimited"},
    {"source.messages.rate", "99999999999999999999/s",
     "source.messages.rate is too large: \"99999999999999999999/s\", allowed 1/d to 1000000000/s, or unlimited"},
    {"source.messages.rate", "1/30d",
     "source.messages.rate is too small: \"1/30d\", allowed 1/d to 1000000000/s, or unlimited"},
    {"source.bytes.rate", "1MiB",
     "source.bytes.rate is not a rate of bytes: \"1MiB\", allowed 1B/d to 1024GiB/s, or unlimited, such as 1MiB/s; per "
     "s, m, h or d; units: B, kB, MB, GB (of 1000), KiB, MiB, GiB (of 1024)"},
    {"source.messages.rate", "0/s",
     "source.messages.rate is not a rate: \"0/s\" (nothing would ever pass; little is written per minute, hour or day, "
     "such as 30/m), allowed 1/d to 1000000000/s, or unlimited, such as 500/s; per s, m, h or d"},
    {"source.messages.rate", "0.5/s",
     "source.messages.rate is not a rate: \"0.5/s\" (a whole number is needed: 0.5/s is written 30/m), allowed 1/d to "
     "1000000000/s, or unlimited, such as 500/s; per s, m, h or d"},
    {"handshake.within", "0.5s",
     "handshake.within is not a duration: \"0.5s\" (a whole number is needed, of a smaller unit), allowed 100ms to "
     "10m, "
     "such as 5s; units: ms, s, m, h, d"},
    {"message.min_rate", "0", "message.min_rate is too small: \"0\", allowed 1B/s to 1024GiB/s"},
    {"message.min_rate", "1B/h", "message.min_rate is too small: \"1B/h\", allowed 1B/s to 1024GiB/s"},
    {"message.min_rate", "fast",
     "message.min_rate is not a speed: \"fast\", allowed 1B/s to 1024GiB/s, such as 1MiB/s; per s, m, h or d; units: "
     "B, kB, MB, GB (of 1000), KiB, MiB, GiB (of 1024)"},
    {"zmtp2", "2", "zmtp2 is not true or false: \"2\", allowed true or false"},
    {"log.level", "loud", "log.level has no such choice: \"loud\", allowed error, warn, info or debug"},
    {"message.over", "pause", "message.over has no such choice: \"pause\", allowed close or drop"},
    {"enforce", "maybe", "enforce is not a way to enforce a rule: \"maybe\", allowed on, shadow, off, or 1% to 99%"},
    {"enforce", "%", "enforce is not a way to enforce a rule: \"%\", allowed on, shadow, off, or 1% to 99%"},
    {"enforce", "25", "enforce is not a way to enforce a rule: \"25\", allowed on, shadow, off, or 1% to 99%"},
    {"enforce", "2.5%", "enforce is not a way to enforce a rule: \"2.5%\", allowed on, shadow, off, or 1% to 99%"},
    {"enforce", "0%", "enforce is too small: \"0%\", allowed on, shadow, off, or 1% to 99%"},
    {"enforce", "100%", "enforce is too large: \"100%\", allowed on, shadow, off, or 1% to 99%"},
    {"enforce", "1000%", "enforce is not a way to enforce a rule: \"1000%\", allowed on, shadow, off, or 1% to 99%"},
    {"name", "a b", "name is not a name: \"a b\", allowed 1 to 32 of A-Z a-z 0-9 _ -"},
    {"name", "012345678901234567890123456789012",
     "name is not a name: \"012345678901234567890123456789012\", allowed 1 to 32 of A-Z a-z 0-9 _ -"},
    {"listen", "5555",
     "listen is not an endpoint: \"5555\" (an endpoint begins with tcp:// or ipc://), allowed tcp://HOST:PORT or "
     "ipc://PATH"},
    {"forward", "tcp://*:5555",
     "forward is not an endpoint: \"tcp://*:5555\" (\"*\" is no address to connect to), allowed tcp://HOST:PORT or "
     "ipc://PATH"},
    {"admin.listen", "http://127.0.0.1:9700",
     "admin.listen is not an address and port: \"http://127.0.0.1:9700\" (it is an address and port alone), allowed "
     "ADDRESS:PORT, such as 127.0.0.1:9700"},
    {"admin.listen", "9700",
     "admin.listen is not an address and port: \"9700\" (the address in front of the port is missing), allowed "
     "ADDRESS:PORT, such as 127.0.0.1:9700"},
    {"admin.listen", "[::1]",
     "admin.listen is not an address and port: \"[::1]\" (the port behind the address is missing), allowed "
     "ADDRESS:PORT, such as 127.0.0.1:9700"},
    {"state.file", "state",
     "state.file is not an absolute path: \"state\", allowed a file below a folder, up to 255 characters, such as "
     "/var/lib/weir/state"},
    {"state.file", "/var/lib/",
     "state.file is not an absolute path: \"/var/lib/\", allowed a file below a folder, up to 255 characters, such as "
     "/var/lib/weir/state"},
    {"state.file", "",
     "state.file is not an absolute path: \"\", allowed a file below a folder, up to 255 characters, such as "
     "/var/lib/weir/state"},
    {"message.size", "\x1b[31m1MiB",
     "message.size is not a size: \"\\x1b[31m1MiB\", allowed 256B to 1024GiB, such as 64KiB; units: B, kB, MB, GB (of "
     "1000), KiB, MiB, GiB (of 1024)"},
};

static void test_wrong_values(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        union {
            struct config config;
            struct config_gate gate;
        } base, before;
        char why[VALUE_WHY_MAX];
        memset(&base, 0x5a, sizeof(base));
        before = base;
        assert_int_equal(value_set(key(wrongs[i].path), wrongs[i].text, &base, why), -EINVAL);
        assert_string_equal(why, wrongs[i].sentence);
        assert_memory_equal(&base, &before, sizeof(base)); /* untouched */
    }
}

static void test_foreign_text_is_cut(void **state)
{
    struct config_gate g = {0};
    char why[VALUE_WHY_MAX], giant[5000];
    memset(giant, 0x01, sizeof(giant) - 1);
    giant[sizeof(giant) - 1] = '\0';
    for (size_t i = 0; i < schema_gate.count; i++) {
        assert_int_equal(value_set(&schema_gate.keys[i], giant, &g, why), -EINVAL);
        assert_non_null(strstr(why, "...\"")); /* the quote is closed again */
        assert_null(strchr(why, 0x01));
        assert_non_null(strstr(why, ", allowed "));
    }
}

static void put(const char *path, const char *text, void *base)
{
    char why[VALUE_WHY_MAX];
    assert_int_equal(value_set(key(path), text, base, why), 0);
}

static void test_paths(void **state)
{
    struct config c = {0};
    put("state.file", "/var/lib/weir/state", &c);
    assert_string_equal(c.state_file, "/var/lib/weir/state");
}

static void test_quantities(void **state)
{
    struct config_gate g = {0};
    put("message.size", "3MB", &g);
    assert_int_equal(g.limits.message.size_bytes, 3000000);
    put("message.size", "64K", &g); /* as people write it: of 1000, like k and M */
    assert_int_equal(g.limits.message.size_bytes, 64000);
    put("message.size", "64KB", &g);
    assert_int_equal(g.limits.message.size_bytes, 64000);
    put("message.size", "1M", &g);
    assert_int_equal(g.limits.message.size_bytes, 1000000);
    put("message.complete_within", "2m", &g);
    assert_int_equal(g.limits.message.complete_within_ns, 120 * NS_PER_S);
    put("message.min_rate", "6MiB/m", &g);
    assert_int_equal(g.limits.message.min_rate, 6 * 1024 * 1024 / 60);
    put("message.min_rate", "1KiB", &g);
    assert_int_equal(g.limits.message.min_rate, 1024);
    put("source.messages.rate", "10/m", &g);
    assert_int_equal(g.limits.source.messages.rate.count, 10);
    assert_int_equal(g.limits.source.messages.rate.period_ns, 60 * NS_PER_S);
    put("source.messages.rate", "unlimited", &g);
    assert_true(rate_is_unlimited(&g.limits.source.messages.rate));
    put("source.bytes.rate", "10MiB/s", &g);
    assert_int_equal(g.limits.source.bytes.rate.count, 10 * 1024 * 1024);
    put("slow_reader.behind", "0", &g);
    assert_int_equal(g.limits.slow_reader.behind, 0);
}

static void test_words(void **state)
{
    struct config_gate g = {0};
    put("zmtp2", "true", &g);
    assert_true(g.zmtp2);
    put("zmtp2", "off", &g);
    assert_false(g.zmtp2);
    put("socket", "xpub", &g);
    assert_int_equal(g.socket, SOCKET_XPUB);
    put("source.messages.over", "drop", &g);
    assert_int_equal(g.limits.source.messages.over, ACTION_DROP);
    static const struct {
        const char *text;
        uint32_t value;
    } ways[] = {{"on", ENFORCE_ON},  {"true", ENFORCE_ON}, {"off", ENFORCE_OFF}, {"false", ENFORCE_OFF},
                {"1%", 99},          {"25%", 75},          {"99%", 1},           {"shadow", ENFORCE_SHADOW},
                {"yes", ENFORCE_ON}, {"no", ENFORCE_OFF}};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        put("message.enforce", ways[i].text, &g);
        assert_int_equal(g.limits.enforce[RULE_MESSAGE], ways[i].value);
    }
    put("name", "Orders_2-b", &g);
    assert_string_equal(g.name, "Orders_2-b");
}

static void test_endpoints(void **state)
{
    struct config_gate g = {0};
    struct config c = {0};
    put("listen", "tcp://*:5555", &g);
    assert_string_equal(g.listen_text, "tcp://*:5555");
    assert_int_equal(g.listen.kind, ENDPOINT_TCP);
    assert_int_equal(g.listen.sa.sa_family, AF_INET6);
    put("forward", "ipc:///run/app.sock", &g);
    assert_int_equal(g.forward.kind, ENDPOINT_IPC);
    assert_string_equal(g.forward.un.sun_path, "/run/app.sock");
    put("admin.listen", "[::1]:9700", &c);
    assert_true(c.admin.enabled);
    assert_string_equal(c.admin.text, "[::1]:9700");
    assert_int_equal(c.admin.addr.ss_family, AF_INET6);
    assert_int_equal(c.admin.addr_len, sizeof(struct sockaddr_in6));
    assert_int_equal(ntohs(((struct sockaddr_in6 *)(void *)&c.admin.addr)->sin6_port), 9700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_values), cmocka_unit_test(test_foreign_text_is_cut),
        cmocka_unit_test(test_paths),        cmocka_unit_test(test_quantities),
        cmocka_unit_test(test_words),        cmocka_unit_test(test_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
