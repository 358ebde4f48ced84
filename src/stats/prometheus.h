/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes the Prometheus text exposition format, version 0.0.4. Pure: metrics in, text out. Memory: see text_out.h.
 *
 * A family is written by one prometheus_head() and then all of its samples: the format wants the lines of a family
 * together, and HELP and TYPE only once. Each sample names its family by the same row of metrics.h.
 *
 * Label values may be any bytes. Valid UTF-8 without control characters reads back exactly. Control characters (C0,
 * DEL, C1) and bytes that are not UTF-8 read back as the four characters \xNN. So a line never breaks, and the page is
 * always UTF-8.
 */
#ifndef WEIR_STATS_PROMETHEUS_H
#define WEIR_STATS_PROMETHEUS_H

#include "stats/metrics.h"
#include "stats/text_out.h"

#include <stdint.h>

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Writes the HELP and TYPE lines. */
void prometheus_head(struct text_out *o, const struct metric_info *m);

/* Writes one sample. `values`: one for each of m->names, in that order; NULL if there are none. */
void prometheus_sample(struct text_out *o, const struct metric_info *m, const char *const *values, uint64_t value);

/* The same, for a value in nanoseconds that is shown in seconds. */
void prometheus_sample_ns(struct text_out *o, const struct metric_info *m, const char *const *values,
                          uint64_t value_ns);

/* Writes the value of a label, which stands between the quotes. */
void prometheus_escape(struct text_out *o, const char *value);

#endif
