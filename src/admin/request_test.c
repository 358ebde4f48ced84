/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/request.h"

#include "bans/bans.h"
#include "base/property.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define MUTANTS 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void bans(void **state)
{
    static const struct {
        const char *body, *who;
        uint64_t for_ns;
    } cases[] = {
        {"{\"network\": \"192.0.2.1\"}", "192.0.2.1", REQUEST_FOR_DEFAULT_NS},
        {"{\"for\": \"10m\", \"network\": \"192.0.2.0/24\"}", "192.0.2.0/24", 600 * NS_PER_S},
        {" {\"network\":\"2001:db8::/48\",\"for\":\"forever\"} ", "2001:db8::/48", BAN_FOR_EVER},
        {"{\"network\": \"uid:1000\", \"for\": \"365d\"}", "uid:1000", REQUEST_FOR_MAX_NS},
        {"{\"network\": \"\\u0031.2.3.4\", \"for\": \"1s\"}", "1.2.3.4", NS_PER_S},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct request_ban r;
        char why[REQUEST_WHY_MAX], text[NETWORK_TEXT_MAX];
        assert_int_equal(request_parse_ban(&r, cases[i].body, strlen(cases[i].body), why), 0);
        assert_string_equal(network_format(text, sizeof(text), &r.who), cases[i].who);
        assert_int_equal(r.for_ns, cases[i].for_ns);
    }
}

static void bans_that_are_none(void **state)
{
    static const char *const cases[][2] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"{} {}", "not JSON"},
        {"\"x\"", "not JSON"},
        {"[]", "not an object"},
        {"{}", "network is missing"},
        {"{\"for\": \"1m\"}", "network is missing"},
        {"{\"network\": null}", "network is not a string"},
        {"{\"network\": \"\"}", "network is not one: \"\""},
        {"{\"network\": \"192.0.2.1/8\"}", "the network is 192.0.0.0/8"},
        {"{\"network\": \"1.2.3.4\", \"for\": \"999ms\"}", "out of its range: \"999ms\", allowed 1s to 365d"},
        {"{\"network\": \"1.2.3.4\", \"for\": \"366d\"}", "out of its range: \"366d\""},
        {"{\"network\": \"1.2.3.4\", \"for\": \"10\"}", "not a duration: \"10\""},
        {"{\"network\": \"1.2.3.4\", \"for\": [[[[]]]]}", "nested too deep"},
        {"{\"network\": \"1.2.3.4\", \"NETWORK\": \"1.2.3.4\"}", "not known: \"NETWORK\""},
        {"{\"network\": \"1.2.3.4\", \"network\": \"1.2.3.4\"}", "not JSON"},
        {"{\"\\u001b[31m\": 1, \"network\": \"1.2.3.4\"}", "not known: \"\\x1b[31m\""},
        {"{\"network\": \"1.2.3.4\\u0000\"}", "not JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct request_ban r = {.for_ns = 77};
        char why[REQUEST_WHY_MAX] = "";
        assert_int_equal(request_parse_ban(&r, cases[i][0], strlen(cases[i][0]), why), -EINVAL);
        assert_non_null(strstr(why, cases[i][1]));
        assert_int_equal(r.for_ns, 77);
    }
}

static void bodies_have_a_size(void **state)
{
    static char body[REQUEST_BODY_MAX + 2];
    const char *const text = "{\"network\": \"1.2.3.4\"}";
    struct request_ban r;
    char why[REQUEST_WHY_MAX];
    memset(body, ' ', sizeof(body));
    memcpy(body, text, strlen(text));
    assert_int_equal(request_parse_ban(&r, body, REQUEST_BODY_MAX, why), 0);
    assert_int_equal(request_parse_ban(&r, body, REQUEST_BODY_MAX + 1, why), -EINVAL);
    assert_non_null(strstr(why, "4097 bytes, allowed 4096"));
}

static void kicks(void **state)
{
    struct request_kick r;
    char why[REQUEST_WHY_MAX];
    const char *const by_id = "{\"connection\": 769, \"gate\": \"orders\"}", *const by_network =
                                                                                 "{\"network\": \"10.0.0.0/8\"}";
    assert_int_equal(request_parse_kick(&r, by_id, strlen(by_id), why), 0);
    assert_int_equal(r.id, 769);
    assert_int_equal(r.who.kind, ADDR_NONE);
    assert_string_equal(r.gate, "orders");
    assert_int_equal(request_parse_kick(&r, by_network, strlen(by_network), why), 0);
    assert_int_equal(r.id, 0);
    assert_int_equal(r.who.bits, 8);
    assert_string_equal(r.gate, "");
    static const char *const wrong[][2] = {
        {"{}", "network or connection is missing"},
        {"{\"gate\": \"a\"}", "network or connection is missing"},
        {"{\"connection\": 0}", "not the number"},
        {"{\"connection\": 1.5}", "not the number"},
        {"{\"connection\": \"1\"}", "not the number"},
        {"{\"connection\": 99999999999999999999}", "not JSON"},
        {"{\"connection\": 1, \"network\": \"1.2.3.4\"}", "both given"},
        {"{\"network\": \"1.2.3.4\", \"gate\": \"\"}", "not a name of a gate"},
        {"{\"network\": \"1.2.3.4\", \"gate\": \"abcdefghijklmnopqrstuvwxyz0123456\"}", "allowed 1 to 32"},
        {"{\"network\": \"1.2.3.4\", \"for\": \"1m\"}", "not known: \"for\", allowed network, connection, gate"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(request_parse_kick(&r, wrong[i][0], strlen(wrong[i][0]), why), -EINVAL);
        assert_non_null(strstr(why, wrong[i][1]));
    }
}

static struct request_args args_of(const char *const *pairs, size_t count)
{
    struct request_args args = {.count = count};
    for (size_t i = 0; i < count; i++)
        args.at[i] = (struct request_arg){.name = pairs[2 * i],
                                          .name_len = strlen(pairs[2 * i]),
                                          .value = pairs[2 * i + 1],
                                          .value_len = pairs[2 * i + 1] ? strlen(pairs[2 * i + 1]) : 0};
    return args;
}

#define ARGS(...)                                                                                                      \
    args_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *) / 2)

