/* SPDX-License-Identifier: MPL-2.0 */
#include "admin/fake_relay.h"
#include "admin/render.h"
#include "base/attr.h"
#include "limits/enforce.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct relay relay;

static struct render_view view(size_t gates)
{
    fake_relay_init(&relay, gates);
    return (struct render_view){
        .version = "1.2.3",
        .unauthorized = 29,
        .relay = relay.snapshot,
        .log_lines_lost = 40,
        .process = {.start_time_ns = 1700000000 * NS_PER_S + 5,
                    .cpu_ns = 1500000000,
                    .resident_bytes = 22,
                    .open_fds = 23},
        .gate_count = gates,
        .gates = relay.gates,
    };
}

static char *metrics_of(const struct render_view *v)
{
    struct text_out o;
    size_t len = 0;

    text_out_init(&o, 8 << 20);
    render_metrics(&o, v);
    text_out_bytes(&o, "", 1);
    char *text = text_out_take(&o, &len);
    assert_non_null(text);
    assert_int_equal(strlen(text), len - 1);
    return text;
}

/* How often `line` occurs in `text` as a whole line. */
static size_t count_line(const char *text, const char *line)
{
    size_t n = 0, len = strlen(line);

    for (const char *s = text; (s = strstr(s, line)); s += len)
        n += (s == text || s[-1] == '\n') && s[len] == '\n';
    return n;
}

static size_t count_lines(const char *text, bool samples)
{
    size_t n = 0;

    for (const char *s = text; *s; s = strchr(s, '\n') + 1)
        n += samples == (*s != '#');
    return n;
}

#define ASSERT_LINE(text, ...)                                                                                         \
    do {                                                                                                               \
        char line_[512];                                                                                               \
        snprintf(line_, sizeof(line_), __VA_ARGS__);                                                                   \
        if (count_line(text, line_) != 1)                                                                              \
            fail_msg("%zu times: %s", count_line(text, line_), line_);                                                 \
    } while (0)

static void assert_heads(const char *text, const struct metric_info *m)
{
    ASSERT_LINE(text, "# HELP %s %s", m->metric, m->help);
    ASSERT_LINE(text, "# TYPE %s %s", m->metric, m->type == METRIC_COUNTER ? "counter" : "gauge");
}

static void every_cell_and_verdict_of_every_gate_once(void **state)
{
    struct render_view v = view(3);
    char *text = metrics_of(&v);

    for (size_t g = 0; g < 3; g++) {
        const struct gate_snapshot *gate = &relay.gates[g];
        for (unsigned c = 0; c < CELL_COUNT; c++) {
            const struct metric_info *m = metric_cell_info((enum metric_cell)c);
            assert_heads(text, m);
            ASSERT_LINE(text, "%s{gate=\"%s\"%s%s} %llu", m->metric, gate->name, *m->fixed ? "," : "", m->fixed,
                        (unsigned long long)gate->cells[c]);
        }
        for (unsigned w = 0; w < VERDICT_COUNT; w++)
            ASSERT_LINE(text, "weir_verdicts_total{gate=\"%s\",verdict=\"%s\"} %llu", gate->name,
                        verdict_info((enum verdict)w)->label, (unsigned long long)gate->verdicts[w]);
        for (unsigned w = 0; w < VERDICT_COUNT; w++)
            if (verdict_info((enum verdict)w)->rule != RULE_NONE)
                ASSERT_LINE(text, "weir_shadow_verdicts_total{gate=\"%s\",verdict=\"%s\"} %llu", gate->name,
                            verdict_info((enum verdict)w)->label, (unsigned long long)gate->shadow_verdicts[w]);
        ASSERT_LINE(text, "weir_upstream_up{gate=\"%s\"} 1", gate->name);
        ASSERT_LINE(text, "weir_connections_max{gate=\"%s\"} %u", gate->name, gate->max_connections);
        ASSERT_LINE(text, "weir_breaker_state{gate=\"%s\"} %u", gate->name, (unsigned)g);
        for (size_t n = 0; n < gate->class_count; n++) {
            const char *class = gate->classes[n].name;
            ASSERT_LINE(text, "weir_class_connections{gate=\"%s\",class=\"%s\"} %zu", gate->name, class, 500 + n);
            ASSERT_LINE(text, "weir_class_messages_total{gate=\"%s\",class=\"%s\"} %zu", gate->name, class, 600 + n);
        }
        ASSERT_LINE(text, "weir_breaker_opened_total{gate=\"%s\"} %zu", gate->name, 7000 + g);
        ASSERT_LINE(text,
                    "weir_gate_info{gate=\"%s\",listen=\"%s\",forward=\"%s\",socket=\"router\",mechanism=\"NULL\"} 1",
                    gate->name, gate->listen, gate->forward);
    }
    free(text);
}

