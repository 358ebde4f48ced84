/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The ban table: who may not come in until when, and who has been banned before, in fixed memory.
 *
 * An entry belongs to a network: one address, any prefix, or a user id; the longest banned prefix of an address counts.
 * A source that offends again after a ban is banned for twice as long, up to a maximum; its level, the number of bans
 * that are held against it, falls by one for each `max` without a ban. Entries without ban and level are free.
 *
 * Whoever has to follow (workers that close connections, a firewall) reads the changes by their sequence numbers from a
 * ring of BANS_FEED; a reader that fell behind is told so, and starts again with bans_seq() and then all pages. Bans
 * that run out are not told: each says when it ends.
 *
 * 56 bytes an entry, mapped at start and touched lazily, in sets of 8. A network may stand in either of two sets,
 * chosen by a keyed hash, and goes into the emptier one, so that the table fills to two thirds before a network finds
 * both full. One lock for each 64th of the sets, and none at all for a look-up while nobody is banned. When all 16
 * entries are taken, the one that is missed least is replaced and counted: history only, the one that fades first; else
 * the ban that ends first. Bans of an operator or a list are never replaced: where there is nothing else, the new ban
 * is refused, and that is counted. Any thread. Time is an argument. Networks of kind ADDR_NONE are nobody's and never
 * banned.
 */
#ifndef WEIR_POLICY_BANS_H
#define WEIR_POLICY_BANS_H

#include "base/attr.h"
#include "base/hash.h"
#include "base/network.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than twice what is likely to be banned at once. */
#define BANS_CAPACITY 262144u
#define BANS_FEED     4096u

/* Until it is lifted. */
#define BAN_FOR_EVER UINT64_MAX

/* BAN_REASON(NAME, label): why somebody is banned; labels stand in metrics, logs and the state file's readers. */
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
    uint8_t level;       /* bans held against it, the present one included; 0: an operator's only */
    uint64_t since_ns;   /* of the last ban; before the clock's own beginning it wraps, so only differences count */
    uint64_t until_ns;   /* its end; 0: not banned, history only */
    uint64_t fade_at_ns; /* when the level falls by one */
    uint64_t fade_ns;    /* how long that takes each time */
};

/* How long: the first time, at most. */
struct ban_terms {
    uint64_t for_ns, max_ns; /* for_ns <= max_ns */
};

struct bans;

/* At least `capacity` entries (rounded up to a power of two, at least 1024). NULL when memory is out. */
MUST_USE struct bans *bans_new(size_t capacity, const struct hash_key *key);
void bans_free(struct bans *t);

/* The label of a reason. */
const char *ban_reason_label(enum ban_reason r);

/* Bans for a time that grows from ban to ban: for_ns, doubled for each level, at most max_ns, and up to a quarter less
 * by `random` (64 random bits), so that many who were banned at once do not come back at once. True when it is news:
 * *ret tells how long. False: it is banned already, or there is no room; nothing has changed. */
MUST_USE bool bans_punish(struct bans *t, const struct network *who, const struct ban_terms *terms,
                          enum ban_reason reason, uint64_t random, uint64_t now_ns, struct ban *ret);

/* Bans for exactly `duration_ns` (BAN_FOR_EVER) from now, in place of whatever ban there is. The level stays. False:
 * there is no room. */
bool bans_set(struct bans *t, const struct network *who, uint64_t duration_ns, enum ban_reason reason, uint64_t now_ns);

/* Lifts the ban of exactly this network, and forgets its history. False: it was not banned. */
bool bans_lift(struct bans *t, const struct network *who, uint64_t now_ns);

/* Puts an entry back as it was, with times of this boot. False: there is no room. */
bool bans_restore(struct bans *t, const struct ban *b, uint64_t now_ns);

/* The ban with the longest prefix that `a` lies in; *ret may be NULL. */
bool bans_find(struct bans *t, const struct addr *a, uint64_t now_ns, struct ban *ret);

/* The ban of exactly this network; *ret may be NULL. */
bool bans_get(struct bans *t, const struct network *who, uint64_t now_ns, struct ban *ret);

/* The next entries, at most `max` (at least 8), those with history only if asked for. *cursor: 0 at the beginning,
 * BANS_END when there are no more. Entries that change meanwhile may be there or not. Returns how many. */
#define BANS_END SIZE_MAX
size_t bans_page(struct bans *t, size_t *cursor, bool with_history, uint64_t now_ns, struct ban *ret, size_t max);

/* Forgets what has run out. Once in a second or so, by one thread; the table is right without it, but for the numbers
 * of entries. */
void bans_sweep(struct bans *t, uint64_t now_ns);

enum ban_event { BAN_SET, BAN_LIFTED /* or replaced */ };

struct ban_change {
    uint64_t seq; /* from 1, without gaps */
    enum ban_event event;
    struct ban ban;
};

/* The number of the latest change; 0: none yet. One atomic load. */
uint64_t bans_seq(const struct bans *t);

/* The changes after `seen`, oldest first, at most `max`. *ret_lost: some are no longer there, and nothing is returned:
 * take bans_seq(), then all pages. */
size_t bans_changes(struct bans *t, uint64_t seen, struct ban_change *ret, size_t max, bool *ret_lost);

/* The bans that have run out, counted from 1, in a ring of their own as above; `ret` is as they were. One is noticed
 * when its entry is next looked at, at the latest by bans_sweep(). */
uint64_t bans_ended_seq(const struct bans *t);
size_t bans_ended(struct bans *t, uint64_t seen, struct ban *ret, size_t max, bool *ret_lost);

struct bans_stats {
    size_t capacity;
    uint64_t entries, banned; /* as of the last sweep */
    uint64_t set[BAN_REASON_COUNT];
    uint64_t lifted;
    uint64_t replaced; /* bans that gave way to others because their sets were full */
    uint64_t refused;  /* bans that found no room */
};
void bans_stats(const struct bans *t, struct bans_stats *ret);

/* At least the part of a family's addresses that is banned: 2^BANS_BREADTH_BITS are all of them. */
#define BANS_BREADTH_BITS 56u
uint64_t bans_breadth(const struct bans *t, uint8_t kind);

#endif
