/* SPDX-License-Identifier: MPL-2.0 */
#include "config/reader.h"

#include "config/checks.h"
#include "config/events.h"
#include "config/schema.h"
#include "config/unknown.h"
#include "config/value.h"
#include "config/value_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct events in;
    struct report *report;
    struct config *config;
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

static struct given *reader_given_of(const struct target *t, const struct schema_key *k)
{
    return &t->given->keys[k - t->schema->keys];
}

/* ---- values ---- */

/* The text of the event, which must be a single value; NULL after a mistake. */
static const char *scalar_text(struct reader *r, const struct schema_key *k)
{
    const yaml_event_t *e = &r->in.event;
    char range[VALUE_TEXT_MAX], seen[VALUE_SEEN_MAX];
    if (e->type == YAML_ALIAS_EVENT)
        return NULL;
    if (e->type != YAML_SCALAR_EVENT || events_is_empty(&r->in)) {
        report_mistake(r->report, events_here(&r->in), "%s is not %s: %s, allowed %s", k->path,
                       schema_type_words(k->type), events_kind(&r->in), value_words_range(range, k));
        return NULL;
    }
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) == e->data.scalar.length)
        return text;
    report_mistake(r->report, events_here(&r->in), "%s holds a NUL character: %s, allowed %s", k->path,
                   value_words_quote(seen, text, e->data.scalar.length), value_words_range(range, k));
    return NULL;
}

static void read_scalar(struct reader *r, const struct target *t, const struct schema_key *k)
{
    struct given *given = reader_given_of(t, k);
    char why[VALUE_WHY_MAX];
    const char *text = scalar_text(r, k);
    given->at = events_here(&r->in);
    given->wrong = !text || value_set(k, text, t->base, why) != 0;
    if (text && given->wrong)
        report_mistake(r->report, given->at, "%s", why);
}

static void read_section(struct reader *r, const struct target *t, const char *section);

/* A section may be empty (all of it commented out), but nothing else. */
static void read_subsection(struct reader *r, const struct target *t, const char *path)
{
    yaml_event_type_t type = r->in.event.type;
    if (type == YAML_MAPPING_START_EVENT)
        read_section(r, t, path);
    else if (type != YAML_ALIAS_EVENT && !events_is_empty(&r->in))
        report_mistake(r->report, events_here(&r->in),
                       "%s is not a section: %s, allowed a mapping with keys such as %s", path, events_kind(&r->in),
                       schema_section(t->schema, path)->path);
}

/* ---- lists ---- */

/* The text of an item, and where it stands; NULL after a mistake, with the item skipped. */
static const char *read_scalar_item(struct reader *r, const struct schema_key *k, uint32_t *ret_line,
                                    uint32_t *ret_column)
{
    const char *text = scalar_text(r, k);
    struct place at = events_here(&r->in);
    *ret_line = at.line;
    *ret_column = at.column;
    if (!text)
        events_skip_value(&r->in);
    return text;
}

/* What value_network() or value_path() said of the item. */
static bool accept_item(struct reader *r, int error, const char *why)
{
    if (error)
        report_mistake(r->report, events_here(&r->in), "%s", why);
    return error == 0;
}

static bool reader_read_network(struct reader *r, const struct schema_key *k, struct config_network *ret)
{
    char why[VALUE_WHY_MAX];
    const char *text = read_scalar_item(r, k, &ret->line, &ret->column);
    return text && accept_item(r, value_network(k, text, &ret->network, why), why);
}

static bool read_path(struct reader *r, const struct schema_key *k, struct config_path *ret)
{
    char why[VALUE_WHY_MAX];
    const char *text = read_scalar_item(r, k, &ret->line, &ret->column);
    return text && accept_item(r, value_path(k, text, ret->path, why), why);
}

static bool read_object(struct reader *r, const struct schema_key *k, void *base)
{
    struct section_given given = {.at = events_here(&r->in)};
    struct target t = {.schema = k->items, .base = base, .given = &given};
    char range[VALUE_TEXT_MAX];
    if (r->in.event.type != YAML_MAPPING_START_EVENT) {
        if (r->in.event.type != YAML_ALIAS_EVENT)
            report_mistake(r->report, given.at, "%s is not a mapping: %s, allowed %s", k->items->noun,
                           events_kind(&r->in), value_words_range(range, k));
        events_skip_value(&r->in);
        return false;
    }
    value_set_defaults(k->items, base);
    read_section(r, &t, "");
    if (!r->in.ended)
        checks_item(k->items, base, &given, r->report);
    return true;
}

static bool read_item(struct reader *r, const struct schema_key *k, void *item)
{
    if (k->type == SCHEMA_PATHS)
        return read_path(r, k, item);
    return k->items ? read_object(r, k, item) : reader_read_network(r, k, item);
}

