/* SPDX-License-Identifier: MPL-2.0 */
/* Greetings, captured and made, under every prefix: DONE and BAD on the first byte that allows it, NEED before. */
#include "zmtp/greeting.h"
#include "base/property.h"
#include "zmtp/test_seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* From a copy of just that length, so that AddressSanitizer sees a look at bytes that have not come. */
static enum greeting_result parse_prefix(const uint8_t *bytes, size_t len, struct zmtp_greeting *ret, size_t *ret_used)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    enum greeting_result r = zmtp_greeting_parse(copy, len, ret, ret_used);
    free(copy);
    return r;
}

/* NEED for all that is shorter than `known` bytes, `result` from there on; nothing is written before DONE. */
static struct zmtp_greeting expect(const uint8_t *bytes, size_t len, enum greeting_result result, size_t known)
{
    struct zmtp_greeting g = {.minor = 77};
    for (size_t n = 0; n <= len; n++) {
        size_t used = 4711;
        enum greeting_result r = parse_prefix(bytes, n, &g, &used);
        assert_int_equal(r, n < known ? GREETING_NEED : result);
        assert_int_equal(used, r == GREETING_DONE ? known : 4711);
        if (r != GREETING_DONE)
            assert_int_equal(g.minor, 77);
    }
    return g;
}

static void captured_greetings(void **state)
{
    struct seeds seeds;
    assert_true(seeds_load(WEIR_SEEDS, &seeds));
    for (size_t i = 0; i < seeds.count; i++) {
        const struct seed *s = &seeds.list[i];
        /* libzmq tells a 2.0 peer its own major version, 3, and then RFC 15's socket type: not a greeting that stands
         * alone. */
        if (strstr(s->name, "_20-") && s->bytes[10] == 3)
            continue;
        bool v2 = strstr(s->name, "_20-") != NULL;
        struct zmtp_greeting g = expect(s->bytes, s->len < 100 ? s->len : 100, GREETING_DONE, v2 ? 12 : 64);
        assert_int_equal(g.major, v2 ? 2 : 3);
        enum zmtp_mechanism m = strstr(s->name, "-curve-")   ? MECHANISM_CURVE
                                : strstr(s->name, "-plain-") ? MECHANISM_PLAIN
                                                             : MECHANISM_NULL;
        assert_int_equal(g.mechanism, m);
        /* libzmq leaves it 0, also where the socket is the mechanism's server. */
        assert_false(g.as_server);
        for (size_t n = 0; n < 64 && n < s->len; n++)
            assert_int_equal(zmtp_greeting_is_v3(s->bytes, n), !v2 && n >= 11);
    }
    seeds_free(&seeds);
}

static void written_is_read(void **state)
{
    for (enum zmtp_mechanism m = MECHANISM_NULL; m <= MECHANISM_CURVE; m++) {
        uint8_t bytes[ZMTP_GREETING_BYTES + 10] = {0};
        struct zmtp_greeting in = {.minor = (uint8_t)(m - 1), .mechanism = m, .as_server = m == MECHANISM_PLAIN};
        zmtp_greeting_put(bytes, &in);
        struct zmtp_greeting g = expect(bytes, sizeof(bytes), GREETING_DONE, ZMTP_GREETING_BYTES);
        assert_int_equal(g.major, 3);
        assert_int_equal(g.minor, in.minor);
        assert_int_equal(g.mechanism, m);
        assert_int_equal(g.as_server, in.as_server);
    }
    uint8_t v2[ZMTP2_GREETING_BYTES];
    zmtp_greeting_put_v2(v2, 5);
    struct zmtp_greeting g = expect(v2, sizeof(v2), GREETING_DONE, ZMTP2_GREETING_BYTES);
    assert_int_equal(g.major, 2);
    assert_int_equal(g.socket_code, 5);
}

/* RFC 13: "anonymous = %x01 final", and an id is a short frame as well. */
static void zmtp_1(void **state)
{
    expect((const uint8_t *)"\x01\x00\x06\x00hello", 9, GREETING_OLD, 2);
    for (unsigned length = 2; length < 255; length++) {
        uint8_t id[300] = {(uint8_t)length, 0, 'w', 'o', 'r', 'k', 'e', 'r'};
        expect(id, sizeof(id), GREETING_OLD, 3);
    }
}

