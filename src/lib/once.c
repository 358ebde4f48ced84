/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A hash table with chains, and a list of what is done in the order of being done. Its head is the first to be
 * forgotten, for time or for room. Each call forgets what has run out before it looks.
 */
#include <weir/once.h>

#include "base/hash.h"
#include "base/list.h"
#include "lib/common.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX (1u << 24)
#define LEAST_BYTES 4096u

struct entry {
    struct entry *next; /* in its bucket */
    struct list age;    /* in `done`; in no list while it runs */
    uint64_t done_ns;   /* 0: it runs */
    void *reply;
    size_t reply_size;
    uint32_t bucket;
    uint32_t id_size;
    uint8_t id[];
};

struct weir_once {
    struct weir_once_options options;
    struct hash_key key;
    pthread_mutex_t lock; /* guards what follows */
    struct list done;     /* the oldest first */
    struct entry **buckets;
    uint32_t mask;
    struct weir_once_stats stats;
};

_Static_assert(offsetof(struct entry, id) == 56 || sizeof(void *) != 8, "as the header says");

void weir_once_options_init(struct weir_once_options *ret)
{
    *ret = (struct weir_once_options){.size = sizeof(*ret),
                                      .window_ns = 60 * NS_PER_S,
                                      .bytes = UINT64_C(16) << 20,
                                      .entries = 65536,
                                      .when_full = WEIR_ONCE_FORGET};
}

static uint32_t bucket_count(uint32_t entries)
{
    uint32_t n = 1;
    while (n < entries)
        n *= 2;
    return n;
}

static size_t once_table_bytes(uint32_t entries)
{
    return bucket_count(entries) * sizeof(struct entry *);
}

static bool once_is_valid(const struct weir_once_options *o)
{
    return o->window_ns >= 1 && o->entries >= 1 && o->entries <= ENTRIES_MAX && o->when_full <= WEIR_ONCE_REFUSE &&
           o->bytes >= once_table_bytes(o->entries) + LEAST_BYTES;
}

