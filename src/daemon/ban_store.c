/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/ban_store.h"

#include "bans/ban_state.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/kept_file.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define ROUND_S         1
#define BANS_EVERY_NS   (2 * NS_PER_S)
#define CLAIMS_EVERY_NS (10 * NS_PER_S)
#define PAGE            1024u

struct ban_store {
    struct kept_file bans_file, claims_file;
    struct bans *bans;
    const struct ban_store_claims *claims; /* NULL: none */
    bool writes;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool stop, try;
    uint64_t bans_seq, bans_ns;        /* of the table, and the time, when it was last written */
    uint64_t claims_served, claims_ns; /* likewise for the claims */
};

/* ---- bans ---- */

static void restore_bans(struct ban_store *k, const uint8_t *bytes, size_t len)
{
    size_t count = 0, kept = 0;
    uint64_t now_ns = clock_now_ns(), wall_ns = clock_wall_ns();
    enum ban_state_fault fault = ban_state_check(bytes, len, &count);
    if (fault != BAN_STATE_SOUND) {
        kept_file_set_aside(&k->bans_file, fault == BAN_STATE_NEWER ? "was written by a newer Weir" : "is damaged");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct ban b;
        if (!ban_state_entry(bytes, i, now_ns, wall_ns, &b))
            continue;
        kept += bans_restore(k->bans, &b, now_ns);
    }
    LOG_INFO("state file %s: %zu sources remembered, %llu of them banned", k->bans_file.path, kept,
             (unsigned long long)bans_seq(k->bans));
}

/* Networks of a list come from the list again, and must not outlive it: only what else is known of them is kept. */
static size_t without_listed(struct ban *list, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct ban b = list[i];
        if (b.reason == BAN_REASON_LIST)
            b.until_ns = 0;
        if (b.until_ns || b.level)
            list[kept++] = b;
    }
    return kept;
}

/* All entries, at most as many as the table has; *ret is to be freed by the caller. False: no memory. */
static bool ban_store_gather(struct ban_store *k, uint64_t now_ns, struct ban **ret, size_t *ret_count)
{
    struct ban *list = NULL;
    size_t count = 0, cursor = 0;
    while (cursor != BANS_END) {
        struct ban *more = realloc(list, (count + PAGE) * sizeof(*list));
        if (!more) {
            free(list);
            return false;
        }
        list = more;
        size_t n = bans_page(k->bans, &cursor, true, now_ns, list + count, PAGE);
        count += without_listed(list + count, n);
    }
    *ret = list;
    *ret_count = count;
    return true;
}

static uint8_t *bytes_of_bans(struct ban_store *k, size_t *ret_len)
{
    struct ban *list = NULL;
    size_t count = 0;
    uint64_t now_ns = clock_now_ns();
    if (!ban_store_gather(k, now_ns, &list, &count))
        return NULL;
    *ret_len = ban_state_bytes(count);
    uint8_t *bytes = malloc(*ret_len);
    if (bytes)
        ban_state_write(bytes, list, count, now_ns, clock_wall_ns());
    free(list);
    return bytes;
}

static void save_bans(struct ban_store *k, bool at_once)
{
    uint64_t seq = bans_seq(k->bans), now_ns = clock_now_ns();
    size_t len = 0;
    if (!k->writes || seq == k->bans_seq || (!at_once && now_ns - k->bans_ns < BANS_EVERY_NS))
        return;
    uint8_t *bytes = bytes_of_bans(k, &len);
    k->bans_ns = now_ns;
    if (kept_file_write(&k->bans_file, bytes, len))
        k->bans_seq = seq;
    free(bytes);
}

/* ---- claims ---- */

static void restore_claims(struct ban_store *k, const uint8_t *bytes, size_t len)
{
    const char *fault = k->claims->read(k->claims->of, bytes, len);
    if (fault)
        kept_file_set_aside(&k->claims_file, fault);
}

/* Claims change all the time, a little. So the file is written less often, and not while no message passes. */
static void save_claims(struct ban_store *k, bool at_once)
{
    uint64_t now_ns = clock_now_ns();
    size_t len = 0;
    if (!k->writes || !k->claims || (!at_once && now_ns - k->claims_ns < CLAIMS_EVERY_NS))
        return;
    uint64_t served = k->claims->served(k->claims->of);
    if (served == k->claims_served)
        return;
    uint8_t *bytes = k->claims->write(k->claims->of, &len);
    k->claims_ns = now_ns;
    if (kept_file_write(&k->claims_file, bytes, len))
        k->claims_served = served;
    free(bytes);
}

/* ---- the thread ---- */

static void ban_store_load(struct kept_file *f, struct ban_store *k,
                           void (*restore)(struct ban_store *, const uint8_t *, size_t))
{
    size_t len = 0;
    uint8_t *bytes = kept_file_read(f, &len);
    if (bytes)
        restore(k, bytes, len);
    free(bytes);
}

/* Waits for the next round. True: it is the last. */
static bool ban_store_rest(struct ban_store *k, bool *ret_try)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ROUND_S;
    pthread_mutex_lock(&k->lock);
    while (!k->stop && !k->try && pthread_cond_timedwait(&k->woken, &k->lock, &until) == 0)
        ;
    bool stop = k->stop;
    *ret_try = k->try;
    k->try = false;
    pthread_mutex_unlock(&k->lock);
    return stop;
}

static void *ban_store_main(void *arg)
{
    struct ban_store *k = arg;
    bool try;
    while (!ban_store_rest(k, &try)) {
        if (try && k->writes)
            kept_file_try(&k->bans_file);
        bans_sweep(k->bans, clock_now_ns());
        save_bans(k, false);
        save_claims(k, false);
        if (k->claims && k->claims->tick)
            k->claims->tick(k->claims->of);
    }
    /* What cannot be written now is lost. */
    kept_file_report_again(&k->bans_file);
    kept_file_report_again(&k->claims_file);
    save_bans(k, true);
    save_claims(k, true);
    return NULL;
}

struct ban_store *ban_store_start(const char *path, struct bans *bans, const struct ban_store_claims *claims)
{
    pthread_condattr_t attr;
    struct ban_store *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    kept_file_init(&k->bans_file, path, "", "bans");
    kept_file_init(&k->claims_file, path, ".claims", "claims");
    k->bans = bans;
    k->claims = claims;
    k->writes = path[0] != '\0';
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&k->woken, &attr);
    pthread_condattr_destroy(&attr);
    if (k->writes)
        ban_store_load(&k->bans_file, k, restore_bans);
    if (k->writes && claims)
        ban_store_load(&k->claims_file, k, restore_claims);
    if (k->writes)
        kept_file_try(&k->bans_file);
    k->bans_seq = bans_seq(bans);
    k->claims_served = claims ? claims->served(claims->of) : 0;
    k->claims_ns = clock_now_ns();
    if (pthread_create(&k->thread, NULL, ban_store_main, k)) {
        pthread_cond_destroy(&k->woken);
        pthread_mutex_destroy(&k->lock);
        free(k);
        return NULL;
    }
    pthread_setname_np(k->thread, "weir-ban-store");
    return k;
}

void ban_store_try(struct ban_store *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    k->try = true;
    pthread_cond_signal(&k->woken);
    pthread_mutex_unlock(&k->lock);
}

void ban_store_stop(struct ban_store *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    k->stop = true;
    pthread_cond_signal(&k->woken);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->thread, NULL);
    pthread_cond_destroy(&k->woken);
    pthread_mutex_destroy(&k->lock);
    free(k);
}
