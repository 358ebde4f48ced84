/* SPDX-License-Identifier: MPL-2.0 */
#include "firewall/firewall_wire.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static uint8_t wire[FIREWALL_WIRE_MAX + 1];

static struct firewall_entry some_entry(struct property_rng *r)
{
    struct firewall_entry e = {.left_ms = (uint32_t)property_next(r)};
    struct addr a = {.kind = property_below(r, 2) ? ADDR_V4 : ADDR_V6};
    for (size_t i = 0; i < sizeof(a.bytes); i++)
        a.bytes[i] = (uint8_t)property_next(r);
    e.who = network_of(&a, (uint8_t)property_below(r, 129));
    return e;
}

static void what_is_written_is_read(void **state)
{
    struct property_rng r = property_rng_new("what_is_written_is_read");
    static struct firewall_entry entries[FIREWALL_WIRE_RECORDS];
    static const uint16_t counts[] = {0, 1, 2, 100, FIREWALL_WIRE_RECORDS};
    for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
        struct firewall_message m = {.type = FIREWALL_CHANGES,
                                     .count = counts[c],
                                     .number = (uint32_t)property_next(&r)},
                                got;
        firewall_wire_head(wire, &m);
        for (size_t i = 0; i < m.count; i++) {
            entries[i] = some_entry(&r);
            firewall_wire_put(wire, i, &entries[i]);
        }
        size_t len = firewall_wire_bytes(m.count);
        assert_true(firewall_wire_read(wire, len, &got));
        assert_int_equal(got.type, m.type);
        assert_int_equal(got.count, m.count);
        assert_int_equal(got.number, m.number);
        for (size_t i = 0; i < m.count; i++) {
            struct firewall_entry e;
            assert_true(firewall_wire_get(&got, i, &e));
            assert_true(network_equal(&e.who, &entries[i].who));
            assert_int_equal(e.left_ms, entries[i].left_ms);
        }
        assert_false(firewall_wire_read(wire, len - 1, &got));
        assert_false(firewall_wire_read(wire, len + 1, &got));
    }
}

static void an_answer_carries_counters(void **state)
{
    struct firewall_message m = {.type = FIREWALL_ANSWER, .number = 7, .error = 1, .packets = UINT64_MAX, .bytes = 3},
                            got;
    firewall_wire_head(wire, &m);
    assert_true(firewall_wire_read(wire, firewall_wire_bytes(0), &got));
    assert_int_equal(got.error, 1);
    assert_true(got.packets == UINT64_MAX && got.bytes == 3);
}

static void refused(struct firewall_message m)
{
    struct firewall_message got;
    firewall_wire_head(wire, &m);
    assert_false(firewall_wire_read(wire, firewall_wire_bytes(m.count), &got));
}

static void what_nobody_writes_is_no_message(void **state)
{
    struct firewall_message m = {.type = FIREWALL_CHANGES}, got;
    firewall_wire_head(wire, &m);
    assert_true(firewall_wire_read(wire, FIREWALL_WIRE_HEAD, &got));
    for (size_t i = 0; i < 4; i++) { /* the magic word and the version */
        wire[i] ^= 1;
        assert_false(firewall_wire_read(wire, FIREWALL_WIRE_HEAD, &got));
        wire[i] ^= 1;
    }
    for (size_t len = 0; len < FIREWALL_WIRE_HEAD; len++)
        assert_false(firewall_wire_read(wire, len, &got));
    refused((struct firewall_message){.type = 0});
    refused((struct firewall_message){.type = FIREWALL_ANSWER + 1});
    refused((struct firewall_message){.type = FIREWALL_BEGIN, .count = 1});
    refused((struct firewall_message){.type = FIREWALL_ANSWER, .count = 1});
    refused((struct firewall_message){.type = FIREWALL_FILL, .gate = 1});
    refused((struct firewall_message){.type = FIREWALL_FILL, .error = 1});
    refused((struct firewall_message){.type = FIREWALL_COMMIT, .packets = 1});
    firewall_wire_head(wire, &(struct firewall_message){.type = FIREWALL_FILL, .count = FIREWALL_WIRE_RECORDS + 1});
    assert_false(firewall_wire_read(wire, FIREWALL_WIRE_MAX + 1, &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(an_answer_carries_counters),
        cmocka_unit_test(what_nobody_writes_is_no_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