static void lists(void **state)
{
    struct request_list r;
    char why[REQUEST_WHY_MAX];
    struct request_args args = {0};
    assert_int_equal(request_parse_list(&r, 0, &args, why), 0);
    assert_int_equal(r.limit, REQUEST_ROWS_DEFAULT);
    args = ARGS("limit", "1000", "cursor", "7", "history", "true");
    assert_int_equal(request_parse_list(&r, REQUEST_CURSOR | REQUEST_HISTORY, &args, why), 0);
    assert_true(r.limit == 1000 && r.cursor == 7 && r.history);
    args = ARGS("gate", "a", "network", "::1");
    assert_int_equal(request_parse_list(&r, REQUEST_GATE | REQUEST_NETWORK, &args, why), 0);
    assert_string_equal(r.gate, "a");
    assert_int_equal(r.who.kind, ADDR_V6);
}

static void lists_that_are_none(void **state)
{
    struct {
        struct request_args args;
        const char *said;
    } cases[] = {
        {ARGS("limit", "7"), "out of its range: \"7\", allowed 8 to 1000"},
        {ARGS("limit", "1001"), "out of its range"},
        {ARGS("limit", "-1"), "out of its range"},
        {ARGS("limit", NULL), "has no value: \"limit\""},
        {ARGS("limit", "10", "limit", "10"), "given twice: \"limit\""},
        {ARGS("cursor", "4294967296"), "cursor is out of its range"},
        {ARGS("history", "yes"), "neither true nor false"},
        {ARGS("gate", ""), "not a name of a gate"},
        {ARGS("network", "x"), "network is not one"},
        {ARGS("Limit", "10"), "not known: \"Limit\", allowed limit, gate, network, cursor, history"},
        {ARGS("\x1b", "10"), "not known: \"\\x1b\""},
        {{.count = REQUEST_ARGS_MAX + 1}, "too many arguments"},
        {{.count = 1, .at = {{.name = "limit", .name_len = 5, .value = "10\0", .value_len = 3}}}, "out of its range"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct request_list r;
        char why[REQUEST_WHY_MAX] = "";
        assert_int_equal(request_parse_list(&r, ~0u, &cases[i].args, why), -EINVAL);
        assert_non_null(strstr(why, cases[i].said));
    }
}

/* Runs the harness on these: unchanged, cut at every length, and changed at random. */
static void seeds(void **state)
{
    static const char *const texts[] = {
        "{\"network\": \"192.0.2.0/24\", \"for\": \"10m\"}",
        "{\"connection\": 769, \"gate\": \"orders\"}",
        "{\"a\": [{\"b\": [\"\\u00e9\\\"\\\\\", 1e5, true, null]}]}",
        "limit=100&cursor=5&history=true&gate=main&network=2001:db8::/32",
        "network=192.0.2.1&network=uid:7",
        "a&b=&=c&&==",
    };
    static const char marks[] = "{}[]\"\\:,&=%/.0123456789abcdefu";
    struct property_rng rng = property_rng_new("request seeds");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t len = 0; len <= strlen(texts[i]); len++)
            LLVMFuzzerTestOneInput((const uint8_t *)texts[i], len);
    for (int i = 0; i < MUTANTS; i++) {
        uint8_t mutant[128];
        const char *text = texts[property_below(&rng, ARRAY_LEN(texts))];
        size_t len = strlen(text);
        memcpy(mutant, text, len);
        for (uint64_t changes = 1 + property_below(&rng, 4); changes; changes--)
            mutant[property_below(&rng, len)] = property_below(&rng, 2)
                                                    ? (uint8_t)property_next(&rng)
                                                    : (uint8_t)marks[property_below(&rng, sizeof(marks) - 1)];
        LLVMFuzzerTestOneInput(mutant, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bans),
        cmocka_unit_test(bans_that_are_none),
        cmocka_unit_test(bodies_have_a_size),
        cmocka_unit_test(kicks),
        cmocka_unit_test(lists),
        cmocka_unit_test(lists_that_are_none),
        cmocka_unit_test(seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
