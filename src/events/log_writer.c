/* SPDX-License-Identifier: MPL-2.0 */
#include "events/log_writer.h"

#include "base/clock.h"
#include "base/log.h"
#include "events/waker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* At the end: the time for the remaining lines, and then for a write(2) that has begun. */
#define LAST_LINES_NS (1 * NS_PER_S)
#define LAST_WRITE_NS (1 * NS_PER_S)

/* How often a thread that waits for standard error checks whether it has to end. */
#define LOOK_MS 100

/* Between two tries when another process has made standard error non-blocking. */
#define AGAIN_MS 10

struct line {
    uint16_t len;
    char text[LOG_LINE_MAX];
};

struct log_writer {
    struct log_sink sink;  /* first */
    log_writer_line *line; /* NULL: standard error */
    void *arg;
    struct ring *ring;
    struct waker waker;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic uint64_t stop_by_ns; /* when it stops, with or without remaining lines */
    uint64_t lost_told;          /* of log_lost() */
};

static bool log_writer_take(struct log_sink *sink, const char *text, size_t len)
{
    struct log_writer *w = (struct log_writer *)(void *)sink;
    struct line l = {.len = (uint16_t)len};
    memcpy(l.text, text, len);
    if (!ring_put(w->ring, &l, true))
        return false;
    waker_tell(&w->waker);
    return true;
}

static bool take_nothing(struct log_sink *sink, const char *text, size_t len)
{
    return false;
}

/* ---- standard error ---- */

static bool log_writer_is_over(const struct log_writer *w)
{
    return atomic_load(&w->stop) && clock_now_ns() >= atomic_load(&w->stop_by_ns);
}

/* A pipe that poll(2) reports as writable takes PIPE_BUF bytes, more than a line, without waiting. */
static bool log_writer_wait_for_room(const struct log_writer *w)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    while (!log_writer_is_over(w))
        if (poll(&p, 1, LOOK_MS) > 0)
            return true;
    return false;
}

static bool log_writer_hand_over(const struct log_writer *w, const char *text, size_t len)
{
    char line[LOG_LINE_MAX];
    len = len < sizeof(line) ? len : sizeof(line) - 1;
    memcpy(line, text, len);
    line[len && line[len - 1] == '\n' ? len - 1 : len] = '\0';
    w->line(w->arg, line);
    return true;
}

static bool write_whole(const struct log_writer *w, const char *text, size_t len)
{
    if (w->line)
        return log_writer_hand_over(w, text, len);
    while (len && log_writer_wait_for_room(w)) {
        ssize_t n = write(STDERR_FILENO, text, len);
        if (n < 0 && errno == EAGAIN)
            (void)poll(NULL, 0, AGAIN_MS);
        else if (n < 0 && errno != EINTR)
            return false;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return len == 0;
}

static void tell_lost(struct log_writer *w)
{
    char text[LOG_LINE_MAX];
    uint64_t lost = log_lost();
    if (lost == w->lost_told)
        return;
    size_t len = log_format(text, "%llu lines of the log were lost: standard error took no more",
                            (unsigned long long)(lost - w->lost_told));
    if (write_whole(w, text, len))
        w->lost_told = lost;
}

/* ---- the thread ---- */

static void write_lines(struct log_writer *w)
{
    struct line l;
    for (unsigned i = 0; i < LOG_WRITER_LINES && ring_take(w->ring, &l); i++)
        if (!write_whole(w, l.text, l.len))
            log_note_lost(1);
    tell_lost(w);
}

static void *log_writer_main(void *arg)
{
    struct log_writer *w = arg;
    while (!atomic_load(&w->stop)) {
        write_lines(w);
        waker_wait(&w->waker, w->ring, -1);
    }
    while (!ring_is_empty(w->ring))
        write_lines(w);
    return NULL;
}

static void log_writer_release(struct log_writer *w)
{
    ring_free(w->ring);
    waker_fini(&w->waker);
    free(w);
}

struct log_writer *log_writer_start(log_writer_line *line, void *arg)
{
    struct log_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->line = line;
    w->arg = arg;
    w->sink.put = log_writer_take;
    if (waker_init(&w->waker) < 0) {
        free(w);
        return NULL;
    }
    w->ring = ring_new(LOG_WRITER_LINES, sizeof(struct line));
    if (!w->ring || pthread_create(&w->thread, NULL, log_writer_main, w)) {
        log_writer_release(w);
        return NULL;
    }
    pthread_setname_np(w->thread, "weir-log");
    log_set_sink(&w->sink);
    return w;
}

/* Whether the thread has ended. It may be in a write(2) that never ends. */
static bool ends(struct log_writer *w)
{
    uint64_t by_ns = clock_wall_ns() + LAST_LINES_NS + LAST_WRITE_NS;
    struct timespec by = {.tv_sec = (time_t)(by_ns / NS_PER_S), .tv_nsec = (long)(by_ns % NS_PER_S)};
    return pthread_timedjoin_np(w->thread, NULL, &by) == 0;
}

void log_writer_stop(struct log_writer *w)
{
    if (!w)
        return;
    atomic_store(&w->stop_by_ns, clock_now_ns() + LAST_LINES_NS);
    atomic_store(&w->stop, true);
    waker_wake(&w->waker);
    if (ends(w)) {
        log_set_sink(NULL);
        log_writer_release(w);
        return;
    }
    /* The process ends now; the thread keeps the memory that it uses. */
    static struct log_sink nowhere = {.put = take_nothing};
    log_set_sink(&nowhere);
}
