/* SPDX-License-Identifier: MPL-2.0 */
/*
 * All topics subscribed through one gate, each counted once: what the application's topic trie costs does not grow
 * when many clients want the same topic, so neither does what Weir counts against subscriptions.total_bytes. 16 bytes a slot, open addressing,
 * keyed by the same 64-bit hash as struct topics; charged to the memory account.
 *
 * Shared by all workers under a lock of its own: subscriptions are rare beside messages.
 * When full: topic_index_add() refuses past `limit_cost`; the caller makes room or refuses.
 */
#ifndef WEIR_POLICY_TOPIC_INDEX_H
#define WEIR_POLICY_TOPIC_INDEX_H

#include "base/account.h"
#include "base/attr.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Besides its bytes a topic costs the application a set of subscribers: counted as this many bytes. */
#define TOPIC_OVERHEAD_BYTES 16u

struct topic_slot {
    uint64_t hash; /* 0: empty */
    uint32_t users;
    uint32_t cost; /* bytes */
};

struct topic_index {
    pthread_mutex_t lock;
    struct account *account;
    struct topic_slot *slots;
    size_t capacity, count;
    uint64_t cost; /* sum over the topics held */
};

enum topic_index_result { TOPIC_INDEX_ADDED, TOPIC_INDEX_FULL, TOPIC_INDEX_NO_MEMORY };

void topic_index_init(struct topic_index *x, struct account *account);
void topic_index_fini(struct topic_index *x);

/* One more subscriber of this topic. */
MUST_USE enum topic_index_result topic_index_add(struct topic_index *x, uint64_t hash, uint32_t cost, uint64_t limit_cost);

/* One subscriber less; harmless for a topic not held. */
void topic_index_remove(struct topic_index *x, uint64_t hash);

/* The same for `n` hashes at once (0 is skipped), under one lock. */
void topic_index_remove_all(struct topic_index *x, const uint64_t *hashes, size_t n);

#endif
