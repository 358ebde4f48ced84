/* SPDX-License-Identifier: MPL-2.0 */
#include "config/value_words.h"

#include "base/text.h"
#include "base/units.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *value_words_choice(const struct schema_key *k, const void *base)
{
    for (const struct schema_choice *c = k->choices; c->word; c++)
        if (c->value == schema_get(k, base))
            return c->word;
    return "?";
}

/* The text of types that are kept as they were written, or as a word; NULL for others. */
static const char *value_words_as_written(const struct schema_key *k, const void *base)
{
    const char *field = (const char *)base + k->offset;
    switch (k->type) {
    case SCHEMA_BOOL:
        return *(const bool *)field ? "true" : "false";
    case SCHEMA_CHOICE:
        return value_words_choice(k, base);
    case SCHEMA_LISTEN:
    case SCHEMA_FORWARD:
    case SCHEMA_TEXT:
        return field;
    case SCHEMA_NAME:
    case SCHEMA_PATH:
    case SCHEMA_ADMIN_ADDR:
        return field[0] ? field : value_words_preset(k);
    default:
        return NULL;
    }
}

/* "64KiB/s" or "2000/s": counts are written out, and bytes have their unit. */
static char *format_rate(char dst[static VALUE_TEXT_MAX], const struct rate *r, bool bytes)
{
    char number[32], text[VALUE_TEXT_MAX - sizeof(number)];
    const char *period = strchr(units_format_rate(text, sizeof(text), r->count, r->period_ns), '/');
    if (bytes)
        units_format_bytes(number, sizeof(number), r->count);
    else
        snprintf(number, sizeof(number), "%llu", (unsigned long long)r->count);
    snprintf(dst, VALUE_TEXT_MAX, "%s%s", period ? number : "", period ? period : text);
    return dst;
}

/* ---- lists ---- */

#define CUT_OFF " ...]"

/* Appends as much as fits; returns whether that is all. */
static bool value_words_add(char dst[static VALUE_TEXT_MAX], const char *text)
{
    size_t at = strlen(dst), room = VALUE_TEXT_MAX - sizeof(CUT_OFF) - at, len = strlen(text);
    size_t n = len < room ? len : room;
    memcpy(dst + at, text, n);
    dst[at + n] = '\0';
    return n == len;
}

static bool add_item(char dst[static VALUE_TEXT_MAX], const struct schema_key *list, const void *item)
{
    char text[VALUE_TEXT_MAX];
    const struct schema *s = list->items;
    if (list->type == SCHEMA_PATHS)
        return value_words_add(dst, ((const struct config_path *)item)->path);
    if (!s)
        return value_words_add(dst,
                               network_format(text, sizeof(text), &((const struct config_network *)item)->network));
    for (size_t i = 0; i < s->count; i++)
        if (!value_words_add(dst, i ? ", " : "{") || !value_words_add(dst, s->keys[i].path) ||
            !value_words_add(dst, ": ") || !value_words_add(dst, value_words_format(text, &s->keys[i], item)))
            return false;
    return value_words_add(dst, "}");
}

/* "[10.0.0.0/8, uid:7]" */
static char *format_list(char dst[static VALUE_TEXT_MAX], const struct schema_key *k, const void *base)
{
    struct schema_list list = schema_get_list(k, base);
    bool whole = true;
    snprintf(dst, VALUE_TEXT_MAX, "%s", list.count ? "[" : "none");
    for (size_t i = 0; i < list.count && whole; i++)
        whole =
            (i == 0 || value_words_add(dst, ", ")) && add_item(dst, k, (const char *)list.at + i * schema_item_size(k));
    size_t at = strlen(dst);
    if (list.count)
        snprintf(dst + at, VALUE_TEXT_MAX - at, "%s", whole ? "]" : CUT_OFF);
    return dst;
}

static char *format_enforce(char dst[static VALUE_TEXT_MAX], uint32_t enforce)
{
    const char *word = enforce == ENFORCE_ON       ? "on"
                       : enforce == ENFORCE_SHADOW ? "shadow"
                       : enforce == ENFORCE_OFF    ? "off"
                                                   : NULL;
    if (word)
        snprintf(dst, VALUE_TEXT_MAX, "%s", word);
    else
        snprintf(dst, VALUE_TEXT_MAX, "%u%%", ENFORCE_COHORTS - enforce);
    return dst;
}

