/* SPDX-License-Identifier: MPL-2.0 */
/* The tables keep their own rules: names, types, labels and help as Prometheus wants them, each series once. */
#include "stats/metrics.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define ROWS (CELL_COUNT + READING_COUNT)

static const struct metric_info *row(size_t i)
{
    return i < CELL_COUNT ? metric_cell_info((enum metric_cell)i)
                          : metric_reading_info((enum metric_reading)(i - CELL_COUNT));
}

static bool ends_with(const char *s, const char *end)
{
    size_t len = strlen(s), end_len = strlen(end);
    return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

static bool is_name(const char *s, size_t len)
{
    if (len == 0 || !islower((unsigned char)s[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '_')
            return false;
    return true;
}

static void names_follow_the_conventions(void **state)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct metric_info *m = row(i);

        assert_true(is_name(m->metric, strlen(m->metric)));
        assert_true(strncmp(m->metric, "weir_", 5) == 0 || strncmp(m->metric, "process_", 8) == 0);
        assert_int_equal(m->type == METRIC_COUNTER, ends_with(m->metric, "_total"));
        static const char *const scaled[] = {"_ms",  "_us",  "_ns",           "_kb",     "_mb",
                                             "_kib", "_mib", "_milliseconds", "_percent"};
        for (size_t s = 0; s < sizeof(scaled) / sizeof(scaled[0]); s++) /* base units: seconds, bytes */
            assert_null(strstr(m->metric, scaled[s]));
    }
}

static void help_is_a_sentence(void **state)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *help = row(i)->help;

        assert_true(strlen(help) > 5);
        assert_true(isupper((unsigned char)help[0]));
        assert_true(ends_with(help, "."));
        for (const char *s = help; *s; s++)
            assert_true(isprint((unsigned char)*s) && *s != '|'); /* docs/metrics.md is a table */
    }
}

static void rows_of_a_metric_stand_together_and_agree(void **state)
{
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = i + 1; j < ROWS; j++) {
            const struct metric_info *a = row(i), *b = row(j);

            if (strcmp(a->metric, b->metric) != 0)
                continue;
            assert_string_equal(row(j - 1)->metric, b->metric);
            assert_string_equal(a->help, b->help);
            assert_int_equal(a->type, b->type);
            assert_string_not_equal(a->fixed, b->fixed);
            assert_true(i < CELL_COUNT && j < CELL_COUNT);
        }
    }
}

/* Fixed labels are copied as they stand, so they must stand right: name="value", nothing to be escaped. */
static void fixed_labels_are_well_formed(void **state)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *s = row(i)->fixed;

        while (*s) {
            size_t len = strcspn(s, "=");
            assert_true(is_name(s, len));
            assert_memory_equal(s + len, "=\"", 2);
            s += len + 2;
            assert_true(is_name(s, strcspn(s, "\"")));
            s += strcspn(s, "\"") + 1;
            assert_true(*s == '\0' || *s == ',');
            s += *s == ',';
        }
    }
}

static void label_names_are_well_formed(void **state)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *s = row(i)->names;

        for (size_t len; *s; s += len) {
            len = strcspn(s, ",");
            assert_true(is_name(s, len));
            if (s[len] == ',')
                assert_true(s[++len] != '\0');
        }
        if (i < CELL_COUNT)
            assert_string_equal(row(i)->names, "gate");
        else
            assert_string_equal(row(i)->fixed, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_conventions),
        cmocka_unit_test(help_is_a_sentence),
        cmocka_unit_test(rows_of_a_metric_stand_together_and_agree),
        cmocka_unit_test(fixed_labels_are_well_formed),
        cmocka_unit_test(label_names_are_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
