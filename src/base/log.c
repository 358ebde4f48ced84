/* SPDX-License-Identifier: MPL-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date
 * algorithms"). gmtime_r() takes a lock in glibc. */
static void date_of_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    days += 719468; /* to 0000-03-01: leap days end the year */
    int64_t era = days / 146097, day_of_era = days % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0: March */
    *ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

static size_t put_timestamp(char *dst, size_t size)
{
    struct timespec ts;
    int year, month, day;
    clock_gettime(CLOCK_REALTIME, &ts);
    int64_t seconds = ts.tv_sec < 0 ? 0 : ts.tv_sec;
    date_of_days(seconds / 86400, &year, &month, &day);
    int of_day = (int)(seconds % 86400);
    int n = snprintf(dst, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ ", year, month, day, of_day / 3600,
                     of_day / 60 % 60, of_day % 60, (int)(ts.tv_nsec / 1000000));
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
