/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/bans.h"
#include "limits/limits.h"

#include "base/property.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define MINUTE  (60 * NS_PER_S)
#define DAY     (86400 * NS_PER_S)
#define START   (100 * NS_PER_S)
#define NO_LESS 0          /* random bits: the whole time */
#define LESS    UINT64_MAX /* a quarter less */

static const struct ban_terms usual = {.for_ns = MINUTE, .max_ns = DAY};

static struct bans *new_table(void)
{
    struct hash_key key;
    hash_key_random(&key);
    struct bans *t = bans_new(0, &key);
    assert_non_null(t);
    return t;
}

static struct network net(const char *text)
{
    struct network n;
    assert_int_equal(network_parse(&n, text, NULL), 0);
    return n;
}

static struct addr addr_of(const char *text)
{
    struct network n = net(text);
    struct addr a = {.kind = (enum addr_kind)n.kind};
    memcpy(a.bytes, n.bytes, sizeof(a.bytes));
    return a;
}

static struct network nth(uint32_t n)
{
    struct addr a = {.kind = ADDR_V4, .bytes = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
    return network_of(&a, 32);
}

static bool is_banned(struct bans *t, const char *who, uint64_t now)
{
    struct addr a = addr_of(who);
    return bans_find(t, &a, now, NULL);
}

static uint64_t punish(struct bans *t, const char *who, uint64_t random, uint64_t now)
{
    struct network n = net(who);
    struct ban b;
    assert_true(bans_punish(t, &n, &usual, BAN_REASON_PROTOCOL, random, now, &b));
    assert_int_equal(b.since_ns, now);
    return b.until_ns - now;
}

static struct bans_stats stats_of(const struct bans *t)
{
    struct bans_stats s;
    bans_stats(t, &s);
    return s;
}

static void each_ban_is_twice_as_long_up_to_the_maximum(void **state)
{
    struct bans *t = new_table();
    uint64_t now = START, expected = MINUTE;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(punish(t, "192.0.2.1", NO_LESS, now), expected);
        assert_true(is_banned(t, "192.0.2.1", now + expected - 1));
        assert_false(is_banned(t, "192.0.2.1", now + expected));
        assert_false(is_banned(t, "192.0.2.2", now));
        now += expected;
        expected = 2 * expected < DAY ? 2 * expected : DAY;
    }
    assert_int_equal(expected, DAY);
    bans_free(t);
}

static void chance_takes_up_to_a_quarter_away(void **state)
{
    struct bans *t = new_table();
    uint64_t least = punish(t, "192.0.2.1", LESS, START);
    assert_in_range(least, MINUTE * 3 / 4, MINUTE * 3 / 4 + MINUTE / 256);
    assert_in_range(punish(t, "192.0.2.2", LESS / 2, START), MINUTE * 7 / 8 - MINUTE / 256,
                    MINUTE * 7 / 8 + MINUTE / 256);
    bans_free(t);
}

static void whoever_is_banned_is_not_banned_again(void **state)
{
    struct bans *t = new_table();
    struct network n = net("192.0.2.1");
    struct ban b;
    assert_int_equal(punish(t, "192.0.2.1", NO_LESS, START), MINUTE);
    assert_false(bans_punish(t, &n, &usual, BAN_REASON_EXCESS, 0, START + 1, &b));
    assert_int_equal(b.until_ns, START + MINUTE);
    assert_int_equal(b.reason, BAN_REASON_PROTOCOL);
    assert_int_equal(b.level, 1);
    assert_int_equal(bans_seq(t), 1);
    struct network nobody = {.kind = ADDR_NONE};
    assert_false(bans_punish(t, &nobody, &usual, BAN_REASON_EXCESS, 0, START, &b));
    bans_set(t, &nobody, MINUTE, BAN_REASON_OPERATOR, START);
    struct addr no_one = {.kind = ADDR_NONE};
    assert_false(bans_find(t, &no_one, START, NULL));
    bans_free(t);
}

