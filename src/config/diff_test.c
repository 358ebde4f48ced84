/* SPDX-License-Identifier: MPL-2.0 */
/* The changes of a reload: found key by key, and every row of the schema is found when it alone differs. */
#include "config/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config_testing.h"
#include "config/value.h"
#include "config/value_words.h"

static const char two_gates[] = "gates:\n"
                                "  - name: orders\n"
                                "    listen: ipc:///a\n"
                                "    forward: ipc:///b\n"
                                "    source: {messages: {rate: 500/s, burst: 10}}\n"
                                "  - name: ticks\n"
                                "    listen: ipc:///c\n"
                                "    forward: ipc:///d\n";

static struct config *config_of(const char *text)
{
    struct reading r = reading_of(text);
    assert_non_null(r.config);
    free(r.said);
    return r.config;
}

static size_t written(const char *before, const char *after, bool restart_only, size_t most, const char *expected)
{
    struct config *b = config_of(before), *a = config_of(after);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    size_t n = config_diff_write(out, b, a, restart_only, most);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
    config_free(b);
    config_free(a);
    return n;
}

static void test_the_same_is_no_change(void **state)
{
    assert_int_equal(written(two_gates, two_gates, false, 8, ""), 0);
}

static void test_values_as_one_writes_them(void **state)
{
    const char after[] = "log: {level: debug}\n"
                         "drain: 90s\n"
                         "gates:\n"
                         "  - name: orders\n"
                         "    listen: ipc:///a\n"
                         "    forward: ipc:///b\n"
                         "    zmtp2: false\n"
                         "    message: {min_rate: 1MiB/s}\n"
                         "    source: {messages: {rate: unlimited, burst: 10}}\n"
                         "  - name: ticks\n"
                         "    listen: ipc:///c\n"
                         "    forward: ipc:///d\n"
                         "    message: {over: drop, hold: 128KiB}\n";
    assert_int_equal(written(two_gates, after, false, 100,
                             "drain 5s -> 90s, log.level info -> debug, gates.orders.zmtp2 true -> false, "
                             "gates.orders.message.min_rate 64KiB/s -> 1MiB/s, "
                             "gates.orders.source.messages.rate 500/s -> unlimited, "
                             "gates.ticks.message.hold 64KiB -> 128KiB, gates.ticks.message.over close -> drop"),
                     7);
    assert_int_equal(written(two_gates, after, false, 2, "drain 5s -> 90s, log.level info -> debug, and 5 more"), 7);
    assert_int_equal(written(two_gates, after, true, 100, ""), 0);
}

static void test_order_of_gates_does_not_matter(void **state)
{
    const char after[] = "gates:\n"
                         "  - name: ticks\n"
                         "    listen: ipc:///c\n"
                         "    forward: ipc:///d\n"
                         "  - name: orders\n"
                         "    listen: ipc:///a\n"
                         "    forward: ipc:///b\n"
                         "    source: {messages: {rate: 500/s, burst: 10}}\n";
    assert_int_equal(written(two_gates, after, false, 8, ""), 0);
}

static void test_bursts_of_unlimited_rates(void **state)
{
    const char before[] = "gates: [{listen: 'ipc:///a', forward: 'ipc:///b'}]\n";
    const char after[] = "gates: [{listen: 'ipc:///a', forward: 'ipc:///b', source: {messages: {rate: 5/s}}}]\n";
    assert_int_equal(written(before, after, false, 8,
                             "gates.main.source.messages.rate unlimited -> 5/s, "
                             "gates.main.source.messages.burst unlimited -> 5"),
                     2);
}

static void test_gates_that_come_and_go(void **state)
{
    const char after[] = "admin: {listen: 127.0.0.1:9700}\n"
                         "gates:\n"
                         "  - name: quotes\n"
                         "    listen: ipc:///e\n"
                         "    forward: ipc:///f\n"
                         "  - name: orders\n"
                         "    listen: ipc:///x\n"
                         "    forward: ipc:///b\n"
                         "    zmtp2: true\n"
                         "    source: {messages: {rate: 500/s, burst: 10}}\n";
    assert_int_equal(written(two_gates, after, true, 100,
                             "admin.listen off -> 127.0.0.1:9700, gates.quotes none -> ipc:///e, "
                             "gates.orders.listen ipc:///a -> ipc:///x, gates.ticks ipc:///c -> none"),
                     4);
}

