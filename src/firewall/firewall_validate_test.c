/* SPDX-License-Identifier: MPL-2.0 */
#include "firewall/firewall_validate.h"

#include "base/property.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct firewall_validate validate;
static uint8_t wire[FIREWALL_WIRE_MAX];
static enum firewall_task task;

static int setup(void **state)
{
    struct firewall_gates gates = {.count = 2};
    gates.at[0].to = (struct addr){.kind = ADDR_V4, .port = 5555};
    gates.at[1].to = (struct addr){.kind = ADDR_V4, .port = 5556};
    return firewall_validate_init(&validate, &gates);
}

static int teardown(void **state)
{
    free(validate.entries);
    return 0;
}

static struct firewall_entry entry(const char *who, uint32_t left_ms)
{
    struct firewall_entry e = {.left_ms = left_ms};
    assert_int_equal(network_parse(&e.who, who, NULL), 0);
    return e;
}

static int give(enum firewall_type type, uint8_t gate, const struct firewall_entry *entries, size_t count)
{
    struct firewall_message m = {.type = (uint8_t)type, .gate = gate, .count = (uint16_t)count, .number = 9};
    uint32_t number = 0;
    firewall_wire_head(wire, &m);
    for (size_t i = 0; i < count; i++)
        firewall_wire_put(wire, i, &entries[i]);
    int error = firewall_validate_take(&validate, wire, firewall_wire_bytes(count), &number, &task);
    assert_true(error == -EBADMSG || number == 9);
    return error;
}

static int say(enum firewall_type type)
{
    return give(type, 0, NULL, 0);
}

static int one(enum firewall_type type, const char *who, uint32_t left_ms)
{
    struct firewall_entry e = entry(who, left_ms);
    return give(type, 0, &e, 1);
}

static void a_replacement(void **state)
{
    assert_int_equal(say(FIREWALL_BEGIN), 0);
    assert_int_equal(one(FIREWALL_FILL, "192.0.2.0/24", 5), 0);
    assert_int_equal(one(FIREWALL_FILL, "192.0.2.7", 6), 0);
    assert_int_equal(task, FIREWALL_TASK_NONE);
    assert_int_equal(say(FIREWALL_COMMIT), 0);
    assert_int_equal(task, FIREWALL_TASK_REPLACE);
    assert_int_equal(validate.count, 2);
    assert_int_equal(say(FIREWALL_COMMIT), -EPROTO); /* once */
    assert_int_equal(say(FIREWALL_BEGIN), 0);
    assert_int_equal(say(FIREWALL_COMMIT), 0);
    assert_int_equal(validate.count, 0); /* by nothing */
}

static void what_is_out_of_place(void **state)
{
    assert_int_equal(one(FIREWALL_FILL, "192.0.2.1", 5), -EPROTO);
    assert_int_equal(say(FIREWALL_COMMIT), -EPROTO);
    assert_int_equal(give(FIREWALL_EXEMPT, 0, NULL, 0), -EPROTO);
    assert_int_equal(say(FIREWALL_ANSWER), -EBADMSG);
    assert_int_equal(say(FIREWALL_BEGIN), 0);
    assert_int_equal(one(FIREWALL_CHANGES, "192.0.2.1", 5), -EPROTO);
    assert_int_equal(say(FIREWALL_COMMIT), -EPROTO); /* the mistake has ended it */
}

/* Each of these ends the replacement: nothing of it reaches the kernel. */
static void what_no_firewall_is_told(void **state)
{
    static const char *const wrong[] = {"0.0.0.0/0", "127.0.0.1", "::/0", "::1", "10.0.0.0/7", "uid:0"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(one(FIREWALL_CHANGES, wrong[i], 5), -EINVAL);
        assert_int_equal(task, FIREWALL_TASK_NONE);
        assert_int_equal(say(FIREWALL_BEGIN), 0);
        assert_int_equal(one(FIREWALL_FILL, wrong[i], 5), -EINVAL);
        assert_int_equal(say(FIREWALL_COMMIT), -EPROTO);
    }
    assert_int_equal(one(FIREWALL_CHANGES, "192.0.2.1", FIREWALL_LONGEST_MS + 1), -EINVAL);
    assert_int_equal(say(FIREWALL_BEGIN), 0);
    assert_int_equal(one(FIREWALL_FILL, "192.0.2.1", 0), -EINVAL); /* a removal is none of a table's entries */
}