char *value_words_format(char dst[static VALUE_TEXT_MAX], const struct schema_key *k, const void *base)
{
    const char *text = value_words_as_written(k, base);
    struct rate rate;
    if (text) {
        snprintf(dst, VALUE_TEXT_MAX, "%s", text);
        return dst;
    }
    switch (k->type) {
    case SCHEMA_RATE:
    case SCHEMA_BYTE_RATE:
        memcpy(&rate, (const char *)base + k->offset, sizeof(rate));
        return format_rate(dst, &rate, k->type == SCHEMA_BYTE_RATE);
    case SCHEMA_SPEED:
        rate = (struct rate){.count = schema_get(k, base), .period_ns = NS_PER_S};
        return format_rate(dst, &rate, true);
    case SCHEMA_SIZE:
        return units_format_bytes(dst, VALUE_TEXT_MAX, schema_get(k, base));
    case SCHEMA_DURATION:
        return units_format_duration(dst, VALUE_TEXT_MAX, schema_get(k, base));
    case SCHEMA_NETWORKS:
    case SCHEMA_PATHS:
    case SCHEMA_OBJECTS:
        return format_list(dst, k, base);
    case SCHEMA_ENFORCE:
        return format_enforce(dst, (uint32_t)schema_get(k, base));
    default:
        snprintf(dst, VALUE_TEXT_MAX, "%llu", (unsigned long long)schema_get(k, base));
        return dst;
    }
}

static char *range_of_choices(char dst[static VALUE_TEXT_MAX], const struct schema_choice *c)
{
    size_t at = 0;
    for (; c->word; c++) {
        const char *between = c[1].word == NULL ? "" : c[2].word == NULL ? " or " : ", ";
        int n = snprintf(dst + at, VALUE_TEXT_MAX - at, "%s%s", c->word, between);
        assert(n > 0 && at + (size_t)n < VALUE_TEXT_MAX);
        at += (size_t)n;
    }
    return dst;
}

char *value_words_range(char dst[static VALUE_TEXT_MAX], const struct schema_key *k)
{
    switch (k->type) {
    case SCHEMA_CHOICE:
        return range_of_choices(dst, k->choices);
    case SCHEMA_BOOL:
        snprintf(dst, VALUE_TEXT_MAX, "true or false");
        return dst;
    case SCHEMA_ENFORCE:
        snprintf(dst, VALUE_TEXT_MAX, "on, shadow, off, or 1%% to 99%%");
        return dst;
    case SCHEMA_NAME:
        snprintf(dst, VALUE_TEXT_MAX, "1 to %d of A-Z a-z 0-9 _ -", CONFIG_NAME_MAX);
        return dst;
    case SCHEMA_LISTEN:
    case SCHEMA_FORWARD:
        snprintf(dst, VALUE_TEXT_MAX, "tcp://HOST:PORT or ipc://PATH");
        return dst;
    case SCHEMA_PATH:
    case SCHEMA_PATHS:
        snprintf(dst, VALUE_TEXT_MAX, "a file below a folder, up to %d characters, such as /var/lib/weir/state",
                 CONFIG_PATH_MAX - 1);
        return dst;
    case SCHEMA_TEXT:
        snprintf(dst, VALUE_TEXT_MAX, "up to %d bytes without control characters", CONFIG_TEXT_MAX - 1);
        return dst;
    case SCHEMA_NETWORKS:
        snprintf(dst, VALUE_TEXT_MAX, "ADDRESS/PREFIX, ADDRESS or uid:NUMBER");
        return dst;
    case SCHEMA_OBJECTS:
        snprintf(dst, VALUE_TEXT_MAX, "keys such as %s", k->items->keys[0].path);
        return dst;
    case SCHEMA_ADMIN_ADDR:
        snprintf(dst, VALUE_TEXT_MAX, "ADDRESS:PORT, such as 127.0.0.1:9700");
        return dst;
    default:
        snprintf(dst, VALUE_TEXT_MAX, "%s to %s%s", k->min, k->max, schema_is_rate(k) ? ", or unlimited" : "");
        return dst;
    }
}

const char *value_words_preset(const struct schema_key *k)
{
    return k->preset ? k->preset : k->preset_words;
}

char *value_words_quote(char dst[static VALUE_SEEN_MAX], const char *bytes, size_t len)
{
    dst[0] = '"';
    text_escape(dst + 1, VALUE_SEEN_MAX - 2, bytes, len);
    size_t end = strlen(dst);
    dst[end] = '"';
    dst[end + 1] = '\0';
    return dst;
}
