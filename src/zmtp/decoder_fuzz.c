/* SPDX-License-Identifier: MPL-2.0 */
/* The decoder says the same of a stream at once and in pieces, and never takes a byte twice or skips one. Seeds:
 * tests/seeds/zmtp. */
#include "zmtp/decoder.h"
#include "base/property.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        abort();
}

/* Everything that was said, as one number; HEADER depends on the pieces and is left out. */
struct told {
    uint64_t digest;
    size_t used;
    bool bad;
};

static void tell(struct told *t, uint64_t what)
{
    t->digest = (t->digest ^ what) * 0x100000001b3u;
}

static void check_header(const struct zmtp_decoder *d, size_t here)
{
    require(d->in_body && d->left == d->size && d->size > here && d->size <= INT64_MAX);
}

static void check_frame(const struct zmtp_decoder *d, struct told *t)
{
    require(!d->in_body && d->left == 0 && d->have == 0 && d->header_len == (d->flags & ZMTP_FLAG_LONG ? 9 : 2));
    require(d->flags <= 7 && (d->flags & 5) != 5 && !(d->no_commands && zmtp_is_command(d)));
    tell(t, d->size << 8 | d->flags);
    tell(t, t->used);
}

static void take_piece(struct zmtp_decoder *d, struct told *t, const uint8_t *piece, size_t len)
{
    const uint8_t *at = piece, *end = piece + len;
    while (!t->bad) {
        const uint8_t *from = at;
        enum zmtp_item item = zmtp_next(d, &at, end);
        require(at >= from && at <= end);
        t->used += (size_t)(at - from);
        if (item == ZMTP_NEED) {
            require(at == end);
            return;
        }
        if (item == ZMTP_HEADER)
            check_header(d, (size_t)(end - at));
        if (item == ZMTP_FRAME)
            check_frame(d, t);
        if (item == ZMTP_BAD)
            tell(t, (uint64_t)d->error << 32);
        t->bad = item == ZMTP_BAD;
    }
}

static struct told take(const uint8_t *data, size_t size, bool zmtp2, struct property_rng *random, size_t most)
{
    struct zmtp_decoder d;
    struct told t = {0};
    zmtp_decoder_init(&d, zmtp2);
    for (size_t at = 0, n; at < size && !t.bad; at += n) {
        n = random ? 1 + property_below(random, most) : size;
        n = n < size - at ? n : size - at;
        take_piece(&d, &t, data + at, n);
    }
    require(t.bad || t.used == size);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct property_rng random = {size};
    for (size_t i = 0; i < size && i < 64; i++)
        random.state = random.state * 31 + data[i];
    for (int zmtp2 = 0; zmtp2 < 2; zmtp2++) {
        struct told whole = take(data, size, zmtp2, NULL, 0);
        for (size_t most = 1; most <= 64; most *= 8) {
            struct told pieces = take(data, size, zmtp2, &random, most);
            require(pieces.digest == whole.digest && pieces.used == whole.used && pieces.bad == whole.bad);
        }
    }
    return 0;
}
