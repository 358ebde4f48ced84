/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/source.h"

#include "base/property.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN true
#else
#define UNDER_TSAN false
#endif

#define START   NS_PER_S
#define MILLION 1000000u
#define THREADS 4

static const struct hash_key key = {{9, 8, 7}};
static const struct rate rate = {10, NS_PER_S, 4}; /* T = 100 ms; 5 at once */

static struct source_key v4(uint32_t address)
{
    return (struct source_key){(uint64_t)address << 32, SOURCE_V4};
}

static struct source_table *new_table(size_t capacity)
{
    struct source_table *t = source_table_new(capacity, &key);
    assert_non_null(t);
    return t;
}

static struct source_stats stats_of(const struct source_table *t)
{
    struct source_stats s;
    source_table_stats(t, &s);
    return s;
}

static uint64_t send_one(struct source *s, uint64_t now)
{
    return gcra_admit(&s->limiters[SOURCE_MESSAGES], &rate, 1, now);
}

static void check_steps(struct addr *a, const char *own, const char *prefix)
{
    struct source_table *t = new_table(0);
    char text[ADDR_TEXT_MAX];
    struct source_key k = source_key_of(a);
    struct source *s = source_acquire(t, k, START);
    assert_string_equal(source_format(text, sizeof(text), s), own);
    k = source_key_coarser(k);
    assert_string_equal(source_format(text, sizeof(text), source_acquire(t, k, START)), prefix);
    k = k.kind == SOURCE_ALL ? k : source_key_coarser(k);
    assert_string_equal(source_format(text, sizeof(text), source_acquire(t, k, START)), "all");
    assert_int_equal(source_key_coarser(k).kind, SOURCE_ALL);
    source_table_free(t);
}

static void keys_become_coarser_step_by_step(void **state)
{
    struct addr a = {.kind = ADDR_V4, .port = 7, .bytes = {192, 0, 2, 77}};
    check_steps(&a, "192.0.2.77", "192.0.2.0/24");
    struct addr b = {.kind = ADDR_V6, .bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0xff, 0xff, 0, 0, 0, 0, 0, 1}};
    check_steps(&b, "2001:db8:1:2::/64", "2001:db8:1::/48");
    struct addr c;
    addr_from_uid(&c, 1000);
    check_steps(&c, "uid:1000", "all");
    struct addr d = {.kind = ADDR_NONE};
    check_steps(&d, "all", "all");
}

static void ports_and_interface_ids_do_not_make_new_sources(void **state)
{
    struct source_table *t = new_table(0);
    struct addr a = {.kind = ADDR_V6, .port = 1, .bytes = {0x20, 1, 0xd, 0xb8, [15] = 1}}, b = a;
    b.port = 2;
    b.bytes[8] = b.bytes[15] = 0xff;
    assert_ptr_equal(source_acquire(t, source_key_of(&a), START), source_acquire(t, source_key_of(&b), START));
    b.bytes[7] = 1;
    assert_ptr_not_equal(source_acquire(t, source_key_of(&a), START), source_acquire(t, source_key_of(&b), START));
    source_table_free(t);
}

static void kinds_with_equal_bits_are_different_sources(void **state)
{
    struct source_table *t = new_table(0);
    struct source_key a = {0xc000020000000000, SOURCE_V4}, b = {0xc000020000000000, SOURCE_V4_24},
                      c = {0xc000020000000000, SOURCE_V6_64};
    struct source *s = source_acquire(t, a, START);
    assert_ptr_not_equal(s, source_acquire(t, b, START));
    assert_ptr_not_equal(s, source_acquire(t, c, START));
    assert_ptr_equal(s, source_acquire(t, a, START));
    source_table_free(t);
}

static void a_source_is_remembered_until_it_has_drained(void **state)
{
    struct source_table *t = new_table(0);
    struct source *s = source_acquire(t, v4(1), START);
    for (int i = 0; i < 5; i++)
        assert_int_equal(send_one(s, START), 0);
    source_release(s);
    /* A reconnect gains nothing ... */
    assert_ptr_equal(source_acquire(t, v4(1), START), s);
    assert_true(send_one(s, START) > 0);
    source_release(s);
    /* ... and strangers, in any number, do not push the memory of it out. */
    for (uint32_t i = 0; i < 100000; i++)
        source_release(source_acquire(t, v4(1000 + i), START));
    assert_ptr_equal(source_acquire(t, v4(1), START), s);
    assert_true(send_one(s, START) > 0);
    source_table_free(t);
}

