/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Between weir_backpressure and what stands in front of a stage: who is told that more may begin. A watcher belongs to
 * its owner and is in at most one stage. Its function is called by any thread, under the stage's mutex, which comes
 * after the owner's own locks; so it may only signal.
 */
#ifndef WEIR_LIB_BACKPRESSURE_H
#define WEIR_LIB_BACKPRESSURE_H

#include "base/list.h"

#include <stdint.h>
#include <weir/backpressure.h>

struct stage_watcher {
    struct list node;
    void (*more)(struct stage_watcher *w);
};

void stage_watch(struct weir_backpressure *b, struct stage_watcher *w);
void stage_unwatch(struct weir_backpressure *b, struct stage_watcher *w);

/* The limit. *ret_until_ns is when a mark ends by itself; UINT64_MAX: never, or there is none. */
uint32_t stage_limit(struct weir_backpressure *b, uint64_t *ret_until_ns);

#endif
