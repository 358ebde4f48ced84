/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Remembers which hashes were here lately, with an age, in fixed memory: a Bloom filter (two hashes) whose bits are
 * ticks of 2^33 ns (8.6 s), counted modulo 255 (0: never).
 *
 * An age is right to one tick. A hash may be taken for another that was here: with 2000 in the filter, once in a
 * thousand. A hash that was here 36 minutes ago may look as if it had just been. The filter is never full: with more in
 * it, more are taken for others.
 *
 * 64 KiB. Shared by all threads, without a lock.
 */
#ifndef WEIR_LIMITS_VISITS_H
#define WEIR_LIMITS_VISITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define VISITS_SLOTS        65536u
#define VISITS_TICK_LOG2_NS 33u

struct visits {
    _Atomic uint8_t at[VISITS_SLOTS];
};

/* Notes that `hash` was here now. */
void visits_note(struct visits *v, uint64_t hash, uint64_t now_ns);

/* Whether `hash` was here within `within_ns` (at most 30 minutes), as far as is known. */
bool visits_has(const struct visits *v, uint64_t hash, uint64_t within_ns, uint64_t now_ns);

#endif
