/* SPDX-License-Identifier: MPL-2.0 */
#include "stats/text_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 4096

void text_out_init(struct text_out *o, size_t max_bytes)
{
    *o = (struct text_out){.max_bytes = max_bytes};
}

void text_out_fail(struct text_out *o)
{
    free(o->bytes);
    o->bytes = NULL;
    o->len = o->room = 0;
    o->failed = true;
}

/* The next size that holds `need`: doubled, so that growing costs constant time a byte. */
static size_t grown(const struct text_out *o, size_t need)
{
    size_t room = o->room > ROOM_MIN / 2 ? o->room : ROOM_MIN / 2;

    do {
        if (room > o->max_bytes / 2)
            return o->max_bytes;
        room *= 2;
    } while (room < need);
    return room;
}

static bool text_out_reserve(struct text_out *o, size_t more)
{
    if (o->failed)
        return false;
    if (more > o->max_bytes - o->len) {
        text_out_fail(o);
        return false;
    }
    if (more <= o->room - o->len)
        return true;

    size_t room = grown(o, o->len + more);
    char *bytes = realloc(o->bytes, room);
    if (!bytes) {
        text_out_fail(o);
        return false;
    }
    o->bytes = bytes;
    o->room = room;
    return true;
}

void text_out_bytes(struct text_out *o, const void *bytes, size_t len)
{
    if (len == 0 || !text_out_reserve(o, len))
        return;
    memcpy(o->bytes + o->len, bytes, len);
    o->len += len;
}

void text_out_str(struct text_out *o, const char *s)
{
    text_out_bytes(o, s, strlen(s));
}

void text_out_u64(struct text_out *o, uint64_t n)
{
    char digits[21];

    snprintf(digits, sizeof(digits), "%" PRIu64, n);
    text_out_str(o, digits);
}

char *text_out_take(struct text_out *o, size_t *ret_len)
{
    char *bytes = o->bytes;
    size_t len = o->len;

    if (!o->failed && !bytes)
        bytes = malloc(1); /* an empty text is no failure */
    text_out_init(o, o->max_bytes);
    if (bytes)
        *ret_len = len;
    return bytes;
}
