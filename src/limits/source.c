/* SPDX-License-Identifier: MPL-2.0 */
#include "limits/source.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WAYS         8u
#define SHARDS       64u
#define CAPACITY_MIN 1024u

/* A shard has the sets s with s % SHARDS equal to its index. Its lock protects which key an entry belongs to. The
 * counters of a source are atomic and need none. */
struct source_shard {
    _Alignas(64) pthread_mutex_t lock;
    _Atomic uint64_t used, created, evicted, fallbacks;
};

struct source_table {
    struct source *entries;
    size_t capacity;
    struct hash_key key;
    struct source all; /* the entry of everyone */
    struct source_shard shards[SHARDS];
};

static size_t round_capacity(size_t capacity)
{
    size_t rounded = CAPACITY_MIN;
    while (rounded < capacity && rounded <= SIZE_MAX / 2 / sizeof(struct source))
        rounded *= 2;
    return rounded;
}

struct source_table *source_table_new(size_t capacity, const struct hash_key *key)
{
    struct source_table *t = aligned_alloc(64, sizeof(*t));
    if (!t)
        return NULL;
    memset(t, 0, sizeof(*t));
    t->capacity = round_capacity(capacity);
    t->key = *key;
    t->all.kind = SOURCE_ALL;
    /* Fresh pages are zero, and an entry of zeros is a free one: only sets that are used ever get a page. */
    t->entries = mmap(NULL, t->capacity * sizeof(struct source), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (t->entries == MAP_FAILED || t->capacity < capacity) {
        if (t->entries != MAP_FAILED)
            munmap(t->entries, t->capacity * sizeof(struct source));
        free(t);
        return NULL;
    }
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_mutex_init(&t->shards[i].lock, NULL);
    return t;
}

void source_table_free(struct source_table *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&t->shards[i].lock);
    munmap(t->entries, t->capacity * sizeof(struct source));
    free(t);
}

/* The first `len` bytes of an address in the high bits. */
static uint64_t high_bits(const uint8_t *bytes, unsigned len)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < len; i++)
        bits |= (uint64_t)bytes[i] << (56 - 8 * i);
    return bits;
}

struct source_key source_key_of(const struct addr *a)
{
    switch (a->kind) {
    case ADDR_V4:
        return (struct source_key){high_bits(a->bytes, 4), SOURCE_V4};
    case ADDR_V6:
        return (struct source_key){high_bits(a->bytes, 8), SOURCE_V6_64};
    case ADDR_UID:
        return (struct source_key){high_bits(a->bytes, 4) >> 32, SOURCE_UID};
    case ADDR_NONE:
        break;
    }
    return (struct source_key){0, SOURCE_ALL};
}

struct source_key source_key_coarser(struct source_key k)
{
    if (k.kind == SOURCE_V4)
        return (struct source_key){k.bits & 0xffffff0000000000, SOURCE_V4_24};
    if (k.kind == SOURCE_V6_64)
        return (struct source_key){k.bits & 0xffffffffffff0000, SOURCE_V6_48};
    return (struct source_key){0, SOURCE_ALL};
}

/* When the last limiter of an entry has drained. */
static uint64_t drained_at(const struct source *s)
{
    uint64_t at = 0;
    for (unsigned i = 0; i < SOURCE_LIMITERS; i++) {
        uint64_t tat = atomic_load_explicit(&s->limiters[i], memory_order_relaxed);
        at = tat > at ? tat : at;
    }
    return at;
}

/* Whether nobody holds the entry, and forgetting it loses nothing but a good standing. */
static bool is_evictable(const struct source *s, uint64_t now_ns)
{
    return atomic_load_explicit(&s->refs, memory_order_acquire) == 0 && atomic_load(&s->half_open) == 0 &&
           atomic_load(&s->topic_bytes) == 0 && drained_at(s) <= now_ns && strikes_are_drained(&s->strikes, now_ns);
}

static struct source *find_in_set(struct source *set, struct source_key k)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].kind == k.kind && set[i].bits == k.bits)
            return &set[i];
    return NULL;
}

/* ---- good standing ---- */

#define STANDING_NEVER UINT32_MAX

