/* SPDX-License-Identifier: MPL-2.0 */
#include "inspect/reply.h"

#include "zmtp/decoder.h"

#include <string.h>

static bool reply_add(uint8_t *dst, size_t *len, const uint8_t *at, size_t n)
{
    if (n > REPLY_ENVELOPE_MAX - *len)
        return false;
    memcpy(dst + *len, at, n);
    *len += n;
    return true;
}

/* Copies the envelope. False: it is too long. Without one, *ret_len is 0. */
static bool copy_envelope(uint8_t *dst, size_t *ret_len, struct bytes request, bool zmtp2)
{
    struct zmtp_decoder d;
    const uint8_t *at = request.at, *end = request.at + request.len;
    bool fits = true;
    zmtp_decoder_init(&d, zmtp2);
    *ret_len = 0;
    while (at < end) {
        const uint8_t *frame = at;
        if (zmtp_next(&d, &at, end) != ZMTP_FRAME)
            break;
        if (zmtp_is_command(&d) && !zmtp2)
            continue;
        if (!(d.flags & ZMTP_FLAG_MORE))
            break;
        /* A body that is longer than any envelope is not part of one, as long as no delimiter follows. */
        fits = fits && reply_add(dst, ret_len, frame, (size_t)(at - frame));
        if (d.size == 0)
            return fits;
    }
    *ret_len = 0;
    return true;
}

size_t reply_to(uint8_t dst[static REPLY_MAX], struct bytes request, struct bytes text, bool zmtp2)
{
    size_t len;
    if (text.len > REPLY_TEXT_MAX || request.len == 0 || !copy_envelope(dst, &len, request, zmtp2))
        return 0;
    len += zmtp_put_header(dst + len, 0, text.len);
    if (text.len)
        memcpy(dst + len, text.at, text.len);
    return len + text.len;
}
