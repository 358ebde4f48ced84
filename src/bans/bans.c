/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/bans.h"

#include "limits/limits.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WAYS         8u
#define SHARDS       64u
#define CAPACITY_MIN 1024u
#define LEVEL_MAX    UINT8_MAX
#define KINDS        (ADDR_UID + 1)
#define LENGTHS      129u
/* Sets that are skipped together when none of them has an entry, so that their pages are never touched. */
#define GROUP 64u

struct ban_shard {
    _Alignas(64) pthread_mutex_t lock; /* protects the sets s with s % SHARDS equal to the index */
};

struct bans {
    struct ban *entries;
    size_t capacity;
    _Atomic uint32_t *groups; /* entries in each group */
    struct hash_key key;
    struct ban_shard shards[SHARDS];
    /* Bans of each prefix length, so that a look-up tries only lengths that occur. */
    _Atomic uint32_t lengths[KINDS][LENGTHS];
    _Atomic uint64_t entry_count, banned, set[BAN_REASON_COUNT], lifted, replaced, refused;

    pthread_mutex_t feed_lock; /* protects both rings; taken inside a shard's lock */
    _Atomic uint64_t seq;
    struct ban_change feed[BANS_FEED]; /* change n at n % BANS_FEED */
    _Atomic uint64_t ended_seq;
    struct ban ended[BANS_FEED]; /* in the same way */
};

const char *ban_reason_label(enum ban_reason r)
{
    static const char *const labels[] = {
#define BAN_REASON_LABEL(NAME, label) [BAN_REASON_##NAME] = (label),
        BAN_REASONS(BAN_REASON_LABEL)
#undef BAN_REASON_LABEL
    };
    return labels[r];
}

/* ---- life ---- */

struct bans *bans_new(size_t capacity, const struct hash_key *key)
{
    struct bans *t = aligned_alloc(64, (sizeof(*t) + 63) / 64 * 64);
    if (!t)
        return NULL;
    memset(t, 0, sizeof(*t));
    t->key = *key;
    for (t->capacity = CAPACITY_MIN; t->capacity < capacity && t->capacity < SIZE_MAX / 2 / sizeof(struct ban);)
        t->capacity *= 2;
    /* Fresh pages are zero, and an entry of zeros is a free one. */
    t->entries = mmap(NULL, t->capacity * sizeof(struct ban), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    t->groups = calloc(t->capacity / WAYS / GROUP + 1, sizeof(*t->groups));
    if (t->entries == MAP_FAILED || !t->groups) {
        if (t->entries != MAP_FAILED)
            munmap(t->entries, t->capacity * sizeof(struct ban));
        free(t->groups);
        free(t);
        return NULL;
    }
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_mutex_init(&t->shards[i].lock, NULL);
    pthread_mutex_init(&t->feed_lock, NULL);
    return t;
}

void bans_free(struct bans *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&t->shards[i].lock);
    pthread_mutex_destroy(&t->feed_lock);
    munmap(t->entries, t->capacity * sizeof(struct ban));
    free(t->groups);
    free(t);
}

/* ---- one entry; under its shard's lock ---- */

static bool is_free(const struct ban *e)
{
    return e->who.kind == ADDR_NONE;
}

static bool is_banned(const struct ban *e, uint64_t now_ns)
{
    return e->until_ns > now_ns;
}

static uint64_t bans_later(uint64_t now_ns, uint64_t ns)
{
    return ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + ns;
}

static void bans_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Counts one entry more or less. */
static void count_entry(struct bans *t, const struct ban *e, bool more)
{
    _Atomic uint32_t *group = &t->groups[(size_t)(e - t->entries) / WAYS / GROUP];
    bans_count(&t->entry_count, more ? 1 : UINT64_MAX);
    atomic_fetch_add_explicit(group, more ? 1 : UINT32_MAX, memory_order_relaxed);
}

