/* SPDX-License-Identifier: MPL-2.0 */
#include "stats/prometheus.h"

#include <stdio.h>
#include <string.h>

/*
 * The length of the well-formed UTF-8 sequence at `s` (Unicode, table 3-7: no overlong form, no surrogate, nothing
 * above U+10FFFF), or 0. `s` is NUL-terminated, and NUL is no continuation byte, so this never reads past the end.
 */
static size_t utf8_length(const unsigned char *s)
{
    unsigned low = 0x80, high = 0xbf;
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

    if (len < 2)
        return len;
    if (s[0] == 0xe0)
        low = 0xa0;
    if (s[0] == 0xed)
        high = 0x9f;
    if (s[0] == 0xf0)
        low = 0x90;
    if (s[0] == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return len;
}

static bool is_control(const unsigned char *s, size_t len)
{
    return (len == 1 && (s[0] < 0x20 || s[0] == 0x7f)) || (len == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

/* The format knows three escapes only, and its readers refuse others: so the backslash of \xNN is itself escaped. */
static void escape_byte(struct text_out *o, unsigned char byte)
{
    char text[8];

    snprintf(text, sizeof(text), "\\\\x%02x", byte);
    text_out_str(o, text);
}

/* One character of a label value; returns how many bytes it took. */
static size_t escape_one(struct text_out *o, const unsigned char *s)
{
    size_t len = utf8_length(s);

    if (*s == '\n') {
        text_out_str(o, "\\n");
        return 1;
    }
    if (len == 0 || is_control(s, len)) {
        escape_byte(o, *s);
        if (len == 2) /* a C1 control: the second byte alone would be no UTF-8 */
            escape_byte(o, s[1]);
        return len ? len : 1;
    }
    if (*s == '\\' || *s == '"')
        text_out_str(o, "\\");
    text_out_bytes(o, s, len);
    return len;
}

void prometheus_escape(struct text_out *o, const char *value)
{
    for (const unsigned char *s = (const unsigned char *)value; *s;)
        s += escape_one(o, s);
}

void prometheus_head(struct text_out *o, const struct metric_info *m)
{
    text_out_str(o, "# HELP ");
    text_out_str(o, m->metric);
    text_out_str(o, " ");
    for (const char *s = m->help; *s; s++) { /* in HELP the quote stands for itself */
        if (*s == '\\' || *s == '\n')
            text_out_str(o, *s == '\n' ? "\\n" : "\\\\");
        else
            text_out_bytes(o, s, 1);
    }
    text_out_str(o, "\n# TYPE ");
    text_out_str(o, m->metric);
    text_out_str(o, " ");
    text_out_str(o, metric_type_name(m->type));
    text_out_str(o, "\n");
}

static void write_labels(struct text_out *o, const struct metric_info *m, const char *const *values)
{
    const char *name = m->names;

    text_out_str(o, "{");
    for (size_t i = 0; *name; i++) {
        size_t len = strcspn(name, ",");
        text_out_bytes(o, name, len);
        text_out_str(o, "=\"");
        prometheus_escape(o, values[i]);
        text_out_str(o, "\"");
        name += len;
        if (*name == ',') {
            text_out_str(o, ",");
            name++;
        }
    }
    if (*m->names && *m->fixed)
        text_out_str(o, ",");
    text_out_str(o, m->fixed);
    text_out_str(o, "}");
}

static void write_name(struct text_out *o, const struct metric_info *m, const char *const *values)
{
    text_out_str(o, m->metric);
    if (*m->names || *m->fixed)
        write_labels(o, m, values);
    text_out_str(o, " ");
}

void prometheus_sample(struct text_out *o, const struct metric_info *m, const char *const *values, uint64_t value)
{
    write_name(o, m, values);
    text_out_u64(o, value);
    text_out_str(o, "\n");
}

void prometheus_sample_ns(struct text_out *o, const struct metric_info *m, const char *const *values, uint64_t value_ns)
{
    char text[40]; /* whole numbers, so that no locale puts its own decimal sign in */

    snprintf(text, sizeof(text), "%llu.%09llu", value_ns / NS_PER_S, value_ns % NS_PER_S);
    write_name(o, m, values);
    text_out_str(o, text);
    text_out_str(o, "\n");
}
