/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The pressure on the memory account: how full it is, in levels, and what each level allows a source. What is asked for
 * rises with the level; a level is left only some way below where it began, so that it does not flutter.
 *
 *   NONE    everybody reads as much as the connection is worth
 *   HEAVY   from 70 %: smaller reads, and sources that hold more than twice their share are not read
 *   SHARES  from 85 %: the smallest reads, and only for sources that hold no more than their share
 *   FULL    from 95 %: besides, no newcomers, and the heaviest unfinished message is cut
 *
 * The shares of all sources together are the limit, with one more counted for whoever comes next: a source that is
 * alone has half, so that no flood of one source can fill the account, whatever the number of its connections.
 *
 * Fixed size, no allocation. The level is shared by all threads: any of them may update it, and each reads it with one
 * relaxed load.
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

/* The level that follows `level` when `held` of `limit` bytes are held. Pure. */
enum pressure_level pressure_step(enum pressure_level level, uint64_t held, uint64_t limit);

/* The level as it was last updated. Any thread. */
static inline enum pressure_level pressure_level(const struct pressure *p)
{
    return (enum pressure_level)atomic_load_explicit(&p->level, memory_order_relaxed);
}

/* Brings the level up to date with what is held, and returns it. Any thread. */
enum pressure_level pressure_update(struct pressure *p, uint64_t held);

/* The most bytes that one read may bring at this level. Pure. */
uint32_t pressure_read_most(enum pressure_level level);

/* The bytes that a source may hold at one of `workers` workers, of which this one has `holders` sources that hold
 * something: never less than `least` (one message, or nobody could finish any). Pure. */
uint64_t pressure_share(uint64_t limit, unsigned workers, uint64_t holders, uint64_t least);

/* Whether a source that holds so much may be given more at this level. Pure. */
bool pressure_allows(enum pressure_level level, uint64_t source_bytes, uint64_t share);

/* Whether a source whose connections as such cost so much may open another one. Pure. */
bool pressure_admits(enum pressure_level level, uint64_t source_bytes, uint64_t share);

/* Whether a connection that holds nothing may read a little although its source may not: an address is shared by many,
 * and most of them are not the one that fills the memory. Ends where PRESSURE_FULL ends, so that what is above is left
 * to other sources. Pure. */
bool pressure_spares(uint64_t limit, uint64_t held, uint64_t need);

/* Whether a buffer of `need` bytes may be taken for what is about to be read, when `held` bytes are held. The last 32nd
 * is left to what cannot wait: what other workers read in this moment, pieces that have to move to a larger buffer.
 * Pure.
 */
bool pressure_has_room(uint64_t limit, uint64_t held, uint64_t need);

#endif
