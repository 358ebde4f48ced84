/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes the Prometheus text exposition format, version 0.0.4. Pure: metrics in, text out; see text_out.h for memory.
 *
 * A family is written by one prometheus_head() and then all of its samples; the format wants the lines of a family
 * together and its HELP and TYPE only once. Every sample names its family by the same row of metrics.h.
 *
 * Label values may be any bytes: valid UTF-8 without control characters reads back exactly; control characters (C0,
 * DEL, C1) and bytes that are no UTF-8 read back as the four characters \xNN. So a line never breaks and the page is
 * always UTF-8.
 */
#ifndef WEIR_STATS_PROMETHEUS_H
#define WEIR_STATS_PROMETHEUS_H

#include "stats/metrics.h"
#include "stats/text_out.h"

#include <stdint.h>

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The HELP and TYPE lines. */
void prometheus_head(struct text_out *o, const struct metric_info *m);

/* One sample; `values`: as many as m->names lists, in that order (NULL when it lists none). */
void prometheus_sample(struct text_out *o, const struct metric_info *m, const char *const *values, uint64_t value);

/* The same for a value in nanoseconds, shown in seconds. */
void prometheus_sample_ns(struct text_out *o, const struct metric_info *m, const char *const *values,
                          uint64_t value_ns);

/* The value of a label, between the quotes. */
void prometheus_escape(struct text_out *o, const char *value);

#endif