static void history_fades(void **state)
{
    struct bans *t = new_table();
    uint64_t now = START;
    for (unsigned i = 0; i < 3; i++)
        now += punish(t, "192.0.2.1", NO_LESS, now); /* 1, 2, 4 minutes */
    /* One day without a ban takes one of the three away, three days take all. */
    assert_int_equal(punish(t, "192.0.2.1", NO_LESS, now + DAY), 4 * MINUTE);
    now += DAY + 4 * MINUTE;
    bans_sweep(t, now + 3 * DAY - 1);
    assert_int_equal(stats_of(t).entries, 1);
    assert_int_equal(stats_of(t).banned, 0);
    bans_sweep(t, now + 3 * DAY);
    assert_int_equal(stats_of(t).entries, 0);
    assert_int_equal(punish(t, "192.0.2.1", NO_LESS, now + 3 * DAY), MINUTE);
    bans_free(t);
}

static void the_longest_prefix_counts(void **state)
{
    struct bans *t = new_table();
    struct network n24 = net("192.0.2.0/24"), n8 = net("192.0.0.0/8"), v6 = net("2001:db8::/48"), user = net("uid:7");
    struct addr a = addr_of("192.0.2.1");
    struct ban b;
    bans_set(t, &n8, MINUTE, BAN_REASON_OPERATOR, START);
    bans_set(t, &n24, BAN_FOR_EVER, BAN_REASON_OPERATOR, START);
    bans_set(t, &v6, MINUTE, BAN_REASON_OPERATOR, START);
    bans_set(t, &user, MINUTE, BAN_REASON_OPERATOR, START);
    assert_true(bans_find(t, &a, START, &b));
    assert_true(network_equal(&b.who, &n24));
    assert_true(is_banned(t, "192.9.9.9", START));
    assert_false(is_banned(t, "193.0.2.1", START));
    assert_true(is_banned(t, "2001:db8::77", START));
    assert_false(is_banned(t, "2001:db8:1::77", START));
    assert_true(is_banned(t, "uid:7", START));
    assert_false(is_banned(t, "uid:8", START));
    assert_int_equal(punish(t, "192.0.2.1", NO_LESS, START), MINUTE);
    assert_true(bans_find(t, &a, START, &b));
    assert_int_equal(b.who.bits, 32);
    /* Without end, and beyond what the clock can reach. */
    assert_true(is_banned(t, "192.0.2.9", UINT64_MAX - 1));
    assert_true(bans_lift(t, &n24, START));
    assert_true(is_banned(t, "192.0.2.9", START)); /* by the /8 */
    assert_false(is_banned(t, "192.0.2.9", START + MINUTE));
    bans_free(t);
}

static void an_operator_has_the_last_word(void **state)
{
    struct bans *t = new_table();
    struct network n = net("192.0.2.1");
    punish(t, "192.0.2.1", NO_LESS, START);
    bans_set(t, &n, 5 * NS_PER_S, BAN_REASON_OPERATOR, START);
    assert_false(is_banned(t, "192.0.2.1", START + 5 * NS_PER_S));
    assert_int_equal(punish(t, "192.0.2.1", NO_LESS, START + 6 * NS_PER_S), 2 * MINUTE); /* it is still known */
    assert_true(bans_lift(t, &n, START + 7 * NS_PER_S));
    assert_false(bans_lift(t, &n, START + 7 * NS_PER_S));
    assert_int_equal(punish(t, "192.0.2.1", NO_LESS, START + 8 * NS_PER_S), MINUTE); /* it is forgiven */
    assert_int_equal(stats_of(t).set[BAN_REASON_OPERATOR], 1);
    assert_int_equal(stats_of(t).set[BAN_REASON_PROTOCOL], 3);
    assert_int_equal(stats_of(t).lifted, 1);
    bans_free(t);
}