/* Keys that fall into the set of `first`: those that share it push it out, or are pushed aside by it. */
static unsigned fill_set_of(struct source_table *t, uint32_t first, struct source **ret_sources, unsigned n)
{
    unsigned found = 0;
    uintptr_t set = 0;
    for (uint32_t i = first; found < n; i += 256) { /* each in a /24 of its own */
        struct source *s = source_acquire(t, v4(i), START);
        if (!set)
            set = (uintptr_t)s / (8 * sizeof(*s));
        if (s->kind == SOURCE_V4 && (uintptr_t)s / (8 * sizeof(*s)) == set)
            ret_sources[found++] = s;
        else
            source_release(s);
    }
    return found;
}

/* An address, after `from`, whose own set is full: it is counted on another entry. */
static struct source *acquire_fallback(struct source_table *t, uint32_t from, uint32_t *ret_address)
{
    uint64_t before = stats_of(t).fallbacks;
    for (uint32_t i = from;; i += 256) {
        struct source *s = source_acquire(t, v4(i), START);
        if (stats_of(t).fallbacks != before) {
            *ret_address = i;
            return s;
        }
        source_release(s);
    }
}

static void busy_entries_stay_and_newcomers_share_their_prefix(void **state)
{
    struct source_table *t = new_table(0);
    struct source *busy[8];
    char text[ADDR_TEXT_MAX];
    uint32_t address;
    fill_set_of(t, 256, busy, 8);
    struct source *s = acquire_fallback(t, 0x40000000, &address);
    assert_int_equal(s->kind, SOURCE_V4_24);
    assert_int_equal(s->bits, (uint64_t)(address & 0xffffff00) << 32);
    source_format(text, sizeof(text), s);
    assert_non_null(strstr(text, "/24"));
    for (int i = 0; i < 8; i++)
        assert_int_equal(busy[i]->kind, SOURCE_V4);
    /* One of the set lets go: the newcomer now gets an entry of its own. */
    source_release(busy[3]);
    assert_ptr_equal(source_acquire(t, v4(address), START), busy[3]);
    source_table_free(t);
}

static void what_keeps_an_entry(void **state)
{
    for (int way = 0; way < 8; way++) {
        struct source_table *t = new_table(0);
        struct source *set[8];
        const struct strike_rules rules = {.strikes = 10, .within_ns = 60 * NS_PER_S};
        uint32_t address;
        fill_set_of(t, 256, set, 8);
        if (way < SOURCE_LIMITERS)
            set[5]->limiters[way] = START + 1;
        if (way == 4)
            set[5]->half_open = 1;
        if (way == 5)
            set[5]->topic_bytes = 1;
        if (way == 6)
            set[5]->limiters[0] = START; /* drained at this very moment: goes */
        if (way == 7)
            assert_int_equal(strikes_add(&set[5]->strikes, &rules, 1, START), STRIKES_QUIET);
        struct source *s = acquire_fallback(t, 0x40000000, &address);
        source_release(s);
        source_release(set[5]);
        uint64_t evicted_before = stats_of(t).evicted;
        s = source_acquire(t, v4(address), START);
        bool evicted = s == set[5];
        assert_int_equal(evicted, way == 6);
        if (evicted) { /* nothing of the old one is left */
            assert_int_equal(s->limiters[0], 0);
            assert_int_equal(s->bits, (uint64_t)address << 32);
            assert_int_equal(stats_of(t).evicted, evicted_before + 1);
        }
        source_table_free(t);
    }
}

