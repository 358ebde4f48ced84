/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_state.h"

#include "base/property.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DAY  (86400 * NS_PER_S)
#define NOW  (5000 * NS_PER_S)
#define BOOT (7 * NS_PER_S) /* the time after a restart of the machine */
#define WALL (UINT64_C(1764000000) * NS_PER_S)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ban some_ban(const char *who, uint64_t left_ns, uint8_t level)
{
    struct ban b = {.reason = BAN_REASON_EXCESS, .level = level, .since_ns = NOW - 60 * NS_PER_S, .fade_ns = DAY};
    assert_int_equal(network_parse(&b.who, who, NULL), 0);
    b.until_ns = left_ns == BAN_FOR_EVER ? BAN_FOR_EVER : left_ns ? NOW + left_ns : 0;
    b.fade_at_ns = NOW + left_ns % DAY + DAY;
    return b;
}

/* A file of these; to be freed. */
static uint8_t *state_of(const struct ban *bans, size_t count, size_t *ret_len)
{
    uint8_t *bytes = malloc(ban_state_bytes(count));
    assert_non_null(bytes);
    ban_state_write(bytes, bans, count, NOW, WALL);
    *ret_len = ban_state_bytes(count);
    return bytes;
}

static bool read_back(const struct ban *b, uint64_t wall_ns, struct ban *ret)
{
    size_t len, count = 99;
    uint8_t *bytes = state_of(b, 1, &len);
    assert_int_equal(ban_state_check(bytes, len, &count), BAN_STATE_SOUND);
    assert_int_equal(count, 1);
    bool there = ban_state_entry(bytes, 0, BOOT, wall_ns, ret);
    free(bytes);
    return there;
}

static void bans_and_history_come_back(void **state)
{
    struct ban before = some_ban("192.0.2.1", 600 * NS_PER_S, 3), after;
    assert_true(read_back(&before, WALL + 100 * NS_PER_S, &after));
    assert_true(network_equal(&after.who, &before.who));
    assert_int_equal(after.until_ns, BOOT + 500 * NS_PER_S);
    assert_int_equal(after.level, 3);
    assert_int_equal(after.reason, BAN_REASON_EXCESS);
    assert_int_equal(after.fade_ns, DAY);
    assert_int_equal(BOOT - after.since_ns, 160 * NS_PER_S); /* before this boot */
    /* The ban is over, but not forgotten. */
    assert_true(read_back(&before, WALL + 700 * NS_PER_S, &after));
    assert_int_equal(after.until_ns, 0);
    assert_int_equal(after.level, 3);
    /* A day and more without a ban takes levels away, four days take all. */
    assert_true(read_back(&before, WALL + DAY + 700 * NS_PER_S, &after));
    assert_int_equal(after.level, 2);
    assert_false(read_back(&before, WALL + 4 * DAY, &after));
}

static void some_last_for_ever(void **state)
{
    struct ban before = some_ban("2001:db8::/48", BAN_FOR_EVER, 0), after;
    assert_true(read_back(&before, WALL + 1000 * DAY, &after));
    assert_int_equal(after.until_ns, BAN_FOR_EVER);
}

static void a_clock_that_was_set_back_makes_no_ban_longer(void **state)
{
    struct ban before = some_ban("uid:1000", 600 * NS_PER_S, 1), after;
    assert_true(read_back(&before, WALL - 1000 * DAY, &after));
    assert_int_equal(after.until_ns, BOOT + 600 * NS_PER_S);
    assert_true(read_back(&before, 0, &after));
    assert_int_equal(after.until_ns, BOOT + 600 * NS_PER_S);
    /* Set far ahead, everything is over. */
    assert_false(read_back(&before, UINT64_MAX, &after));
}

static void an_empty_table_is_a_sound_file(void **state)
{
    size_t len, count = 99;
    uint8_t *bytes = state_of(NULL, 0, &len);
    assert_int_equal(ban_state_check(bytes, len, &count), BAN_STATE_SOUND);
    assert_int_equal(count, 0);
    free(bytes);
}

static void each_changed_bit_and_each_cut_shows(void **state)
{
    const struct ban bans[] = {some_ban("192.0.2.1", NS_PER_S, 1), some_ban("10.0.0.0/8", BAN_FOR_EVER, 0)};
    size_t len, count;
    uint8_t *bytes = state_of(bans, 2, &len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(ban_state_check(bytes, len, &count), BAN_STATE_SOUND);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        assert_non_null(part);
        memcpy(part, bytes, cut);
        assert_int_equal(ban_state_check(part, cut, &count), BAN_STATE_DAMAGED);
        free(part);
    }
    free(bytes);
}