struct weir_once *weir_once_new(const struct weir_once_options *options)
{
    struct weir_once_options opt;
    weir_once_options_init(&opt);
    if (!common_options(&opt, options, sizeof(opt), sizeof(opt)) || !once_is_valid(&opt)) {
        errno = EINVAL;
        return NULL;
    }
    struct weir_once *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->options = opt;
    o->mask = bucket_count(opt.entries) - 1;
    o->buckets = calloc(o->mask + 1, sizeof(struct entry *));
    if (!o->buckets) {
        free(o);
        errno = ENOMEM;
        return NULL;
    }
    o->stats.bytes = once_table_bytes(opt.entries);
    hash_key_random(&o->key);
    list_init(&o->done);
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

/* ---- entries ---- */

static size_t once_entry_bytes(size_t id_size)
{
    return sizeof(struct entry) + id_size;
}

static struct entry **once_find(struct weir_once *o, const void *id, size_t id_size, uint32_t bucket)
{
    struct entry **at = &o->buckets[bucket];
    while (*at && ((*at)->id_size != id_size || memcmp((*at)->id, id, id_size) != 0))
        at = &(*at)->next;
    return at;
}

static void once_forget(struct weir_once *o, struct entry *e)
{
    struct entry **at = &o->buckets[e->bucket];
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_del(&e->age);
    o->stats.bytes -= once_entry_bytes(e->id_size) + e->reply_size;
    o->stats.entries--;
    o->stats.running -= !e->done_ns;
    free(e->reply);
    free(e);
}

static struct entry *oldest(struct weir_once *o)
{
    return list_empty(&o->done) ? NULL : LIST_ENTRY(o->done.next, struct entry, age);
}

static void forget_old(struct weir_once *o, uint64_t now_ns)
{
    for (struct entry *e; (e = oldest(o)) && now_ns - e->done_ns >= o->options.window_ns;)
        once_forget(o, e);
}

static bool has_room(const struct weir_once *o, size_t bytes, unsigned entries)
{
    return o->stats.entries + entries <= o->options.entries && bytes <= o->options.bytes &&
           o->stats.bytes <= o->options.bytes - bytes;
}

/* False: there is no room, and none can be made. Nothing is forgotten for what would not fit even so. */
static bool make_room(struct weir_once *o, size_t bytes, unsigned entries)
{
    if (o->options.when_full == WEIR_ONCE_REFUSE || bytes > o->options.bytes - once_table_bytes(o->options.entries))
        return has_room(o, bytes, entries);
    struct entry *e;
    while (!has_room(o, bytes, entries) && (e = oldest(o))) {
        once_forget(o, e);
        o->stats.forgotten++;
    }
    return has_room(o, bytes, entries);
}

static struct entry *once_add(struct weir_once *o, const void *id, size_t id_size, uint32_t bucket)
{
    if (!make_room(o, once_entry_bytes(id_size), 1))
        return NULL;
    struct entry *e = calloc(1, once_entry_bytes(id_size));
    if (!e)
        return NULL;
    e->bucket = bucket;
    e->id_size = (uint32_t)id_size;
    memcpy(e->id, id, id_size);
    list_init(&e->age);
    e->next = o->buckets[bucket];
    o->buckets[bucket] = e;
    o->stats.bytes += once_entry_bytes(id_size);
    o->stats.entries++;
    o->stats.running++;
    return e;
}

/* ---- the window ---- */

static uint32_t bucket_of(const struct weir_once *o, const void *id, size_t id_size)
{
    return (uint32_t)hash_bytes(&o->key, id, id_size) & o->mask;
}

static void copy_reply(const struct entry *e, void **ret_reply, size_t *ret_size)
{
    if (!ret_reply || !ret_size || !e->reply)
        return;
    *ret_reply = malloc(e->reply_size);
    if (!*ret_reply)
        return;
    memcpy(*ret_reply, e->reply, e->reply_size);
    *ret_size = e->reply_size;
}

static int once_answer(struct weir_once *o, const void *id, size_t id_size, void **ret_reply, size_t *ret_size)
{
    uint32_t bucket = bucket_of(o, id, id_size);
    struct entry *e = *once_find(o, id, id_size, bucket);
    if (e) {
        o->stats.duplicates++;
        copy_reply(e, ret_reply, ret_size);
        return e->done_ns ? WEIR_ONCE_DONE : WEIR_ONCE_RUNNING;
    }
    if (!once_add(o, id, id_size, bucket)) {
        o->stats.refused++;
        return -ENOSPC;
    }
    o->stats.fresh++;
    return WEIR_ONCE_NEW;
}

int weir_once_begin(struct weir_once *o, const void *id, size_t id_size, void **ret_reply, size_t *ret_reply_size)
{
    if (ret_reply)
        *ret_reply = NULL;
    if (ret_reply_size)
        *ret_reply_size = 0;
    if (id_size < 1 || id_size > WEIR_ONCE_KEY_MAX)
        return -EINVAL;
    pthread_mutex_lock(&o->lock);
    forget_old(o, common_now_ns(&o->options.clock));
    int answer = once_answer(o, id, id_size, ret_reply, ret_reply_size);
    pthread_mutex_unlock(&o->lock);
    return answer;
}

/* The entry of this id, if it runs. */
static struct entry *running(struct weir_once *o, const void *id, size_t id_size)
{
    struct entry *e = *once_find(o, id, id_size, bucket_of(o, id, id_size));
    return e && !e->done_ns ? e : NULL;
}

static int keep_reply(struct weir_once *o, struct entry *e, const void *reply, size_t size)
{
    if (!reply || !size)
        return 0;
    e->reply = make_room(o, size, 0) ? malloc(size) : NULL;
    if (!e->reply) {
        o->stats.replies_left_out++;
        return -ENOSPC;
    }
    memcpy(e->reply, reply, size);
    e->reply_size = size;
    o->stats.bytes += size;
    return 0;
}

int weir_once_done(struct weir_once *o, const void *id, size_t id_size, const void *reply, size_t reply_size)
{
    int error = -ENOENT;
    pthread_mutex_lock(&o->lock);
    uint64_t now_ns = common_now_ns(&o->options.clock);
    struct entry *e = running(o, id, id_size);
    if (e) {
        error = keep_reply(o, e, reply, reply_size);
        e->done_ns = now_ns ? now_ns : 1;
        o->stats.running--;
        list_push(&o->done, &e->age);
    }
    pthread_mutex_unlock(&o->lock);
    return error;
}

int weir_once_cancel(struct weir_once *o, const void *id, size_t id_size)
{
    pthread_mutex_lock(&o->lock);
    struct entry *e = running(o, id, id_size);
    if (e)
        once_forget(o, e);
    pthread_mutex_unlock(&o->lock);
    return e ? 0 : -ENOENT;
}

int weir_once_read(struct weir_once *o, struct weir_once_stats *ret)
{
    pthread_mutex_lock(&o->lock);
    forget_old(o, common_now_ns(&o->options.clock));
    struct weir_once_stats s = o->stats;
    pthread_mutex_unlock(&o->lock);
    return common_stats(ret, &s, sizeof(s));
}

void weir_once_free(struct weir_once *o)
{
    if (!o)
        return;
    for (uint32_t i = 0; i <= o->mask; i++)
        while (o->buckets[i])
            once_forget(o, o->buckets[i]);
    pthread_mutex_destroy(&o->lock);
    free(o->buckets);
    free(o);
}
