/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A bounded queue of items of one size, from many threads to one, without a lock: no thread ever waits.
 *
 * Each slot has a sequence number that tells in which round it may be written and in which it may be read. So a writer
 * that is interrupted delays the reader, and no other writer.
 *
 * When full: ring_put() refuses. An item that does not matter is refused as soon as only a quarter of the slots is
 * left; that quarter is for items that matter.
 * Source: the array of sequence numbers of Vyukov's bounded queue.
 */
#ifndef WEIR_EVENTS_RING_H
#define WEIR_EVENTS_RING_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>

struct ring;

/* A queue of `slots` slots (a power of two, at least 4) for items of `item_bytes`, allocated at once. The caller owns
 * it until ring_free(). NULL: out of memory. */
MUST_USE struct ring *ring_new(size_t slots, size_t item_bytes);

/* Accepts NULL. */
void ring_free(struct ring *r);

/* Copies `item` into the queue. False: there was no room. Any thread. */
MUST_USE bool ring_put(struct ring *r, const void *item, bool matters);

/* Takes the oldest item and copies it to *ret_item. False: there is none. One thread at a time. */
MUST_USE bool ring_take(struct ring *r, void *ret_item);

/* Whether ring_take() would find no item. Only the thread that takes. */
bool ring_is_empty(const struct ring *r);

#endif
