/* SPDX-License-Identifier: MPL-2.0 */
#include "bans/ban_table.h"

#include "limits/limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CAPACITY_MIN 1024u
#define LEVEL_MAX    UINT8_MAX

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
    t->groups = calloc(t->capacity / BAN_WAYS / BAN_GROUP + 1, sizeof(*t->groups));
    if (t->entries == MAP_FAILED || !t->groups) {
        if (t->entries != MAP_FAILED)
            munmap(t->entries, t->capacity * sizeof(struct ban));
        free(t->groups);
        free(t);
        return NULL;
    }
    for (unsigned i = 0; i < BAN_SHARDS; i++)
        pthread_mutex_init(&t->shards[i].lock, NULL);
    pthread_mutex_init(&t->feed_lock, NULL);
    return t;
}

void bans_free(struct bans *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < BAN_SHARDS; i++)
        pthread_mutex_destroy(&t->shards[i].lock);
    pthread_mutex_destroy(&t->feed_lock);
    munmap(t->entries, t->capacity * sizeof(struct ban));
    free(t->groups);
    free(t);
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
    const struct ban_home h = ban_home_of(t, who);
    ban_home_lock(t, &h);
    struct ban *e = ban_home_get(t, &h, who, now_ns);
    bool news = e && !ban_entry_is_banned(e, now_ns);
    if (news) {
        uint64_t until_ns = ban_entry_later(now_ns, duration_of(terms, e->level, random));
        e->level += e->level < LEVEL_MAX;
        e->fade_ns = terms->max_ns;
        e->fade_at_ns = ban_entry_later(until_ns, e->fade_ns);
        ban_entry_begin(t, e, reason, until_ns, now_ns);
    }
    *ret = e ? *e : (struct ban){.who = *who};
    ban_home_unlock(t, &h);
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
    const struct ban_home h = ban_home_of(t, who);
    ban_home_lock(t, &h);
    struct ban *e = ban_home_get(t, &h, who, now_ns);
    uint64_t until_ns = ban_entry_later(now_ns, duration_ns ? duration_ns : 1);
    if (e && e->level)
        e->fade_at_ns = ban_entry_later(until_ns, e->fade_ns);
    if (e)
        ban_entry_begin(t, e, reason, until_ns, now_ns);
    ban_home_unlock(t, &h);
    return e != NULL;
}

bool bans_lift(struct bans *t, const struct network *who, uint64_t now_ns)
{
    const struct ban_home h = ban_home_of(t, who);
    ban_home_lock(t, &h);
    struct ban *e = ban_home_find(t, &h, who);
    if (e)
        ban_entry_refresh(t, e, now_ns);
    bool was = e && !ban_entry_is_free(e) && ban_entry_is_banned(e, now_ns);
    if (was) {
        ban_table_tell(t, BAN_LIFTED, e);
        ban_table_count(&t->lifted, 1);
    }
    if (e && !ban_entry_is_free(e))
        ban_entry_clear(t, e);
    ban_home_unlock(t, &h);
    return was;
}

static void bans_put_back(struct bans *t, struct ban *e, const struct ban *b, uint64_t now_ns)
{
    uint64_t until_ns = ban_entry_is_banned(b, now_ns) ? b->until_ns : 0;
    ban_entry_set_until(t, e, 0);
    *e = *b;
    e->until_ns = 0;
    ban_entry_set_until(t, e, until_ns);
    if (until_ns)
        ban_table_tell(t, BAN_SET, e);
    ban_entry_refresh(t, e, now_ns);
}

bool bans_restore(struct bans *t, const struct ban *b, uint64_t now_ns)
{
    if (b->who.kind == ADDR_NONE)
        return false;
    const struct ban_home h = ban_home_of(t, &b->who);
    ban_home_lock(t, &h);
    struct ban *e = ban_home_get(t, &h, &b->who, now_ns);
    if (e)
        bans_put_back(t, e, b, now_ns);
    ban_home_unlock(t, &h);
    return e != NULL;
}

/* ---- looking ---- */

bool bans_get(struct bans *t, const struct network *who, uint64_t now_ns, struct ban *ret)
{
    const struct ban_home h = ban_home_of(t, who);
    ban_home_lock(t, &h);
    const struct ban *e = ban_home_find(t, &h, who);
    bool found = e && ban_entry_is_banned(e, now_ns);
    if (found && ret)
        *ret = *e;
    ban_home_unlock(t, &h);
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
    size_t n = 0, index = ban_table_next_set(t, *cursor);
    for (; index < t->capacity / BAN_WAYS && n + BAN_WAYS <= max; index = ban_table_next_set(t, index + 1)) {
        const struct ban *set = ban_set_lock(t, index);
        for (unsigned i = 0; i < BAN_WAYS; i++)
            if (!ban_entry_is_free(&set[i]) && (with_history || ban_entry_is_banned(&set[i], now_ns)))
                ret[n++] = set[i];
        ban_set_unlock(t, index);
    }
    *cursor = index < t->capacity / BAN_WAYS ? index : BANS_END;
    return n;
}

void bans_sweep(struct bans *t, uint64_t now_ns)
{
    if (atomic_load_explicit(&t->entry_count, memory_order_relaxed) == 0)
        return;
    for (size_t index = ban_table_next_set(t, 0); index < t->capacity / BAN_WAYS;
         index = ban_table_next_set(t, index + 1)) {
        struct ban *set = ban_set_lock(t, index);
        for (unsigned i = 0; i < BAN_WAYS; i++)
            ban_entry_refresh(t, &set[i], now_ns);
        ban_set_unlock(t, index);
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
