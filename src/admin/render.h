/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Renders snapshots as text: the pages /metrics and /healthz.
 *
 * Pure: everything shown is in the arguments. Text in snapshots is escaped here, whatever it holds.
 */
#ifndef WEIR_ADMIN_RENDER_H
#define WEIR_ADMIN_RENDER_H

#include "admin/process.h"
#include "relay/relay.h"
#include "stats/text_out.h"

#include <stdbool.h>

struct render_view {
    const char *version;
    struct relay_snapshot relay;
    uint64_t unauthorized;          /* refused requests to the API */
    struct process_reading process; /* values of 0 are left out */
    uint64_t log_lines_lost;
    size_t gate_count;
    const struct gate_snapshot *gates;
};

/* The page /metrics: every row of METRIC_READINGS and METRIC_CELLS, for every gate. The number of series depends on the
 * number of gates alone. */
void render_metrics(struct text_out *o, const struct render_view *v);

/* The page /healthz. True when every gate listens. An application that is not up is reported, but does not make Weir
 * unhealthy. */
bool render_health(struct text_out *o, const struct render_view *v);

#endif