/* The first set from `index` on that may have an entry; the number of sets when there is none. */
static size_t next_set(const struct bans *t, size_t index)
{
    size_t sets = t->capacity / WAYS;
    while (index < sets && atomic_load_explicit(&t->groups[index / GROUP], memory_order_relaxed) == 0)
        index += GROUP - index % GROUP;
    return index < sets ? index : sets;
}

static void bans_tell(struct bans *t, enum ban_event event, const struct ban *e)
{
    pthread_mutex_lock(&t->feed_lock);
    uint64_t seq = atomic_load_explicit(&t->seq, memory_order_relaxed) + 1;
    t->feed[seq % BANS_FEED] = (struct ban_change){.seq = seq, .event = event, .ban = *e};
    atomic_store_explicit(&t->seq, seq, memory_order_release);
    pthread_mutex_unlock(&t->feed_lock);
}

static void tell_end(struct bans *t, const struct ban *e)
{
    pthread_mutex_lock(&t->feed_lock);
    uint64_t seq = atomic_load_explicit(&t->ended_seq, memory_order_relaxed) + 1;
    t->ended[seq % BANS_FEED] = *e;
    atomic_store_explicit(&t->ended_seq, seq, memory_order_release);
    pthread_mutex_unlock(&t->feed_lock);
}

/* The counters `banned` and `lengths` count the entries with until_ns != 0. */
static void set_until(struct bans *t, struct ban *e, uint64_t until_ns)
{
    if (!e->until_ns == !until_ns) {
        e->until_ns = until_ns;
        return;
    }
    uint32_t more = until_ns ? 1 : UINT32_MAX;
    atomic_fetch_add_explicit(&t->lengths[e->who.kind][e->who.bits], more, memory_order_relaxed);
    bans_count(&t->banned, until_ns ? 1 : UINT64_MAX);
    e->until_ns = until_ns;
}

static void bans_clear(struct bans *t, struct ban *e)
{
    set_until(t, e, 0);
    memset(e, 0, sizeof(*e));
    count_entry(t, e, false);
}

/* Brings an entry up to date: ends a ban that has run out, and frees the entry when nothing is left. */
static void refresh(struct bans *t, struct ban *e, uint64_t now_ns)
{
    if (is_free(e) || is_banned(e, now_ns))
        return;
    if (e->until_ns)
        tell_end(t, e);
    set_until(t, e, 0);
    while (e->level && e->fade_at_ns <= now_ns) {
        e->level = e->fade_ns ? e->level - 1 : 0;
        e->fade_at_ns = bans_later(e->fade_at_ns, e->fade_ns);
    }
    if (!e->level)
        bans_clear(t, e);
}

/* ---- sets ---- */

/* The two sets, of one shard, where the entry of a network may stand. */
struct home {
    size_t sets[2];
};

static struct home bans_home_of(const struct bans *t, const struct network *who)
{
    uint64_t h = hash_bytes(&t->key, who, sizeof(*who)), mask = t->capacity / WAYS - 1;
    size_t first = h & mask, second = (h >> 32 & mask & ~(uint64_t)(SHARDS - 1)) | first % SHARDS;
    return (struct home){{first, second != first ? second : second ^ SHARDS}};
}

static void lock_home(struct bans *t, const struct home *h)
{
    pthread_mutex_lock(&t->shards[h->sets[0] % SHARDS].lock);
}

static void unlock_home(struct bans *t, const struct home *h)
{
    pthread_mutex_unlock(&t->shards[h->sets[0] % SHARDS].lock);
}

static struct ban *lock_set(struct bans *t, size_t index)
{
    pthread_mutex_lock(&t->shards[index % SHARDS].lock);
    return &t->entries[index * WAYS];
}

static void unlock_set(struct bans *t, size_t index)
{
    pthread_mutex_unlock(&t->shards[index % SHARDS].lock);
}

static struct ban *way(struct bans *t, const struct home *h, unsigned i)
{
    return &t->entries[h->sets[i / WAYS] * WAYS + i % WAYS];
}

static struct ban *bans_find_exact(struct bans *t, const struct home *h, const struct network *who)
{
    for (unsigned i = 0; i < 2 * WAYS; i++)
        if (network_equal(&way(t, h, i)->who, who))
            return way(t, h, i);
    return NULL;
}

