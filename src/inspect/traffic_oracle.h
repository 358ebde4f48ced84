/* SPDX-License-Identifier: MPL-2.0 */
/*
 * For tests: predicts what must become of a client's stream. A naive reader sees all of it at once, knows no windows
 * and keeps no state between calls. Time stands still: of each rate, burst + 1 pass. Not part of the program.
 */
#ifndef WEIR_INSPECT_TRAFFIC_ORACLE_H
#define WEIR_INSPECT_TRAFFIC_ORACLE_H

#include "limits/limits.h"
#include "limits/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oracle {
    uint8_t *out; /* the bytes that the application gets; freed by oracle_free() */
    size_t out_len;
    enum verdict verdict;
    uint64_t messages, frames, commands, drops, dropped;
    uint64_t topics, topic_bytes; /* held at the end */
};

/* `flags` as for line_init(). */
struct oracle oracle_of(const struct limits *l, unsigned flags, const uint8_t *stream, size_t len);
void oracle_free(struct oracle *o);

#endif
