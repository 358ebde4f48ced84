/* SPDX-License-Identifier: MPL-2.0 */
#include "config/reader.h"

#include "config/checks.h"
#include "config/schema.h"
#include "config/unknown.h"
#include "config/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one being looked at */
    const char *bytes;
    struct report *report;
    struct config *config;
    unsigned depth;
    bool ended;            /* nothing more can be read: syntax error, too deep, no memory */
    struct place gates_at; /* line 0: not seen */
    struct section_given top;
    struct section_given gates[CONFIG_GATES_MAX];
    struct config_gate spare_gate; /* takes the gates beyond the maximum, so that their mistakes are found too */
    struct section_given spare_given;
};

/* What a mapping of the file fills. */
struct target {
    const struct schema *schema;
    void *base;
    struct section_given *given;
};

static struct place place_of(const yaml_mark_t *mark)
{
    return (struct place){.line = (uint32_t)mark->line + 1, .column = (uint32_t)mark->column + 1};
}

static struct place here(const struct reader *r)
{
    return place_of(&r->event.start_mark);
}

/* libyaml names the byte, not the line, of what is no UTF-8. */
static struct place place_of_byte(const struct reader *r, size_t offset)
{
    struct place at = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset; i++) {
        if (r->bytes[i] == '\n')
            at = (struct place){.line = at.line + 1, .column = 1};
        else if ((r->bytes[i] & 0xC0) != 0x80)
            at.column++;
    }
    return at;
}

static void report_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "unreadable";
    if (p->error == YAML_MEMORY_ERROR)
        report_mistake(r->report, (struct place){0}, "not enough memory to read it");
    else if (p->error == YAML_READER_ERROR)
        report_mistake(r->report, place_of_byte(r, p->problem_offset), "not readable as text: %s", problem);
    else if (p->context)
        report_mistake(r->report, place_of(&p->problem_mark), "not valid YAML: %s (%s at line %zu)", problem,
                       p->context, p->context_mark.line + 1);
    else
        report_mistake(r->report, place_of(&p->problem_mark), "not valid YAML: %s", problem);
}

static void refuse(struct reader *r, const char *what, const yaml_char_t *name)
{
    char seen[VALUE_SEEN_MAX];
    report_mistake(r->report, here(r), "%s are not allowed: %s, write the value itself where it belongs", what,
                   value_quote(seen, (const char *)name, strlen((const char *)name)));
}

static void refuse_decoration(struct reader *r, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        refuse(r, "anchors", anchor);
    if (tag)
        refuse(r, "tags", tag);
}

static void refuse_what_expands(struct reader *r)
{
    const yaml_event_t *e = &r->event;
    if (e->type == YAML_ALIAS_EVENT)
        refuse(r, "aliases", e->data.alias.anchor);
    else if (e->type == YAML_SCALAR_EVENT)
        refuse_decoration(r, e->data.scalar.anchor, e->data.scalar.tag);
    else if (e->type == YAML_MAPPING_START_EVENT)
        refuse_decoration(r, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    else if (e->type == YAML_SEQUENCE_START_EVENT)
        refuse_decoration(r, e->data.sequence_start.anchor, e->data.sequence_start.tag);
}

static void count_depth(struct reader *r)
{
    yaml_event_type_t type = r->event.type;
    if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT)
        r->depth--;
    if (type != YAML_MAPPING_START_EVENT && type != YAML_SEQUENCE_START_EVENT)
        return;
    if (++r->depth <= CONFIG_DEPTH_MAX)
        return;
    report_mistake(r->report, here(r), "nested too deeply: %u levels, allowed %d", r->depth, CONFIG_DEPTH_MAX);
    r->ended = true;
}

/* Moves to the next event. Once the reading has ended the type stays YAML_NO_EVENT. */
static yaml_event_type_t next(struct reader *r)
{
    yaml_event_delete(&r->event); /* leaves YAML_NO_EVENT */
    if (r->ended)
        return YAML_NO_EVENT;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        memset(&r->event, 0, sizeof(r->event));
        report_syntax(r);
        r->ended = true;
        return YAML_NO_EVENT;
    }
    refuse_what_expands(r);
    count_depth(r);
    return r->ended ? YAML_NO_EVENT : r->event.type;
}

/* From the first event of a value to its last. */
static void skip_value(struct reader *r)
{
    unsigned depth = r->depth;
    yaml_event_type_t type = r->event.type;
    if (type != YAML_MAPPING_START_EVENT && type != YAML_SEQUENCE_START_EVENT)
        return;
    while (!r->ended && r->depth >= depth)
        next(r);
}