/* 1 to 255. */
static uint8_t standing_tick(uint64_t now_ns)
{
    return (uint8_t)((now_ns >> SOURCE_STANDING_TICK_LOG2_NS) % 255 + 1);
}

/* In ticks. Another worker's clock may be a little ahead and leave a mark from the future. Such a mark reads as 254
 * ticks, and so as long ago, until this clock follows. */
static uint32_t standing_age(const struct source *s, uint64_t now_ns)
{
    uint8_t good = atomic_load_explicit(&s->good, memory_order_relaxed);
    return good == 0 ? STANDING_NEVER : (standing_tick(now_ns) + 255u - good) % 255u;
}

void source_note_good(struct source *s, uint64_t now_ns)
{
    uint8_t tick = standing_tick(now_ns);
    if (atomic_load_explicit(&s->good, memory_order_relaxed) != tick)
        atomic_store_explicit(&s->good, tick, memory_order_relaxed);
}

bool source_in_good_standing(const struct source *s, uint64_t within_ns, uint64_t now_ns)
{
    uint32_t age = standing_age(s, now_ns);
    return within_ns != 0 && age != STANDING_NEVER &&
           age <= (within_ns + (UINT64_C(1) << SOURCE_STANDING_TICK_LOG2_NS) - 1) >> SOURCE_STANDING_TICK_LOG2_NS;
}

/* Forgets an old standing, so that it does not look fresh when the ticks have gone round. */
static void forget_old_standing(struct source *s, uint64_t now_ns)
{
    if (!source_in_good_standing(s, SOURCE_STANDING_MAX_NS, now_ns))
        atomic_store_explicit(&s->good, 0, memory_order_relaxed);
}

/* ---- entries ---- */

/* Whether forgetting `a` loses less than forgetting `b`: first the older (or no) standing, then the longer drained. */
static bool is_missed_less(const struct source *a, const struct source *b, uint64_t now_ns)
{
    uint32_t age_a = standing_age(a, now_ns), age_b = standing_age(b, now_ns);
    return age_a != age_b ? age_a > age_b : drained_at(a) < drained_at(b);
}

/* A free entry; else the evictable one that is missed least; else NULL. */
static struct source *find_victim(struct source *set, uint64_t now_ns)
{
    struct source *victim = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].kind == SOURCE_FREE)
            return &set[i];
        if (is_evictable(&set[i], now_ns) && (!victim || is_missed_less(&set[i], victim, now_ns)))
            victim = &set[i];
    }
    return victim;
}

static void source_count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void source_take_over(struct source_shard *shard, struct source *s, struct source_key k)
{
    source_count(&shard->created);
    source_count(s->kind == SOURCE_FREE ? &shard->used : &shard->evicted);
    for (unsigned i = 0; i < SOURCE_LIMITERS; i++)
        atomic_store_explicit(&s->limiters[i], 0, memory_order_relaxed);
    atomic_store_explicit(&s->strikes, 0, memory_order_relaxed);
    atomic_store_explicit(&s->good, 0, memory_order_relaxed);
    s->bits = k.bits;
    s->kind = (uint8_t)k.kind;
}

static size_t set_of(const struct source_table *t, struct source_key k)
{
    uint64_t words[2] = {k.bits, k.kind};
    return hash_bytes(&t->key, words, sizeof(words)) & (t->capacity / WAYS - 1);
}

/* The entry for exactly this key, with a reference; NULL when no entry of its set is free or evictable. */
static struct source *acquire_exact(struct source_table *t, struct source_key k, uint64_t now_ns)
{
    size_t index = set_of(t, k);
    struct source *set = &t->entries[index * WAYS];
    struct source_shard *shard = &t->shards[index % SHARDS];
    pthread_mutex_lock(&shard->lock);
    struct source *s = find_in_set(set, k);
    if (!s) {
        s = find_victim(set, now_ns);
        if (s)
            source_take_over(shard, s, k);
    }
    if (s) {
        forget_old_standing(s, now_ns);
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&shard->lock);
    return s;
}

static bool is_everyone(struct source_key k)
{
    return k.kind == SOURCE_ALL || k.kind == SOURCE_FREE;
}

