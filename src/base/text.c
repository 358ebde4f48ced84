/* SPDX-License-Identifier: MPL-2.0 */
#include "base/text.h"

#include "base/attr.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ELLIPSIS     "..."
#define ELLIPSIS_LEN 3

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c <= 0x7e && c != '\\' && c != '"' && c != '\'';
}

static size_t text_put_byte(char *dst, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    if (is_plain(c)) {
        dst[0] = (char)c;
        return 1;
    }
    dst[0] = '\\';
    dst[1] = 'x';
    dst[2] = hex[c >> 4];
    dst[3] = hex[c & 15];
    return 4;
}

/* The bytes that escape to at most `room` characters; *ret_used: those characters. */
static size_t text_fit(const uint8_t *bytes, size_t len, size_t room, size_t *ret_used)
{
    size_t i = 0, used = 0;
    for (; i < len; i++) {
        size_t width = is_plain(bytes[i]) ? 1 : 4;
        if (width > room - used)
            break;
        used += width;
    }
    *ret_used = used;
    return i;
}

char *text_escape(char *dst, size_t size, const void *bytes, size_t len)
{
    size_t used;
    size_t whole = text_fit(bytes, len, size - 1, &used);
    bool cut = whole < len;
    if (cut)
        whole = text_fit(bytes, len, size - 1 - ELLIPSIS_LEN, &used);
    size_t at = 0;
    for (size_t i = 0; i < whole; i++)
        at += text_put_byte(dst + at, ((const uint8_t *)bytes)[i]);
    snprintf(dst + at, size - at, "%s", cut ? ELLIPSIS : "");
    return dst;
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

char *text_time(char dst[static TEXT_TIME_MAX], uint64_t wall_ns)
{
    int year, month, day;
    uint64_t seconds = wall_ns / NS_PER_S, of_day = seconds % 86400;
    date_of_days((int64_t)(seconds / 86400), &year, &month, &day);
    snprintf(dst, TEXT_TIME_MAX, "%04d-%02d-%02dT%02u:%02u:%02u.%03uZ", year, month, day, (unsigned)(of_day / 3600),
             (unsigned)(of_day / 60 % 60), (unsigned)(of_day % 60), (unsigned)(wall_ns % NS_PER_S / NS_PER_MS));
    return dst;
}
