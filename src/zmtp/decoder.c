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
    /* RFC 37: "Bits 7-3 are reserved for future use and SHALL be zero." RFC 15 knows bits 0 and 1 only. */
    if (flags & (d->no_commands ? ZMTP_FLAG_RESERVED | ZMTP_FLAG_COMMAND : ZMTP_FLAG_RESERVED))
        return ZMTP_RESERVED_FLAGS;
    if (!(flags & ZMTP_FLAG_COMMAND))
        return ZMTP_OK;
    /* RFC 37: "command-size: %x04 short-size | %x06 long-size": a command frame has no MORE bit. */
    if (flags & ZMTP_FLAG_MORE)
        return ZMTP_MORE_ON_COMMAND;
    /* RFC 37: "traffic = *(message | command)", "message = *message-more message-last": commands stand between messages. */
    return d->in_message ? ZMTP_COMMAND_IN_MESSAGE : ZMTP_OK;
}

static uint64_t be64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

/* Collects header bytes; true when the header is whole. */
static bool take_header(struct zmtp_decoder *d, const uint8_t **at, const uint8_t *end)
{
    while (*at < end) {
        d->header[d->have++] = *(*at)++;
        d->header_len = (d->header[0] & ZMTP_FLAG_LONG) ? 9 : 2;
        if (d->have == 1 && check_flags(d, d->header[0]) != ZMTP_OK)
            return true;
        if (d->have == d->header_len)
            return true;
    }
    return false;
}

static enum zmtp_item start_frame(struct zmtp_decoder *d)
{
    enum zmtp_error e = check_flags(d, d->header[0]);
    if (e != ZMTP_OK)
        return bad(d, e);
    d->flags = d->header[0];
    d->size = d->header_len == 9 ? be64(d->header + 1) : d->header[1];
    /* RFC 37: "long-size = 8OCTET": libzmq reads it as a signed 63-bit number. */
    if (d->size > INT64_MAX)
        return bad(d, ZMTP_SIZE_OVERFLOW);
    d->left = d->size;
    d->in_body = true;
    return ZMTP_HEADER;
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
        if (!take_header(d, at, end))
            return ZMTP_NEED;
        if (start_frame(d) == ZMTP_BAD)
            return ZMTP_BAD;
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