/* A state of version 1, without the time at which a ban began. */
static void files_of_the_first_version_are_read(void **state)
{
    const struct ban bans[] = {some_ban("192.0.2.1", 600 * NS_PER_S, 3), some_ban("10.0.0.0/8", BAN_FOR_EVER, 0)};
    size_t len, count;
    uint8_t *bytes = state_of(bans, 2, &len);
    memmove(bytes + 24 + 44, bytes + 24 + 52, 44);
    bytes[11] = 1;
    len -= 2 * 8;
    ban_state_seal(bytes, len);
    assert_int_equal(ban_state_check(bytes, len, &count), BAN_STATE_SOUND);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        struct ban b;
        assert_true(ban_state_entry(bytes, i, BOOT, WALL, &b));
        assert_true(network_equal(&b.who, &bans[i].who));
        assert_int_equal(b.level, bans[i].level);
        assert_int_equal(b.since_ns, BOOT);
    }
    free(bytes);
}

static void newer_files_are_known_as_such(void **state)
{
    size_t len, count;
    uint8_t *bytes = state_of(NULL, 0, &len);
    bytes[11] = BAN_STATE_VERSION + 1;
    assert_int_equal(ban_state_check(bytes, len, &count), BAN_STATE_NEWER);
    free(bytes);
}

/* A sound checksum over nonsense, as another program's bug would leave it. */
static void what_no_ban_can_say_is_left_out(void **state)
{
    struct ban wrongs[7], ret;
    for (unsigned i = 0; i < 7; i++)
        wrongs[i] = some_ban("192.0.2.1", NS_PER_S, 1);
    wrongs[0].who.kind = ADDR_NONE;
    wrongs[1].who.kind = ADDR_UID + 1;
    wrongs[2].who.bits = 33;
    wrongs[3].who.bits = 8; /* bits behind the prefix */
    wrongs[4].who.bytes[15] = 1;
    wrongs[5].reason = BAN_REASON_COUNT;
    wrongs[6].who = (struct network){.kind = ADDR_V4, .bits = 1, .bytes = {128}}; /* half of the world */
    size_t len, count;
    uint8_t *bytes = state_of(wrongs, 7, &len);
    assert_int_equal(ban_state_check(bytes, len, &count), BAN_STATE_SOUND);
    for (size_t i = 0; i < count; i++)
        assert_false(ban_state_entry(bytes, i, BOOT, WALL, &ret));
    free(bytes);
}

/* The fuzz harness on whole files, cut ones, changed ones, and entries of noise. */
static void the_harness_holds(void **state)
{
    struct property_rng rng = property_rng_new("ban_state");
    const struct ban bans[] = {some_ban("192.0.2.1", NS_PER_S, 1), some_ban("uid:7", 0, 9),
                               some_ban("2001:db8::/48", BAN_FOR_EVER, 0)};
    size_t len;
    uint8_t *bytes = state_of(bans, 3, &len), noise[176];
    for (unsigned i = 0; i < 2000; i++) {
        size_t at = property_below(&rng, len);
        uint8_t was = bytes[at];
        bytes[at] = (uint8_t)property_next(&rng);
        LLVMFuzzerTestOneInput(bytes, i % 2 ? len : at);
        LLVMFuzzerTestOneInput(bytes + 24, len - 32);
        bytes[at] = was;
        for (unsigned n = 0; n < sizeof(noise); n++)
            noise[n] = property_below(&rng, 3) ? (uint8_t)property_below(&rng, 4) : (uint8_t)property_next(&rng);
        LLVMFuzzerTestOneInput(noise, sizeof(noise));
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bans_and_history_come_back),
        cmocka_unit_test(some_last_for_ever),
        cmocka_unit_test(a_clock_that_was_set_back_makes_no_ban_longer),
        cmocka_unit_test(an_empty_table_is_a_sound_file),
        cmocka_unit_test(each_changed_bit_and_each_cut_shows),
        cmocka_unit_test(files_of_the_first_version_are_read),
        cmocka_unit_test(newer_files_are_known_as_such),
        cmocka_unit_test(what_no_ban_can_say_is_left_out),
        cmocka_unit_test(the_harness_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