/* As soon as it cannot be ZMTP 1.0 either. */
static void garbage_is_bad_on_its_first_bytes(void **state)
{
    uint8_t bytes[70] = {0};
    expect(bytes, sizeof(bytes), GREETING_BAD, 1);
    for (unsigned first = 1; first < 255; first++) {
        bytes[0] = (uint8_t)first;
        for (unsigned second = 1; second < 256; second++) {
            bytes[1] = (uint8_t)second;
            expect(bytes, 4, GREETING_BAD, 2);
        }
        bytes[1] = 0;
        if (first > 1)
            expect(bytes, sizeof(bytes), GREETING_BAD, 3);
    }
    expect((const uint8_t *)"GET / HTTP/1.1\r\n", 16, GREETING_BAD, 2);
    expect((const uint8_t *)"SSH-2.0-", 8, GREETING_BAD, 2);
    expect((const uint8_t *)"\x16\x03\x01\x00\xc8", 5, GREETING_BAD, 2); /* TLS */
    expect((const uint8_t *)"\x05\x01\x00", 3, GREETING_BAD, 2);         /* SOCKS */
    expect((const uint8_t *)"\x03\x00\x00\x13", 4, GREETING_BAD, 3);     /* RDP */
    expect((const uint8_t *)"\x3a\x00\x00\x00", 4, GREETING_BAD, 3);     /* MongoDB */
}

/* RFC 37: "A peer SHALL NOT assign any significance to the padding field and MUST NOT validate this". */
static void padding_means_nothing(void **state)
{
    struct property_rng random = property_rng_new("greeting");
    for (int i = 0; i < 200; i++) {
        uint8_t bytes[ZMTP_GREETING_BYTES];
        zmtp_greeting_put(bytes, &(struct zmtp_greeting){.minor = 1, .mechanism = MECHANISM_NULL});
        for (int b = 1; b <= 8; b++)
            bytes[b] = (uint8_t)property_next(&random);
        expect(bytes, sizeof(bytes), GREETING_DONE, 64);
        do
            bytes[9] = (uint8_t)property_next(&random);
        while (bytes[9] == 0x7f);
        expect(bytes, sizeof(bytes), GREETING_BAD, 10);
        assert_false(zmtp_greeting_is_v3(bytes, sizeof(bytes)));
    }
}

/* 0 is ZMTP 1.0; RFC 37: "A peer MUST accept higher protocol versions as valid." */
static void every_major_version(void **state)
{
    uint8_t bytes[ZMTP_GREETING_BYTES];
    zmtp_greeting_put(bytes, &(struct zmtp_greeting){.minor = 9, .mechanism = MECHANISM_CURVE, .as_server = true});
    bytes[10] = 0;
    expect(bytes, sizeof(bytes), GREETING_OLD, 11);
    for (unsigned major = 1; major < 256; major++) {
        bytes[10] = (uint8_t)major;
        struct zmtp_greeting g = expect(bytes, sizeof(bytes), GREETING_DONE, major < 3 ? 12 : 64);
        assert_int_equal(g.major, major < 3 ? 2 : 3);
        assert_int_equal(zmtp_greeting_is_v3(bytes, 11), major >= 3);
        assert_int_equal(major < 3 ? g.socket_code : g.minor, 9);
    }
}

static enum zmtp_mechanism mechanism_of(const char *name, size_t len)
{
    uint8_t bytes[ZMTP_GREETING_BYTES];
    zmtp_greeting_put(bytes, &(struct zmtp_greeting){.mechanism = MECHANISM_NULL});
    memset(bytes + 12, 0, 20);
    memcpy(bytes + 12, name, len);
    return expect(bytes, sizeof(bytes), GREETING_DONE, 64).mechanism;
}

static void mechanisms_are_compared_whole(void **state)
{
    assert_int_equal(mechanism_of("NULL", 4), MECHANISM_NULL);
    assert_int_equal(mechanism_of("PLAIN", 5), MECHANISM_PLAIN);
    assert_int_equal(mechanism_of("CURVE", 5), MECHANISM_CURVE);
    assert_int_equal(mechanism_of("", 0), MECHANISM_OTHER);
    assert_int_equal(mechanism_of("null", 4), MECHANISM_OTHER);
    assert_int_equal(mechanism_of("NUL", 3), MECHANISM_OTHER);
    assert_int_equal(mechanism_of("NULLS", 5), MECHANISM_OTHER);
    assert_int_equal(mechanism_of("NULL\0x", 6), MECHANISM_OTHER);
    assert_int_equal(mechanism_of("CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0!", 20), MECHANISM_OTHER);
    assert_int_equal(mechanism_of("GSSAPI", 6), MECHANISM_OTHER);
    assert_string_equal(zmtp_mechanism_name(MECHANISM_OTHER), "");
    assert_string_equal(zmtp_mechanism_name(MECHANISM_CURVE), "CURVE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_greetings),
        cmocka_unit_test(written_is_read),
        cmocka_unit_test(zmtp_1),
        cmocka_unit_test(garbage_is_bad_on_its_first_bytes),
        cmocka_unit_test(padding_means_nothing),
        cmocka_unit_test(every_major_version),
        cmocka_unit_test(mechanisms_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
