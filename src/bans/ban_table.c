/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_table.h"

#include <string.h>

/* ---- one entry ---- */

/* Counts one entry more or less. */
static void ban_table_count_entry(struct bans *t, const struct ban *e, bool more)
{
    _Atomic uint32_t *group = &t->groups[(size_t)(e - t->entries) / BAN_WAYS / BAN_GROUP];
    ban_table_count(&t->entry_count, more ? 1 : UINT64_MAX);
    atomic_fetch_add_explicit(group, more ? 1 : UINT32_MAX, memory_order_relaxed);
}

/* The first set from `index` on that may have an entry; the number of sets when there is none. */
size_t ban_table_next_set(const struct bans *t, size_t index)
{
    size_t sets = t->capacity / BAN_WAYS;
    while (index < sets && atomic_load_explicit(&t->groups[index / BAN_GROUP], memory_order_relaxed) == 0)
        index += BAN_GROUP - index % BAN_GROUP;
    return index < sets ? index : sets;
}

void ban_table_tell(struct bans *t, enum ban_event event, const struct ban *e)
{
    pthread_mutex_lock(&t->feed_lock);
    uint64_t seq = atomic_load_explicit(&t->seq, memory_order_relaxed) + 1;
    t->feed[seq % BANS_FEED] = (struct ban_change){.seq = seq, .event = event, .ban = *e};
    atomic_store_explicit(&t->seq, seq, memory_order_release);
    pthread_mutex_unlock(&t->feed_lock);
}

static void ban_table_tell_end(struct bans *t, const struct ban *e)
{
    pthread_mutex_lock(&t->feed_lock);
    uint64_t seq = atomic_load_explicit(&t->ended_seq, memory_order_relaxed) + 1;
    t->ended[seq % BANS_FEED] = *e;
    atomic_store_explicit(&t->ended_seq, seq, memory_order_release);
    pthread_mutex_unlock(&t->feed_lock);
}

/* The counters `banned` and `lengths` count the entries with until_ns != 0. */
void ban_entry_set_until(struct bans *t, struct ban *e, uint64_t until_ns)
{
    if (!e->until_ns == !until_ns) {
        e->until_ns = until_ns;
        return;
    }
    uint32_t more = until_ns ? 1 : UINT32_MAX;
    atomic_fetch_add_explicit(&t->lengths[e->who.kind][e->who.bits], more, memory_order_relaxed);
    ban_table_count(&t->banned, until_ns ? 1 : UINT64_MAX);
    e->until_ns = until_ns;
}

void ban_entry_clear(struct bans *t, struct ban *e)
{
    ban_entry_set_until(t, e, 0);
    memset(e, 0, sizeof(*e));
    ban_table_count_entry(t, e, false);
}

/* Brings an entry up to date: ends a ban that has run out, and frees the entry when nothing is left. */
void ban_entry_refresh(struct bans *t, struct ban *e, uint64_t now_ns)
{
    if (ban_entry_is_free(e) || ban_entry_is_banned(e, now_ns))
        return;
    if (e->until_ns)
        ban_table_tell_end(t, e);
    ban_entry_set_until(t, e, 0);
    while (e->level && e->fade_at_ns <= now_ns) {
        e->level = e->fade_ns ? e->level - 1 : 0;
        e->fade_at_ns = ban_entry_later(e->fade_at_ns, e->fade_ns);
    }
    if (!e->level)
        ban_entry_clear(t, e);
}

/* ---- sets ---- */

struct ban_home ban_home_of(const struct bans *t, const struct network *who)
{
    uint64_t h = hash_bytes(&t->key, who, sizeof(*who)), mask = t->capacity / BAN_WAYS - 1;
    size_t first = h & mask, second = (h >> 32 & mask & ~(uint64_t)(BAN_SHARDS - 1)) | first % BAN_SHARDS;
    return (struct ban_home){{first, second != first ? second : second ^ BAN_SHARDS}};
}

void ban_home_lock(struct bans *t, const struct ban_home *h)
{
    pthread_mutex_lock(&t->shards[h->sets[0] % BAN_SHARDS].lock);
}

void ban_home_unlock(struct bans *t, const struct ban_home *h)
{
    pthread_mutex_unlock(&t->shards[h->sets[0] % BAN_SHARDS].lock);
}