static void changes_are_told_in_order_and_losses_too(void **state)
{
    struct bans *t = new_table();
    struct ban_change changes[4];
    bool lost;
    struct network first = nth(0);
    bans_set(t, &first, MINUTE, BAN_REASON_OPERATOR, START);
    assert_true(bans_lift(t, &first, START));
    assert_int_equal(bans_changes(t, 0, changes, 4, &lost), 2);
    assert_false(lost);
    assert_int_equal(changes[0].seq, 1);
    assert_int_equal(changes[0].event, BAN_SET);
    assert_int_equal(changes[1].event, BAN_LIFTED);
    assert_true(network_equal(&changes[1].ban.who, &first));
    assert_int_equal(bans_changes(t, 2, changes, 4, &lost), 0);
    assert_false(lost);
    for (uint32_t i = 0; i < BANS_FEED; i++) {
        struct network n = nth(i % 100);
        bans_set(t, &n, MINUTE, BAN_REASON_OPERATOR, START);
    }
    assert_int_equal(bans_changes(t, 2, changes, 4, &lost), 4); /* just so */
    assert_int_equal(changes[0].seq, 3);
    assert_int_equal(bans_changes(t, 1, changes, 4, &lost), 0);
    assert_true(lost);
    assert_int_equal(bans_changes(t, bans_seq(t) + 1, changes, 4, &lost), 0); /* of another table */
    assert_true(lost);
    bans_free(t);
}

/* More than fit: history goes first, then bans that end first, and operators' bans last. */
static void a_full_set_replaces_what_is_missed_least(void **state)
{
    struct bans *t = new_table(); /* 128 sets */
    size_t capacity = stats_of(t).capacity;
    struct network precious = nth(0);
    bans_set(t, &precious, NS_PER_S, BAN_REASON_OPERATOR, START);
    for (uint32_t i = 1; i <= 8 * capacity; i++) {
        struct network n = nth(i);
        struct ban b;
        assert_true(bans_punish(t, &n, &usual, BAN_REASON_PROTOCOL, property_magnitude(&(struct property_rng){i}, 64),
                                START, &b));
    }
    struct bans_stats s = stats_of(t);
    assert_int_equal(s.entries, capacity);
    assert_int_equal(s.banned, capacity);
    assert_int_equal(s.replaced, 8 * capacity + 1 - capacity);
    assert_true(is_banned(t, "10.0.0.0", START));
    /* When all have run out, newcomers cost no ban. */
    struct network late = nth(UINT16_MAX * 4);
    bans_set(t, &late, MINUTE, BAN_REASON_OPERATOR, START + MINUTE);
    assert_int_equal(stats_of(t).replaced, s.replaced);
    bans_sweep(t, START + 3 * DAY);
    assert_int_equal(stats_of(t).entries, 0);
    bans_free(t);
}

/* Weir would not find out again what a list says: it stays, and bans that Weir found out itself give way. */
static void a_list_stays_too(void **state)
{
    struct bans *t = new_table();
    struct network listed = nth(0);
    bans_set(t, &listed, BAN_FOR_EVER, BAN_REASON_LIST, START);
    for (uint32_t i = 1; i <= 8 * stats_of(t).capacity; i++) {
        struct network n = nth(i);
        struct ban b;
        assert_true(bans_punish(t, &n, &usual, BAN_REASON_EXCESS, i, START, &b));
    }
    struct ban b;
    assert_true(bans_get(t, &listed, START, &b));
    assert_int_equal(b.reason, BAN_REASON_LIST);
    assert_int_equal(b.until_ns, BAN_FOR_EVER);
    bans_free(t);
}