/* All of the table busy: each source is counted somewhere, and none is refused an entry. */
static void a_table_full_of_busy_entries_falls_back_to_everyone(void **state)
{
    struct source_table *t = new_table(0);
    unsigned all = 0, prefix = 0, own = 0;
    char text[ADDR_TEXT_MAX];
    for (uint32_t i = 0; i < 20000; i++) {
        struct source *s = source_acquire(t, v4(i << 8), START);
        assert_non_null(s);
        all += s->kind == SOURCE_ALL;
        prefix += s->kind == SOURCE_V4_24;
        own += s->kind == SOURCE_V4;
    }
    struct source_stats stats = stats_of(t);
    assert_int_equal(own + prefix + all, 20000);
    assert_int_equal(stats.used, 1024);
    assert_int_equal(stats.capacity, 1024);
    assert_int_equal(stats.fallbacks, prefix + all);
    assert_int_equal(stats.evicted, 0);
    assert_true(all > 18000);
    struct source *everyone = source_acquire(t, (struct source_key){0, SOURCE_ALL}, START);
    assert_string_equal(source_format(text, sizeof(text), everyone), "all");
    assert_int_equal(everyone->refs, all + 1);
    assert_int_equal(stats_of(t).fallbacks, prefix + all);
    source_table_free(t);
}

