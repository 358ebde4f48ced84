/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes docs/metrics.md, docs/verdicts.md and docs/events.md from the tables that the program itself is built from.
 * Runs during the build, never installed.
 *
 *   docs_gen metrics|verdicts|events FILE           writes FILE
 *   docs_gen metrics|verdicts|events --check FILE   fails when FILE differs
 */
#include "events/event.h"
#include "limits/verdict.h"
#include "stats/metrics.h"
#include "stats/text_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A cell of a Markdown table: a bar would end it, and underscores in label names must not become emphasis. */
static void write_prose(struct text_out *o, const char *s)
{
    for (; *s; s++) {
        if (strchr("|_*<>`\\", *s))
            text_out_str(o, "\\");
        text_out_bytes(o, s, 1);
    }
}

static void write_code(struct text_out *o, const char *s)
{
    text_out_str(o, "`");
    text_out_str(o, s);
    text_out_str(o, "`");
}

/* "gate, direction": the names of all labels, those with fixed values last. */
static void write_labels(struct text_out *o, const struct metric_info *m)
{
    const char *between = "";

    for (const char *s = m->names; *s;) {
        size_t len = strcspn(s, ",");
        text_out_str(o, between);
        text_out_str(o, "`");
        text_out_bytes(o, s, len);
        text_out_str(o, "`");
        between = ", ";
        s += len + (s[len] == ',');
    }
    if (*m->fixed) {
        text_out_str(o, between);
        text_out_str(o, "`");
        text_out_bytes(o, m->fixed, strcspn(m->fixed, "="));
        text_out_str(o, "`");
    }
}

static void write_metric(struct text_out *o, const struct metric_info *m)
{
    text_out_str(o, "| ");
    write_code(o, m->metric);
    text_out_str(o, " | ");
    text_out_str(o, metric_type_name(m->type));
    text_out_str(o, " | ");
    write_labels(o, m);
    text_out_str(o, " | ");
    write_prose(o, m->help);
    text_out_str(o, " |\n");
}

static void write_metrics(struct text_out *o)
{
    static const char table[] = "| metric | type | labels | meaning |\n|---|---|---|---|\n";
    const char *family = "";

    text_out_str(
        o, "<!-- Generated from src/stats/metrics.h; see src/admin/docs_gen.c. -->\n"
           "# Metrics\n\n"
           "`http://ADMIN-ADDRESS/metrics` in the Prometheus text format. How many series there are depends on the "
           "number of\n"
           "gates and classes alone: no label carries anything that a peer chose.\n\n"
           "## Of each gate\n\n"
           "`direction` is `in` (from clients to the application) or `out` (from the application to clients).\n\n");
    text_out_str(o, table);
    for (unsigned c = 0; c < CELL_COUNT; c++) {
        const struct metric_info *m = metric_cell_info((enum metric_cell)c);
        if (strcmp(m->metric, family) != 0)
            write_metric(o, m);
        family = m->metric;
    }
    for (unsigned r = 0; r < READING_COUNT; r++)
        if (strncmp(metric_reading_info((enum metric_reading)r)->names, "gate", 4) == 0)
            write_metric(o, metric_reading_info((enum metric_reading)r));
    text_out_str(o, "\nThe values of `verdict` are listed in [verdicts.md](verdicts.md).\n\n"
                    "## Of the whole process\n\n"
                    "What the system does not tell is left out.\n\n");
    text_out_str(o, table);
    for (unsigned r = 0; r < READING_COUNT; r++)
        if (strncmp(metric_reading_info((enum metric_reading)r)->names, "gate", 4) != 0)
            write_metric(o, metric_reading_info((enum metric_reading)r));
}

/* A link to the key's place in config.md: the anchor of a heading has no dots. */
static void write_key(struct text_out *o, const char *key)
{
    text_out_str(o, "[");
    write_code(o, key);
    text_out_str(o, "](config.md#");
    for (const char *s = key; *s; s++)
        if (*s != '.')
            text_out_bytes(o, s, 1);
    text_out_str(o, ")");
}

static void write_verdict(struct text_out *o, const struct verdict_info *info)
{
    static const char *const kinds[] = {[OFFENCE_NONE] = "",
                                        [OFFENCE_MISTAKE] = "mistake",
                                        [OFFENCE_PROTOCOL] = "protocol",
                                        [OFFENCE_EXCESS] = "excess"};
    text_out_str(o, "| ");
    write_code(o, info->label);
    text_out_str(o, " | ");
    text_out_str(o, kinds[info->kind]);
    text_out_str(o, " | ");
    text_out_u64(o, info->strikes);
    text_out_str(o, " | ");
    if (info->key)
        write_key(o, info->key);
    text_out_str(o, " | ");
    if (info->rule != RULE_NONE)
        write_code(o, rule_section(info->rule));
    text_out_str(o, " | ");
    write_prose(o, info->sentence);
    text_out_str(o, " |\n");
}