/* An operator or a list asked for this ban, and Weir would not find it out by itself again. */
static bool bans_is_wanted(const struct ban *e)
{
    return e->reason == BAN_REASON_OPERATOR || e->reason == BAN_REASON_LIST;
}

/* Whether losing `a` costs less than losing `b`. */
static bool is_worth_less(const struct ban *a, const struct ban *b)
{
    if (!a->until_ns != !b->until_ns)
        return !a->until_ns;
    if (!a->until_ns)
        return a->fade_at_ns < b->fade_at_ns;
    if (bans_is_wanted(a) != bans_is_wanted(b))
        return bans_is_wanted(b);
    return a->until_ns < b->until_ns;
}

/* A free entry of the emptier set; NULL: there is none. */
static struct ban *free_way(struct bans *t, const struct home *h)
{
    struct ban *found[2] = {NULL, NULL};
    unsigned free_ways[2] = {0, 0};
    for (unsigned i = 0; i < 2 * WAYS; i++) {
        if (!is_free(way(t, h, i)))
            continue;
        found[i / WAYS] = way(t, h, i);
        free_ways[i / WAYS]++;
    }
    return found[free_ways[1] > free_ways[0]];
}

static struct ban *least_worth(struct bans *t, const struct home *h)
{
    struct ban *least = way(t, h, 0);
    for (unsigned i = 1; i < 2 * WAYS; i++)
        if (is_worth_less(way(t, h, i), least))
            least = way(t, h, i);
    return least;
}

/* A free entry; if there is none, the one that is missed least is cleared. NULL: all are bans of operators and
 * lists. */
static struct ban *bans_make_room(struct bans *t, const struct home *h, uint64_t now_ns)
{
    for (unsigned i = 0; i < 2 * WAYS; i++)
        refresh(t, way(t, h, i), now_ns);
    struct ban *e = free_way(t, h);
    if (e)
        return e;
    e = least_worth(t, h);
    if (e->until_ns && bans_is_wanted(e)) {
        bans_count(&t->refused, 1);
        return NULL;
    }
    if (e->until_ns) {
        bans_tell(t, BAN_LIFTED, e);
        bans_count(&t->replaced, 1);
    }
    bans_clear(t, e);
    return e;
}

/* The entry of exactly this network, up to date, made if it is missing. NULL: there is no room. */
static struct ban *get(struct bans *t, const struct home *h, const struct network *who, uint64_t now_ns)
{
    struct ban *e = bans_find_exact(t, h, who);
    if (e)
        refresh(t, e, now_ns);
    if (e && !is_free(e))
        return e;
    e = bans_make_room(t, h, now_ns);
    if (!e)
        return NULL;
    e->who = *who;
    count_entry(t, e, true);
    return e;
}

static void bans_begin(struct bans *t, struct ban *e, enum ban_reason reason, uint64_t until_ns, uint64_t now_ns)
{
    e->reason = (uint8_t)reason;
    e->since_ns = now_ns;
    set_until(t, e, until_ns);
    bans_count(&t->set[reason], 1);
    bans_tell(t, BAN_SET, e);
}

/* ---- banning ---- */

static uint64_t duration_of(const struct ban_terms *terms, unsigned level, uint64_t random)
{
    uint64_t ns = terms->for_ns < terms->max_ns ? terms->for_ns : terms->max_ns;
    for (; level > 0 && ns < terms->max_ns; level--)
        ns = ns > terms->max_ns / 2 ? terms->max_ns : 2 * ns;
    return ns - (ns / 4 / 1024) * (random >> 54);
}