static size_t resident_bytes(void)
{
    unsigned long size, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Each of a million sources connects, sends as much as it may, and leaves. Memory stays as it is, and all of them
 * together get no more than one full burst for each entry that exists: sources without an entry share. */
static void a_million_sources_in_fixed_memory(void **state)
{
    struct source_table *t = new_table(1 << 16);
    uint64_t passed = 0, refused = 0, now = START;
    size_t before = resident_bytes(), mapped = stats_of(t).memory_bytes;
    for (uint32_t i = 0; i < MILLION; i++) {
        struct source *s = source_acquire(t, v4(i * 2654435761u), now); /* a permutation: all are different */
        for (int n = 0; n < 6; n++) {
            bool passes = send_one(s, now) == 0;
            passed += passes;
            refused += !passes;
        }
        source_release(s);
    }
    struct source_stats stats = stats_of(t);
    assert_int_equal(stats.memory_bytes, mapped);
    assert_true(mapped < (1 << 16) * 64 + 16384);
    assert_true(stats.used <= stats.capacity);
    assert_true(passed <= (stats.capacity + 1) * 5);
    assert_true(refused >= MILLION); /* nobody sent all six */
    assert_int_equal(stats.evicted, 0);
    assert_true(stats.fallbacks > MILLION / 2);
    /* Sanitizers keep shadow memory of their own, in proportion; without them this is 4 MiB. */
    assert_true(resident_bytes() - before < 64u << 20);
    /* When they have drained, the next million finds room. */
    now += 10 * NS_PER_S;
    for (uint32_t i = 0; i < 1000; i++) {
        struct source *s = source_acquire(t, v4(i), now);
        assert_int_equal(s->kind, SOURCE_V4);
        assert_int_equal(send_one(s, now), 0);
        source_release(s);
    }
    source_table_free(t);
}

static void a_million_sources_fit_in_64_mib_with_room_for_each(void **state)
{
    struct source_table *t = new_table(MILLION);
    assert_int_equal(stats_of(t).capacity, 1 << 20);
    assert_true(stats_of(t).memory_bytes <= (64u << 20) + 16384);
    for (uint32_t i = 0; i < MILLION / 2; i++)
        source_release(source_acquire(t, v4(i), START + i));
    /* Half full: all drained entries are forgettable, so no source ever has to share. */
    assert_int_equal(stats_of(t).fallbacks, 0);
    source_table_free(t);
}

struct visitor {
    pthread_t thread;
    struct source_table *table;
    uint64_t seed, admitted, wrong;
};

#define VISITS 30000
#define GUESTS 3000u /* more than the table holds */

static bool covers(const struct source *s, struct source_key k)
{
    for (;; k = source_key_coarser(k)) {
        if (s->kind == k.kind && (s->bits == k.bits || k.kind == SOURCE_ALL))
            return true;
        if (k.kind == SOURCE_ALL)
            return false;
    }
}

static void *come_and_go(void *arg)
{
    struct visitor *v = arg;
    struct property_rng rng = {v->seed};
    struct source *held[16] = {NULL};
    struct source_key keys[16];
    for (int i = 0; i < VISITS; i++) {
        unsigned slot = (unsigned)property_below(&rng, 16);
        if (held[slot]) {
            /* A held entry never changes hands. */
            v->wrong += !covers(held[slot], keys[slot]);
            source_release(held[slot]);
        }
        keys[slot] = v4((uint32_t)property_below(&rng, GUESTS) << 8);
        held[slot] = source_acquire(v->table, keys[slot], START + (uint64_t)i * 1000);
        v->wrong += !covers(held[slot], keys[slot]);
        v->admitted += gcra_admit(&held[slot]->limiters[0], &rate, 1, START) == 0;
    }
    for (unsigned slot = 0; slot < 16; slot++)
        if (held[slot])
            source_release(held[slot]);
    return NULL;
}

static void threads_share_the_table(void **state)
{
    struct property_rng rng = property_rng_new("source");
    struct source_table *t = new_table(0);
    struct visitor visitors[THREADS];
    uint64_t admitted = 0;
    for (int i = 0; i < THREADS; i++) {
        visitors[i] = (struct visitor){.table = t, .seed = property_next(&rng)};
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, come_and_go, &visitors[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(visitors[i].thread, NULL);
        assert_int_equal(visitors[i].wrong, 0);
        admitted += visitors[i].admitted;
    }
    /* Hardly any time passes, so each entry gives one burst at most, to any sources that it stands for. */
    assert_true(admitted <= (stats_of(t).capacity + 1) * 5);
    assert_true(admitted >= 5);
    for (uint32_t i = 0; i < GUESTS; i++) { /* all references came back */
        struct source *s = source_acquire(t, v4(i << 8), START + 100 * NS_PER_S);
        assert_int_equal(s->kind, SOURCE_V4);
        assert_int_equal(s->refs, 1);
        source_release(s);
    }
    source_table_free(t);
}

static void a_new_rate_forgives_what_the_old_one_made_them_owe(void **state)
{
    const struct rate hour = {1, 3600 * NS_PER_S, 0};
    const struct rate rates[SOURCE_LIMITERS] = {rate, rate, rate, rate, rate};
    struct source_table *t = new_table(1024);
    for (uint32_t i = 0; i < 2000; i++) { /* more than there are entries: prefixes and everyone too */
        struct source *s = source_acquire(t, v4(i * 4096), START);
        for (unsigned k = 0; k < SOURCE_LIMITERS; k++)
            (void)gcra_charge(&s->limiters[k], &hour, 1, START);
    }
    source_table_forgive(t, rates, START);
    for (uint32_t i = 0; i < 2000; i++) {
        struct source *s = source_acquire(t, v4(i * 4096), START);
        for (unsigned k = 0; k < SOURCE_LIMITERS; k++)
            assert_int_equal(gcra_wait_ns(&s->limiters[k], &rate, 1, START), rate.period_ns / rate.count);
    }
    source_table_free(t);
}

static size_t resident_pages(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
    fclose(f);
    return pages;
}

/* 64 MiB of entries of which one is used: the others get no memory. */
static void a_pardon_touches_only_what_is_used(void **state)
{
    const struct strike_rules rules = {.strikes = 10, .within_ns = 3600 * NS_PER_S};
    struct source_table *t = new_table(1024 * 1024);
    struct source *s = source_acquire(t, v4(1), START);
    assert_int_equal(strikes_add(&s->strikes, &rules, 1, START), STRIKES_QUIET);
    /* ThreadSanitizer keeps a shadow of what is read. */
    size_t before = resident_pages();
    source_table_pardon(t);
    size_t after = resident_pages();
    if (!UNDER_TSAN)
        assert_true(after < before + 1024); /* 4 MiB: reading maps no page of its own */
    assert_int_equal(strikes_score(&s->strikes, &rules, START), 0);
    source_table_free(t);
}

/* Those of the entries that many share, too: 2000 strikes of 4000 at most. */
static void a_pardon_takes_all_strikes_back(void **state)
{
    const struct strike_rules rules = {.strikes = 4000, .within_ns = 3600 * NS_PER_S};
    struct source_table *t = new_table(1024);
    for (uint32_t i = 0; i < 2000; i++) {
        struct source *s = source_acquire(t, v4(i * 4096), START);
        assert_int_equal(strikes_add(&s->strikes, &rules, 1, START), STRIKES_QUIET);
        assert_int_not_equal(strikes_score(&s->strikes, &rules, START), 0);
    }
    source_table_pardon(t);
    for (uint32_t i = 0; i < 2000; i++) {
        struct source *s = source_acquire(t, v4(i * 4096), START);
        assert_int_equal(strikes_score(&s->strikes, &rules, START), 0);
    }
    source_table_free(t);
}

#define MINUTE (60 * NS_PER_S)
#define HOUR   (60 * MINUTE)

static void a_good_standing_lasts_as_long_as_it_is_asked_for(void **state)
{
    struct source_table *t = new_table(0);
    struct source *s = source_acquire(t, v4(1), START);
    assert_false(source_in_good_standing(s, HOUR, START));
    source_note_good(s, START);
    for (uint64_t age = 0; age <= HOUR; age += MINUTE)
        assert_true(source_in_good_standing(s, HOUR, START + age));
    /* One step of 275 s more, at most two with the one that had begun. */
    assert_false(source_in_good_standing(s, HOUR, START + HOUR + 10 * MINUTE));
    assert_true(source_in_good_standing(s, 2 * HOUR, START + HOUR + 10 * MINUTE));
    assert_false(source_in_good_standing(s, 0, START));
    source_table_free(t);
}

static void an_old_standing_is_forgotten_before_it_looks_fresh_again(void **state)
{
    struct source_table *t = new_table(0);
    struct source *s = source_acquire(t, v4(1), START);
    source_note_good(s, START);
    source_release(s);
    assert_ptr_equal(source_acquire(t, v4(1), START + 13 * HOUR), s);
    for (uint64_t age = 13 * HOUR; age < 40 * HOUR; age += MINUTE)
        assert_false(source_in_good_standing(s, HOUR, START + age));
    source_table_free(t);
}

/* Of a full set of drained entries the strangers go first, then those that were good longest ago. */
static void who_was_good_lately_is_missed_most(void **state)
{
    struct source_table *t = new_table(0);
    struct source *set[8];
    uint64_t now = START + HOUR;
    assert_int_equal(fill_set_of(t, 1, set, 8), 8);
    for (unsigned i = 0; i < 8; i++) {
        if (i != 5)
            source_note_good(set[i], now - 45 * MINUTE + (uint64_t)(8 - i) * 5 * MINUTE);
        source_release(set[i]);
    }
    uint64_t stranger = set[5]->bits, oldest = set[7]->bits;
    for (uint32_t i = 5; set[5]->bits == stranger; i += 256)
        source_release(source_acquire(t, v4(i), now));
    assert_int_equal(set[7]->bits, oldest);
    source_note_good(set[5], now);
    for (uint32_t i = 7; set[7]->bits == oldest; i += 256)
        source_release(source_acquire(t, v4(i), now));
    for (unsigned i = 0; i < 7; i++)
        assert_true(source_in_good_standing(set[i], HOUR, now));
    source_table_free(t);
}

static void impossible_capacities_are_refused(void **state)
{
    assert_null(source_table_new(SIZE_MAX, &key));
    assert_null(source_table_new(SIZE_MAX / 64, &key));
    source_table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_become_coarser_step_by_step),
        cmocka_unit_test(ports_and_interface_ids_do_not_make_new_sources),
        cmocka_unit_test(kinds_with_equal_bits_are_different_sources),
        cmocka_unit_test(a_source_is_remembered_until_it_has_drained),
        cmocka_unit_test(busy_entries_stay_and_newcomers_share_their_prefix),
        cmocka_unit_test(what_keeps_an_entry),
        cmocka_unit_test(a_table_full_of_busy_entries_falls_back_to_everyone),
        cmocka_unit_test(a_million_sources_in_fixed_memory),
        cmocka_unit_test(a_million_sources_fit_in_64_mib_with_room_for_each),
        cmocka_unit_test(threads_share_the_table),
        cmocka_unit_test(a_new_rate_forgives_what_the_old_one_made_them_owe),
        cmocka_unit_test(a_pardon_takes_all_strikes_back),
        cmocka_unit_test(a_pardon_touches_only_what_is_used),
        cmocka_unit_test(a_good_standing_lasts_as_long_as_it_is_asked_for),
        cmocka_unit_test(an_old_standing_is_forgotten_before_it_looks_fresh_again),
        cmocka_unit_test(who_was_good_lately_is_missed_most),
        cmocka_unit_test(impossible_capacities_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
