/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Push decoder for the traffic after the greeting: frames of ZMTP 3.1 and 3.0 (RFC 37, RFC 23) and 2.0 (RFC 15).
 *
 * It accepts any split of its input, copies nothing but an incomplete frame header (at most 9 bytes), and never looks
 * back. The caller owns the bytes.
 *
 * Pure; one thread at a time. Memory: 32 bytes of state a direction. The decoder has no limits of its own: the caller
 * judges each announced size (ZMTP_HEADER) before the body arrives.
 *
 * Commands may stand between the frames of one message; `in_message` is set then. libzmq writes a PING or PONG as soon
 * as it is due, also inside a multipart message that its 8 KiB batches have split. It accepts them there as well.
 * The caller has to refuse all commands but PING and PONG in that place: a SUBSCRIBE or CANCEL there ends the
 * application's message early.
 */
#ifndef WEIR_ZMTP_DECODER_H
#define WEIR_ZMTP_DECODER_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ZMTP_FLAG_MORE     0x01u
#define ZMTP_FLAG_LONG     0x02u
#define ZMTP_FLAG_COMMAND  0x04u
#define ZMTP_FLAG_RESERVED 0xf8u
#define ZMTP_HEADER_MAX    9u

enum zmtp_item {
    ZMTP_NEED,   /* all input is used up, inside a frame or between frames */
    ZMTP_HEADER, /* a header is complete and its body is not whole in this input: judge its size now. Once a frame; call
                    again for the rest */
    ZMTP_FRAME,  /* a frame is complete; *at points behind its last byte */
    ZMTP_BAD,    /* a violation, in `error`; *at points behind the byte that shows it, and the decoder is finished */
};

enum zmtp_error { ZMTP_OK, ZMTP_RESERVED_FLAGS, ZMTP_MORE_ON_COMMAND, ZMTP_SIZE_OVERFLOW, ZMTP_EMPTY_COMMAND };

/* The encoder of libzmq 4.3.2 to 4.3.4 omits LONG from the flags of a SUBSCRIBE or CANCEL if the topic has up to 255
 * bytes and the whole command has more. The size has 8 bytes all the same. The largest such command is a SUBSCRIBE of a
 * topic of 255 bytes. */
#define ZMTP_UNMARKED_MIN 256u
#define ZMTP_UNMARKED_MAX (255u + sizeof("\x09SUBSCRIBE") - 1)

struct zmtp_decoder {
    uint64_t size;      /* body bytes of the current or last frame */
    uint64_t left;      /* of these, the bytes not seen yet */
    uint8_t flags;      /* of the current or last frame */
    uint8_t header_len; /* header bytes of the current or last frame: 2 or 9 */
    uint8_t have;       /* bytes in header[] */
    uint8_t error;      /* enum zmtp_error */
    bool in_body;
    bool in_message;      /* the last message frame had MORE */
    bool no_commands : 1; /* ZMTP 2.0: bit 2 is reserved */
    bool subscriber : 1;  /* set by the owner: long sizes without LONG are accepted (ZMTP_UNMARKED_MIN) */
    uint8_t header[ZMTP_HEADER_MAX];
};

void zmtp_decoder_init(struct zmtp_decoder *d, bool zmtp2);

/* The number of whole messages at `at`, up to `most`, for a decoder that is between two messages. Commands are not
 * counted. A violation of the protocol ends the count. */
MUST_USE uint32_t zmtp_whole_messages(const uint8_t *at, size_t len, uint32_t most);

/* Slow path of zmtp_next(): headers in pieces, violations. */
enum zmtp_item zmtp_next_slow(struct zmtp_decoder *d, const uint8_t **at, const uint8_t *end);

static inline bool zmtp_is_command(const struct zmtp_decoder *d)
{
    return (d->flags & ZMTP_FLAG_COMMAND) != 0;
}

/* Whether the size of the current or last frame has 8 bytes and its flags do not say so. */
static inline bool zmtp_is_unmarked(const struct zmtp_decoder *d)
{
    return d->header_len == ZMTP_HEADER_MAX && !(d->flags & ZMTP_FLAG_LONG);
}

/* Whether the stream is between two messages, and not inside a frame or header. */
static inline bool zmtp_at_boundary(const struct zmtp_decoder *d)
{
    return !d->in_body && !d->in_message && d->have == 0;
}

/* Consumes input from *at up to the end of the current frame. See enum zmtp_item. */
static inline enum zmtp_item zmtp_next(struct zmtp_decoder *d, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    /* The common case, kept short for batches of small messages: a short message frame that is whole in this input. */
    if (LIKELY(!d->in_body && d->have == 0 && end - p >= 2 && p[0] <= ZMTP_FLAG_MORE && end - p - 2 >= p[1])) {
        d->flags = p[0];
        d->header_len = 2;
        d->size = p[1];
        d->in_message = p[0] != 0;
        *at = p + 2 + p[1];
        return ZMTP_FRAME;
    }
    return zmtp_next_slow(d, at, end);
}

/* Writes a frame header of 2 or 9 bytes. Returns its length. `flags`: without ZMTP_FLAG_LONG. */
size_t zmtp_put_header(uint8_t dst[static ZMTP_HEADER_MAX], unsigned flags, uint64_t size);

#endif