/* Room for the whole list. False after a mistake. */
static bool begin_list(struct reader *r, const struct target *t, const struct schema_key *k, struct schema_list *ret)
{
    struct given *given = reader_given_of(t, k);
    given->at = events_here(&r->in);
    given->wrong = true;
    *ret = schema_get_list(k, t->base);
    if (ret->at) /* given twice, and reported */
        return false;
    if (r->in.event.type != YAML_SEQUENCE_START_EVENT) {
        if (r->in.event.type != YAML_ALIAS_EVENT)
            report_mistake(r->report, given->at,
                           "%s is not a list: %s, allowed %s to %s items, each beginning with \"- \"", k->path,
                           events_kind(&r->in), k->min, k->max);
        return false;
    }
    ret->at = calloc(schema_items_most(k), schema_item_size(k));
    if (!ret->at) {
        report_mistake(r->report, (struct place){0}, "not enough memory to read it");
        r->in.ended = true;
        return false;
    }
    given->wrong = false;
    return true;
}

/* A wrong item is left out of the list; the reading fails anyway. */
static void read_list(struct reader *r, const struct target *t, const struct schema_key *k)
{
    size_t items = 0, most = schema_items_most(k);
    struct schema_list list;
    if (!begin_list(r, t, k, &list))
        return;
    for (; events_next(&r->in) != YAML_NO_EVENT && r->in.event.type != YAML_SEQUENCE_END_EVENT; items++) {
        void *item = (char *)list.at + list.count * schema_item_size(k);
        if (items == most)
            report_mistake(r->report, events_here(&r->in), "%s has too many items: number %zu, allowed %s", k->path,
                           most + 1, k->max);
        if (items >= most)
            events_skip_value(&r->in);
        else
            list.count += read_item(r, k, item);
    }
    schema_put_list(k, t->base, list);
    if (items < schema_items_least(k) && !r->in.ended)
        report_mistake(r->report, reader_given_of(t, k)->at, "%s is empty: 0 items, allowed %s to %s", k->path, k->min,
                       k->max);
}

/* ---- keys ---- */

static void read_gates(struct reader *r);

/* The event is the value of the key `path`. `first_lines` has, by row, the line of each key of this mapping. */
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
    if (k && schema_is_list(k))
        read_list(r, t, k);
    else if (k)
        read_scalar(r, t, k);
    else
        read_subsection(r, t, path);
}

/* The event is the key. Leaves the last event of its value. */
static void read_key(struct reader *r, const struct target *t, const char *section, uint32_t *first_lines)
{
    char word[SCHEMA_PATH_MAX], path[2 * SCHEMA_PATH_MAX];
    struct place at = events_here(&r->in);
    bool is_word = r->in.event.type == YAML_SCALAR_EVENT;
    if (is_word) {
        snprintf(word, sizeof(word), "%s", (const char *)r->in.event.data.scalar.value);
        is_word = strlen(word) == r->in.event.data.scalar.length || r->in.event.data.scalar.length >= sizeof(word);
    }
    if (!is_word && r->in.event.type != YAML_ALIAS_EVENT)
        report_mistake(r->report, at, "a key is not a word: %s, allowed the names in weir help config",
                       events_kind(&r->in));
    events_skip_value(&r->in);
    unsigned depth = r->in.depth;
    events_next(&r->in);
    if (r->in.ended)
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
    if (r->in.depth > depth) /* the value was not read to its end */
        events_skip_value(&r->in);
}

/* The event is the start of the mapping. Leaves its end. */
static void read_section(struct reader *r, const struct target *t, const char *section)
{
    uint32_t first_lines[SCHEMA_KEYS_MAX] = {0};
    while (events_next(&r->in) != YAML_NO_EVENT && r->in.event.type != YAML_MAPPING_END_EVENT)
        read_key(r, t, section, first_lines);
}

/* A key of a pattern, as if the file had it. */
static void preset(const char *path, const char *text, struct config_gate *g, struct section_given *given)
{
    char why[VALUE_WHY_MAX];
    const struct schema_key *k = schema_find(&schema_gate, path);
    struct given *key = &given->keys[k - schema_gate.keys];
    if (!key->at.line && value_set(k, text, g, why) == 0)
        key->at = given->at;
}

static void preset_pattern(struct config_gate *g, struct section_given *given)
{
    preset("listen", CONFIG_PATTERN_LISTEN, g, given);
    preset("forward", CONFIG_PATTERN_FORWARD, g, given);
}

static void note_given(struct config_gate *g, const struct section_given *given)
{
    _Static_assert(SCHEMA_KEYS_MAX <= 64 * ARRAY_LEN(g->given), "a bit for each key");
    for (size_t i = 0; i < SCHEMA_KEYS_MAX; i++)
        if (given->keys[i].at.line)
            g->given[i / 64] |= UINT64_C(1) << i % 64;
}

