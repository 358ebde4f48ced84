/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/keeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "policy/ban_state.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUND_S        1
#define WRITE_EVERY_NS (2 * NS_PER_S)
#define PAGE           1024u

/* The path of the configuration, and what is put behind it. */
#define PATH_MOST 512

/* Longer files are none of Weir's. */
#define FILE_MOST (64u << 20)

struct keeper {
    const char *path;
    struct bans *bans;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool stop;
    uint64_t written_seq; /* of the table, when it was last written */
    uint64_t written_ns;
    int last_error; /* said once, until it changes */
};

/* ---- reading ---- */

static void set_aside(const struct keeper *k, const char *why)
{
    char aside[PATH_MOST];
    snprintf(aside, sizeof(aside), "%s.damaged", k->path);
    if (rename(k->path, aside) == 0)
        LOG_WARN("state file %s %s: set aside as %s; starting without bans", k->path, why, aside);
    else
        LOG_WARN("state file %s %s and cannot be set aside (%s); starting without bans", k->path, why, strerror(errno));
}

static void restore(struct keeper *k, const uint8_t *bytes, size_t len)
{
    size_t count = 0, kept = 0;
    uint64_t now_ns = clock_now_ns(), wall_ns = clock_wall_ns();
    enum ban_state_fault fault = ban_state_check(bytes, len, &count);
    if (fault != BAN_STATE_SOUND) {
        set_aside(k, fault == BAN_STATE_NEWER ? "was written by a newer Weir" : "is damaged");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct ban b;
        if (!ban_state_entry(bytes, i, now_ns, wall_ns, &b))
            continue;
        kept += bans_restore(k->bans, &b, now_ns);
    }
    LOG_INFO("state file %s: %zu sources remembered, %llu of them banned", k->path, kept,
             (unsigned long long)bans_seq(k->bans));
}

static uint8_t *read_file(FILE *f, size_t *ret_len)
{
    size_t cap = ban_state_bytes(0), len = 0;
    uint8_t *bytes = NULL;
    for (;;) {
        uint8_t *more = cap <= FILE_MOST ? realloc(bytes, cap) : NULL;
        if (!more) {
            free(bytes);
            return NULL;
        }
        bytes = more;
        len += fread(bytes + len, 1, cap - len, f);
        if (len < cap)
            break;
        cap *= 2;
    }
    *ret_len = len;
    return bytes;
}

static void load(struct keeper *k)
{
    size_t len = 0;
    FILE *f = fopen(k->path, "re");
    if (!f) {
        if (errno != ENOENT)
            LOG_WARN("state file %s cannot be read: %s; starting without bans", k->path, strerror(errno));
        return;
    }
    uint8_t *bytes = read_file(f, &len);
    if (bytes && !ferror(f))
        restore(k, bytes, len);
    else
        LOG_WARN("state file %s cannot be read; starting without bans", k->path);
    free(bytes);
    fclose(f);
}

/* ---- writing ---- */

/* Networks of a list come from there again, and must not outlive it: only what is known of them besides is kept. */
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

/* All entries, at most as many as the table has; *ret to be freed. False: no memory. */
static bool gather(struct keeper *k, uint64_t now_ns, struct ban **ret, size_t *ret_count)
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

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* Else a power cut could leave the old name with neither file. */
static void flush_folder(const char *path)
{
    char folder[PATH_MOST];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        return;
    slash[slash == folder] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!fsync(fd);
    close(fd);
}

static int replace(const char *path, const uint8_t *bytes, size_t len)
{
    char beside[PATH_MOST];
    snprintf(beside, sizeof(beside), "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int error = write_all(fd, bytes, len);
    if (close(fd) < 0 && !error)
        error = -errno;
    if (!error && rename(beside, path) < 0)
        error = -errno;
    if (error)
        unlink(beside);
    else
        flush_folder(path);
    return error;
}

static int save(struct keeper *k)
{
    struct ban *list = NULL;
    size_t count = 0;
    uint64_t now_ns = clock_now_ns();
    if (!gather(k, now_ns, &list, &count))
        return -ENOMEM;
    uint8_t *bytes = malloc(ban_state_bytes(count));
    int error = -ENOMEM;
    if (bytes) {
        ban_state_write(bytes, list, count, now_ns, clock_wall_ns());
        error = replace(k->path, bytes, ban_state_bytes(count));
    }
    free(bytes);
    free(list);
    return error;
}

static void save_if_changed(struct keeper *k, bool at_once)
{
    uint64_t seq = bans_seq(k->bans), now_ns = clock_now_ns();
    if (!k->path[0] || seq == k->written_seq || (!at_once && now_ns - k->written_ns < WRITE_EVERY_NS))
        return;
    int error = save(k);
    k->written_ns = now_ns;
    if (!error)
        k->written_seq = seq;
    if (error && error != k->last_error)
        LOG_WARN("state file %s cannot be written: %s; bans would not outlive a restart", k->path, strerror(-error));
    if (!error && k->last_error)
        LOG_INFO("state file %s is written again", k->path);
    k->last_error = error;
}

/* ---- the thread ---- */

/* Waits for the next round. True: it is the last. */
static bool rest(struct keeper *k)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ROUND_S;
    pthread_mutex_lock(&k->lock);
    while (!k->stop && pthread_cond_timedwait(&k->woken, &k->lock, &until) == 0)
        ;
    bool stop = k->stop;
    pthread_mutex_unlock(&k->lock);
    return stop;
}

static void *keeper_main(void *arg)
{
    struct keeper *k = arg;
    while (!rest(k)) {
        bans_sweep(k->bans, clock_now_ns());
        save_if_changed(k, false);
    }
    save_if_changed(k, true);
    return NULL;
}

struct keeper *keeper_start(const char *path, struct bans *bans)
{
    pthread_condattr_t attr;
    struct keeper *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    k->path = path;
    k->bans = bans;
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&k->woken, &attr);
    pthread_condattr_destroy(&attr);
    if (path[0])
        load(k);
    k->written_seq = bans_seq(bans);
    if (pthread_create(&k->thread, NULL, keeper_main, k)) {
        pthread_cond_destroy(&k->woken);
        pthread_mutex_destroy(&k->lock);
        free(k);
        return NULL;
    }
    pthread_setname_np(k->thread, "weir-keeper");
    return k;
}

void keeper_stop(struct keeper *k)
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