/* Bans of operators stay: where there is room for no more, the newest is refused, and that shows. */
static void what_is_wanted_is_refused_or_stays(void **state)
{
    struct bans *t = new_table();
    size_t capacity = stats_of(t).capacity, done = 0;
    struct ban b;
    for (uint32_t i = 0; i < 4 * capacity; i++) {
        struct network n = nth(i);
        done += bans_set(t, &n, BAN_FOR_EVER, i % 2 ? BAN_REASON_LIST : BAN_REASON_OPERATOR, START);
    }
    assert_int_equal(done, capacity);
    assert_int_equal(stats_of(t).banned, capacity);
    assert_int_equal(stats_of(t).refused, 3 * capacity);
    assert_int_equal(stats_of(t).replaced, 0);
    struct network late = nth(5 * (uint32_t)capacity);
    assert_false(bans_punish(t, &late, &usual, BAN_REASON_EXCESS, 0, START, &b));
    assert_int_equal(stats_of(t).refused, 3 * capacity + 1);
    const struct ban old = {.who = late, .reason = BAN_REASON_EXCESS, .level = 1, .until_ns = START + MINUTE};
    assert_false(bans_restore(t, &old, START));
    bans_free(t);
}

/* With one set of 8 for each network some of 50000 found it full. */
static void two_thirds_of_the_table_can_be_used(void **state)
{
    for (uint8_t key = 0; key < 5; key++) {
        struct bans *t = bans_new(65536, &(struct hash_key){{key}});
        assert_non_null(t);
        for (uint32_t i = 0; i < 65536 / 3 * 2; i++) {
            struct network n = nth(i);
            assert_true(bans_set(t, &n, BAN_FOR_EVER, BAN_REASON_OPERATOR, START));
        }
        assert_int_equal(stats_of(t).banned, 65536 / 3 * 2);
        assert_int_equal(stats_of(t).replaced, 0);
        bans_free(t);
    }
}

static void exactly_this_network(void **state)
{
    struct bans *t = new_table();
    struct network wide = net("192.0.2.0/24"), narrow = net("192.0.2.0");
    bans_set(t, &wide, MINUTE, BAN_REASON_OPERATOR, START);
    assert_true(bans_get(t, &wide, START, NULL));
    assert_false(bans_get(t, &narrow, START, NULL));
    assert_false(bans_get(t, &wide, START + MINUTE, NULL));
    bans_free(t);
}

static void ends_are_told_once(void **state)
{
    struct bans *t = new_table();
    struct ban ended[4];
    bool lost;
    struct network lifted = net("192.0.2.2"), kept = net("192.0.2.3");
    punish(t, "192.0.2.1", NO_LESS, START);
    bans_set(t, &lifted, MINUTE, BAN_REASON_OPERATOR, START);
    bans_set(t, &kept, BAN_FOR_EVER, BAN_REASON_OPERATOR, START);
    assert_true(bans_lift(t, &lifted, START));
    bans_sweep(t, START + MINUTE - 1);
    assert_int_equal(bans_ended_seq(t), 0);
    /* Seen by an offence before any sweep: told all the same. */
    punish(t, "192.0.2.1", NO_LESS, START + MINUTE);
    bans_sweep(t, START + MINUTE);
    bans_sweep(t, START + MINUTE);
    assert_int_equal(bans_ended_seq(t), 1);
    assert_int_equal(bans_ended(t, 0, ended, 4, &lost), 1);
    assert_false(lost);
    assert_int_equal(ended[0].who.bytes[3], 1);
    assert_int_equal(ended[0].level, 1);
    assert_int_equal(ended[0].until_ns, START + MINUTE);
    bans_sweep(t, START + 10 * DAY); /* the second one, and its history */
    assert_int_equal(bans_ended(t, 1, ended, 4, &lost), 1);
    for (uint32_t i = 0; i < BANS_FEED; i++) {
        struct network n = nth(i % 100);
        bans_set(t, &n, 1, BAN_REASON_OPERATOR, START + 10 * DAY);
        bans_sweep(t, START + 11 * DAY);
    }
    assert_int_equal(bans_ended(t, 1, ended, 4, &lost), 0);
    assert_true(lost);
    bans_free(t);
}