static bool is_empty(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           e->data.scalar.length == 0;
}

static const char *kind_of_value(const yaml_event_t *e)
{
    if (is_empty(e))
        return "nothing";
    if (e->type == YAML_SCALAR_EVENT)
        return "a single value";
    return e->type == YAML_SEQUENCE_START_EVENT ? "a list" : "a mapping";
}

/* ---- values ---- */

static void read_scalar(struct reader *r, const struct target *t, const struct schema_key *k)
{
    struct given *given = &t->given->keys[k - t->schema->keys];
    const yaml_event_t *e = &r->event;
    char why[VALUE_WHY_MAX], range[VALUE_TEXT_MAX], seen[VALUE_SEEN_MAX];
    given->at = here(r);
    given->wrong = true;
    if (e->type == YAML_ALIAS_EVENT)
        return;
    if (e->type != YAML_SCALAR_EVENT || is_empty(e)) {
        report_mistake(r->report, given->at, "%s is not %s: %s, allowed %s", k->path, schema_type_words(k->type),
                       kind_of_value(e), value_range(range, k));
        return;
    }
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) != e->data.scalar.length) {
        report_mistake(r->report, given->at, "%s holds a NUL character: %s, allowed %s", k->path,
                       value_quote(seen, text, e->data.scalar.length), value_range(range, k));
        return;
    }
    given->wrong = value_set(k, text, t->base, why) != 0;
    if (given->wrong)
        report_mistake(r->report, given->at, "%s", why);
}

static void read_section(struct reader *r, const struct target *t, const char *section);

/* A section may be empty (all of it commented out), but nothing else. */
static void read_subsection(struct reader *r, const struct target *t, const char *path)
{
    yaml_event_type_t type = r->event.type;
    if (type == YAML_MAPPING_START_EVENT)
        read_section(r, t, path);
    else if (type != YAML_ALIAS_EVENT && !is_empty(&r->event))
        report_mistake(r->report, here(r), "%s is not a section: %s, allowed a mapping with keys such as %s", path,
                       kind_of_value(&r->event), schema_section(t->schema, path)->path);
}

static void read_gates(struct reader *r);

/* The event is the value of the key `path`. `first_lines` remembers, by row, where each key of this mapping stood. */
static void read_value(struct reader *r, const struct target *t, const char *path, struct place key_at,
                       uint32_t *first_lines)
{
    const struct schema_key *k = schema_find(t->schema, path), *first = k ? k : schema_section(t->schema, path);
    uint32_t *first_line = &first_lines[first - t->schema->keys];
    if (*first_line) {
        report_mistake(r->report, key_at, "%s is given twice: again here, first at line %u", path, *first_line);
    } else {
        *first_line = key_at.line;
    }
    if (k)
        read_scalar(r, t, k);
    else
        read_subsection(r, t, path);
}

/* The event is the key. Leaves the last event of its value. */
static void read_key(struct reader *r, const struct target *t, const char *section, uint32_t *first_lines)
{
    char word[SCHEMA_PATH_MAX], path[2 * SCHEMA_PATH_MAX];
    struct place at = here(r);
    bool is_word = r->event.type == YAML_SCALAR_EVENT;
    if (is_word) {
        snprintf(word, sizeof(word), "%s", (const char *)r->event.data.scalar.value);
        is_word = strlen(word) == r->event.data.scalar.length || r->event.data.scalar.length >= sizeof(word);
    }
    if (!is_word && r->event.type != YAML_ALIAS_EVENT)
        report_mistake(r->report, at, "a key is not a word: %s, allowed the names in docs/config.md",
                       kind_of_value(&r->event));
    skip_value(r);
    unsigned depth = r->depth;
    next(r);
    if (r->ended)
        return;
    if (is_word) {
        snprintf(path, sizeof(path), "%s%s%s", section, *section ? "." : "", word);
        bool dotted = strchr(word, '.') != NULL; /* paths are for people; in the file keys nest */
        if (t->schema == &schema_top && !strcmp(path, "gates"))
            read_gates(r);
        else if (!dotted && (schema_find(t->schema, path) || schema_section(t->schema, path)))
            read_value(r, t, path, at, first_lines);
        else
            unknown_report(r->report, at, t->schema, section, word);
    }
    if (r->depth > depth) /* the value was not read to its end */
        skip_value(r);
}

