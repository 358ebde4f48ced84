/* SPDX-License-Identifier: MPL-2.0 */
/* Rules that every row keeps, and the defaults as literal numbers, so that a slip in the table shows. */
#include "config/schema.h"

#include "base/attr.h"
#include "config/reference.h"
#include "config/value.h"
#include "config/value_words.h"
#include "limits/verdict.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KiB (1024ull)
#define MiB (1024ull * 1024)

static bool is_integer(const struct schema_key *k)
{
    return k->type == SCHEMA_NUMBER || k->type == SCHEMA_SIZE || k->type == SCHEMA_DURATION || k->type == SCHEMA_SPEED;
}

static bool has_range(const struct schema_key *k)
{
    return is_integer(k) || k->type == SCHEMA_RATE || k->type == SCHEMA_BYTE_RATE;
}

/* A struct config or config_gate to write into. */
static void *room(void)
{
    void *p = calloc(1, sizeof(struct config) + sizeof(struct config_gate));
    assert_non_null(p);
    return p;
}

static void check_row(const struct schema_key *k)
{
    char why[VALUE_WHY_MAX], text[VALUE_TEXT_MAX];
    void *base = room();
    assert_true(strlen(k->path) < SCHEMA_PATH_MAX);
    assert_non_null(k->doc);
    assert_int_equal(k->doc[strlen(k->doc) - 1], '.');
    assert_true(!k->reached || k->reached[strlen(k->reached) - 1] == '.');
    assert_true((k->preset != NULL) != (k->preset_words != NULL));
    assert_int_equal(k->choices != NULL, k->type == SCHEMA_CHOICE);
    assert_int_equal(has_range(k) || schema_is_list(k), k->min != NULL && k->max != NULL);
    assert_int_equal(k->items != NULL, k->type == SCHEMA_OBJECTS);
    if (schema_is_list(k)) {
        assert_true(schema_items_least(k) <= schema_items_most(k) && schema_items_most(k) > 0);
        assert_int_equal(k->width, sizeof(struct schema_list));
        assert_int_equal(value_set(k, "1", base, why), -EINVAL);
    }
    if (has_range(k)) {
        assert_int_equal(value_set(k, k->max, base, why), 0);
        assert_int_equal(value_set(k, k->min, base, why), 0);
    }
    if (k->preset)
        assert_int_equal(value_set(k, k->preset, base, why), 0);
    if (k->preset && k->type != SCHEMA_BOOL) /* written in its shortest form */
        assert_string_equal(value_words_format(text, k, base), k->preset);
    free(base);
}

static void test_every_row_is_sound(void **state)
{
    for (size_t s = 0; s < SCHEMAS; s++)
        for (size_t i = 0; i < schemas[s]->count; i++)
            check_row(&schemas[s]->keys[i]);
}

/* The reader takes the first row of a section for its identity. */
static void test_rows_of_a_section_stand_together(void **state)
{
    for (size_t s = 0; s < SCHEMAS; s++)
        for (size_t i = 0; i < schemas[s]->count; i++)
            for (size_t j = i + 1; j < schemas[s]->count; j++) {
                const char *a = schemas[s]->keys[i].path, *b = schemas[s]->keys[j].path, *dot = strrchr(a, '.');
                assert_string_not_equal(a, b);
                if (!dot || strncmp(a, b, (size_t)(dot - a) + 1))
                    continue;
                assert_int_equal(strncmp(schemas[s]->keys[j - 1].path, a, (size_t)(dot - a) + 1), 0);
            }
}

/* Two rows that write the same bytes would silently undo one another; a burst lies inside the struct of its rate. */
static void test_rows_have_fields_of_their_own(void **state)
{
    for (size_t s = 0; s < SCHEMAS; s++)
        for (size_t i = 0; i < schemas[s]->count; i++)
            for (size_t j = i + 1; j < schemas[s]->count; j++)
                assert_int_not_equal(schemas[s]->keys[i].offset, schemas[s]->keys[j].offset);
}

static void test_defaults_of_the_top_level(void **state)
{
    struct config c = {0};
    value_set_defaults(&schema_top, &c);
    assert_false(c.admin.enabled);
    assert_int_equal(c.workers, 0);
    assert_int_equal(c.memory_bytes, 256 * MiB);
    assert_int_equal(c.sources, 65536);
    assert_int_equal(c.drain_ns, 5 * NS_PER_S);
    assert_string_equal(c.state_file, "");
    assert_string_equal(c.kernel_table, "weir");
    assert_int_equal(c.log_level, LOG_LEVEL_INFO);
}

