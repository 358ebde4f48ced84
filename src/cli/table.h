/* SPDX-License-Identifier: MPL-2.0 */
/* Text for a terminal: columns as wide as their widest cell; untrusted text in printable ASCII only. */
#ifndef WEIR_CLI_TABLE_H
#define WEIR_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16u
#define TABLE_CELL_MAX    80u

/* The text, with "?" for every byte outside printable ASCII; cut off at `size`. Returns `dst`. */
char *plain_text(char *dst, size_t size, const char *text);

struct table {
    size_t columns, cells, room;
    char (*at)[TABLE_CELL_MAX]; /* row by row */
    bool failed;                /* out of memory: nothing is printed */
};

/* `heads` are cells as well: `columns` of them. */
void table_init(struct table *t, const char *const *heads, size_t columns);

/* Adds the next cell, from left to right: plain_text() of it. */
void table_put(struct table *t, const char *text);

/* Prints all complete rows, and frees them. Columns whose bit is set in `right` are right-aligned. False: memory was
 * out. */
bool table_print(struct table *t, unsigned right, FILE *out);

#endif