static void every_reading_once(void **state)
{
    struct render_view v = view(1);
    char *text = metrics_of(&v);

    for (unsigned r = 0; r < READING_COUNT; r++)
        assert_heads(text, metric_reading_info((enum metric_reading)r));
    ASSERT_LINE(text, "weir_build_info{version=\"1.2.3\"} 1");
    ASSERT_LINE(text, "process_start_time_seconds 1700000000.000000005");
    ASSERT_LINE(text, "process_cpu_seconds_total 1.500000000");
    ASSERT_LINE(text, "process_resident_memory_bytes 22");
    ASSERT_LINE(text, "process_open_fds 23");
    ASSERT_LINE(text, "process_max_fds 15");
    ASSERT_LINE(text, "weir_gates 42");
    ASSERT_LINE(text, "weir_gates_opened_total 43");
    ASSERT_LINE(text, "weir_gates_refused_total 44");
    ASSERT_LINE(text, "weir_reloads_total{result=\"done\"} 22");
    ASSERT_LINE(text, "weir_reloads_total{result=\"refused\"} 23");
    ASSERT_LINE(text, "weir_config_generation 24");
    ASSERT_LINE(text, "weir_config_loaded_timestamp_seconds 25.000000000");
    ASSERT_LINE(text, "weir_workers 11");
    ASSERT_LINE(text, "weir_memory_held_bytes 12");
    ASSERT_LINE(text, "weir_memory_peak_bytes 13");
    ASSERT_LINE(text, "weir_memory_limit_bytes 14");
    ASSERT_LINE(text, "weir_bans_remembered 22");
    ASSERT_LINE(text, "weir_bans 23");
    ASSERT_LINE(text, "weir_bans_total{reason=\"protocol\"} 24");
    ASSERT_LINE(text, "weir_bans_total{reason=\"excess\"} 25");
    ASSERT_LINE(text, "weir_bans_total{reason=\"operator\"} 26");
    ASSERT_LINE(text, "weir_bans_total{reason=\"list\"} 35");
    ASSERT_LINE(text, "weir_events_total{result=\"written\"} 36");
    ASSERT_LINE(text, "weir_events_total{result=\"suppressed\"} 37");
    ASSERT_LINE(text, "weir_events_total{result=\"lost\"} 38");
    ASSERT_LINE(text, "weir_events_total{result=\"failed\"} 39");
    ASSERT_LINE(text, "weir_log_lines_lost_total 40");
    ASSERT_LINE(text, "weir_bans_lifted_total 27");
    ASSERT_LINE(text, "weir_bans_replaced_total 28");
    ASSERT_LINE(text, "weir_bans_refused_total 41");
    ASSERT_LINE(text, "weir_kernel_bans_in_force 1");
    ASSERT_LINE(text, "weir_kernel_bans 29");
    ASSERT_LINE(text, "weir_kernel_dropped_packets_total 30");
    ASSERT_LINE(text, "weir_kernel_dropped_bytes_total 31");
    ASSERT_LINE(text, "weir_kernel_replacements_total 32");
    ASSERT_LINE(text, "weir_kernel_failures_total 33");
    ASSERT_LINE(text, "weir_memory_pressure 2");
    ASSERT_LINE(text, "weir_sources 17");
    ASSERT_LINE(text, "weir_sources_capacity 16");
    ASSERT_LINE(text, "weir_sources_created_total 18");
    ASSERT_LINE(text, "weir_sources_evicted_total 19");
    ASSERT_LINE(text, "weir_source_fallbacks_total 20");
    ASSERT_LINE(text, "weir_source_table_bytes 21");
    free(text);
}