static void test_defaults_of_a_gate(void **state)
{
    struct config_gate g = {0};
    const struct limits *l = &g.limits;
    value_set_defaults(&schema_gate, &g);
    assert_int_equal(g.socket, SOCKET_AUTO);
    assert_true(g.zmtp2);
    assert_int_equal(l->connections.max, 960);
    assert_int_equal(l->connections.half_open, 512);
    assert_int_equal(l->handshake.bytes, 8 * KiB);
    assert_int_equal(l->handshake.within_ns, 5 * NS_PER_S);
    assert_int_equal(l->message.frame_bytes, 256 * MiB);
    assert_int_equal(l->message.size_bytes, 256 * MiB);
    assert_int_equal(l->message.frames, 4194304);
    assert_int_equal(l->message.hold_bytes, 64 * KiB);
    assert_int_equal(l->message.complete_within_ns, 60 * NS_PER_S);
    assert_int_equal(l->message.min_rate, 64 * KiB);
    assert_int_equal(l->message.unfinished_bytes, 16 * MiB);
    assert_int_equal(l->message.over, ACTION_CLOSE);
    assert_int_equal(l->slow_reader.behind, 64 * MiB);
    assert_int_equal(l->heartbeat.interval_ns, 200 * NS_PER_MS);
    assert_int_equal(l->heartbeat.max_pause_ns, 5 * NS_PER_S);
    assert_int_equal(l->concurrency.limit, CONCURRENCY_LIMIT_AUTO);
    assert_int_equal(l->concurrency.max, 0);
    assert_int_equal(l->duplicate_ids, DUPLICATE_IDS_REFUSE);
    assert_int_equal(l->ban.strikes.strikes, 10);
    assert_int_equal(l->ban.strikes.within_ns, 10 * NS_PER_S);
    assert_int_equal(l->ban.terms.for_ns, 60 * NS_PER_S);
    assert_int_equal(l->ban.terms.max_ns, 86400 * NS_PER_S);
    assert_true(l->ban.for_protocol && l->ban.for_excess);
    assert_int_equal(l->ban.paused_ns, 0);
    assert_int_equal(l->ban.shared, BAN_SHARED_PROBATION);
    assert_int_equal(l->ban.action, BAN_ACTION_TARPIT);
    assert_int_equal(l->ban.tarpit, 256);
    assert_int_equal(l->ban.exempt.count, 0);
    assert_int_equal(g.ban_kernel, BAN_KERNEL_OFF);
    assert_string_equal(g.ban_interface, "");
    assert_int_equal(g.breaker.failures, 5);
    assert_int_equal(g.breaker.trials, 4);
    assert_int_equal(g.breaker.for_ns, NS_PER_S);
    assert_int_equal(g.breaker.max_ns, 30 * NS_PER_S);
    assert_int_equal(g.breaker.slow_start_ns, NS_PER_S);
    assert_int_equal(g.breaker_stall_ns, 0);
    assert_int_equal(g.breaker_open, BREAKER_MEETS_PAUSE);
    assert_int_equal(g.classes.count, 0);
    assert_null(g.class_table);
}

static void test_defaults_of_a_class(void **state)
{
    struct config_class c = {0};
    value_set_defaults(&schema_class, &c);
    assert_int_equal(c.weight, 1);
    assert_int_equal(c.priority, CLASS_PRIORITY_DEFAULT);
    assert_int_equal(c.networks.count, 0);
}

static void assert_rate(const struct rate *r, uint64_t count, uint64_t period_ns, uint64_t burst)
{
    assert_int_equal(r->count, count);
    assert_int_equal(r->period_ns, period_ns);
    assert_int_equal(r->burst, burst);
}

