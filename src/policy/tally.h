/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A shared tally of 64-bit keyed hashes: how many connections of a gate hold each, and what it costs, counted once. For
 * the routing ids in use.
 *
 * 16 bytes a slot, open addressing without tombstones, charged to the memory account. Under a lock of its own:
 * subscriptions and handshakes are rare beside messages. When full: tally_add() refuses past `limit_cost`; the caller
 * makes room or refuses.
 */
#ifndef WEIR_POLICY_TALLY_H
#define WEIR_POLICY_TALLY_H

#include "base/account.h"
#include "base/attr.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tally_slot {
    uint64_t hash; /* 0: empty */
    uint32_t users;
    uint32_t cost; /* bytes; of a claim: what stands for its holder */
};

struct tally {
    pthread_mutex_t lock;
    struct account *account;
    struct tally_slot *slots;
    size_t capacity, count;
    uint64_t cost; /* sum over the hashes held */
};

enum tally_result { TALLY_ADDED, TALLY_TAKEN, TALLY_FULL, TALLY_NO_MEMORY };

void tally_init(struct tally *x, struct account *account);
void tally_fini(struct tally *x);

/* One more holder of `hash` (not 0): ADDED, FULL or NO_MEMORY. Any thread. */
MUST_USE enum tally_result tally_add(struct tally *x, uint64_t hash, uint32_t cost, uint64_t limit_cost);

/* The first and only holder: ADDED, or TAKEN when there is one, or NO_MEMORY. `holder` is what tally_ask() hands on; in
 * a tally of claims nothing has a cost. Any thread. */
MUST_USE enum tally_result tally_claim(struct tally *x, uint64_t hash, uint32_t holder);

/* Calls `ask` with what stands for the holder of a claim, under the lock, so that it cannot go meanwhile; 0: nothing
 * does, or there is none. Any thread. */
void tally_ask(struct tally *x, uint64_t hash, void (*ask)(uint32_t holder, void *arg), void *arg);

/* From now on nothing stands for the holder of a claim. Before tally_remove(). */
void tally_let_go(struct tally *x, uint64_t hash);

/* One holder less; harmless for a hash not held. */
void tally_remove(struct tally *x, uint64_t hash);

/* The same for `n` hashes at once (0 is skipped), under one lock. */
void tally_remove_all(struct tally *x, const uint64_t *hashes, size_t n);

/* The cost held now. Any thread. */
uint64_t tally_cost(struct tally *x);

#endif
