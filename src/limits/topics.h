/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The subscriptions of one connection: a set of numbers (of topics in the gate's tree), so that a CANCEL gives back
 * only what a SUBSCRIBE took. Otherwise cancels of topics never held would empty the counters.
 *
 * libzmq keeps a set of pipes for each topic: subscribing twice is one entry, and one cancel removes it. This set does
 * the same.
 *
 * Open addressing, grown by doubling; 8 bytes a slot, charged to the memory account that the caller passes. An empty
 * set owns nothing. When full: topics_add() refuses past `max_count`, and the caller judges (the verdict is
 * `subscriptions_too_many`).
 */
#ifndef WEIR_LIMITS_TOPICS_H
#define WEIR_LIMITS_TOPICS_H

#include "base/account.h"
#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct topics {
    uint64_t *slots; /* 0: empty; removed slots are closed up (no tombstones) */
    uint32_t count;
    uint32_t capacity;    /* 0 or a power of two */
    uint64_t topic_bytes; /* sum of the lengths of the topics held */
};

enum topics_result { TOPICS_ADDED, TOPICS_KNOWN, TOPICS_REMOVED, TOPICS_UNKNOWN, TOPICS_FULL, TOPICS_NO_MEMORY };

bool topics_have(const struct topics *t, uint64_t topic);

/* SUBSCRIBE to a topic (not 0) of `len` bytes: ADDED, KNOWN (nothing changed), FULL (max_count is reached) or NO_MEMORY
 * (account or malloc). */
MUST_USE enum topics_result topics_add(struct topics *t, struct account *a, uint64_t topic, size_t len,
                                       uint32_t max_count);

/* CANCEL: REMOVED or UNKNOWN. */
enum topics_result topics_remove(struct topics *t, struct account *a, uint64_t topic, size_t len);

/* Frees the memory and returns its charge. */
void topics_clear(struct topics *t, struct account *a);

#endif
