/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The source table: what Weir remembers of each source, in fixed memory.
 *
 * A source is an IPv4 address, an IPv6 /64, or a user id (Unix sockets). An entry has 64 bytes (one cache line).
 * Entries stand in sets of 8. A keyed hash chooses the set, so nobody can aim at one.
 *
 *   State     Means                                             Next state
 *   free      never used                                        busy: source_acquire()
 *   busy      has references                                    idle: the last source_release()
 *   idle      no references, not drained                        busy: source_acquire(); drained: with time
 *   drained   no references, nothing held, limiters and         busy: source_acquire(), for its own key or for another
 *             strikes are empty                                 one that evicts it
 *
 * A drained entry that is in no good standing equals a new one, and is evicted for nothing. If a set has none of these,
 * the drained entry whose good standing is oldest is evicted.
 *
 * When full: if all 8 entries of a set are busy or idle, the source is counted on the entry of its prefix (IPv4 /24,
 * IPv6 /48; user ids: all). If that set is full too, it is counted on the entry of everyone, which always exists. So an
 * attacker with endless addresses gets coarser limits, never none, and never locks newcomers out.
 *
 * Locks: that of a shard protects which key an entry belongs to. Finding or creating an entry takes it, giving a
 * reference back does not. It is not taken for messages: a connection keeps the pointer, and an entry with references
 * is never evicted. Limiters, strikes and counters of an entry are atomic.
 *
 * Memory: `capacity` x 64 bytes, mapped at start and touched lazily. Shared by all threads.
 */
#ifndef WEIR_LIMITS_SOURCE_H
#define WEIR_LIMITS_SOURCE_H

#include "base/addr.h"
#include "base/attr.h"
#include "base/hash.h"
#include "limits/gcra.h"
#include "limits/strikes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum source_kind {
    SOURCE_FREE, /* an unused entry */
    SOURCE_V4,
    SOURCE_V4_24,
    SOURCE_V6_64,
    SOURCE_V6_48,
    SOURCE_UID,
    SOURCE_ALL, /* everyone: the last resort */
};

struct source_key {
    uint64_t bits; /* the address, its first bytes in the high bits; or the uid */
    enum source_kind kind;
};

enum source_limiter {
    SOURCE_MESSAGES,
    SOURCE_BYTES,
    SOURCE_COMMANDS,
    SOURCE_CONNECTIONS,
    SOURCE_SUBSCRIPTIONS,
    SOURCE_LIMITERS
};

struct source {
    uint64_t bits;
    gcra_word limiters[SOURCE_LIMITERS]; /* indexed by enum source_limiter */
    _Atomic uint32_t refs;               /* connections that point here; > 0: not evictable */
    _Atomic uint32_t topic_bytes;        /* subscriptions held: bytes of topic, and TOPIC_OVERHEAD_BYTES each */
    strikes_word strikes;                /* offences, see strikes.h */
    _Atomic uint16_t half_open;          /* connections before the end of their handshake */
    uint8_t kind;                        /* enum source_kind */
    _Atomic uint8_t good;                /* when something well-behaved was last seen: a tick, see below; 0: never */
};
_Static_assert(sizeof(struct source) == 64, "an entry is one cache line");

struct source_table;

/* Makes a table of at least `capacity` entries (rounded up to a power of two, at least 1024). NULL when memory cannot
 * be mapped. */
MUST_USE struct source_table *source_table_new(size_t capacity, const struct hash_key *key);
void source_table_free(struct source_table *t);

/* The key of a peer: an IPv4 address as it is, IPv6 by /64, a user id. */
struct source_key source_key_of(const struct addr *a);

/* The key one step coarser (v4 -> /24 -> all, v6/64 -> /48 -> all, uid -> all). */
struct source_key source_key_coarser(struct source_key k);

/* Returns the entry for this key, or for a coarser one when full; never NULL. Takes a reference. Any thread. */
struct source *source_acquire(struct source_table *t, struct source_key k, uint64_t now_ns);

/* Returns the entry for exactly this key, with a reference, or NULL when there is none; makes none. Any thread. */
struct source *source_find(struct source_table *t, struct source_key k);

/* Gives the reference back. */
void source_release(struct source *s);

/*
 * Good standing: something well-behaved was seen of the source lately (a whole message passed, either way). It is kept
 * in one byte as ticks of 2^38 ns (275 s), counted modulo 255; so an age is right to one tick. It is forgotten when an
 * entry is acquired after SOURCE_STANDING_MAX_NS. An entry that is not acquired for 19 hours can look good once more
 * for that long. This errs on the side of the source.
 */
#define SOURCE_STANDING_TICK_LOG2_NS 38u
#define SOURCE_STANDING_MAX_NS       (UINT64_C(12) * 3600 * 1000000000)

/* Notes that something well-behaved was seen. Any thread; one relaxed load, and a store every 275 s. */
void source_note_good(struct source *s, uint64_t now_ns);

/* Whether something well-behaved was seen within `within_ns` (at most SOURCE_STANDING_MAX_NS; 0: never). Any thread. */
bool source_in_good_standing(const struct source *s, uint64_t within_ns, uint64_t now_ns);

/* Whether an entry stands for many sources, because the table is full. */
static inline bool source_is_shared(const struct source *s)
{
    return s->kind == SOURCE_V4_24 || s->kind == SOURCE_V6_48 || s->kind == SOURCE_ALL;
}

/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/64", "uid:1000", "all". Returns `dst` (at least ADDR_TEXT_MAX). */
char *source_format(char *dst, size_t size, const struct source *s);

/* Calls gcra_forgive() for every limiter after a reload, at rates indexed by enum source_limiter. Walks the whole
 * table, without a lock. Any thread but a worker. */
void source_table_forgive(struct source_table *t, const struct rate rates[static SOURCE_LIMITERS], uint64_t now_ns);

/* Takes all strikes back, which mean nothing under other rules. Walks the table in the same way. */
void source_table_pardon(struct source_table *t);

struct source_stats {
    size_t capacity;
    size_t used;        /* entries that hold a key */
    uint64_t created;   /* entries taken, since start */
    uint64_t evicted;   /* of those, over a drained entry */
    uint64_t fallbacks; /* acquires that ended on a coarser entry */
    size_t memory_bytes;
};
void source_table_stats(const struct source_table *t, struct source_stats *ret);

#endif