bool bans_punish(struct bans *t, const struct network *who, const struct ban_terms *terms, enum ban_reason reason,
                 uint64_t random, uint64_t now_ns, struct ban *ret)
{
    if (who->kind == ADDR_NONE)
        return false;
    const struct home h = bans_home_of(t, who);
    lock_home(t, &h);
    struct ban *e = get(t, &h, who, now_ns);
    bool news = e && !is_banned(e, now_ns);
    if (news) {
        uint64_t until_ns = bans_later(now_ns, duration_of(terms, e->level, random));
        e->level += e->level < LEVEL_MAX;
        e->fade_ns = terms->max_ns;
        e->fade_at_ns = bans_later(until_ns, e->fade_ns);
        bans_begin(t, e, reason, until_ns, now_ns);
    }
    *ret = e ? *e : (struct ban){.who = *who};
    unlock_home(t, &h);
    return news;
}

bool bans_punish_source(struct bans *t, const struct addr *source, const struct ban_terms *terms, enum verdict v,
                        uint64_t random, uint64_t now_ns, struct ban *ret)
{
    struct network who = network_of(source, source->kind == ADDR_V6 ? 64 : 32);
    enum ban_reason reason = verdict_offence(v) == OFFENCE_EXCESS ? BAN_REASON_EXCESS : BAN_REASON_PROTOCOL;
    return bans_punish(t, &who, terms, reason, random, now_ns, ret);
}

bool bans_set(struct bans *t, const struct network *who, uint64_t duration_ns, enum ban_reason reason, uint64_t now_ns)
{
    if (who->kind == ADDR_NONE)
        return false;
    const struct home h = bans_home_of(t, who);
    lock_home(t, &h);
    struct ban *e = get(t, &h, who, now_ns);
    uint64_t until_ns = bans_later(now_ns, duration_ns ? duration_ns : 1);
    if (e && e->level)
        e->fade_at_ns = bans_later(until_ns, e->fade_ns);
    if (e)
        bans_begin(t, e, reason, until_ns, now_ns);
    unlock_home(t, &h);
    return e != NULL;
}

bool bans_lift(struct bans *t, const struct network *who, uint64_t now_ns)
{
    const struct home h = bans_home_of(t, who);
    lock_home(t, &h);
    struct ban *e = bans_find_exact(t, &h, who);
    if (e)
        refresh(t, e, now_ns);
    bool was = e && !is_free(e) && is_banned(e, now_ns);
    if (was) {
        bans_tell(t, BAN_LIFTED, e);
        bans_count(&t->lifted, 1);
    }
    if (e && !is_free(e))
        bans_clear(t, e);
    unlock_home(t, &h);
    return was;
}

static void bans_put_back(struct bans *t, struct ban *e, const struct ban *b, uint64_t now_ns)
{
    uint64_t until_ns = is_banned(b, now_ns) ? b->until_ns : 0;
    set_until(t, e, 0);
    *e = *b;
    e->until_ns = 0;
    set_until(t, e, until_ns);
    if (until_ns)
        bans_tell(t, BAN_SET, e);
    refresh(t, e, now_ns);
}

bool bans_restore(struct bans *t, const struct ban *b, uint64_t now_ns)
{
    if (b->who.kind == ADDR_NONE)
        return false;
    const struct home h = bans_home_of(t, &b->who);
    lock_home(t, &h);
    struct ban *e = get(t, &h, &b->who, now_ns);
    if (e)
        bans_put_back(t, e, b, now_ns);
    unlock_home(t, &h);
    return e != NULL;
}

/* ---- looking ---- */

bool bans_get(struct bans *t, const struct network *who, uint64_t now_ns, struct ban *ret)
{
    const struct home h = bans_home_of(t, who);
    lock_home(t, &h);
    const struct ban *e = bans_find_exact(t, &h, who);
    bool found = e && is_banned(e, now_ns);
    if (found && ret)
        *ret = *e;
    unlock_home(t, &h);
    return found;
}

bool bans_find(struct bans *t, const struct addr *a, uint64_t now_ns, struct ban *ret)
{
    if (atomic_load_explicit(&t->banned, memory_order_relaxed) == 0 || a->kind == ADDR_NONE)
        return false;
    for (int bits = network_bits_max((uint8_t)a->kind); bits >= 0; bits--) {
        if (atomic_load_explicit(&t->lengths[a->kind][bits], memory_order_relaxed) == 0)
            continue;
        struct network who = network_of(a, (uint8_t)bits);
        if (bans_get(t, &who, now_ns, ret))
            return true;
    }
    return false;
}

