/* SPDX-License-Identifier: MPL-2.0 */
#include "base/log.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES (LOG_LINE_MAX - 1)
#define ELLIPSIS       "..."

enum { TIMESTAMPS_UNDECIDED = -1 };

static _Atomic int max_level = LOG_LEVEL_INFO;
static _Atomic int timestamps = TIMESTAMPS_UNDECIDED;
static struct log_sink *_Atomic sink;
static _Atomic uint64_t lost;

void log_set_level(enum log_level level)
{
    atomic_store(&max_level, (int)level);
}

void log_set_timestamps(bool on)
{
    atomic_store(&timestamps, on);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

static bool with_timestamps(void)
{
    int on = atomic_load_explicit(&timestamps, memory_order_relaxed);
    if (on == TIMESTAMPS_UNDECIDED) {
        on = getenv("JOURNAL_STREAM") == NULL;
        atomic_store_explicit(&timestamps, on, memory_order_relaxed);
    }
    return on;
}

static size_t put_timestamp(char *dst, size_t size)
{
    char time[TEXT_TIME_MAX];
    int n = snprintf(dst, size, "%s ", text_time(time, clock_wall_ns()));
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* Nothing in a line may move the cursor or start an escape sequence: C0, DEL, and C1 as UTF-8 encodes it. */
static void replace_controls(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)line[i], next = i + 1 < len ? (uint8_t)line[i + 1] : 0;
        if (c < 0x20 || c == 0x7f)
            line[i] = '?';
        else if (c == 0xc2 && next >= 0x80 && next <= 0x9f)
            line[i] = line[i + 1] = '?';
    }
}

/* Composes "<time> weir: <text><end>\n"; `saved` is the errno for %m. The text is cut where the end would not fit. */
static size_t compose(char line[static LOG_LINE_MAX], int saved, const char *end, const char *fmt, va_list ap)
{
    size_t len = with_timestamps() ? put_timestamp(line, LOG_LINE_MAX) : 0, end_len = strlen(end);
    memcpy(line + len, "weir: ", 6);
    len += 6;
    size_t room = LINE_MAX_BYTES - 1 - end_len - len; /* one byte is for the end of the line */
    errno = saved;
    int n = vsnprintf(line + len, room + 1, fmt, ap);
    if (n > 0 && (size_t)n > room)
        memcpy(line + len + room - strlen(ELLIPSIS), ELLIPSIS, strlen(ELLIPSIS));
    if (n > 0)
        len += (size_t)n > room ? room : (size_t)n;
    memcpy(line + len, end, end_len);
    len += end_len;
    replace_controls(line, len);
    line[len++] = '\n';
    return len;
}

size_t log_format(char line[static LOG_LINE_MAX], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    size_t len = compose(line, errno, "", fmt, ap);
    va_end(ap);
    return len;
}

static void log_write_line(const char *line, size_t len)
{
    struct log_sink *to = atomic_load_explicit(&sink, memory_order_acquire);
    if (to) {
        if (!to->put(to, line, len))
            log_note_lost(1);
        return;
    }
    ssize_t n;
    do
        n = write(STDERR_FILENO, line, len);
    while (n < 0 && errno == EINTR);
}

static void write_composed(const char *end, const char *fmt, va_list ap)
{
    char line[LOG_LINE_MAX];
    int saved = errno;
    size_t len = compose(line, saved, end, fmt, ap);
    log_write_line(line, len);
    errno = saved;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    va_list ap;
    if (!log_enabled(level))
        return;
    va_start(ap, fmt);
    write_composed("", fmt, ap);
    va_end(ap);
}

void log_line_held(enum log_level level, uint64_t held, const char *fmt, ...)
{
    char more[64] = "";
    va_list ap;
    if (!log_enabled(level))
        return;
    int saved = errno;
    if (held)
        snprintf(more, sizeof(more), "; %llu more like this not shown", (unsigned long long)held);
    errno = saved;
    va_start(ap, fmt);
    write_composed(more, fmt, ap);
    va_end(ap);
}

/* ---- where lines go ---- */

void log_set_sink(struct log_sink *to)
{
    atomic_store_explicit(&sink, to, memory_order_release);
}

uint64_t log_lost(void)
{
    return atomic_load_explicit(&lost, memory_order_relaxed);
}

void log_note_lost(uint64_t lines)
{
    atomic_fetch_add_explicit(&lost, lines, memory_order_relaxed);
}

/* ---- what peers can trigger ---- */

bool log_limit_pass(struct log_limit *l, uint64_t now_ns, uint64_t *ret_held)
{
    uint64_t last = atomic_load_explicit(&l->at_ns, memory_order_relaxed);
    /* Another worker's clock may be a little ahead: no difference that could wrap. */
    if ((last != 0 && now_ns < last + LOG_LIMIT_NS) ||
        !atomic_compare_exchange_strong_explicit(&l->at_ns, &last, now_ns, memory_order_relaxed,
                                                 memory_order_relaxed)) {
        atomic_fetch_add_explicit(&l->held, 1, memory_order_relaxed);
        return false;
    }
    *ret_held = atomic_exchange_explicit(&l->held, 0, memory_order_relaxed);
    return true;
}

uint64_t log_limit_take_held(struct log_limit *l, uint64_t now_ns)
{
    if (atomic_load_explicit(&l->held, memory_order_relaxed) == 0 ||
        now_ns < atomic_load_explicit(&l->at_ns, memory_order_relaxed) + 2 * LOG_LIMIT_NS)
        return 0;
    return atomic_exchange_explicit(&l->held, 0, memory_order_relaxed);
}