static void order_is_kept_across_messages(void **state)
{
    struct firewall_entry twice[] = {entry("192.0.2.1", 5), entry("192.0.2.1", 0)};
    assert_int_equal(give(FIREWALL_CHANGES, 0, twice, 2), -EINVAL);
    assert_int_equal(say(FIREWALL_BEGIN), 0);
    assert_int_equal(one(FIREWALL_FILL, "192.0.2.2", 5), 0);
    assert_int_equal(one(FIREWALL_FILL, "192.0.2.2", 5), -EINVAL);
}

static void changes(void **state)
{
    struct firewall_entry two[] = {entry("192.0.2.1", 0), entry("192.0.2.2", 50)};
    assert_int_equal(give(FIREWALL_CHANGES, 0, two, 2), 0);
    assert_int_equal(task, FIREWALL_TASK_CHANGE);
    assert_int_equal(validate.change_count, 2);
    assert_int_equal(validate.changes[0].left_ms, 0);
    assert_int_equal(say(FIREWALL_CHANGES), 0);
    assert_int_equal(task, FIREWALL_TASK_NONE);
    assert_int_equal(say(FIREWALL_COUNTERS), 0);
    assert_int_equal(task, FIREWALL_TASK_COUNT);
}

static void exempt_networks(void **state)
{
    struct firewall_entry own[] = {entry("127.0.0.0/8", 0), entry("0.0.0.0/0", 0)}; /* any networks */
    assert_int_equal(say(FIREWALL_BEGIN), 0);
    assert_int_equal(give(FIREWALL_EXEMPT, 1, own, 2), 0);
    assert_int_equal(validate.gates.at[1].exempt.count, 2);
    assert_int_equal(validate.gates.at[0].exempt.count, 0);
    assert_int_equal(give(FIREWALL_EXEMPT, 2, own, 1), -EINVAL); /* there is no such gate */
    assert_int_equal(say(FIREWALL_BEGIN), 0);
    assert_int_equal(give(FIREWALL_EXEMPT, 1, NULL, 0), 0);
    assert_int_equal(validate.gates.at[1].exempt.count, 0);
    struct firewall_entry many[NETWORKS_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = entry("192.0.2.1", 0);
    assert_int_equal(give(FIREWALL_EXEMPT, 0, many, ARRAY_LEN(many)), -E2BIG);
    assert_int_equal(say(FIREWALL_BEGIN), 0);
    assert_int_equal(one(FIREWALL_EXEMPT, "uid:5", 0), -EINVAL);
    assert_int_equal(validate.gates.at[0].to.port, 5555);
}

static void no_more_than_there_is_room_for(void **state)
{
    static struct firewall_entry part[FIREWALL_WIRE_RECORDS];
    uint32_t next = 10u << 24;
    assert_int_equal(say(FIREWALL_BEGIN), 0);
    for (size_t sent = 0; sent < FIREWALL_ENTRIES_MAX; sent += ARRAY_LEN(part)) {
        for (size_t i = 0; i < ARRAY_LEN(part); i++, next++) {
            struct addr a = {.kind = ADDR_V4,
                             .bytes = {10, (uint8_t)(next >> 16), (uint8_t)(next >> 8), (uint8_t)next}};
            part[i] = (struct firewall_entry){.who = network_of(&a, 32), .left_ms = 1};
        }
        assert_int_equal(give(FIREWALL_FILL, 0, part, ARRAY_LEN(part)), 0);
    }
    assert_int_equal(one(FIREWALL_FILL, "192.0.2.1", 5), -E2BIG);
    assert_int_equal(say(FIREWALL_COMMIT), -EPROTO);
}

static void the_harness_runs(void **state)
{
    struct property_rng r = property_rng_new("the_harness_runs");
    uint8_t noise[4096];
    for (unsigned i = 0; i < 2000; i++) {
        for (size_t b = 0; b < sizeof(noise); b++)
            noise[b] = (uint8_t)(property_below(&r, 4) ? property_magnitude(&r, 8) : 0);
        /* A sound replacement, or part of one, among it. */
        struct firewall_entry e = entry("198.51.100.0/24", 1 + (uint32_t)property_below(&r, 5000));
        noise[0] = 128 + FIREWALL_BEGIN;
        noise[1] = 128 + 8 + FIREWALL_FILL;
        firewall_wire_put(wire, 0, &e);
        memcpy(noise + 2, wire + FIREWALL_WIRE_HEAD, FIREWALL_WIRE_RECORD);
        noise[2 + FIREWALL_WIRE_RECORD] = 128 + FIREWALL_COMMIT;
        LLVMFuzzerTestOneInput(noise, property_below(&r, sizeof(noise)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_replacement, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_out_of_place, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_firewall_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(order_is_kept_across_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(changes, setup, teardown),
        cmocka_unit_test_setup_teardown(exempt_networks, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_than_there_is_room_for, setup, teardown),
        cmocka_unit_test(the_harness_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
