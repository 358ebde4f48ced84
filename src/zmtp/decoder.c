/* SPDX-License-Identifier: MPL-2.0 */
#include "zmtp/decoder.h"

void zmtp_decoder_init(struct zmtp_decoder *d, bool zmtp2)
{
    memset(d, 0, sizeof(*d));
    d->no_commands = zmtp2;
}

static enum zmtp_item bad(struct zmtp_decoder *d, enum zmtp_error e)
{
    d->error = (uint8_t)e;
    return ZMTP_BAD;
}

/* Judged on the first byte alone, so that a violation is answered before its frame is awaited. */
static enum zmtp_error check_flags(const struct zmtp_decoder *d, uint8_t flags)
{
    /* RFC 37: "Bits 7-3 are reserved for future use and MUST be zero." RFC 15 says so of bits 7-2. */
    if (flags & (d->no_commands ? ZMTP_FLAG_RESERVED | ZMTP_FLAG_COMMAND : ZMTP_FLAG_RESERVED))
        return ZMTP_RESERVED_FLAGS;
    /* RFC 37, on MORE: "This bit SHALL be zero on command frames." */
    if ((flags & ZMTP_FLAG_COMMAND) && (flags & ZMTP_FLAG_MORE))
        return ZMTP_MORE_ON_COMMAND;
    return ZMTP_OK;
}

/* A command of no bytes, which has no name: from a subscriber it is the beginning of a long size whose flag is missing.
 */
static bool is_unmarked(const struct zmtp_decoder *d)
{
    return d->subscriber && d->have >= 2 && d->header[0] == ZMTP_FLAG_COMMAND && d->header[1] == 0;
}

/* A long size whose flag is missing has no other high bytes than zeros. */
static enum zmtp_error check_unmarked_byte(const struct zmtp_decoder *d)
{
    uint8_t last = d->header[d->have - 1];
    uint8_t most = d->have < 8 ? 0 : d->have == 8 ? ZMTP_UNMARKED_MAX >> 8 : ZMTP_UNMARKED_MAX & 0xff;
    return last > most || (d->have == 8 && last == 0) ? ZMTP_EMPTY_COMMAND : ZMTP_OK;
}

/* Checks what the newest header byte tells. */
static enum zmtp_error check_header_byte(const struct zmtp_decoder *d)
{
    if (is_unmarked(d))
        return check_unmarked_byte(d);
    if (d->have == 1)
        return check_flags(d, d->header[0]);
    /* RFC 37: "long-size = 8OCTET ; Body is 0 to 2^63-1 octets": its first byte gives away all that is larger. */
    if (d->have == 2 && d->header_len == 9 && d->header[1] > 0x7f)
        return ZMTP_SIZE_OVERFLOW;
    return ZMTP_OK;
}

static uint64_t be64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

/* Collects header bytes: HEADER when the header is whole, else NEED or BAD. */
static enum zmtp_item take_header(struct zmtp_decoder *d, const uint8_t **at, const uint8_t *end)
{
    while (*at < end) {
        d->header[d->have++] = *(*at)++;
        d->header_len = (d->header[0] & ZMTP_FLAG_LONG) || is_unmarked(d) ? 9 : 2;
        enum zmtp_error e = check_header_byte(d);
        if (e != ZMTP_OK)
            return bad(d, e);
        if (d->have == d->header_len)
            return ZMTP_HEADER;
    }
    return ZMTP_NEED;
}

static void start_frame(struct zmtp_decoder *d)
{
    d->flags = d->header[0];
    d->size = d->header_len == 9 ? be64(d->header + 1) : d->header[1];
    d->left = d->size;
    d->in_body = true;
}

static enum zmtp_item finish_frame(struct zmtp_decoder *d)
{
    d->in_body = false;
    d->have = 0;
    if (!zmtp_is_command(d))
        d->in_message = (d->flags & ZMTP_FLAG_MORE) != 0;
    return ZMTP_FRAME;
}

enum zmtp_item zmtp_next_slow(struct zmtp_decoder *d, const uint8_t **at, const uint8_t *end)
{
    bool fresh = false;
    if (d->error != ZMTP_OK)
        return ZMTP_BAD;
    if (!d->in_body) {
        enum zmtp_item item = take_header(d, at, end);
        if (item != ZMTP_HEADER)
            return item;
        start_frame(d);
        fresh = true;
    }
    uint64_t here = (uint64_t)(end - *at);
    if (here >= d->left) {
        *at += d->left;
        d->left = 0;
        return finish_frame(d);
    }
    if (fresh)
        return ZMTP_HEADER;
    *at = end;
    d->left -= here;
    return ZMTP_NEED;
}

size_t zmtp_put_header(uint8_t dst[static ZMTP_HEADER_MAX], unsigned flags, uint64_t size)
{
    if (size <= 255) {
        dst[0] = (uint8_t)flags;
        dst[1] = (uint8_t)size;
        return 2;
    }
    dst[0] = (uint8_t)(flags | ZMTP_FLAG_LONG);
    for (int i = 0; i < 8; i++)
        dst[1 + i] = (uint8_t)(size >> (8 * (7 - i)));
    return 9;
}

uint32_t zmtp_whole_messages(const uint8_t *at, size_t len, uint32_t most)
{
    struct zmtp_decoder d;
    const uint8_t *end = at + len;
    uint32_t n = 0;
    zmtp_decoder_init(&d, false);
    while (n < most && at < end) {
        enum zmtp_item item = zmtp_next(&d, &at, end);
        if (item == ZMTP_NEED || item == ZMTP_BAD)
            break;
        n += item == ZMTP_FRAME && !zmtp_is_command(&d) && !(d.flags & ZMTP_FLAG_MORE);
    }
    return n;
}
