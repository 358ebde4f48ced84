/* SPDX-License-Identifier: MPL-2.0 */
/* Reads the samples of a page of metrics, as Weir writes them (stats/prometheus.h). Pure. */
#ifndef WEIR_CLI_METRICS_TEXT_H
#define WEIR_CLI_METRICS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line; it points into the page. */
struct metrics_sample {
    const char *name, *labels; /* not NUL-terminated; labels: between the braces */
    size_t name_len, labels_len;
    double value;
};

/* Moves *at behind the next sample. False: there is none. Comments, and lines that are none of Weir's, are passed over.
 */
bool metrics_text_next(const char **at, struct metrics_sample *ret);

bool metrics_text_is(const struct metrics_sample *s, const char *name);

/* The value of a label, cut off at `size`. False: there is no such label, and `dst` is "". */
bool metrics_text_label(const struct metrics_sample *s, const char *name, char *dst, size_t size);

/* The value as a whole number: what is below zero or no number is 0. */
uint64_t metrics_text_number(const struct metrics_sample *s);

#endif
