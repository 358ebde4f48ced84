/* SPDX-License-Identifier: MPL-2.0 */
/*
 * How many workers a pool needs: cores x (time of a task / its processor time), between two bounds. A task that
 * computes all the time needs a core; one that waits for half of its time leaves half of it to another.
 *
 * Locks: the caller's. Units: nanoseconds. Source: Goetz, "Java Concurrency in Practice", 2006, 8.2.
 */
#ifndef WEIR_LIB_SIZING_H
#define WEIR_LIB_SIZING_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define SIZING_STEP_NS (10 * NS_PER_MS) /* between two workers that are added */
#define SIZING_IDLE_NS (10 * NS_PER_S)  /* a worker above the minimum ends after this time without a task */

struct sizing {
    uint32_t min, max, cores;
    double took_ns, cpu_ns; /* decaying sums: of the last some hundred tasks */
    uint64_t grown_ns;
};

/* A task has ended. */
void sizing_note(struct sizing *s, uint64_t took_ns, uint64_t cpu_ns);

/* How many workers are of use. Before a task has ended: as many as cores. */
MUST_USE uint32_t sizing_wanted(const struct sizing *s);

/* Whether to add a worker now, where `workers` are busy and tasks wait. */
MUST_USE bool sizing_grows(struct sizing *s, uint32_t workers, uint64_t now_ns);

/* The cores that this process may use, at least 1. */
MUST_USE uint32_t sizing_cores(void);

#endif
