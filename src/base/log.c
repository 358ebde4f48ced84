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

#define LINE_MAX_BYTES 1023
#define ELLIPSIS       "..."

enum { TIMESTAMPS_UNDECIDED = -1 };

static _Atomic int max_level = LOG_LEVEL_INFO;
static _Atomic int timestamps = TIMESTAMPS_UNDECIDED;

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

static void write_line(const char *line, size_t len)
{
    ssize_t n;
    do
        n = write(STDERR_FILENO, line, len);
    while (n < 0 && errno == EINTR);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES + 1];
    if (!log_enabled(level))
        return;
    int saved = errno;
    size_t len = with_timestamps() ? put_timestamp(line, sizeof(line)) : 0;
    memcpy(line + len, "weir: ", 6);
    len += 6;

    va_list ap;
    va_start(ap, fmt);
    errno = saved; /* for %m */
    int n = vsnprintf(line + len, LINE_MAX_BYTES - len, fmt, ap);
    va_end(ap);
    size_t room = LINE_MAX_BYTES - 1 - len; /* one byte is for the end of the line */
    if (n > 0 && (size_t)n > room)
        memcpy(line + LINE_MAX_BYTES - 1 - strlen(ELLIPSIS), ELLIPSIS, strlen(ELLIPSIS));
    if (n > 0)
        len += (size_t)n > room ? room : (size_t)n;
    replace_controls(line, len);
    line[len++] = '\n';
    write_line(line, len);
    errno = saved;
}