/* An operator who lifts a ban that has just run out. */
static void a_lift_notices_an_end(void **state)
{
    struct bans *t = new_table();
    struct ban ended[4];
    bool lost;
    struct network n = net("192.0.2.1");
    punish(t, "192.0.2.1", NO_LESS, START);
    assert_false(bans_lift(t, &n, START + MINUTE));
    assert_int_equal(bans_ended(t, 0, ended, 4, &lost), 1);
    assert_true(network_equal(&ended[0].who, &n));
    assert_int_equal(ended[0].until_ns, START + MINUTE);
    assert_int_equal(stats_of(t).lifted, 0);
    assert_int_equal(stats_of(t).banned, 0);
    assert_int_equal(punish(t, "192.0.2.1", NO_LESS, START + 2 * MINUTE), MINUTE); /* its history is forgotten */
    bans_free(t);
}

static size_t count_pages(struct bans *t, bool with_history, uint64_t now, size_t max)
{
    struct ban page[64];
    size_t cursor = 0, sum = 0;
    while (cursor != BANS_END) {
        size_t n = bans_page(t, &cursor, with_history, now, page, max);
        assert_true(n <= max);
        for (size_t i = 0; i < n; i++)
            assert_true(with_history || page[i].until_ns > now);
        sum += n;
    }
    return sum;
}

static void pages_show_each_entry_once(void **state)
{
    struct bans *t = new_table();
    assert_int_equal(count_pages(t, true, START, 8), 0);
    /* So few that no set overflows, with any key. */
    for (uint32_t i = 0; i < 90; i++) {
        struct network n = nth(i);
        struct ban b;
        const struct ban_terms terms = {.for_ns = i < 30 ? NS_PER_S : MINUTE, .max_ns = DAY};
        assert_true(bans_punish(t, &n, &terms, BAN_REASON_EXCESS, NO_LESS, START, &b));
    }
    assert_int_equal(count_pages(t, false, START, 8), 90);
    assert_int_equal(count_pages(t, false, START, 64), 90);
    assert_int_equal(count_pages(t, false, START + NS_PER_S, 13), 60);
    assert_int_equal(count_pages(t, true, START + NS_PER_S, 64), 90);
    bans_free(t);
}

static void what_is_restored_goes_on(void **state)
{
    struct bans *t = new_table();
    struct ban running = {.who = net("192.0.2.1"),
                          .reason = BAN_REASON_EXCESS,
                          .level = 3,
                          .since_ns = START - MINUTE,
                          .until_ns = START + MINUTE,
                          .fade_at_ns = START + DAY,
                          .fade_ns = DAY};
    struct ban past = running, nothing = {.who = net("192.0.2.3")};
    past.who = net("192.0.2.2");
    past.until_ns = START - 1;
    bans_restore(t, &running, START);
    bans_restore(t, &running, START); /* twice is no harm */
    bans_restore(t, &past, START);
    bans_restore(t, &nothing, START);
    assert_int_equal(stats_of(t).entries, 2);
    assert_int_equal(stats_of(t).banned, 1);
    assert_true(is_banned(t, "192.0.2.1", START));
    assert_false(is_banned(t, "192.0.2.1", START + MINUTE));
    assert_int_equal(punish(t, "192.0.2.2", NO_LESS, START), 8 * MINUTE);
    bans_free(t);
}

/* ---- against a list ---- */

#define NAMES 24u

struct naive {
    uint64_t until, peace_from;
    unsigned level;
};

static unsigned level_at(const struct naive *n, uint64_t now)
{
    uint64_t days = now > n->peace_from ? (now - n->peace_from) / DAY : 0;
    return days < n->level ? n->level - (unsigned)days : 0;
}

static void naive_punish(struct naive *n, uint64_t now)
{
    if (n->until > now)
        return;
    unsigned level = level_at(n, now);
    uint64_t ns = level < 11 ? MINUTE << level : DAY;
    *n = (struct naive){.until = now + ns, .peace_from = now + ns, .level = level + 1};
}

