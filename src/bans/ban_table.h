/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The entries of the table of bans (bans.h) and where they stand: two-choice hashing over sets of BAN_WAYS, sharded by
 * lock. For bans.c only.
 *
 *   entry      is                                  next
 *   FREE       all zeros                           BANNED (ban_home_get(), ban_entry_begin())
 *   BANNED     until_ns is in the future           HISTORY when it has run out and a level is left, else FREE
 *   HISTORY    until_ns is 0, and a level is left  BANNED again; FREE when the level has faded, or its room is needed
 *
 * Locks: every function but ban_home_of() and ban_table_next_set() with the lock of the entry's shard: that of its home
 * (ban_home_lock()) or of its set (ban_set_lock()). feed_lock is taken inside of it.
 * Units: monotonic nanoseconds.
 */
#ifndef WEIR_BANS_BAN_TABLE_H
#define WEIR_BANS_BAN_TABLE_H

#include "bans/bans.h"

#include <pthread.h>
#include <stdatomic.h>

#define BAN_WAYS    8u
#define BAN_SHARDS  64u
#define BAN_KINDS   (ADDR_UID + 1)
#define BAN_LENGTHS 129u
/* Sets that are skipped together when none of them has an entry, so that their pages are never touched. */
#define BAN_GROUP 64u

struct ban_shard {
    _Alignas(64) pthread_mutex_t lock; /* protects the sets s with s % BAN_SHARDS equal to the index */
};

struct bans {
    struct ban *entries;
    size_t capacity;
    _Atomic uint32_t *groups; /* entries in each group */
    struct hash_key key;
    struct ban_shard shards[BAN_SHARDS];
    /* Bans of each prefix length, so that a look-up tries only lengths that occur. */
    _Atomic uint32_t lengths[BAN_KINDS][BAN_LENGTHS];
    _Atomic uint64_t entry_count, banned, set[BAN_REASON_COUNT], lifted, replaced, refused;

    pthread_mutex_t feed_lock; /* protects both rings; taken inside a shard's lock */
    _Atomic uint64_t seq;
    struct ban_change feed[BANS_FEED]; /* change n at n % BANS_FEED */
    _Atomic uint64_t ended_seq;
    struct ban ended[BANS_FEED]; /* in the same way */
};

/* The two sets, of one shard, where the entry of a network may stand. */
struct ban_home {
    size_t sets[2];
};

static inline bool ban_entry_is_free(const struct ban *e)
{
    return e->who.kind == ADDR_NONE;
}

static inline bool ban_entry_is_banned(const struct ban *e, uint64_t now_ns)
{
    return e->until_ns > now_ns;
}

static inline uint64_t ban_entry_later(uint64_t now_ns, uint64_t ns)
{
    return ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + ns;
}

static inline void ban_table_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* The first set from `index` on that may have an entry; the number of sets when there is none. */
size_t ban_table_next_set(const struct bans *t, size_t index);

/* Tells those who follow the table. */
void ban_table_tell(struct bans *t, enum ban_event event, const struct ban *e);

struct ban_home ban_home_of(const struct bans *t, const struct network *who);
void ban_home_lock(struct bans *t, const struct ban_home *h);
void ban_home_unlock(struct bans *t, const struct ban_home *h);

/* The entry of exactly this network, which may have run out; NULL: there is none. */
struct ban *ban_home_find(struct bans *t, const struct ban_home *h, const struct network *who);

/* The same, up to date, made if it is missing. NULL: there is no room. */
struct ban *ban_home_get(struct bans *t, const struct ban_home *h, const struct network *who, uint64_t now_ns);

/* The BAN_WAYS entries of a set. */
struct ban *ban_set_lock(struct bans *t, size_t index);
void ban_set_unlock(struct bans *t, size_t index);

/* A ban begins; its end is set or taken back; the entry is freed. */
void ban_entry_begin(struct bans *t, struct ban *e, enum ban_reason reason, uint64_t until_ns, uint64_t now_ns);
void ban_entry_set_until(struct bans *t, struct ban *e, uint64_t until_ns);
void ban_entry_clear(struct bans *t, struct ban *e);

/* Brings an entry up to date: ends a ban that has run out, and frees the entry when nothing is left. */
void ban_entry_refresh(struct bans *t, struct ban *e, uint64_t now_ns);

#endif
