/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A bounded queue of items of one size, from many threads to one, without a lock: nobody ever waits. The array of
 * sequence numbers of Vyukov's bounded queue: a slot tells in which round it may be written, and in which it may be
 * read, so that a writer that is interrupted holds up the reader and no other writer.
 *
 * When full: ring_put() refuses. Items that matter less are refused when only a quarter is left, which stays for those
 * that matter.
 */
#ifndef WEIR_STATS_RING_H
#define WEIR_STATS_RING_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>

struct ring;

/* `slots` (a power of two, at least 4) for items of `item_bytes`, allocated at once and touched lazily. NULL when
 * memory is out. */
MUST_USE struct ring *ring_new(size_t slots, size_t item_bytes);

/* Accepts NULL. */
void ring_free(struct ring *r);

/* Copies `item` in. False: there was no room. Any thread. */
MUST_USE bool ring_put(struct ring *r, const void *item, bool matters);

/* Copies the oldest item out. False: there is none. One thread at a time. */
MUST_USE bool ring_take(struct ring *r, void *ret_item);

/* Whether ring_take() would find nothing. The thread that takes. */
bool ring_is_empty(const struct ring *r);

#endif
