/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

char *plain_text(char *dst, size_t size, const char *text)
{
    size_t len = 0;
    for (; text[len] && len + 1 < size; len++)
        dst[len] = text[len] >= ' ' && text[len] <= '~' ? text[len] : '?';
    dst[len] = '\0';
    return dst;
}

void table_init(struct table *t, const char *const *heads, size_t columns)
{
    *t = (struct table){.columns = columns};
    for (size_t i = 0; i < columns; i++)
        table_put(t, heads[i]);
}

static bool table_reserve(struct table *t)
{
    size_t room = t->room ? 2 * t->room : 16 * TABLE_COLUMNS_MAX;
    if (t->cells < t->room)
        return true;
    void *at = realloc(t->at, room * sizeof(*t->at));
    if (!at)
        return false;
    t->at = at;
    t->room = room;
    return true;
}

void table_put(struct table *t, const char *text)
{
    if (t->failed || !table_reserve(t)) {
        t->failed = true;
        return;
    }
    plain_text(t->at[t->cells++], TABLE_CELL_MAX, text);
}

static void measure(const struct table *t, size_t *widths)
{
    for (size_t i = 0; i < t->cells - t->cells % t->columns; i++) {
        size_t len = strlen(t->at[i]);
        widths[i % t->columns] = len > widths[i % t->columns] ? len : widths[i % t->columns];
    }
}

static void print_row(const struct table *t, size_t first, const size_t *widths, unsigned right, FILE *out)
{
    for (size_t i = 0; i < t->columns; i++) {
        bool last = i + 1 == t->columns, is_right = right & 1u << i;
        const char *text = t->at[first + i];
        fprintf(out, "%*s%s", is_right ? (int)widths[i] : last ? 0 : -(int)widths[i], text, last ? "\n" : "  ");
    }
}

bool table_print(struct table *t, unsigned right, FILE *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    bool whole = !t->failed;
    if (whole)
        measure(t, widths);
    for (size_t i = 0; whole && i + t->columns <= t->cells; i += t->columns)
        print_row(t, i, widths, right, out);
    free(t->at);
    t->at = NULL;
    t->cells = t->room = 0;
    return whole;
}
