/* SPDX-License-Identifier: MPL-2.0 */
#include "config/unknown.h"

#include "config/suggest.h"
#include "config/value.h"
#include "config/value_words.h"

#include <stdarg.h>
#include <stdio.h>
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

/* A row or section: the beginning of a row's path. */
struct path_part {
    const char *at; /* NULL: none */
    size_t len;
};

/* Where these words are most often meant. Others are meant where they come first. */
static const char *const usual[] = {"source.messages.rate", "source.messages.burst", "source.messages.over",
                                    "source.bytes"};

/* Whether `word` is the last of several words of the path. */
static bool ends_with_word(const char *path, size_t len, const char *word)
{
    size_t word_len = strlen(word);
    return len > word_len && path[len - word_len - 1] == '.' && memcmp(path + len - word_len, word, word_len) == 0;
}

static bool is_below(const char *path, const char *section)
{
    size_t len = strlen(section);
    return len == 0 || (strncmp(path, section, len) == 0 && path[len] == '.');
}

/* A row or section with exactly this last word, anywhere below `section`: the author has left something out. */
static struct path_part find_below(const struct schema *schema, const char *section, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (ends_with_word(usual[i], strlen(usual[i]), word) && is_below(usual[i], section) &&
            (schema_find(schema, usual[i]) || schema_section(schema, usual[i])))
            return (struct path_part){usual[i], strlen(usual[i])};
    for (size_t i = 0; i < schema->count; i++) {
        const char *path = schema->keys[i].path;
        for (size_t len = strcspn(path, "."); is_below(path, section); len += 1 + strcspn(path + len + 1, ".")) {
            if (ends_with_word(path, len, word))
                return (struct path_part){path, len};
            if (path[len] == '\0')
                break;
        }
    }
    return (struct path_part){0};
}

/* The same, in this section or else anywhere. */
static struct path_part find_elsewhere(const struct schema *schema, const char *section, const char *word)
{
    struct path_part p = find_below(schema, section, word);
    return p.at || !*section ? p : find_below(schema, "", word);
}

/* The length of a candidate's section, before its last dot ("connections.max"); 0 for a candidate without one. */
static size_t section_len(const struct suggestion *s)
{
    const char *dot = s->best ? memrchr(s->best, '.', s->best_len) : NULL;
    return dot ? (size_t)(dot - s->best) : 0;
}

static bool has_path(const struct schema *s, const char *path)
{
    return schema_find(s, path) || schema_section(s, path);
}

/* Another table that has this path, or NULL. */
static const struct schema *other_schema(const struct schema *schema, const char *path)
{
    for (size_t i = 0; i < SCHEMAS; i++)
        if (schemas[i] != schema && has_path(schemas[i], path))
            return schemas[i];
    return NULL;
}

/* The same for a path that ends with `word`. */
static const struct schema *find_in_others(const struct schema *schema, const char *word, struct path_part *ret)
{
    for (size_t i = 0; i < SCHEMAS; i++)
        if (schemas[i] != schema && (*ret = find_below(schemas[i], "", word)).at)
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

/* The key in question. */
struct unknown {
    struct report *report;
    struct place at;
    const struct schema *schema;
    const char *section, *word;
};

static void unknown_say(const struct unknown *u, const char *fmt, ...) PRINTF(2, 3);

static void unknown_say(const struct unknown *u, const char *fmt, ...)
{
    char seen[VALUE_SEEN_MAX], hint[VALUE_WHY_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(hint, sizeof(hint), fmt, ap);
    va_end(ap);
    report_mistake(u->report, u->at, "unknown key in %s: %s%s", *u->section ? u->section : u->schema->noun,
                   value_words_quote(seen, u->word, strlen(u->word)), hint);
}

/* False: it is none of another level. */
static bool belongs_to_another(const struct unknown *u, const struct suggestion *s)
{
    char path[3 * SCHEMA_PATH_MAX];
    snprintf(path, sizeof(path), "%s%s%s", u->section, *u->section ? "." : "", u->word);
    const struct schema *other = other_schema(u->schema, path);
    if (other && *u->section)
        unknown_say(u, ", %s belongs to %s", path, place_of_keys(other));
    else if (other && s->best && s->distance <= 1)
        unknown_say(u, ", did you mean \"%.*s\"? (%s belongs to %s)", (int)s->best_len, s->best, path,
                    place_of_keys(other));
    else if (other)
        unknown_say(u, ", it belongs to %s", place_of_keys(other));
    return other != NULL;
}

/* The hint for a key that this section has not, nor the same section of another level. */
static void say_nearest(const struct unknown *u, const struct suggestion *s)
{
    struct path_part deep = find_elsewhere(u->schema, u->section, u->word), far = {0};
    const struct schema *other;
    if (deep.at)
        unknown_say(u, ", did you mean %.*s?", (int)deep.len, deep.at);
    else if (s->best)
        unknown_say(u, ", did you mean \"%.*s\"?", (int)s->best_len, s->best);
    else if (*u->section && has_path(u->schema, u->word))
        unknown_say(u, ", it belongs to %s itself, beside \"%s\"", place_of_keys(u->schema), u->section);
    else if ((other = other_schema(u->schema, u->word)))
        unknown_say(u, ", it belongs to %s", place_of_keys(other));
    else if ((other = find_in_others(u->schema, u->word, &far)))
        unknown_say(u, ", did you mean %.*s of %s?", (int)far.len, far.at, place_of_keys(other));
    else
        unknown_say(u, "%s", "");
}

void unknown_report(struct report *r, struct place at, const struct schema *schema, const char *section,
                    const char *word)
{
    const struct unknown u = {r, at, schema, section, word};
    struct suggestion s = {0};
    const char *why = schema == &schema_gate && !strcmp(word, "enforce") ? always_in_force(section) : NULL;
    if (why) {
        report_mistake(r, at,
                       "%s has no enforce of its own: %s; allowed in the sections of rules, see weir help config",
                       section, why);
        return;
    }
    offer_keys(&s, schema, section, word);
    if (schema == &schema_top && !*section)
        suggest_offer(&s, word, "gates", strlen("gates"));
    size_t outer = section_len(&s);
    if (outer)
        unknown_say(&u, ", did you mean \"%.*s\" inside \"%.*s\"?", (int)(s.best_len - outer - 1), s.best + outer + 1,
                    (int)outer, s.best);
    else if (!belongs_to_another(&u, &s))
        say_nearest(&u, &s);
}
