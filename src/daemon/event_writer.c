/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/event_writer.h"

#include "base/clock.h"
#include "base/log.h"
#include "relay/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_NS (1 * NS_PER_S)
/* Suppressed events are reported by the next line of their kind, or by a line of their own after this time. */
#define SUPPRESSED_NS (10 * NS_PER_S)
/* Bytes written at once. */
#define BUFFER_BYTES (64u * 1024u)
_Static_assert(BUFFER_BYTES >= 4 * EVENT_LINE_MAX, "room for lines");
/* Changes of the ban table read in one call. */
#define CHANGES 32u

struct event_writer {
    const char *path;
    struct event_log *log;
    struct bans *bans;
    pthread_t thread;
    _Atomic bool stop, reopen;
    int fd;       /* -1: not open */
    dev_t device; /* of the open file */
    ino_t inode;
    int last_error; /* reported once, until it changes */
    bool torn;      /* the file ends in the middle of a line */
    uint64_t looked_ns, summed_ns;
    uint64_t bans_seen, ended_seen; /* of the table's two rings */
    uint64_t listed, lifted;        /* by the table, when last read; replaced bans included */
    uint64_t lost_told;
    size_t len, lines; /* in the buffer */
    char buffer[BUFFER_BYTES];
};

/* ---- the file ---- */

static void note_error(struct event_writer *w, int error)
{
    if (error && error != w->last_error)
        LOG_WARN("event log %s cannot be written: %s; events are counted as failed, and it is tried again each second",
                 w->path, strerror(error));
    if (!error && w->last_error)
        LOG_INFO("event log %s is written again", w->path);
    w->last_error = error;
}

static void close_file(struct event_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->torn = false;
}

/* O_NONBLOCK: a FIFO without a reader must not hold up the thread. */
static void event_writer_open(struct event_writer *w)
{
    struct stat st;
    w->fd = open(w->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (w->fd < 0 || fstat(w->fd, &st) < 0) {
        note_error(w, errno);
        close_file(w);
        return;
    }
    w->device = st.st_dev;
    w->inode = st.st_ino;
}

static bool was_moved(const struct event_writer *w)
{
    struct stat st;
    return stat(w->path, &st) < 0 || st.st_dev != w->device || st.st_ino != w->inode;
}

/* Writes `len` bytes. Returns how many are in the file. */
static size_t write_some(struct event_writer *w, const char *bytes, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write(w->fd, bytes + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            note_error(w, n < 0 ? errno : ENOSPC);
            return done;
        }
        done += (size_t)n;
    }
    note_error(w, 0);
    return done;
}

static size_t lines_in(const char *bytes, size_t len)
{
    size_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    return lines;
}

static void event_writer_flush(struct event_writer *w)
{
    size_t whole = 0;
    if (w->len && w->fd >= 0) {
        if (w->torn && write_some(w, "\n", 1) == 1)
            w->torn = false;
        size_t done = w->torn ? 0 : write_some(w, w->buffer, w->len);
        w->torn |= done > 0 && w->buffer[done - 1] != '\n';
        whole = lines_in(w->buffer, done);
    }
    event_log_count(w->log, whole, w->lines - whole);
    w->len = w->lines = 0;
}

static void event_writer_add(struct event_writer *w, const struct event *e)
{
    if (BUFFER_BYTES - w->len < EVENT_LINE_MAX)
        event_writer_flush(w);
    w->len += event_write(w->buffer + w->len, e);
    w->lines++;
}

/* ---- events that no other thread reports ---- */

static void add_ban(struct event_writer *w, enum event_kind k, const struct ban *b, enum event_deed done)
{
    struct event e = {.kind = (uint8_t)k, .wall_ns = clock_wall_ns(), .network = b->who, .done = (uint8_t)done};
    e.reason = ban_reason_label((enum ban_reason)b->reason);
    e.level = b->level;
    e.for_ns = b->until_ns == BAN_FOR_EVER ? BAN_FOR_EVER : b->until_ns - b->since_ns;
    event_writer_add(w, &e);
}

/* relay.c reports a list as a whole, and the workers report bans for offences. */
static void add_change(struct event_writer *w, const struct ban_change *c)
{
    if (c->event == BAN_SET && c->ban.reason == BAN_REASON_OPERATOR)
        add_ban(w, EVENT_BAN, &c->ban, EVENT_DEED_BANNED);
    if (c->event == BAN_LIFTED && c->ban.reason != BAN_REASON_LIST)
        add_ban(w, EVENT_BAN_LIFTED, &c->ban, EVENT_DEED_LIFTED);
}

static void add_lost(struct event_writer *w, uint64_t n)
{
    struct event e = {.kind = EVENT_LOST, .wall_ns = clock_wall_ns(), .suppressed = n};
    if (n)
        event_writer_add(w, &e);
}

static void remember_lists(struct event_writer *w)
{
    struct bans_stats s;
    bans_stats(w->bans, &s);
    w->listed = s.set[BAN_REASON_LIST];
    w->lifted = s.lifted + s.replaced;
}