static void marks_are_shown_where_they_are_known(void **state)
{
    struct render_view v = view(1);
    struct gate_snapshot told = v.gates[0];
    char *text = metrics_of(&v);

    assert_null(strstr(text, "weir_application_hwm{"));
    free(text);
    told.marks_known = true;
    told.receive_mark = 50;
    v.gates = &told;
    text = metrics_of(&v);
    ASSERT_LINE(text, "weir_application_hwm{gate=\"%s\",direction=\"in\"} 50", told.name);
    ASSERT_LINE(text, "weir_application_hwm{gate=\"%s\",direction=\"out\"} 0", told.name);
    free(text);
}

static void unknown_is_left_out(void **state)
{
    struct render_view v = view(1);

    v.process.resident_bytes = v.process.open_fds = v.relay.fd_limit = 0;
    char *text = metrics_of(&v);
    assert_null(strstr(text, "process_resident_memory_bytes"));
    assert_null(strstr(text, "process_open_fds"));
    assert_null(strstr(text, "process_max_fds"));
    free(text);
}

/* All lines of a family follow its HELP and TYPE, and each family occurs once. */
static void families_stand_together(void **state)
{
    struct render_view v = view(5);
    char *text = metrics_of(&v), *rest = text, *seen[200];
    size_t families = 0;

    for (char *line; (line = strsep(&rest, "\n")) && rest;) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            char *name = line + 7;
            char *type = strsep(&rest, "\n");
            name[strcspn(name, " ")] = '\0';
            assert_memory_equal(type, "# TYPE ", 7);
            assert_int_equal(strncmp(type + 7, name, strlen(name)), 0);
            for (size_t i = 0; i < families; i++)
                assert_string_not_equal(seen[i], name);
            assert_true(families < ARRAY_LEN(seen));
            seen[families++] = name;
            continue;
        }
        assert_true(families > 0);
        const char *name = seen[families - 1];
        assert_int_equal(strncmp(line, name, strlen(name)), 0);
        assert_non_null(strchr("{ ", line[strlen(name)]));
    }
    assert_true(families > READING_COUNT);
    free(text);
}

static void series_depend_on_gates_and_classes_alone(void **state)
{
    struct render_view v = view(0);
    char *none = metrics_of(&v);
    size_t fixed = count_lines(none, true), heads = count_lines(none, false), shadows = 0;

    free(none);
    for (unsigned w = 0; w < VERDICT_COUNT; w++)
        shadows += verdict_info((enum verdict)w)->rule != RULE_NONE;
    for (size_t gates = 1; gates <= FAKE_GATES_MAX; gates += 21) {
        v = view(gates);
        size_t classes = 0;
        for (size_t i = 0; i < gates; i++)
            classes += relay.gates[i].class_count;
        char *text = metrics_of(&v);
        assert_int_equal(count_lines(text, true),
                         fixed + gates * (CELL_COUNT + VERDICT_COUNT + shadows + 5) + classes * CLASS_CELL_COUNT);
        assert_int_equal(count_lines(text, false), heads);
        free(text);
    }
}

/* The most gates and classes, each label as long and as hostile as possible: still within the page size that http.c
 * allows. */