/* The event is the start of the mapping. Leaves its end. */
static void read_section(struct reader *r, const struct target *t, const char *section)
{
    uint32_t first_lines[SCHEMA_KEYS_MAX] = {0};
    while (next(r) != YAML_NO_EVENT && r->event.type != YAML_MAPPING_END_EVENT)
        read_key(r, t, section, first_lines);
}

static void read_gate(struct reader *r)
{
    struct config *c = r->config;
    bool fits = c->gate_count < CONFIG_GATES_MAX;
    struct config_gate *g = fits ? &c->gates[c->gate_count] : &r->spare_gate;
    struct target t = {.schema = &schema_gate, .base = g, .given = fits ? &r->gates[c->gate_count] : &r->spare_given};
    memset(g, 0, sizeof(*g));
    memset(t.given, 0, sizeof(*t.given));
    schema_set_defaults(&schema_gate, g);
    t.given->at = here(r);
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        if (r->event.type != YAML_ALIAS_EVENT)
            report_mistake(r->report, t.given->at,
                           "a gate is not a mapping: %s, allowed keys such as listen and forward",
                           kind_of_value(&r->event));
        skip_value(r);
        return;
    }
    if (!fits)
        report_mistake(r->report, t.given->at, "too many gates: number %d, allowed %d", CONFIG_GATES_MAX + 1,
                       CONFIG_GATES_MAX);
    read_section(r, &t, "");
    if (r->ended)
        return;
    checks_gate(g, t.given, r->report);
    c->gate_count += fits;
}

static void read_gates(struct reader *r)
{
    struct place at = here(r);
    if (r->gates_at.line) {
        report_mistake(r->report, at, "gates is given twice: again here, first at line %u", r->gates_at.line);
        return;
    }
    r->gates_at = at;
    if (r->event.type != YAML_SEQUENCE_START_EVENT) {
        if (r->event.type != YAML_ALIAS_EVENT)
            report_mistake(r->report, at, "gates is not a list: %s, allowed 1 to %d items, each beginning with \"- \"",
                           kind_of_value(&r->event), CONFIG_GATES_MAX);
        return;
    }
    unsigned items = 0;
    for (; next(r) != YAML_NO_EVENT && r->event.type != YAML_SEQUENCE_END_EVENT; items++)
        read_gate(r);
    if (!items && !r->ended)
        report_mistake(r->report, at, "gates is empty: 0 gates, allowed 1 to %d", CONFIG_GATES_MAX);
}

/* ---- the file ---- */

static void read_root(struct reader *r)
{
    struct target t = {.schema = &schema_top, .base = r->config, .given = &r->top};
    yaml_event_type_t type = next(r);
    r->top.at = (struct place){.line = 1, .column = 1};
    if (type == YAML_MAPPING_START_EVENT)
        read_section(r, &t, "");
    else if (type != YAML_NO_EVENT && !is_empty(&r->event)) {
        report_mistake(r->report, here(r), "the file is not a mapping: %s, allowed keys such as gates",
                       kind_of_value(&r->event));
        r->gates_at = here(r); /* one mistake is enough */
        skip_value(r);
    }
}

static void read_file(struct reader *r)
{
    next(r); /* the start of the stream */
    if (next(r) == YAML_DOCUMENT_START_EVENT) {
        read_root(r);
        next(r); /* the end of the document */
        if (next(r) == YAML_DOCUMENT_START_EVENT)
            report_mistake(r->report, here(r), "a second document begins: \"---\", allowed one");
    }
    if (r->ended)
        return;
    if (!r->gates_at.line)
        report_mistake(r->report, (struct place){.line = 1, .column = 1}, "gates is missing: 0 gates, allowed 1 to %d",
                       CONFIG_GATES_MAX);
    checks_between(r->config, &r->top, r->gates, r->report);
}

static struct config *config_with_room(size_t gates)
{
    struct config *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->gates = calloc(gates, sizeof(*c->gates));
    if (!c->gates) {
        free(c);
        return NULL;
    }
    schema_set_defaults(&schema_top, c);
    return c;
}

struct config *config_read(const char *bytes, size_t len, struct report *report)
{
    struct reader *r = calloc(1, sizeof(*r));
    struct config *c = config_with_room(CONFIG_GATES_MAX);
    unsigned before = report->mistakes;
    if (!r || !c || !yaml_parser_initialize(&r->parser)) {
        report_mistake(report, (struct place){0}, "not enough memory to read it");
        goto out;
    }
    r->bytes = bytes;
    r->report = report;
    r->config = c;
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)bytes, len);
    read_file(r);
    yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
out:
    free(r);
    if (report->mistakes == before)
        return c;
    config_free(c);
    return NULL;
}
