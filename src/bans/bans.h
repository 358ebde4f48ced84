/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The ban table: which networks are banned until when, and which have been banned before, in fixed memory.
 *
 * The table stores bans and computes how long they last. The decision to ban a source falls in relay/strike_scoring.c,
 * which adds up its strikes (limits/strikes.h) and asks relay/probation.h; relay/ban_enforce.c then calls
 * bans_punish_source(). Bans of operators and lists come through bans_set().
 *
 * An entry belongs to a network: one address, any prefix, or a user id. For an address the longest banned prefix
 * counts. A source that offends again after a ban is banned for twice as long, up to a maximum. The level of an entry
 * is the number of bans that are held against it. It falls by one for each `max` without a ban.
 *
 * An entry is free (no ban, level 0), banned (until_ns lies ahead), or history (a level, no ban):
 *
 *   From      To        By
 *   free      banned    bans_punish(), bans_set()
 *   history   banned    bans_punish(), bans_set()
 *   banned    banned    bans_set(), with another end and reason
 *   banned    history   its end, with a level left
 *   banned    free      its end, at level 0; bans_lift(); a new ban that replaces it
 *   history   free      fading to level 0; bans_lift(); a new ban that replaces it
 *   any       any       bans_restore(): as the entry was
 *
 * Followers (workers that close connections, a firewall) read the changes by their sequence numbers from a ring of
 * BANS_FEED. A reader that fell behind is told so, and starts again with bans_seq() and then all pages. This ring does
 * not tell of bans that run out: each says when it ends.
 *
 * Memory: 56 bytes an entry, mapped at start and touched lazily, in sets of 8. A network may stand in either of two
 * sets, chosen by a keyed hash, and goes into the emptier one. So the table fills to two thirds before a network finds
 * both full. When all 16 entries are taken, a new ban replaces the one that is missed least:
 *   - first history: the entry that fades first;
 *   - else the ban that ends first, which is counted;
 *   - never a ban of an operator or a list. Where there is nothing else, the new ban is refused, and that is counted.
 *
 * Locks: each of 64 shards has one, which protects the entries of its sets; both sets of a network are in one shard.
 * The lock of the feed protects both rings, and is taken inside a shard's. Counters and sequence numbers are atomic. A
 * look-up takes no lock while nobody is banned.
 *
 * Any thread. Time is an argument. Networks of kind ADDR_NONE are nobody's and never banned.
 */
#ifndef WEIR_BANS_BANS_H
#define WEIR_BANS_BANS_H

#include "base/attr.h"
#include "base/hash.h"
#include "base/network.h"
#include "limits/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than twice the number of bans that is likely at once. */
#define BANS_CAPACITY 262144u
#define BANS_FEED     4096u

/* The ban lasts until it is lifted. */
#define BAN_FOR_EVER UINT64_MAX

/* BAN_REASON(NAME, label): why a network is banned; labels stand in metrics, logs and the state file's readers. */
#define BAN_REASONS(BAN_REASON)                                                                                        \
    BAN_REASON(PROTOCOL, "protocol")                                                                                   \
    BAN_REASON(EXCESS, "excess")                                                                                       \
    BAN_REASON(OPERATOR, "operator")                                                                                   \
    BAN_REASON(LIST, "list")

enum ban_reason {
#define BAN_REASON_ENUM(NAME, label) BAN_REASON_##NAME,
    BAN_REASONS(BAN_REASON_ENUM)
#undef BAN_REASON_ENUM
        BAN_REASON_COUNT
};

struct ban {
    struct network who;
    uint8_t reason;      /* enum ban_reason, of the last ban */
    uint8_t level;       /* bans held against it, the present one included; 0: only an operator's or a list's */
    uint64_t since_ns;   /* start of the last ban; before the clock's own beginning it wraps: only differences count */
    uint64_t until_ns;   /* its end; 0: not banned, history only */
    uint64_t fade_at_ns; /* when the level falls by one */
    uint64_t fade_ns;    /* how long each further fall takes */
};

struct ban_terms; /* limits.h */
struct bans;

/* Makes a table of at least `capacity` entries (rounded up to a power of two, at least 1024). NULL when memory is
 * out. */
MUST_USE struct bans *bans_new(size_t capacity, const struct hash_key *key);
void bans_free(struct bans *t);

