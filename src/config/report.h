/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Collects the mistakes of one file: a line each, "FILE:LINE:COLUMN: sentence", counted. Lives on the stack of one
 * reader.
 */
#ifndef WEIR_CONFIG_REPORT_H
#define WEIR_CONFIG_REPORT_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A place in the file, both from 1, columns in characters; line 0: the file as a whole. */
struct place {
    uint32_t line, column;
};

struct report {
    FILE *out;
    const char *file;
    unsigned mistakes;
    bool without_places; /* there is no file: the command line */
};

/* Writes a line and counts it. */
void report_mistake(struct report *r, struct place at, const char *fmt, ...) PRINTF(3, 4);

/* Writes a line with "warning: " and counts nothing. */
void report_warning(struct report *r, struct place at, const char *fmt, ...) PRINTF(3, 4);

#endif
