/* SPDX-License-Identifier: MPL-2.0 */
#include "zmtp/metadata.h"
#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <cmocka.h>

#define PEER "192.0.2.7:4711"

/* ---- making and reading metadata, independently of the code under test ---- */

struct pair {
    const char *name, *value;
};

struct block {
    uint8_t bytes[4096];
    size_t len;
};

static void add(struct block *b, const void *name, size_t name_len, const void *value, size_t value_len)
{
    uint8_t *at = b->bytes + b->len;
    assert_true(b->len + 5 + name_len + value_len <= sizeof(b->bytes));
    *at++ = (uint8_t)name_len;
    memcpy(at, name, name_len);
    at += name_len;
    *at++ = 0;
    *at++ = 0;
    *at++ = (uint8_t)(value_len / 256);
    *at++ = (uint8_t)(value_len % 256);
    memcpy(at, value, value_len);
    b->len += 5 + name_len + value_len;
}

static struct block block_of(const struct pair *pairs, size_t count)
{
    struct block b = {.len = 0};
    for (size_t i = 0; i < count; i++)
        add(&b, pairs[i].name, strlen(pairs[i].name), pairs[i].value, strlen(pairs[i].value));
    return b;
}

#define BLOCK(...)                                                                                                     \
    block_of((const struct pair[]){__VA_ARGS__}, sizeof((const struct pair[]){__VA_ARGS__}) / sizeof(struct pair))

static struct bytes bytes_of(const struct block *b)
{
    return (struct bytes){b->bytes, b->len};
}

/* Parses from memory of just that length; the values found are compared through `b`, so they are given as offsets. */
static bool parses(const struct block *b, size_t len)
{
    struct zmtp_metadata m;
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, b->bytes, len);
    bool parsed = zmtp_metadata_parse((struct bytes){copy, len}, &m);
    free(copy);
    return parsed;
}

static struct block rewritten(const struct block *b)
{
    struct block out;
    out.len = zmtp_metadata_rewrite(out.bytes, b->len + 5 + strlen("X-Weir-Peer") + strlen(PEER), bytes_of(b),
                                    "X-Weir-Peer", PEER);
    assert_true(out.len > 0);
    return out;
}

static void assert_same(const struct block *a, const struct block *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->bytes, b->bytes, a->len);
}

/* ---- parse ---- */

static void what_a_peer_says_of_itself(void **state)
{
    struct zmtp_metadata m;
    struct block b = BLOCK({"Socket-Type", "DEALER"}, {"X-Colour", "red"}, {"Identity", "client-7"});
    assert_true(zmtp_metadata_parse(bytes_of(&b), &m));
    assert_int_equal(m.socket_type.len, 6);
    assert_memory_equal(m.socket_type.at, "DEALER", 6);
    assert_true(m.has_routing_id);
    assert_int_equal(m.routing_id.len, 8);
    assert_memory_equal(m.routing_id.at, "client-7", 8);
}

static void case_of_names_means_nothing(void **state)
{
    struct zmtp_metadata m;
    struct block b = BLOCK({"sOCKET-tYPE", "REQ"}, {"IDENTITY", ""});
    assert_true(zmtp_metadata_parse(bytes_of(&b), &m));
    assert_int_equal(m.socket_type.len, 3);
    assert_true(m.has_routing_id);
    assert_int_equal(m.routing_id.len, 0);
}

static void nothing_is_said(void **state)
{
    struct zmtp_metadata m;
    struct block b = {.len = 0};
    assert_true(zmtp_metadata_parse(bytes_of(&b), &m));
    assert_int_equal(m.socket_type.len, 0);
    assert_false(m.has_routing_id);
}

static void twice_is_a_disguise(void **state)
{
    struct block types = BLOCK({"Socket-Type", "REQ"}, {"socket-type", "DEALER"});
    struct block ids = BLOCK({"Identity", "a"}, {"X", "y"}, {"identity", "b"});
    struct block empty = BLOCK({"Socket-Type", ""}, {"Socket-Type", "REQ"});
    struct block others = BLOCK({"X-A", "1"}, {"X-A", "2"});
    assert_false(parses(&types, types.len));
    assert_false(parses(&ids, ids.len));
    assert_false(parses(&empty, empty.len));
    assert_true(parses(&others, others.len));
}

/* Whole only at the end of a property. */
static void every_prefix(void **state)
{
    struct block one = BLOCK({"Socket-Type", "PUSH"}), b = BLOCK({"Socket-Type", "PUSH"}, {"X-Long", "0123456789"});
    for (size_t len = 0; len <= b.len; len++)
        assert_int_equal(parses(&b, len), len == 0 || len == one.len || len == b.len);
}

static void names_of_every_byte(void **state)
{
    for (unsigned c = 0; c < 256; c++) {
        uint8_t name[] = {'a', (uint8_t)c};
        struct block b = {.len = 0};
        add(&b, name, 2, "v", 1);
        assert_int_equal(parses(&b, b.len), c >= ' ' && c != 0x7f);
    }
    struct block nameless = {.len = 0};
    add(&nameless, "", 0, "v", 1);
    assert_false(parses(&nameless, nameless.len));
}

