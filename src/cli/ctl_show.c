/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/ctl_show.h"

#include "base/attr.h"
#include "cli/table.h"

#include <string.h>

char *ctl_show_bytes(char *dst, size_t size, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double n = (double)bytes;
    unsigned unit = 0;
    for (; n >= 1023.95 && unit + 1 < ARRAY_LEN(units); unit++)
        n /= 1024;
    snprintf(dst, size, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return dst;
}

char *ctl_show_seconds(char *dst, size_t size, uint64_t seconds)
{
    unsigned long long s = seconds, m = s / 60, h = m / 60, d = h / 24;
    if (s < 60)
        snprintf(dst, size, "%llus", s);
    else if (m < 60)
        snprintf(dst, size, "%llum%02llus", m, s % 60);
    else if (h < 24)
        snprintf(dst, size, "%lluh%02llum", h, m % 60);
    else
        snprintf(dst, size, "%llud%02lluh", d, h % 24);
    return dst;
}

/* ---- cells ---- */

static void put_text(struct table *t, const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    table_put(t, text ? text : "-");
}

static bool ctl_show_number_of(const json_t *row, const char *name, uint64_t *ret)
{
    const json_t *value = json_object_get(row, name);
    double n = json_number_value(value);
    if (!json_is_number(value) || !(n >= 0) || n >= 9.2e18)
        return false;
    *ret = json_is_integer(value) ? (uint64_t)json_integer_value(value) : (uint64_t)n;
    return true;
}

static void ctl_show_put_number(struct table *t, const json_t *row, const char *name)
{
    char text[32] = "-";
    uint64_t n;
    if (ctl_show_number_of(row, name, &n))
        snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    table_put(t, text);
}

static void ctl_show_put_bytes(struct table *t, const json_t *row, const char *name)
{
    char text[32];
    uint64_t n;
    table_put(t, ctl_show_number_of(row, name, &n) ? ctl_show_bytes(text, sizeof(text), n) : "-");
}

static void ctl_show_put_seconds(struct table *t, const json_t *row, const char *name)
{
    char text[32];
    uint64_t n;
    table_put(t, ctl_show_number_of(row, name, &n) ? ctl_show_seconds(text, sizeof(text), n) : "-");
}

static void put_traffic(struct table *t, const json_t *row)
{
    const json_t *traffic = json_object_get(row, "traffic");
    ctl_show_put_number(t, traffic, "messages_in");
    ctl_show_put_number(t, traffic, "messages_out");
    ctl_show_put_bytes(t, traffic, "bytes_in");
    ctl_show_put_bytes(t, traffic, "bytes_out");
}

/* The names whose members are true. */
static void put_words(struct table *t, const json_t *row, const char *const *names, size_t count)
{
    char text[TABLE_CELL_MAX] = "";
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        if (json_is_true(json_object_get(row, names[i])))
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? "," : "", names[i]);
    table_put(t, len ? text : "-");
}

/* Why Weir does not read it now, or that its receiver takes nothing: "in line 3s (counter)", "paused", "blocked". */
static void put_held(struct table *t, const json_t *row)
{
    const json_t *hold = json_object_get(row, "hold");
    const char *proof = json_string_value(json_object_get(hold, "proof"));
    const char *blocked = json_is_true(json_object_get(row, "blocked")) ? "blocked" : "";
    const char *paused = json_is_true(json_object_get(row, "paused")) ? "paused" : "";
    char text[TABLE_CELL_MAX], length[32] = "-", in_line[64] = "";
    uint64_t n;
    if (proof && ctl_show_number_of(hold, "seconds", &n))
        ctl_show_seconds(length, sizeof(length), n);
    if (proof)
        snprintf(in_line, sizeof(in_line), "in line %s (%.16s)", length, proof);
    const char *first = proof ? in_line : paused;
    snprintf(text, sizeof(text), "%s%s%s", first, *first && *blocked ? "," : "", blocked);
    table_put(t, *text ? text : "-");
}

/* ---- tables ---- */

bool ctl_show_bans(const json_t *rows, FILE *out)
{
    static const char *const heads[] = {"NETWORK", "REASON", "LEVEL", "LEFT", "UNTIL", "SINCE"};
    struct table t;
    size_t i;
    const json_t *row;
    table_init(&t, heads, ARRAY_LEN(heads));
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        put_text(&t, row, "network");
        put_text(&t, row, "reason");
        ctl_show_put_number(&t, row, "level");
        if (json_is_true(json_object_get(row, "forever")))
            table_put(&t, "for ever");
        else if (json_is_false(json_object_get(row, "banned")))
            table_put(&t, "over");
        else
            ctl_show_put_seconds(&t, row, "seconds_left");
        put_text(&t, row, "until");
        put_text(&t, row, "since");
    }
    return table_print(&t, 1u << 2 | 1u << 3, out);
}