/* The label of a reason. */
const char *ban_reason_label(enum ban_reason r);

/* Bans for a time that grows from ban to ban: for_ns, doubled for each level, at most max_ns. `random` (64 random bits)
 * makes it up to a quarter shorter, so that many sources that were banned at once do not come back at once. Returns
 * true when the ban is news: *ret tells how long. Returns false, with nothing changed, when the network is banned
 * already or there is no room. */
MUST_USE bool bans_punish(struct bans *t, const struct network *who, const struct ban_terms *terms,
                          enum ban_reason reason, uint64_t random, uint64_t now_ns, struct ban *ret);

/* The same for a source that has offended: its own address (IPv6: its /64), never the network of an entry that it
 * shares. */
MUST_USE bool bans_punish_source(struct bans *t, const struct addr *source, const struct ban_terms *terms,
                                 enum verdict v, uint64_t random, uint64_t now_ns, struct ban *ret);

/* Bans for exactly `duration_ns` from now (BAN_FOR_EVER: without end), in place of any ban that is there. The level
 * stays. Returns false when there is no room. */
bool bans_set(struct bans *t, const struct network *who, uint64_t duration_ns, enum ban_reason reason, uint64_t now_ns);

/* Lifts the ban of exactly this network, and forgets its history. Returns false when it was not banned. */
bool bans_lift(struct bans *t, const struct network *who, uint64_t now_ns);

/* Puts an entry back as it was, with times of this boot. Returns false when there is no room. */
bool bans_restore(struct bans *t, const struct ban *b, uint64_t now_ns);

/* Finds the ban with the longest prefix that `a` lies in; `ret` may be NULL. */
bool bans_find(struct bans *t, const struct addr *a, uint64_t now_ns, struct ban *ret);

/* Finds the ban of exactly this network; `ret` may be NULL. */
bool bans_get(struct bans *t, const struct network *who, uint64_t now_ns, struct ban *ret);

/* Copies the next entries, at most `max` (at least 8), and returns how many. Entries with history only are left out
 * unless asked for. *cursor is 0 at the beginning, and BANS_END when there are no more. Entries that change meanwhile
 * may be there or not. */
#define BANS_END SIZE_MAX
size_t bans_page(struct bans *t, size_t *cursor, bool with_history, uint64_t now_ns, struct ban *ret, size_t max);

/* Forgets entries that have run out. One thread calls it once in a second or so. Without it the table is right but for
 * the numbers of entries. */
void bans_sweep(struct bans *t, uint64_t now_ns);

enum ban_event { BAN_SET, BAN_LIFTED /* or replaced */ };

struct ban_change {
    uint64_t seq; /* from 1, without gaps */
    enum ban_event event;
    struct ban ban;
};

/* The number of the latest change; 0: none yet. One atomic load. */
uint64_t bans_seq(const struct bans *t);

/* Copies the changes after `seen`, oldest first, at most `max`, and returns how many. *ret_lost: some are no longer
 * there, and nothing is returned; take bans_seq(), then all pages. */
size_t bans_changes(struct bans *t, uint64_t seen, struct ban_change *ret, size_t max, bool *ret_lost);

/* The bans that have run out, counted from 1, in a ring of their own that is read in the same way; `ret` is as they
 * were. An end is noticed when bans_punish(), bans_set(), bans_lift() or bans_restore() next comes upon the entry, at
 * the latest by bans_sweep(). Look-ups do not notice it. */
uint64_t bans_ended_seq(const struct bans *t);
size_t bans_ended(struct bans *t, uint64_t seen, struct ban *ret, size_t max, bool *ret_lost);

struct bans_stats {
    size_t capacity;
    uint64_t entries, banned; /* ended ones are counted until their end is noticed */
    uint64_t set[BAN_REASON_COUNT];
    uint64_t lifted;
    uint64_t replaced; /* bans that gave way to others because their sets were full */
    uint64_t refused;  /* bans that found no room */
};
void bans_stats(const struct bans *t, struct bans_stats *ret);

/* An upper bound of the part of a family's addresses that is banned: 2^BANS_BREADTH_BITS are all of them. */
#define BANS_BREADTH_BITS 56u
uint64_t bans_breadth(const struct bans *t, uint8_t kind);

#endif
