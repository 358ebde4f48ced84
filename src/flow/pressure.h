/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The pressure on the memory account: how full the account is, as a level, and what each level allows a source.
 *
 *   level   begins at  ends below  what it allows
 *   NONE                           reads up to 256 KiB, for every connection
 *   HEAVY   70 %       65 %        reads up to 16 KiB; none for a source that holds more than twice its share
 *   SHARES  85 %       80 %        reads up to 4 KiB; only for a source that holds no more than its share
 *   FULL    95 %       90 %        the same; no newcomers, and the heaviest unfinished message is cut
 *
 *   event (pressure_update())                           next
 *   held bytes reach where a higher level begins        the highest such level
 *   held bytes fall below where the level ends          the next lower level, or several levels down
 *
 * A level ends some way below where it begins, so that it does not flutter.
 *
 * The shares of all sources add up to the limit, with one more share for the next source to come. So a source that is
 * alone has half, and a flood of one source cannot fill the account, however many connections it has.
 *
 * Locks: none; any thread. The level is one atomic: any thread may update it, and each reads it with one relaxed load.
 * The other functions are pure.
 * Units: bytes.
 * Memory: 16 bytes; no allocation.
 */
#ifndef WEIR_FLOW_PRESSURE_H
#define WEIR_FLOW_PRESSURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum pressure_level { PRESSURE_NONE, PRESSURE_HEAVY, PRESSURE_SHARES, PRESSURE_FULL, PRESSURE_LEVELS };

struct pressure {
    uint64_t limit_bytes; /* constant after pressure_init() */
    _Atomic uint8_t level;
};

void pressure_init(struct pressure *p, uint64_t limit_bytes);

/* The level after `level` when `held` of `limit` bytes are held. Pure. */
enum pressure_level pressure_step(enum pressure_level level, uint64_t held, uint64_t limit);

/* The level as it was last updated. Any thread. */
static inline enum pressure_level pressure_level(const struct pressure *p)
{
    return (enum pressure_level)atomic_load_explicit(&p->level, memory_order_relaxed);
}

/* Updates the level for `held` bytes and returns it. Any thread. */
enum pressure_level pressure_update(struct pressure *p, uint64_t held);

/* The most bytes that one read may bring at this level. Pure. */
uint32_t pressure_read_most(enum pressure_level level);

/* The bytes that a source may hold at one of `workers` workers, where `holders` sources hold something at this one.
 * Never less than `least`, which is one message: with less no source could finish any. Pure. */
uint64_t pressure_share(uint64_t limit, unsigned workers, uint64_t holders, uint64_t least);

/* Whether a source that holds `source_bytes` may be given more at this level. Pure. */
bool pressure_allows(enum pressure_level level, uint64_t source_bytes, uint64_t share);

/* Whether a source whose connections themselves cost `source_bytes` may open another one. Pure. */
bool pressure_admits(enum pressure_level level, uint64_t source_bytes, uint64_t share);

/* Whether a connection that holds nothing may read `need` bytes although its source may not. Many clients share an
 * address, and most of them are not the one that fills the memory. The bound is where PRESSURE_FULL ends, so that the
 * memory above it is left to other sources. Pure. */
bool pressure_spares(uint64_t limit, uint64_t held, uint64_t need);

/* Whether a buffer of `need` bytes may be taken for a read, when `held` bytes are held. The last 32nd of the limit is
 * left to what cannot wait: reads of other workers at the same moment, and pieces that have to move to a larger buffer.
 * Pure.
 */
bool pressure_has_room(uint64_t limit, uint64_t held, uint64_t need);

#endif