struct ban *ban_set_lock(struct bans *t, size_t index)
{
    pthread_mutex_lock(&t->shards[index % BAN_SHARDS].lock);
    return &t->entries[index * BAN_WAYS];
}

void ban_set_unlock(struct bans *t, size_t index)
{
    pthread_mutex_unlock(&t->shards[index % BAN_SHARDS].lock);
}

static struct ban *ban_home_way(struct bans *t, const struct ban_home *h, unsigned i)
{
    return &t->entries[h->sets[i / BAN_WAYS] * BAN_WAYS + i % BAN_WAYS];
}

struct ban *ban_home_find(struct bans *t, const struct ban_home *h, const struct network *who)
{
    for (unsigned i = 0; i < 2 * BAN_WAYS; i++)
        if (network_equal(&ban_home_way(t, h, i)->who, who))
            return ban_home_way(t, h, i);
    return NULL;
}

/* An operator or a list asked for this ban, and Weir would not find it out by itself again. */
static bool ban_entry_is_wanted(const struct ban *e)
{
    return e->reason == BAN_REASON_OPERATOR || e->reason == BAN_REASON_LIST;
}

/* Whether losing `a` costs less than losing `b`. */
static bool ban_entry_is_worth_less(const struct ban *a, const struct ban *b)
{
    if (!a->until_ns != !b->until_ns)
        return !a->until_ns;
    if (!a->until_ns)
        return a->fade_at_ns < b->fade_at_ns;
    if (ban_entry_is_wanted(a) != ban_entry_is_wanted(b))
        return ban_entry_is_wanted(b);
    return a->until_ns < b->until_ns;
}

/* A free entry of the emptier set; NULL: there is none. */
static struct ban *ban_home_free_way(struct bans *t, const struct ban_home *h)
{
    struct ban *found[2] = {NULL, NULL};
    unsigned free_ways[2] = {0, 0};
    for (unsigned i = 0; i < 2 * BAN_WAYS; i++) {
        if (!ban_entry_is_free(ban_home_way(t, h, i)))
            continue;
        found[i / BAN_WAYS] = ban_home_way(t, h, i);
        free_ways[i / BAN_WAYS]++;
    }
    return found[free_ways[1] > free_ways[0]];
}

static struct ban *ban_home_least_worth(struct bans *t, const struct ban_home *h)
{
    struct ban *least = ban_home_way(t, h, 0);
    for (unsigned i = 1; i < 2 * BAN_WAYS; i++)
        if (ban_entry_is_worth_less(ban_home_way(t, h, i), least))
            least = ban_home_way(t, h, i);
    return least;
}

/* A free entry; if there is none, the one that is missed least is cleared. NULL: all are bans of operators and
 * lists. */
static struct ban *ban_home_make_room(struct bans *t, const struct ban_home *h, uint64_t now_ns)
{
    for (unsigned i = 0; i < 2 * BAN_WAYS; i++)
        ban_entry_refresh(t, ban_home_way(t, h, i), now_ns);
    struct ban *e = ban_home_free_way(t, h);
    if (e)
        return e;
    e = ban_home_least_worth(t, h);
    if (e->until_ns && ban_entry_is_wanted(e)) {
        ban_table_count(&t->refused, 1);
        return NULL;
    }
    if (e->until_ns) {
        ban_table_tell(t, BAN_LIFTED, e);
        ban_table_count(&t->replaced, 1);
    }
    ban_entry_clear(t, e);
    return e;
}

/* The entry of exactly this network, up to date, made if it is missing. NULL: there is no room. */
struct ban *ban_home_get(struct bans *t, const struct ban_home *h, const struct network *who, uint64_t now_ns)
{
    struct ban *e = ban_home_find(t, h, who);
    if (e)
        ban_entry_refresh(t, e, now_ns);
    if (e && !ban_entry_is_free(e))
        return e;
    e = ban_home_make_room(t, h, now_ns);
    if (!e)
        return NULL;
    e->who = *who;
    ban_table_count_entry(t, e, true);
    return e;
}

void ban_entry_begin(struct bans *t, struct ban *e, enum ban_reason reason, uint64_t until_ns, uint64_t now_ns)
{
    e->reason = (uint8_t)reason;
    e->since_ns = now_ns;
    ban_entry_set_until(t, e, until_ns);
    ban_table_count(&t->set[reason], 1);
    ban_table_tell(t, BAN_SET, e);
}
