/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The table of routing ids in use: 64-bit keyed hashes, each with its one holder among the connections of a gate.
 *
 * A slot is empty or held: refcount_claim() fills it, refcount_remove() empties it. A held one may be without a
 * descriptor, after refcount_let_go(). One lock protects the slots and their holders; handshakes are rare beside
 * messages.
 *
 * 32 bytes a slot, open addressing without tombstones, charged to the memory account. Out of memory
 * refcount_claim() says so, and the caller refuses.
 */
#ifndef WEIR_LIMITS_REFCOUNT_TABLE_H
#define WEIR_LIMITS_REFCOUNT_TABLE_H

#include "base/account.h"
#include "base/attr.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Belongs to the user of the table; looked at and changed under its lock only. */
struct refcount_holder {
    const void *owner;   /* only compared, never followed; NULL: it equals nobody */
    uint32_t descriptor; /* plus one; 0: there is none, or it is about to be closed */
    uint32_t number;     /* of the holder, given by refcount_claim() */
    uint32_t asked_ms;   /* since when a sign of life is awaited; 0: none is */
    uint32_t waiting;    /* claims that wait for this holder */
};

struct refcount_slot {
    uint64_t hash; /* 0: empty */
    struct refcount_holder holder;
};

struct refcount {
    pthread_mutex_t lock;
    struct account *account;
    struct refcount_slot *slots;
    size_t capacity, count;
    uint32_t last_number;
};

enum refcount_result { REFCOUNT_ADDED, REFCOUNT_TAKEN, REFCOUNT_NO_MEMORY };

void refcount_init(struct refcount *x, struct account *account);
void refcount_fini(struct refcount *x);

/* Makes `holder` the only holder of `hash` (not 0): ADDED, or TAKEN when there is one, or NO_MEMORY. `holder` is
 * copied, gets a number, and is what refcount_ask() hands on. Any thread. */
MUST_USE enum refcount_result refcount_claim(struct refcount *x, uint64_t hash, const struct refcount_holder *holder);

/* Calls `ask` with the holder, or NULL, under the lock, so that the holder's descriptor stays open meanwhile. Any
 * thread. */
void refcount_ask(struct refcount *x, uint64_t hash, void (*ask)(struct refcount_holder *holder, void *arg), void *arg);

/* Notes that the holder's descriptor is about to be closed. To be called before refcount_remove(). */
void refcount_let_go(struct refcount *x, uint64_t hash);

/* Removes the holder; harmless for a hash that is not held. */
void refcount_remove(struct refcount *x, uint64_t hash);

#endif