static void write_verdicts(struct text_out *o)
{
    text_out_str(
        o, "<!-- Generated from src/limits/verdict.h; see src/admin/docs_gen.c. -->\n"
           "# Verdicts\n\n"
           "Every judgement that Weir can pass on a peer. The label is the value of `verdict` in the metric\n"
           "`weir_verdicts_total` and stands in the log. Strikes are what one such offence adds to the score "
           "of its source;\n"
           "with 0 it is no offence. A mistake is\n"
           "held against nobody; protocol is what no honest libzmq peer can send, excess a limit that was "
           "broken. The key\nis the one that decides. Where a rule is named, its `enforce` can put it into shadow or "
           "switch it off;\nthe others are always in force.\n\n"
           "| label | kind | strikes | key | rule | meaning |\n|---|---|---:|---|---|---|\n");
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        write_verdict(o, verdict_info((enum verdict)v));
}

static void write_fields_of(struct text_out *o, unsigned fields)
{
    const char *between = "";
    for (unsigned f = 0; f < EVENT_FIELD_COUNT; f++) {
        if ((fields & 1u << f) == 0)
            continue;
        text_out_str(o, between);
        write_code(o, event_field_info((enum event_field)f)->key);
        between = ", ";
    }
}

static void write_row(struct text_out *o, const char *name, const char *meaning)
{
    text_out_str(o, "| ");
    write_code(o, name);
    text_out_str(o, " | ");
    write_prose(o, meaning);
}

static void write_events(struct text_out *o)
{
    text_out_str(
        o,
        "<!-- Generated from src/events/event.h; see src/admin/docs_gen.c. -->\n"
        "# Events\n\n"
        "The lines of the event log (`events.file`): one JSON object each, in ASCII. How to use it: "
        "[guide](guide.md#the-event-log).\n\n"
        "```json\n"
        "{\"time\":\"2026-11-25T16:53:47.123Z\",\"event\":\"offence\",\"gate\":\"orders\",\"source\":"
        "\"192.0.2.7\",\"port\":40112,\"standing\":\"none\",\"verdict\":\"bad_ready\",\"strikes\":8,\"of\":10,\"done\":"
        "\"closed\",\"identity\":\"\\u0000x\"}\n"
        "```\n\n"
        "| event | when | fields | limited |\n|---|---|---|---|\n");
    for (unsigned k = 0; k < EVENT_COUNT; k++) {
        const struct event_info *info = event_info((enum event_kind)k);
        write_row(o, info->label, info->sentence);
        text_out_str(o, " | ");
        write_fields_of(o, info->fields);
        text_out_str(o, event_is_limited((enum event_kind)k) ? " | yes |\n" : " | no |\n");
    }
    text_out_str(
        o, "\nLimited events are written at `events.rate` and `events.source_rate` for each verdict; the next line "
           "of the same event and verdict\nhas `suppressed`. Others are always written.\n\n"
           "Each line begins with `time` (RFC 3339, UTC, milliseconds) and `event`. The fields follow in this "
           "order; what an event\ndoes not have is left out. Readers should expect further ones.\n\n"
           "| field | meaning |\n|---|---|\n");
    for (unsigned f = 0; f < EVENT_FIELD_COUNT; f++) {
        const struct event_field_info *info = event_field_info((enum event_field)f);
        write_row(o, info->key, info->meaning);
        text_out_str(o, " |\n");
    }
}

static int write_file(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "we");
    bool written = f && fwrite(text, 1, len, f) == len;

    if (f)
        written = fclose(f) == 0 && written;
    if (!written)
        perror(path);
    return written ? 0 : 1;
}

static int check_file(const char *path, const char *what, const char *text, size_t len)
{
    char *there = malloc(len + 2);
    FILE *f = fopen(path, "re");
    size_t there_len = f && there ? fread(there, 1, len + 1, f) : 0;
    bool same = f && there && there_len == len && memcmp(there, text, len) == 0;

    if (f)
        fclose(f);
    free(there);
    if (!same)
        fprintf(stderr, "%s is not what the tables say now: run `ninja docs` (or: docs_gen %s %s)\n", path, what, path);
    return same ? 0 : 1;
}

int main(int argc, char **argv)
{
    bool check = argc == 4 && strcmp(argv[2], "--check") == 0;
    struct text_out o;
    size_t len = 0;

    text_out_init(&o, 1 << 20);
    if (argc == 3 || check) {
        if (strcmp(argv[1], "metrics") == 0)
            write_metrics(&o);
        if (strcmp(argv[1], "verdicts") == 0)
            write_verdicts(&o);
        if (strcmp(argv[1], "events") == 0)
            write_events(&o);
    }
    char *text = text_out_take(&o, &len);
    if (!text || len == 0) {
        fprintf(stderr, "usage: docs_gen metrics|verdicts|events [--check] FILE\n");
        free(text);
        return 2;
    }
    int status = check ? check_file(argv[3], argv[1], text, len) : write_file(argv[2], text, len);
    free(text);
    return status;
}
