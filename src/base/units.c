/* SPDX-License-Identifier: MPL-2.0 */
#include "base/units.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Greatest first. */
static const struct unit sizes[] = {
    {"Gi", 1ull << 30}, {"G", 1000000000}, {"Mi", 1ull << 20}, {"M", 1000000},
    {"Ki", 1ull << 10}, {"k", 1000},       {"K", 1000},        {"", 1},
};
static const struct unit durations[] = {
    {"d", 86400 * NS_PER_S},
    {"h", 3600 * NS_PER_S},
    {"m", 60 * NS_PER_S},
    {"s", NS_PER_S},
    {"ms", NS_PER_MS},
    {"us", 1000},
    {"ns", 1},
};

/* Leading digits. *ret_end: what follows them. Goes on to the end of the digits when they do not fit, so that a caller
 * can tell a number that is too large from one that is no number. */
static int parse_digits(const char *s, const char **ret_end, uint64_t *ret)
{
    uint64_t value = 0;
    bool overflow = false;
    if (*s < '0' || *s > '9')
        return -EINVAL;
    for (; *s >= '0' && *s <= '9'; s++)
        overflow |=
            __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value);
    *ret_end = s;
    *ret = value;
    return overflow ? -ERANGE : 0;
}

static const struct unit *find_unit(const struct unit *units, size_t n, const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
            return &units[i];
    return NULL;
}

static int scale(int digits_result, uint64_t value, const struct unit *u, uint64_t *ret)
{
    uint64_t product;
    if (!u)
        return -EINVAL;
    if (digits_result < 0 || __builtin_mul_overflow(value, u->factor, &product))
        return -ERANGE;
    *ret = product;
    return 0;
}

/* "64", "64k" or "64K", "64Ki", each with or without "B", in the first `len` characters. */
static int parse_size(const char *s, size_t len, uint64_t *ret)
{
    const char *end;
    uint64_t value;
    int r = parse_digits(s, &end, &value);
    if (r == -EINVAL)
        return r;
    size_t rest = len - (size_t)(end - s);
    if (rest && end[rest - 1] == 'B')
        rest--;
    return scale(r, value, find_unit(sizes, ARRAY_LEN(sizes), end, rest), ret);
}

int units_parse_count(const char *s, uint64_t *ret)
{
    const char *end;
    uint64_t value;
    int r = parse_digits(s, &end, &value);
    if (r == -EINVAL || *end)
        return -EINVAL;
    if (r == 0)
        *ret = value;
    return r;
}

int units_parse_bytes(const char *s, uint64_t *ret_bytes)
{
    return parse_size(s, strlen(s), ret_bytes);
}

int units_parse_duration(const char *s, uint64_t *ret_ns)
{
    const char *end;
    uint64_t value;
    int r = parse_digits(s, &end, &value);
    if (r == -EINVAL)
        return r;
    if (!*end && r == 0 && value == 0) {
        *ret_ns = 0;
        return 0;
    }
    return scale(r, value, find_unit(durations, ARRAY_LEN(durations), end, strlen(end)), ret_ns);
}

/* "s", "m", "h", "d", or so many of a unit: "5s". */
static int parse_period(const char *s, uint64_t *ret_ns)
{
    if (*s >= '0' && *s <= '9')
        return units_parse_duration(s, ret_ns);
    if (strlen(s) != 1)
        return -EINVAL;
    return scale(0, 1, find_unit(durations, ARRAY_LEN(durations), s, 1), ret_ns);
}

int units_parse_rate(const char *s, uint64_t *ret_count, uint64_t *ret_period_ns)
{
    uint64_t count, period_ns;
    if (strcmp(s, "0") == 0 || strcmp(s, "unlimited") == 0) {
        *ret_count = 0;
        *ret_period_ns = NS_PER_S;
        return 0;
    }
    const char *slash = strchr(s, '/');
    if (!slash)
        return -EINVAL;
    int r_period = parse_period(slash + 1, &period_ns);
    int r_count = parse_size(s, (size_t)(slash - s), &count);
    if (r_count == -EINVAL || r_period == -EINVAL)
        return -EINVAL;
    if (r_count < 0 || r_period < 0 || count > INT64_MAX || period_ns > INT64_MAX)
        return -ERANGE;
    /* "0/s" reads like "nothing passes", but a count of 0 means that everything does: ask for the plain word. */
    if (count == 0 || period_ns == 0)
        return -EINVAL;
    *ret_count = count;
    *ret_period_ns = period_ns;
    return 0;
}

static unsigned digits_of(uint64_t value)
{
    unsigned n = 1;
    for (; value >= 10; value /= 10)
        n++;
    return n;
}

/* The unit that makes the shortest text of `value`, without remainder; the earlier of two that are equally short. */
static const struct unit *shortest(const struct unit *units, size_t n, uint64_t value)
{
    const struct unit *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; i < n; i++) {
        if (value % units[i].factor)
            continue;
        size_t len = digits_of(value / units[i].factor) + strlen(units[i].name);
        if (!best || len < best_len) {
            best = &units[i];
            best_len = len;
        }
    }
    return best;
}

static char *format(char *dst, size_t size, const struct unit *u, uint64_t value, const char *suffix)
{
    snprintf(dst, size, "%llu%s%s", (unsigned long long)(value / u->factor), u->name, suffix);
    return dst;
}

static char *zero(char *dst, size_t size)
{
    snprintf(dst, size, "0");
    return dst;
}

char *units_format_bytes(char *dst, size_t size, uint64_t bytes)
{
    if (bytes == 0)
        return zero(dst, size);
    return format(dst, size, shortest(sizes, ARRAY_LEN(sizes), bytes), bytes, "B");
}

char *units_format_duration(char *dst, size_t size, uint64_t ns)
{
    if (ns == 0)
        return zero(dst, size);
    return format(dst, size, shortest(durations, ARRAY_LEN(durations), ns), ns, "");
}

char *units_format_rate(char *dst, size_t size, uint64_t count, uint64_t period_ns)
{
    char number[32], period[32];
    if (count == 0) {
        snprintf(dst, size, "unlimited");
        return dst;
    }
    format(number, sizeof(number), shortest(sizes, ARRAY_LEN(sizes), count), count, "");
    units_format_duration(period, sizeof(period), period_ns);
    /* "1s" is said "s". */
    bool one = period[0] == '1' && !(period[1] >= '0' && period[1] <= '9') && period[2] == '\0';
    snprintf(dst, size, "%s/%s", number, one ? period + 1 : period);
    return dst;
}
