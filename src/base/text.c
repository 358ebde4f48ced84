/* SPDX-License-Identifier: MPL-2.0 */
#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ELLIPSIS     "..."
#define ELLIPSIS_LEN 3

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c <= 0x7e && c != '\\' && c != '"' && c != '\'';
}

static size_t put_byte(char *dst, uint8_t c)
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
static size_t fit(const uint8_t *bytes, size_t len, size_t room, size_t *ret_used)
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
    size_t whole = fit(bytes, len, size - 1, &used);
    bool cut = whole < len;
    if (cut)
        whole = fit(bytes, len, size - 1 - ELLIPSIS_LEN, &used);
    size_t at = 0;
    for (size_t i = 0; i < whole; i++)
        at += put_byte(dst + at, ((const uint8_t *)bytes)[i]);
    snprintf(dst + at, size - at, "%s", cut ? ELLIPSIS : "");
    return dst;
}