static void it_agrees_with_a_naive_list(void **state)
{
    struct property_rng rng = property_rng_new("bans");
    for (unsigned run = 0; run < 50; run++) {
        struct bans *t = new_table();
        struct naive naive[NAMES] = {{0}};
        uint64_t now = START;
        for (unsigned i = 0; i < 600; i++) {
            uint32_t name = (uint32_t)property_below(&rng, NAMES);
            struct network who = nth(name);
            struct addr a = {.kind = ADDR_V4, .bytes = {10, 0, 0, (uint8_t)name}};
            struct ban b;
            bool was = naive[name].until > now;
            assert_int_equal(bans_find(t, &a, now, NULL), was);
            uint64_t dice = property_below(&rng, 10);
            if (dice < 7) {
                naive_punish(&naive[name], now);
                assert_int_equal(bans_punish(t, &who, &usual, BAN_REASON_PROTOCOL, NO_LESS, now, &b), !was);
                assert_int_equal(b.until_ns, naive[name].until);
            } else if (dice == 7) {
                assert_int_equal(bans_lift(t, &who, now), was);
                naive[name] = (struct naive){0};
            } else {
                bans_sweep(t, now);
            }
            now += property_magnitude(&rng, 47);
        }
        bans_free(t);
    }
}

/* ---- threads ---- */

static struct bans *shared;

static void *ban_and_look(void *arg)
{
    struct property_rng rng = {(uint64_t)(uintptr_t)arg};
    struct ban_change changes[16];
    struct ban page[16], b;
    bool lost;
    for (unsigned i = 0; i < 20000; i++) {
        struct network who = nth((uint32_t)property_below(&rng, 3000));
        struct addr a = {.kind = ADDR_V4};
        memcpy(a.bytes, who.bytes, 4);
        size_t cursor = property_below(&rng, 100);
        switch (property_below(&rng, 6)) {
        case 0:
            (void)!bans_punish(shared, &who, &usual, BAN_REASON_EXCESS, property_next(&rng), START + i * NS_PER_S, &b);
            break;
        case 1:
            bans_lift(shared, &who, START + i * NS_PER_S);
            break;
        case 2:
            (void)bans_page(shared, &cursor, true, START, page, 16);
            break;
        case 3:
            (void)bans_changes(shared, bans_seq(shared) / 2, changes, 16, &lost);
            break;
        default:
            bans_find(shared, &a, START, &b);
        }
    }
    return NULL;
}

static void threads_share_the_table(void **state)
{
    pthread_t threads[4];
    shared = new_table();
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ban_and_look, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(stats_of(shared).entries, count_pages(shared, true, START, 64));
    bans_sweep(shared, UINT64_MAX);
    assert_int_equal(stats_of(shared).entries, 0);
    assert_int_equal(stats_of(shared).banned, 0);
    bans_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_ban_is_twice_as_long_up_to_the_maximum),
        cmocka_unit_test(chance_takes_up_to_a_quarter_away),
        cmocka_unit_test(whoever_is_banned_is_not_banned_again),
        cmocka_unit_test(history_fades),
        cmocka_unit_test(the_longest_prefix_counts),
        cmocka_unit_test(an_operator_has_the_last_word),
        cmocka_unit_test(changes_are_told_in_order_and_losses_too),
        cmocka_unit_test(a_full_set_replaces_what_is_missed_least),
        cmocka_unit_test(a_list_stays_too),
        cmocka_unit_test(what_is_wanted_is_refused_or_stays),
        cmocka_unit_test(two_thirds_of_the_table_can_be_used),
        cmocka_unit_test(exactly_this_network),
        cmocka_unit_test(ends_are_told_once),
        cmocka_unit_test(a_lift_notices_an_end),
        cmocka_unit_test(pages_show_each_entry_once),
        cmocka_unit_test(what_is_restored_goes_on),
        cmocka_unit_test(it_agrees_with_a_naive_list),
        cmocka_unit_test(threads_share_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