static void test_defaults_of_sources_and_subscriptions(void **state)
{
    struct config_gate g = {0};
    const struct limits *l = &g.limits;
    value_set_defaults(&schema_gate, &g);
    assert_int_equal(l->source.connections, 0);
    assert_int_equal(l->source.half_open, 512);
    assert_rate(&l->source.connection_rate, 100, NS_PER_S, 200);
    assert_true(rate_is_unlimited(&l->source.messages.rate));
    assert_true(rate_is_unlimited(&l->source.bytes.rate));
    assert_int_equal(l->source.messages.over, ACTION_PAUSE);
    assert_int_equal(l->source.bytes.over, ACTION_PAUSE);
    assert_rate(&l->source.commands.rate, 20000, NS_PER_S, 20000);
    assert_int_equal(l->source.commands.over, ACTION_PAUSE);
    assert_int_equal(l->subscriptions.max, 16777216);
    assert_int_equal(l->subscriptions.topic_bytes, 64 * KiB);
    assert_int_equal(l->subscriptions.source_bytes, 1 << 30);
    assert_int_equal(l->subscriptions.trie_bytes, 48 << 20);
    assert_int_equal(l->subscriptions.rate.count, 0);
    assert_rate(&l->subscriptions.total_rate, 64 << 20, NS_PER_S, 2 << 20);
    assert_int_equal(l->subscriptions.over, ACTION_PAUSE);
    assert_true(rate_is_unlimited(&l->subscriptions.messages.rate));
    assert_rate(&l->subscriptions.messages_total, 2 << 20, NS_PER_S, 16 << 20);
    assert_int_equal(l->subscriptions.messages.over, ACTION_PAUSE);
}

static void test_socket_types_have_names(void **state)
{
    assert_string_equal(socket_type_name(SOCKET_AUTO), "auto");
    assert_string_equal(socket_type_name(SOCKET_XSUB), "xsub");
    assert_string_equal(socket_type_name(SOCKET_PAIR), "pair");
}

static char *read_page(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        fail_msg("%s cannot be opened", path);
    char *page = calloc(1, MiB);
    assert_non_null(page);
    assert_true(fread(page, 1, MiB - 1, f) > 0);
    fclose(f);
    return page;
}

static void test_verdicts_name_keys_that_exist(void **state)
{
    for (int v = 0; v < VERDICT_COUNT; v++) {
        const char *key = verdict_info((enum verdict)v)->key;
        if (key && !schema_find(&schema_gate, key) && !schema_find(&schema_top, key))
            fail_msg("%s names the key \"%s\"", verdict_info((enum verdict)v)->label, key);
    }
}

static void test_rules_are_sections_with_enforce(void **state)
{
    for (int r = 0; r < RULE_COUNT; r++) {
        char path[SCHEMA_PATH_MAX];
        snprintf(path, sizeof(path), "%s.enforce", rule_section((enum rule)r));
        assert_non_null(schema_find(&schema_gate, path));
    }
}

static void test_the_committed_reference_is_current(void **state)
{
    char *written, *committed = read_page(CONFIG_REFERENCE_FILE);
    size_t len;
    FILE *out = open_memstream(&written, &len);
    assert_non_null(out);
    reference_print(out);
    fclose(out);
    if (strcmp(written, committed))
        fail_msg("docs/config.md differs from the schema: run `weir help config > docs/config.md`");
    free(written);
    free(committed);
}

static void test_the_reference_has_every_row(void **state)
{
    char *page = read_page(CONFIG_REFERENCE_FILE), heading[SCHEMA_PATH_MAX + 24];
    for (size_t s = 0; s < SCHEMAS; s++)
        for (size_t i = 0; i < schemas[s]->count; i++) {
            snprintf(heading, sizeof(heading), "\n### %s%s\n", schemas[s]->prefix, schemas[s]->keys[i].path);
            assert_non_null(strstr(page, heading));
        }
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_sound),
        cmocka_unit_test(test_rows_of_a_section_stand_together),
        cmocka_unit_test(test_rows_have_fields_of_their_own),
        cmocka_unit_test(test_defaults_of_the_top_level),
        cmocka_unit_test(test_defaults_of_a_gate),
        cmocka_unit_test(test_defaults_of_a_class),
        cmocka_unit_test(test_defaults_of_sources_and_subscriptions),
        cmocka_unit_test(test_socket_types_have_names),
        cmocka_unit_test(test_verdicts_name_keys_that_exist),
        cmocka_unit_test(test_rules_are_sections_with_enforce),
        cmocka_unit_test(test_the_committed_reference_is_current),
        cmocka_unit_test(test_the_reference_has_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