static void read_gate(struct reader *r)
{
    struct config *c = r->config;
    bool fits = c->gate_count < CONFIG_GATES_MAX;
    struct config_gate *g = fits ? &c->gates[c->gate_count] : &r->spare_gate;
    struct target t = {.schema = &schema_gate, .base = g, .given = fits ? &r->gates[c->gate_count] : &r->spare_given};
    *g = (struct config_gate){0};
    memset(t.given, 0, sizeof(*t.given));
    value_set_defaults(&schema_gate, g);
    t.given->at = events_here(&r->in);
    if (r->in.event.type != YAML_MAPPING_START_EVENT) {
        if (r->in.event.type != YAML_ALIAS_EVENT)
            report_mistake(r->report, t.given->at,
                           "a gate is not a mapping: %s, allowed keys such as listen and forward", events_kind(&r->in));
        events_skip_value(&r->in);
        return;
    }
    if (!fits)
        report_mistake(r->report, t.given->at, "too many gates: number %d, allowed %d", CONFIG_GATES_MAX + 1,
                       CONFIG_GATES_MAX);
    read_section(r, &t, "");
    note_given(g, t.given);
    if (c->patterns)
        preset_pattern(g, t.given);
    if (!r->in.ended)
        checks_gate(g, t.given, r->report);
    c->gate_count += fits;
    if (!fits)
        config_gate_fini(g);
}

static void read_gates(struct reader *r)
{
    struct place at = events_here(&r->in);
    if (r->gates_at.line) {
        report_mistake(r->report, at, "gates is given twice: again here, first at line %u", r->gates_at.line);
        return;
    }
    r->gates_at = at;
    if (r->in.event.type != YAML_SEQUENCE_START_EVENT) {
        if (r->in.event.type != YAML_ALIAS_EVENT)
            report_mistake(r->report, at, "gates is not a list: %s, allowed 1 to %d items, each beginning with \"- \"",
                           events_kind(&r->in), CONFIG_GATES_MAX);
        return;
    }
    unsigned items = 0;
    for (; events_next(&r->in) != YAML_NO_EVENT && r->in.event.type != YAML_SEQUENCE_END_EVENT; items++)
        read_gate(r);
    if (!items && !r->in.ended)
        report_mistake(r->report, at, "gates is empty: 0 gates, allowed 1 to %d", CONFIG_GATES_MAX);
}

/* ---- the file ---- */

static void read_root(struct reader *r)
{
    struct target t = {.schema = &schema_top, .base = r->config, .given = &r->top};
    yaml_event_type_t type = events_next(&r->in);
    r->top.at = (struct place){.line = 1, .column = 1};
    if (type == YAML_MAPPING_START_EVENT)
        read_section(r, &t, "");
    else if (type != YAML_NO_EVENT && !events_is_empty(&r->in)) {
        report_mistake(r->report, events_here(&r->in), "the file is not a mapping: %s, allowed keys such as gates",
                       events_kind(&r->in));
        r->gates_at = events_here(&r->in); /* one mistake is enough */
        events_skip_value(&r->in);
    }
}

static void reader_read_file(struct reader *r)
{
    events_next(&r->in); /* the start of the stream */
    if (events_next(&r->in) == YAML_DOCUMENT_START_EVENT) {
        read_root(r);
        events_next(&r->in); /* the end of the document */
        if (events_next(&r->in) == YAML_DOCUMENT_START_EVENT)
            report_mistake(r->report, events_here(&r->in), "a second document begins: \"---\", allowed one");
    }
    if (r->in.ended)
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
    value_set_defaults(&schema_top, c);
    return c;
}

struct config *config_read(const char *bytes, size_t len, bool patterns, struct report *report,
                           struct section_given *ret_places)
{
    struct reader *r = calloc(1, sizeof(*r));
    struct config *c = config_with_room(CONFIG_GATES_MAX);
    unsigned before = report->mistakes;
    if (!r || !c || !events_init(&r->in, bytes, len, report)) {
        report_mistake(report, (struct place){0}, "not enough memory to read it");
        goto out;
    }
    r->report = report;
    r->config = c;
    c->patterns = patterns;
    reader_read_file(r);
    events_fini(&r->in);
    if (ret_places) {
        memcpy(ret_places, r->gates, sizeof(r->gates));
        ret_places[CONFIG_GATES_MAX] = r->top;
    }
out:
    free(r);
    if (report->mistakes == before)
        return c;
    config_free(c);
    return NULL;
}

/* Whether the file says it, and says it rightly. */
static bool is_known(const struct reader *r, const char *path)
{
    const struct given *given = &r->top.keys[schema_find(&schema_top, path) - schema_top.keys];
    return given->at.line ? !given->wrong : !r->in.ended;
}

bool config_read_admin(const char *bytes, size_t len, struct report *report, struct config_admin *ret)
{
    struct reader *r = calloc(1, sizeof(*r));
    struct config *c = config_with_room(CONFIG_GATES_MAX);
    bool known = false;
    if (!r || !c || !events_init(&r->in, bytes, len, report)) {
        report_mistake(report, (struct place){0}, "not enough memory to read it");
        goto out;
    }
    r->report = report;
    r->config = c;
    reader_read_file(r);
    events_fini(&r->in);
    known = is_known(r, "admin.listen") && is_known(r, "admin.token_file");
    *ret = c->admin;
out:
    free(r);
    config_free(c);
    return known;
}