static void the_largest_page_fits(void **state)
{
    static char name[CONFIG_NAME_MAX + 1];
    struct render_view v = view(FAKE_GATES_MAX);
    struct text_out o;
    size_t len = 0;

    memset(name, 0xff, sizeof(name) - 1);
    for (size_t i = 0; i < FAKE_GATES_MAX; i++) {
        struct gate_snapshot *g = &relay.gates[i];
        g->name = name;
        memset(g->listen, 1, sizeof(g->listen) - 1);
        memset(g->forward, '"', sizeof(g->forward) - 1);
        memset(g->cells, 0xff, sizeof(g->cells));
        memset(g->verdicts, 0xff, sizeof(g->verdicts));
        memset(g->shadow_verdicts, 0xff, sizeof(g->shadow_verdicts));
        g->class_count = CLASS_COUNT_MAX;
        memset(g->classes, 0xff, sizeof(g->classes));
        for (size_t n = 0; n < CLASS_COUNT_MAX; n++)
            g->classes[n].name = name;
    }
    text_out_init(&o, 8 << 20);
    render_metrics(&o, &v);
    char *text = text_out_take(&o, &len);
    assert_non_null(text);
    free(text);
}

static void hostile_text_stays_in_its_label(void **state)
{
    struct render_view v = view(2);
    char *tame = metrics_of(&v);
    size_t samples = count_lines(tame, true);

    relay.gates[0].name = "a\"} 1\nweir_evil{x=\"\\";
    snprintf(relay.gates[1].forward, sizeof(relay.gates[1].forward), "%s",
             "ipc://\n# TYPE weir_evil counter\n\x80\xff\x7f\r");
    snprintf(relay.gates[1].mechanism, sizeof(relay.gates[1].mechanism), "%s", "\"\\\n");
    relay.gates[1].socket = "\xe2\x82";
    char *text = metrics_of(&v);
    assert_int_equal(count_lines(text, true), samples);
    assert_null(strstr(text, "\nweir_evil"));
    assert_null(strstr(text, "\n# TYPE weir_evil"));
    for (const char *s = text; *s; s++)
        assert_true(*s == '\n' || isprint((unsigned char)*s));
    ASSERT_LINE(text, "weir_upstream_up{gate=\"a\\\"} 1\\nweir_evil{x=\\\"\\\\\"} 1");
    free(text);
    free(tame);
}

static void assert_health(const struct render_view *v, bool healthy, const char *want)
{
    struct text_out o;
    size_t len = 0;

    text_out_init(&o, 1 << 20);
    assert_int_equal(render_health(&o, v), healthy);
    text_out_bytes(&o, "", 1);
    char *text = text_out_take(&o, &len);
    assert_string_equal(text, want);
    free(text);
}

static void health(void **state)
{
    struct render_view v = view(3);

    assert_health(&v, true, "ok\n");
    relay.gates[1].upstream_up = false;
    assert_health(&v, true, "ok\ngate gate1: the application at ipc:///run/1 is not up\n");
    relay.gates[2].listen[0] = '\0';
    assert_health(&v, false,
                  "not ok\ngate gate1: the application at ipc:///run/1 is not up\ngate gate2: listens no more\n");
}

static void health_escapes(void **state)
{
    struct render_view v = view(1);

    relay.gates[0].name = "x\n\x1b[31m";
    relay.gates[0].upstream_up = false;
    memset(relay.gates[0].forward, '\n', sizeof(relay.gates[0].forward) - 1);
    struct text_out o;
    size_t len = 0;
    text_out_init(&o, 1 << 20);
    assert_true(render_health(&o, &v));
    text_out_bytes(&o, "", 1);
    char *text = text_out_take(&o, &len);
    assert_int_equal(count_lines(text, true), 2);
    assert_null(strchr(text, 0x1b));
    assert_non_null(strstr(text, "gate x\\x0a\\x1b[31m: the application at \\x0a\\x0a"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_and_verdict_of_every_gate_once),
        cmocka_unit_test(every_reading_once),
        cmocka_unit_test(marks_are_shown_where_they_are_known),
        cmocka_unit_test(unknown_is_left_out),
        cmocka_unit_test(families_stand_together),
        cmocka_unit_test(series_depend_on_gates_and_classes_alone),
        cmocka_unit_test(the_largest_page_fits),
        cmocka_unit_test(hostile_text_stays_in_its_label),
        cmocka_unit_test(health),
        cmocka_unit_test(health_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