bool ctl_show_sources(const json_t *rows, FILE *out)
{
    static const char *const heads[] = {"SOURCE",  "GATE",     "CONNECTIONS", "PAUSED", "STRIKES",
                                        "MSGS IN", "MSGS OUT", "IN",          "OUT",    "STATE"};
    static const char *const words[] = {"banned", "probation", "exempt"};
    struct table t;
    size_t i;
    const json_t *row;
    table_init(&t, heads, ARRAY_LEN(heads));
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        put_text(&t, row, "source");
        put_text(&t, row, "gate");
        ctl_show_put_number(&t, row, "connections");
        ctl_show_put_number(&t, row, "paused");
        ctl_show_put_number(&t, row, "strikes");
        put_traffic(&t, row);
        put_words(&t, row, words, ARRAY_LEN(words));
    }
    return table_print(&t, 0x1fc, out);
}

bool ctl_show_connections(const json_t *rows, FILE *out)
{
    static const char *const heads[] = {"ID",   "GATE",    "PEER",     "STATE", "SOCKET", "AGE",
                                        "IDLE", "MSGS IN", "MSGS OUT", "IN",    "OUT",    "HELD"};
    struct table t;
    size_t i;
    const json_t *row;
    table_init(&t, heads, ARRAY_LEN(heads));
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        ctl_show_put_number(&t, row, "id");
        put_text(&t, row, "gate");
        put_text(&t, row, "peer");
        put_text(&t, row, "state");
        put_text(&t, row, "socket");
        ctl_show_put_seconds(&t, row, "age_seconds");
        ctl_show_put_seconds(&t, row, "idle_seconds");
        put_traffic(&t, row);
        put_held(&t, row);
    }
    return table_print(&t, 0x7e1, out);
}

bool ctl_show_gates(const json_t *rows, FILE *out)
{
    static const char *const heads[] = {"GATE",    "CONNECTIONS", "LIMITER", "PROOF",  "ESTABLISHED",     "STRANGERS",
                                        "IN LINE", "HELD",        "FOR",     "WINDOW", "WITHOUT PROGRESS"};
    struct table t;
    size_t i;
    const json_t *row;
    table_init(&t, heads, ARRAY_LEN(heads));
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        const json_t *limiter = json_object_get(row, "limiter");
        put_text(&t, row, "gate");
        ctl_show_put_number(&t, row, "connections");
        put_text(&t, limiter, "state");
        put_text(&t, limiter, "proof");
        ctl_show_put_number(&t, limiter, "established");
        ctl_show_put_number(&t, limiter, "strangers");
        ctl_show_put_number(&t, limiter, "in_line");
        ctl_show_put_number(&t, limiter, "held");
        ctl_show_put_seconds(&t, limiter, "held_seconds");
        ctl_show_put_number(&t, limiter, "window");
        ctl_show_put_number(&t, limiter, "without_progress");
    }
    if (!table_print(&t, 0x7f2, out))
        return false;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        const json_t *limiter = json_object_get(row, "limiter");
        const char *why = json_string_value(json_object_get(limiter, "why_not"));
        const char *name = json_string_value(json_object_get(row, "gate"));
        char shown[TABLE_CELL_MAX], reason[256];
        if (why && name && json_integer_value(json_object_get(limiter, "in_line")) > 0)
            fprintf(out, "%s: nothing is held any more: %s; who is still in line goes on in a moment\n",
                    plain_text(shown, sizeof(shown), name), plain_text(reason, sizeof(reason), why));
        else if (why && name)
            fprintf(out, "%s: nothing is held, and could not be: %s\n", plain_text(shown, sizeof(shown), name),
                    plain_text(reason, sizeof(reason), why));
    }
    return true;
}

/* "file", "ZMQ_MAXMSGSIZE", "descriptors". */
static const char *origin_of(const json_t *row)
{
    const char *option = json_string_value(json_object_get(row, "option"));
    const char *from = json_string_value(json_object_get(row, "from"));
    return option ? option : from ? from : "-";
}

bool ctl_show_settings(const json_t *rows, FILE *out)
{
    static const char *const heads[] = {"GATE", "KEY", "VALUE", "FROM"};
    struct table t;
    size_t i, shown = 0;
    const json_t *row;
    table_init(&t, heads, ARRAY_LEN(heads));
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        if (!strcmp(origin_of(row), "default"))
            continue;
        shown++;
        put_text(&t, row, "gate");
        put_text(&t, row, "key");
        put_text(&t, row, "value");
        table_put(&t, origin_of(row));
    }
    if (!table_print(&t, 0, out))
        return false;
    if (shown < json_array_size(rows))
        fprintf(out, "%zu keys have their defaults; --json shows them too\n", json_array_size(rows) - shown);
    return true;
}
