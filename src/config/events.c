/* SPDX-License-Identifier: MPL-2.0 */
#include "config/events.h"

#include "config/reader.h"
#include "config/value_words.h"

#include <string.h>

bool events_init(struct events *in, const char *bytes, size_t len, struct report *report)
{
    *in = (struct events){.bytes = bytes, .report = report};
    if (!yaml_parser_initialize(&in->parser))
        return false;
    yaml_parser_set_encoding(&in->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&in->parser, (const unsigned char *)bytes, len);
    return true;
}

void events_fini(struct events *in)
{
    yaml_event_delete(&in->event);
    yaml_parser_delete(&in->parser);
}

static struct place events_place_of(const yaml_mark_t *mark)
{
    return (struct place){.line = (uint32_t)mark->line + 1, .column = (uint32_t)mark->column + 1};
}

struct place events_here(const struct events *in)
{
    return events_place_of(&in->event.start_mark);
}

/* For bytes that are not UTF-8 libyaml names the byte, not the line. */
static struct place place_of_byte(const struct events *in, size_t offset)
{
    struct place at = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset; i++) {
        if (in->bytes[i] == '\n')
            at = (struct place){.line = at.line + 1, .column = 1};
        else if ((in->bytes[i] & 0xC0) != 0x80)
            at.column++;
    }
    return at;
}

static void report_syntax(struct events *in)
{
    const yaml_parser_t *p = &in->parser;
    const char *problem = p->problem ? p->problem : "unreadable";
    if (p->error == YAML_MEMORY_ERROR)
        report_mistake(in->report, (struct place){0}, "not enough memory to read it");
    else if (p->error == YAML_READER_ERROR)
        report_mistake(in->report, place_of_byte(in, p->problem_offset), "not readable as text: %s", problem);
    else if (p->context)
        report_mistake(in->report, events_place_of(&p->problem_mark), "not valid YAML: %s (%s at line %zu)", problem,
                       p->context, p->context_mark.line + 1);
    else
        report_mistake(in->report, events_place_of(&p->problem_mark), "not valid YAML: %s", problem);
}

static void events_refuse(struct events *in, const char *what, const yaml_char_t *name)
{
    char seen[VALUE_SEEN_MAX];
    report_mistake(in->report, events_here(in), "%s are not allowed: %s, write the value itself where it belongs", what,
                   value_words_quote(seen, (const char *)name, strlen((const char *)name)));
}

static void refuse_decoration(struct events *in, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        events_refuse(in, "anchors", anchor);
    if (tag)
        events_refuse(in, "tags", tag);
}

static void refuse_what_expands(struct events *in)
{
    const yaml_event_t *e = &in->event;
    if (e->type == YAML_ALIAS_EVENT)
        events_refuse(in, "aliases", e->data.alias.anchor);
    else if (e->type == YAML_SCALAR_EVENT)
        refuse_decoration(in, e->data.scalar.anchor, e->data.scalar.tag);
    else if (e->type == YAML_MAPPING_START_EVENT)
        refuse_decoration(in, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    else if (e->type == YAML_SEQUENCE_START_EVENT)
        refuse_decoration(in, e->data.sequence_start.anchor, e->data.sequence_start.tag);
}

static void count_depth(struct events *in)
{
    yaml_event_type_t type = in->event.type;
    if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT)
        in->depth--;
    if (type != YAML_MAPPING_START_EVENT && type != YAML_SEQUENCE_START_EVENT)
        return;
    if (++in->depth <= CONFIG_DEPTH_MAX)
        return;
    report_mistake(in->report, events_here(in), "nested too deeply: %u levels, allowed %d", in->depth,
                   CONFIG_DEPTH_MAX);
    in->ended = true;
}

yaml_event_type_t events_next(struct events *in)
{
    yaml_event_delete(&in->event); /* leaves YAML_NO_EVENT */
    if (in->ended)
        return YAML_NO_EVENT;
    if (!yaml_parser_parse(&in->parser, &in->event)) {
        memset(&in->event, 0, sizeof(in->event));
        report_syntax(in);
        in->ended = true;
        return YAML_NO_EVENT;
    }
    refuse_what_expands(in);
    count_depth(in);
    return in->ended ? YAML_NO_EVENT : in->event.type;
}

void events_skip_value(struct events *in)
{
    unsigned depth = in->depth;
    yaml_event_type_t type = in->event.type;
    if (type != YAML_MAPPING_START_EVENT && type != YAML_SEQUENCE_START_EVENT)
        return;
    while (!in->ended && in->depth >= depth)
        events_next(in);
}

bool events_is_empty(const struct events *in)
{
    const yaml_event_t *e = &in->event;
    return e->type == YAML_SCALAR_EVENT && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           e->data.scalar.length == 0;
}

const char *events_kind(const struct events *in)
{
    const yaml_event_t *e = &in->event;
    if (events_is_empty(in))
        return "nothing";
    if (e->type == YAML_SCALAR_EVENT)
        return "a single value";
    return e->type == YAML_SEQUENCE_START_EVENT ? "a list" : "a mapping";
}