static void test_lists_as_one_writes_them(void **state)
{
    char before[1024], after[1024];
    const char form[] = "%s"
                        "gates:\n"
                        "  - name: orders\n"
                        "    listen: ipc:///a\n"
                        "    forward: ipc:///b\n"
                        "    ban: {exempt: [%s]}\n"
                        "    classes:\n"
                        "      - {name: partners, match: {networks: [192.0.2.0/24, uid:7]}, weight: %u}\n";
    snprintf(before, sizeof(before), form, "", "10.0.0.0/8", 3u);
    snprintf(after, sizeof(after), form, "# a line more\n", "10.0.0.0/8", 3u);
    assert_int_equal(written(before, after, false, 8, ""), 0);
    snprintf(after, sizeof(after), form, "state: {file: /var/lib/weir/state}\n", "10.0.0.0/8, 192.0.2.7", 4u);
    assert_int_equal(
        written(before, after, false, 8,
                "state.file none -> /var/lib/weir/state, gates.orders.ban.exempt [10.0.0.0/8] -> [10.0.0.0/8, "
                "192.0.2.7], gates.orders.classes [{name: partners, match.networks: [192.0.2.0/24, uid:7], weight: 3, "
                "priority: 2}] -> [{name: partners, match.networks: [192.0.2.0/24, uid:7], weight: 4, priority: 2}]"),
        3);
    assert_int_equal(written(before, after, true, 1, "state.file none -> /var/lib/weir/state, and 1 more"), 2);
}

/* 32 networks of 38 characters are more than a line should have. */
static void test_long_lists_are_cut_off(void **state)
{
    struct config *c = config_of(two_gates);
    const struct schema_key *k = schema_find(&schema_gate, "ban.exempt");
    struct config_networks *l = &c->gates[0].ban_exempt;
    char text[VALUE_TEXT_MAX], why[VALUE_WHY_MAX];
    l->at = calloc(32, sizeof(*l->at));
    assert_non_null(l->at);
    for (l->count = 0; l->count < 32; l->count++)
        assert_int_equal(value_network(k, "2001:db8:1111:2222:3333:4444:5555:6666", &l->at[l->count].network, why), 0);
    value_words_format(text, k, &c->gates[0]);
    assert_int_equal(strlen(text), VALUE_TEXT_MAX - 1);
    assert_string_equal(text + strlen(text) - 5, " ...]");
    config_free(c);
}

/* A list of one item, in place of none. */
static bool fill(const struct schema_key *k, void *base)
{
    char why[VALUE_WHY_MAX];
    struct schema_list list = {.at = calloc(1, schema_item_size(k)), .count = 1};
    assert_non_null(list.at);
    if (k->type == SCHEMA_PATHS)
        assert_int_equal(value_path(k, "/etc/weir/list", ((struct config_path *)list.at)->path, why), 0);
    else if (!k->items)
        assert_int_equal(value_network(k, "uid:7", &((struct config_network *)list.at)->network, why), 0);
    schema_put_list(k, base, list);
    return true;
}

/* The smallest or the largest value of the row, the one that it does not have; false for rows without a range. */
static bool change(const struct schema_key *k, void *base)
{
    char why[VALUE_WHY_MAX], was[VALUE_TEXT_MAX], now[VALUE_TEXT_MAX];
    if (schema_is_list(k))
        return fill(k, base);
    value_words_format(was, k, base);
    const char *others[] = {k->min,
                            k->max,
                            k->type == SCHEMA_PATH ? "/var/lib/weir/state" : NULL,
                            k->type == SCHEMA_ENFORCE ? "25%" : NULL,
                            k->type == SCHEMA_TEXT ? "try again later" : NULL,
                            k->type == SCHEMA_NAME ? "weir_2" : NULL,
                            k->choices ? k->choices[0].word : NULL,
                            k->choices ? k->choices[1].word : NULL,
                            k->type == SCHEMA_BOOL ? "true" : NULL,
                            k->type == SCHEMA_BOOL ? "false" : NULL};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i] && value_set(k, others[i], base, why) == 0 && strcmp(value_words_format(now, k, base), was) != 0)
            return true;
    return false;
}

static unsigned check_rows(const struct schema *s, const char *before_path, bool gate)
{
    unsigned changed = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct config *b = config_of(two_gates), *a = config_of(two_gates);
        struct config_diff d;
        struct config_change c;
        char path[DIFF_PATH_MAX];
        config_diff_begin(&d, b, a);
        /* The diff goes by the names of gates. */
        bool names = gate && !strcmp(s->keys[i].path, "name");
        if (!names && change(&s->keys[i], gate ? (void *)&a->gates[1] : (void *)a)) {
            changed++;
            snprintf(path, sizeof(path), "%s%s", before_path, s->keys[i].path);
            assert_true(config_diff_next(&d, &c));
            assert_string_equal(c.path, path);
            assert_string_not_equal(c.before, c.after);
            assert_int_equal(c.restart, s->keys[i].restart);
        }
        assert_false(config_diff_next(&d, &c));
        config_free(b);
        config_free(a);
    }
    return changed;
}

static void test_every_row_is_found(void **state)
{
    /* All but the address; all but the name and two endpoints. */
    assert_int_equal(check_rows(&schema_top, "", false), schema_top.count - 1);
    assert_int_equal(check_rows(&schema_gate, "gates.ticks.", true), schema_gate.count - 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_is_no_change),          cmocka_unit_test(test_values_as_one_writes_them),
        cmocka_unit_test(test_order_of_gates_does_not_matter), cmocka_unit_test(test_bursts_of_unlimited_rates),
        cmocka_unit_test(test_gates_that_come_and_go),         cmocka_unit_test(test_lists_as_one_writes_them),
        cmocka_unit_test(test_long_lists_are_cut_off),         cmocka_unit_test(test_every_row_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
