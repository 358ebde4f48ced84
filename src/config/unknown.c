/* SPDX-License-Identifier: MPL-2.0 */
#include "config/unknown.h"

#include "config/suggest.h"
#include "config/value.h"

#include <string.h>

/* Offers every row and section below `section`, by its name inside that section. */
static void offer_keys(struct suggestion *s, const struct schema *schema, const char *section, const char *word)
{
    size_t inside = strlen(section) + (*section != '\0');
    for (size_t i = 0; i < schema->count; i++) {
        const char *path = schema->keys[i].path;
        if (inside && (strncmp(path, section, inside - 1) || path[inside - 1] != '.'))
            continue;
        suggest_offer(s, word, path + inside, strcspn(path + inside, "."));
        suggest_offer(s, word, path + inside, strlen(path + inside));
    }
}

/* A row anywhere in the schema whose last word is exactly this: the author has taken the wrong section. */
static const char *same_word_elsewhere(const struct schema *schema, const char *word)
{
    for (size_t i = 0; i < schema->count; i++) {
        const char *dot = strrchr(schema->keys[i].path, '.');
        const char *last = dot ? dot + 1 : schema->keys[i].path;
        if (!strcmp(last, word))
            return schema->keys[i].path;
    }
    return NULL;
}

/* The length of a candidate's section, before its last dot ("connections.max"); 0 for a candidate without one. */
static size_t section_len(const struct suggestion *s)
{
    const char *dot = s->best ? memrchr(s->best, '.', s->best_len) : NULL;
    return dot ? (size_t)(dot - s->best) : 0;
}

/* Another table that has this key, or NULL. */
static const struct schema *other_schema(const struct schema *schema, const char *word)
{
    for (size_t i = 0; i < SCHEMAS; i++)
        if (schemas[i] != schema && (schema_find(schemas[i], word) || schema_section(schemas[i], word)))
            return schemas[i];
    return NULL;
}

static const char *place_of_keys(const struct schema *s)
{
    return s == &schema_top    ? "the top level"
           : s == &schema_gate ? "a gate (an item of \"gates\")"
                               : "a class (an item of \"classes\" of a gate)";
}

/* Why a gate's section without rules has nothing to enforce; NULL for other sections. */
static const char *always_in_force(const char *section)
{
    static const char *const sections[][2] = {
        {"connections", "they keep Weir and the application within their descriptors"},
        {"handshake", "what follows a broken handshake could not be understood"},
        {"heartbeat", "it refuses nothing"},
        {"concurrency", "it is about the application; concurrency.limit: off switches it off"},
        {"breaker", "it is about the application; breaker.failures: 0 switches it off"},
        {"source", "its parts have an enforce each, such as source.messages.enforce"},
    };
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if (!strcmp(sections[i][0], section))
            return sections[i][1];
    return NULL;
}

void unknown_report(struct report *r, struct place at, const struct schema *schema, const char *section,
                    const char *word)
{
    struct suggestion s = {0};
    char seen[VALUE_SEEN_MAX];
    const char *where = *section ? section : schema->noun;
    const struct schema *other = other_schema(schema, word);
    const char *elsewhere = same_word_elsewhere(schema, word);
    const char *why = schema == &schema_gate && !strcmp(word, "enforce") ? always_in_force(section) : NULL;
    if (why) {
        report_mistake(r, at, "%s has no enforce of its own: %s; allowed in the sections of rules, see docs/config.md",
                       section, why);
        return;
    }
    offer_keys(&s, schema, section, word);
    if (schema == &schema_top && !*section)
        suggest_offer(&s, word, "gates", strlen("gates"));
    value_quote(seen, word, strlen(word));
    size_t outer = section_len(&s);
    if (outer)
        report_mistake(r, at, "unknown key in %s: %s, did you mean \"%.*s\" inside \"%.*s\"?", where, seen,
                       (int)(s.best_len - outer - 1), s.best + outer + 1, (int)outer, s.best);
    else if (s.best)
        report_mistake(r, at, "unknown key in %s: %s, did you mean \"%.*s\"?", where, seen, (int)s.best_len, s.best);
    else if (elsewhere && !strcmp(elsewhere, word)) /* without a section */
        report_mistake(r, at, "unknown key in %s: %s, it belongs to %s itself, beside \"%s\"", where, seen,
                       place_of_keys(schema), section);
    else if (elsewhere)
        report_mistake(r, at, "unknown key in %s: %s, did you mean %s?", where, seen, elsewhere);
    else if (other)
        report_mistake(r, at, "unknown key in %s: %s, it belongs to %s", where, seen, place_of_keys(other));
    else
        report_mistake(r, at, "unknown key in %s: %s", where, seen);
}
