/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A shared tally of 64-bit keyed hashes, each with its one holder among the connections of a gate. For the routing ids
 * in use.
 *
 * 32 bytes a slot, open addressing without tombstones, charged to the memory account. Under a lock of its own:
 * handshakes are rare beside messages. When memory is out tally_claim() says so; the caller refuses.
 */
#ifndef WEIR_POLICY_TALLY_H
#define WEIR_POLICY_TALLY_H

#include "base/account.h"
#include "base/attr.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Belongs to whoever uses the tally; only looked at and changed under its lock. */
struct tally_holder {
    const void *owner;   /* who is compared with it, never followed; NULL: nobody is the same */
    uint32_t descriptor; /* plus one; 0: there is none, or it is about to be closed */
    uint32_t number;     /* of the holder, given by tally_claim() */
    uint32_t asked_ms;   /* since when a sign of life is waited for; 0: it is not */
    uint32_t waiting;    /* claims that wait for it */
};

struct tally_slot {
    uint64_t hash; /* 0: empty */
    struct tally_holder holder;
};

struct tally {
    pthread_mutex_t lock;
    struct account *account;
    struct tally_slot *slots;
    size_t capacity, count;
    uint32_t last_number;
};

enum tally_result { TALLY_ADDED, TALLY_TAKEN, TALLY_NO_MEMORY };

void tally_init(struct tally *x, struct account *account);
void tally_fini(struct tally *x);

/* The only holder of `hash` (not 0): ADDED, or TAKEN when there is one, or NO_MEMORY. `holder` is what tally_ask()
 * hands on, with a number. Any thread. */
MUST_USE enum tally_result tally_claim(struct tally *x, uint64_t hash, const struct tally_holder *holder);

/* Calls `ask` with the holder, or NULL, under the lock, so that its descriptor stays open meanwhile. Any thread. */
void tally_ask(struct tally *x, uint64_t hash, void (*ask)(struct tally_holder *holder, void *arg), void *arg);

/* The holder's descriptor is about to be closed. Before tally_remove(). */
void tally_let_go(struct tally *x, uint64_t hash);

/* The holder is gone; harmless for a hash not held. */
void tally_remove(struct tally *x, uint64_t hash);

#endif