/* A long list comes and goes faster than it can be followed, and is reported as a whole. The number of other changes
 * that were missed. */
static uint64_t unseen_changes(const struct event_writer *w, uint64_t latest)
{
    struct bans_stats s;
    bans_stats(w->bans, &s);
    uint64_t unseen = latest - w->bans_seen, of_lists = s.set[BAN_REASON_LIST] - w->listed;
    of_lists += s.lifted + s.replaced - w->lifted;
    return unseen > of_lists ? unseen - of_lists : 0;
}

static void event_writer_follow_changes(struct event_writer *w)
{
    struct ban_change changes[CHANGES];
    bool lost = false;
    uint64_t latest = bans_seq(w->bans);
    for (size_t n = CHANGES; n == CHANGES;) {
        n = bans_changes(w->bans, w->bans_seen, changes, CHANGES, &lost);
        for (size_t i = 0; i < n; i++)
            add_change(w, &changes[i]);
        if (n)
            w->bans_seen = changes[n - 1].seq;
    }
    if (lost) {
        add_lost(w, unseen_changes(w, latest));
        w->bans_seen = latest;
    }
    remember_lists(w);
}

static void follow_ends(struct event_writer *w)
{
    struct ban ended[CHANGES];
    bool lost = false;
    uint64_t latest = bans_ended_seq(w->bans);
    for (size_t n = CHANGES; n == CHANGES;) {
        n = bans_ended(w->bans, w->ended_seen, ended, CHANGES, &lost);
        for (size_t i = 0; i < n; i++)
            add_ban(w, EVENT_BAN_ENDED, &ended[i], EVENT_DEED_ENDED);
        w->ended_seen += n;
    }
    if (!lost)
        return;
    add_lost(w, latest - w->ended_seen);
    w->ended_seen = latest;
}

static void add_suppressed(struct event_writer *w)
{
    for (unsigned k = 0; k < EVENT_COUNT; k++)
        for (unsigned v = 0; v < VERDICT_COUNT; v++) {
            struct event e = {.kind = EVENT_SUPPRESSED, .of_kind = (uint8_t)k, .verdict = (uint8_t)v};
            e.suppressed = event_log_take_suppressed(w->log, (enum event_kind)k, (enum verdict)v);
            e.wall_ns = clock_wall_ns();
            if (e.suppressed)
                event_writer_add(w, &e);
        }
}

/* ---- the thread ---- */

static void event_writer_look(struct event_writer *w, uint64_t now_ns)
{
    uint64_t lost = event_log_stats(w->log).lost;
    w->looked_ns = now_ns;
    if (w->fd >= 0 && was_moved(w))
        close_file(w);
    if (w->fd < 0)
        event_writer_open(w);
    add_lost(w, lost - w->lost_told);
    w->lost_told = lost;
    event_writer_follow_changes(w);
    follow_ends(w);
    if (now_ns - w->summed_ns < SUPPRESSED_NS)
        return;
    add_suppressed(w);
    w->summed_ns = now_ns;
}

/* Handles all events reported before it began. */
static void event_writer_round(struct event_writer *w)
{
    struct event e;
    uint64_t now_ns = clock_now_ns();
    if (atomic_exchange(&w->reopen, false)) {
        close_file(w);
        event_writer_open(w);
    }
    if (now_ns - w->looked_ns >= LOOK_NS)
        event_writer_look(w, now_ns);
    for (unsigned i = 0; i < EVENT_LOG_QUEUE && event_log_take(w->log, &e); i++)
        event_writer_add(w, &e);
    event_writer_flush(w);
}

static void *event_writer_main(void *arg)
{
    struct event_writer *w = arg;
    while (!atomic_load(&w->stop)) {
        event_writer_round(w);
        event_log_wait(w->log, (int)(LOOK_NS / NS_PER_MS));
    }
    w->looked_ns = w->summed_ns = 0;
    event_writer_round(w);
    return NULL;
}

struct event_writer *event_writer_start(const char *path, struct event_log *log, struct bans *bans)
{
    struct event_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->path = path;
    w->log = log;
    w->bans = bans;
    w->summed_ns = clock_now_ns();
    w->bans_seen = bans_seq(bans);
    w->ended_seen = bans_ended_seq(bans);
    remember_lists(w);
    w->fd = -1;
    event_writer_open(w);
    if (pthread_create(&w->thread, NULL, event_writer_main, w)) {
        close_file(w);
        free(w);
        return NULL;
    }
    pthread_setname_np(w->thread, "weir-events");
    return w;
}

void event_writer_reopen(struct event_writer *w)
{
    if (!w)
        return;
    atomic_store(&w->reopen, true);
    event_log_wake(w->log);
}

void event_writer_stop(struct event_writer *w)
{
    if (!w)
        return;
    atomic_store(&w->stop, true);
    event_log_wake(w->log);
    pthread_join(w->thread, NULL);
    close_file(w);
    free(w);
}