struct source *source_acquire(struct source_table *t, struct source_key k, uint64_t now_ns)
{
    struct source_key asked = k;
    struct source *s = NULL;
    while (!is_everyone(k) && !(s = acquire_exact(t, k, now_ns)))
        k = source_key_coarser(k);
    if (!s) {
        s = &t->all;
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    }
    if (k.kind != asked.kind)
        source_count(&t->shards[set_of(t, asked) % SHARDS].fallbacks);
    return s;
}

struct source *source_find(struct source_table *t, struct source_key k)
{
    if (is_everyone(k)) {
        atomic_fetch_add_explicit(&t->all.refs, 1, memory_order_relaxed);
        return &t->all;
    }
    size_t index = set_of(t, k);
    struct source_shard *shard = &t->shards[index % SHARDS];
    pthread_mutex_lock(&shard->lock);
    struct source *s = find_in_set(&t->entries[index * WAYS], k);
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&shard->lock);
    return s;
}

void source_release(struct source *s)
{
    atomic_fetch_sub_explicit(&s->refs, 1, memory_order_release);
}

static char *format_v4(char *dst, size_t size, uint64_t bits, const char *prefix)
{
    char text[INET_ADDRSTRLEN];
    uint32_t be = htonl((uint32_t)(bits >> 32));
    inet_ntop(AF_INET, &be, text, sizeof(text));
    snprintf(dst, size, "%s%s", text, prefix);
    return dst;
}

static char *format_v6(char *dst, size_t size, uint64_t bits, const char *prefix)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16] = {0};
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(bits >> (56 - 8 * i));
    inet_ntop(AF_INET6, bytes, text, sizeof(text));
    snprintf(dst, size, "%s%s", text, prefix);
    return dst;
}

char *source_format(char *dst, size_t size, const struct source *s)
{
    switch (s->kind) {
    case SOURCE_V4:
        return format_v4(dst, size, s->bits, "");
    case SOURCE_V4_24:
        return format_v4(dst, size, s->bits, "/24");
    case SOURCE_V6_64:
        return format_v6(dst, size, s->bits, "/64");
    case SOURCE_V6_48:
        return format_v6(dst, size, s->bits, "/48");
    case SOURCE_UID:
        snprintf(dst, size, "uid:%llu", (unsigned long long)s->bits);
        return dst;
    default:
        snprintf(dst, size, "%s", s->kind == SOURCE_ALL ? "all" : "free");
        return dst;
    }
}

static void forgive(struct source *s, const struct rate *rates, uint64_t now_ns)
{
    for (unsigned i = 0; i < SOURCE_LIMITERS; i++)
        gcra_forgive(&s->limiters[i], &rates[i], now_ns);
}

void source_table_forgive(struct source_table *t, const struct rate rates[static SOURCE_LIMITERS], uint64_t now_ns)
{
    for (size_t i = 0; i < t->capacity; i++)
        forgive(&t->entries[i], rates, now_ns);
    forgive(&t->all, rates, now_ns);
}

/* Looks before it writes: a store would give memory to all unused pages of the table. */
void source_table_pardon(struct source_table *t)
{
    for (size_t i = 0; i < t->capacity; i++)
        if (atomic_load_explicit(&t->entries[i].strikes, memory_order_relaxed) != 0)
            atomic_store_explicit(&t->entries[i].strikes, 0, memory_order_relaxed);
    atomic_store_explicit(&t->all.strikes, 0, memory_order_relaxed);
}

void source_table_stats(const struct source_table *t, struct source_stats *ret)
{
    struct source_stats sum = {.capacity = t->capacity,
                               .memory_bytes = t->capacity * sizeof(struct source) + sizeof(*t)};
    for (unsigned i = 0; i < SHARDS; i++) {
        const struct source_shard *shard = &t->shards[i];
        sum.used += atomic_load_explicit(&shard->used, memory_order_relaxed);
        sum.created += atomic_load_explicit(&shard->created, memory_order_relaxed);
        sum.evicted += atomic_load_explicit(&shard->evicted, memory_order_relaxed);
        sum.fallbacks += atomic_load_explicit(&shard->fallbacks, memory_order_relaxed);
    }
    *ret = sum;
}