static void sizes_that_are_not_there(void **state)
{
    static const uint8_t sizes[][4] = {
        {0, 0, 0, 2}, {0, 0, 1, 0}, {0x7f, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct block b = BLOCK({"Name", "v"});
        memcpy(b.bytes + 5, sizes[i], 4);
        assert_false(parses(&b, b.len));
    }
}

static void routing_ids(void **state)
{
    uint8_t id[300];
    for (unsigned first = 0; first < 256; first++) {
        memset(id, (int)first, sizeof(id));
        for (size_t len = 0; len <= sizeof(id); len++) {
            assert_int_equal(zmtp_routing_id_ok((struct bytes){id, len}), len <= 255);
            assert_int_equal(zmtp_routing_id_is_generated((struct bytes){id, len}), len == 5 && first == 0);
        }
    }
}

/* ---- rewrite ---- */

static void peer_comes_first_and_the_rest_stays(void **state)
{
    struct block b = BLOCK({"Socket-Type", "REQ"}, {"Identity", ""}, {"X-Colour", "red"}, {"X-Colour", "blue"});
    struct block want = BLOCK({"X-Weir-Peer", PEER}, {"Socket-Type", "REQ"}, {"Identity", ""}, {"X-Colour", "red"},
                              {"X-Colour", "blue"});
    struct block got = rewritten(&b);
    assert_same(&got, &want);
}

static void reserved_names_in_any_case(void **state)
{
    struct block b = BLOCK({"X-Weir-Peer", "10.0.0.1:1"}, {"x-weir-peer", "a"}, {"X-WEIR-", ""},
                           {"x-Weir-Anything", "b"}, {"Peer-Address", "::1"}, {"PEER-ADDRESS", "::1"},
                           {"User-Id", "root"}, {"uSER-iD", "root"}, {"Routing-Id", "other"}, {"routing-id", "other"},
                           {"__fd", "3"}, {"__FD", "3"}, {"Socket-Type", "PUSH"}, {"X-Weir-User", "root"});
    struct block want = BLOCK({"X-Weir-Peer", PEER}, {"Socket-Type", "PUSH"});
    struct block got = rewritten(&b);
    assert_same(&got, &want);
}

static void names_that_only_look_reserved(void **state)
{
    struct block b = BLOCK({"X-Weir", "a"}, {"XX-Weir-Peer", "b"}, {"Peer-Addres", "c"}, {"Peer-Address2", "d"},
                           {"User-I", "e"}, {"__f", "g"}, {"__fdx", "h"});
    struct block got = rewritten(&b), want = BLOCK({"X-Weir-Peer", PEER});
    memcpy(want.bytes + want.len, b.bytes, b.len);
    want.len += b.len;
    assert_same(&got, &want);
}

static void too_small_a_place_is_left_alone(void **state)
{
    struct block b = BLOCK({"Socket-Type", "REQ"});
    size_t need = b.len + 5 + strlen("X-Weir-Peer") + strlen(PEER);
    for (size_t size = 0; size < need; size++) {
        uint8_t *dst = malloc(size ? size : 1);
        assert_non_null(dst);
        assert_int_equal(zmtp_metadata_rewrite(dst, size, bytes_of(&b), "X-Weir-Peer", PEER), 0);
        free(dst);
    }
}

static void one_property_is_put(void **state)
{
    struct block want = BLOCK({"X-Weir-Class", "partners"});
    for (size_t size = 0; size <= want.len; size++) {
        uint8_t *dst = malloc(size ? size : 1);
        assert_non_null(dst);
        assert_int_equal(zmtp_property_put(dst, size, "X-Weir-Class", "partners"), size < want.len ? 0 : want.len);
        if (size == want.len)
            assert_memory_equal(dst, want.bytes, want.len);
        free(dst);
    }
}

/* Random properties, some of them reserved, against a naive list. */
static void random_metadata(void **state)
{
    static const char *const names[] = {"Socket-Type", "X-Weir-Key",  "X-a", "PEER-address", "user-ID", "Resource",
                                        "__Fd",        "x-WEIR-peer", "Q",   "Routing-ID"};
    static const bool reserved[] = {false, true, false, true, true, false, true, true, false, true};
    struct property_rng random = property_rng_new("metadata");
    for (int i = 0; i < 5000; i++) {
        struct block b = {.len = 0}, want = BLOCK({"X-Weir-Peer", PEER});
        bool typed = false;
        for (size_t n = property_below(&random, 8); n > 0; n--) {
            uint8_t value[300];
            size_t pick = property_below(&random, ARRAY_LEN(names)), len = property_below(&random, sizeof(value));
            if (pick == 0 && typed)
                continue;
            typed = typed || pick == 0;
            for (size_t v = 0; v < len; v++)
                value[v] = (uint8_t)property_next(&random);
            add(&b, names[pick], strlen(names[pick]), value, len);
            if (!reserved[pick])
                add(&want, names[pick], strlen(names[pick]), value, len);
        }
        assert_true(parses(&b, b.len));
        struct block got = rewritten(&b);
        assert_same(&got, &want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_peer_says_of_itself),
        cmocka_unit_test(case_of_names_means_nothing),
        cmocka_unit_test(nothing_is_said),
        cmocka_unit_test(twice_is_a_disguise),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(names_of_every_byte),
        cmocka_unit_test(sizes_that_are_not_there),
        cmocka_unit_test(routing_ids),
        cmocka_unit_test(peer_comes_first_and_the_rest_stays),
        cmocka_unit_test(reserved_names_in_any_case),
        cmocka_unit_test(names_that_only_look_reserved),
        cmocka_unit_test(too_small_a_place_is_left_alone),
        cmocka_unit_test(one_property_is_put),
        cmocka_unit_test(random_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
