/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/metrics_text.h"

#include <stdlib.h>
#include <string.h>

static bool is_of_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
}

/* Behind a quoted text, which begins at `at`; NULL: it does not end before `end`. */
static const char *skip_quoted(const char *at, const char *end)
{
    if (at >= end || *at != '"')
        return NULL;
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : NULL;
}

/* Behind the labels' closing brace; NULL: there is none. */
static const char *skip_labels(const char *at, const char *end)
{
    while (at && at < end && *at != '}')
        at = *at == '"' ? skip_quoted(at, end) : at + 1;
    return at && at < end ? at + 1 : NULL;
}

static bool metrics_text_line(const char *at, const char *end, struct metrics_sample *ret)
{
    char number[32], *rest;
    *ret = (struct metrics_sample){.name = at};
    while (at < end && is_of_name(*at))
        at++;
    ret->name_len = (size_t)(at - ret->name);
    if (at < end && *at == '{') {
        ret->labels = at + 1;
        at = skip_labels(at, end);
        ret->labels_len = at ? (size_t)(at - 1 - ret->labels) : 0;
    }
    if (!at || !ret->name_len || at >= end || *at != ' ' || (size_t)(end - at) > sizeof(number))
        return false;
    memcpy(number, at + 1, (size_t)(end - at - 1));
    number[end - at - 1] = '\0';
    ret->value = strtod(number, &rest);
    return rest != number && *rest == '\0';
}

bool metrics_text_next(const char **at, struct metrics_sample *ret)
{
    while (**at) {
        const char *line = *at, *end = line + strcspn(line, "\n");
        *at = *end ? end + 1 : end;
        if (metrics_text_line(line, end, ret))
            return true;
    }
    return false;
}

bool metrics_text_is(const struct metrics_sample *s, const char *name)
{
    return strlen(name) == s->name_len && memcmp(name, s->name, s->name_len) == 0;
}

static void unescape(char *dst, size_t size, const char *at, const char *end)
{
    size_t len = 0;
    for (; at < end && len + 1 < size; at++) {
        bool escaped = *at == '\\' && at + 1 < end;
        at += escaped;
        dst[len++] = escaped && *at == 'n' ? '\n' : *at;
    }
    dst[len] = '\0';
}

bool metrics_text_label(const struct metrics_sample *s, const char *name, char *dst, size_t size)
{
    size_t len = strlen(name);
    dst[0] = '\0';
    for (const char *at = s->labels, *end = at + s->labels_len; at && at < end;) {
        const char *equals = memchr(at, '=', (size_t)(end - at));
        const char *value = equals ? equals + 1 : NULL, *behind = value ? skip_quoted(value, end) : NULL;
        if (!behind)
            return false;
        if ((size_t)(equals - at) == len && memcmp(at, name, len) == 0) {
            unescape(dst, size, value + 1, behind - 1);
            return true;
        }
        at = behind + (behind < end && *behind == ',');
    }
    return false;
}

uint64_t metrics_text_number(const struct metrics_sample *s)
{
    return s->value >= 1 && s->value < 1e18 ? (uint64_t)s->value : s->value >= 1e18 ? (uint64_t)1e18 : 0;
}