size_t bans_page(struct bans *t, size_t *cursor, bool with_history, uint64_t now_ns, struct ban *ret, size_t max)
{
    size_t n = 0, index = next_set(t, *cursor);
    for (; index < t->capacity / WAYS && n + WAYS <= max; index = next_set(t, index + 1)) {
        const struct ban *set = lock_set(t, index);
        for (unsigned i = 0; i < WAYS; i++)
            if (!is_free(&set[i]) && (with_history || is_banned(&set[i], now_ns)))
                ret[n++] = set[i];
        unlock_set(t, index);
    }
    *cursor = index < t->capacity / WAYS ? index : BANS_END;
    return n;
}

void bans_sweep(struct bans *t, uint64_t now_ns)
{
    if (atomic_load_explicit(&t->entry_count, memory_order_relaxed) == 0)
        return;
    for (size_t index = next_set(t, 0); index < t->capacity / WAYS; index = next_set(t, index + 1)) {
        struct ban *set = lock_set(t, index);
        for (unsigned i = 0; i < WAYS; i++)
            refresh(t, &set[i], now_ns);
        unlock_set(t, index);
    }
}

/* ---- following ---- */

uint64_t bans_seq(const struct bans *t)
{
    return atomic_load_explicit(&t->seq, memory_order_acquire);
}

size_t bans_changes(struct bans *t, uint64_t seen, struct ban_change *ret, size_t max, bool *ret_lost)
{
    size_t n = 0;
    pthread_mutex_lock(&t->feed_lock);
    uint64_t seq = atomic_load_explicit(&t->seq, memory_order_relaxed);
    *ret_lost = seen > seq || seq - seen > BANS_FEED;
    while (!*ret_lost && seen < seq && n < max)
        ret[n++] = t->feed[++seen % BANS_FEED];
    pthread_mutex_unlock(&t->feed_lock);
    return n;
}

uint64_t bans_ended_seq(const struct bans *t)
{
    return atomic_load_explicit(&t->ended_seq, memory_order_acquire);
}

size_t bans_ended(struct bans *t, uint64_t seen, struct ban *ret, size_t max, bool *ret_lost)
{
    size_t n = 0;
    pthread_mutex_lock(&t->feed_lock);
    uint64_t seq = atomic_load_explicit(&t->ended_seq, memory_order_relaxed);
    *ret_lost = seen > seq || seq - seen > BANS_FEED;
    while (!*ret_lost && seen < seq && n < max)
        ret[n++] = t->ended[++seen % BANS_FEED];
    pthread_mutex_unlock(&t->feed_lock);
    return n;
}

void bans_stats(const struct bans *t, struct bans_stats *ret)
{
    *ret = (struct bans_stats){
        .capacity = t->capacity,
        .entries = atomic_load_explicit(&t->entry_count, memory_order_relaxed),
        .banned = atomic_load_explicit(&t->banned, memory_order_relaxed),
        .lifted = atomic_load_explicit(&t->lifted, memory_order_relaxed),
        .replaced = atomic_load_explicit(&t->replaced, memory_order_relaxed),
        .refused = atomic_load_explicit(&t->refused, memory_order_relaxed),
    };
    for (unsigned i = 0; i < BAN_REASON_COUNT; i++)
        ret->set[i] = atomic_load_explicit(&t->set[i], memory_order_relaxed);
}

uint64_t bans_breadth(const struct bans *t, uint8_t kind)
{
    uint64_t sum = 0;
    for (unsigned bits = 0; bits <= network_bits_max(kind); bits++) {
        uint64_t each = bits < BANS_BREADTH_BITS ? UINT64_C(1) << (BANS_BREADTH_BITS - bits) : 1;
        sum += each * atomic_load_explicit(&t->lengths[kind][bits], memory_order_relaxed);
    }
    return sum;
}
