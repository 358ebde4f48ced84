/* SPDX-License-Identifier: MPL-2.0 */
/* The decoder against a naive one that sees the whole stream at once: captured and made streams, under every split of
 * their bytes. */
#include "zmtp/decoder.h"
#include "base/property.h"
#include "zmtp/greeting.h"
#include "zmtp/test_seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* ---- the oracle ---- */

#define WANT_MAX 4096u

/* One frame of the stream, or the violation that ends it. */
struct want {
    enum zmtp_error error;
    uint8_t flags;
    size_t body,
        end; /* offsets: first byte of the body; behind the frame (or behind the byte that shows the violation) */
    uint64_t size;
};

struct wants {
    struct want list[WANT_MAX];
    size_t count;
    bool in_message; /* at the end of the stream */
};

static enum zmtp_error wrong_flags(uint8_t flags, bool zmtp2)
{
    if (flags > 7 || (zmtp2 && flags > 3))
        return ZMTP_RESERVED_FLAGS;
    return flags == 5 || flags == 7 ? ZMTP_MORE_ON_COMMAND : ZMTP_OK;
}

static bool want_bad(struct want *w, enum zmtp_error e, size_t end)
{
    *w = (struct want){.error = e, .end = end};
    return true;
}

/* The frame at `at`, read straight from the RFC's picture. False when it is not whole. */
static bool want_at(const uint8_t *s, size_t len, size_t at, bool zmtp2, struct want *w)
{
    size_t header = at < len && (s[at] & 2) ? 9 : 2;
    uint64_t size = 0;
    if (at < len && wrong_flags(s[at], zmtp2) != ZMTP_OK)
        return want_bad(w, wrong_flags(s[at], zmtp2), at + 1);
    if (header == 9 && len - at >= 2 && (s[at + 1] & 0x80))
        return want_bad(w, ZMTP_SIZE_OVERFLOW, at + 2);
    if (len - at < header)
        return false;
    for (size_t i = at + 1; i < at + header; i++)
        size = size * 256 + s[i];
    *w = (struct want){.flags = s[at], .body = at + header, .size = size, .end = at + header + (size_t)size};
    return true;
}

/* What stands in a stream; the last one may be a frame whose body ends behind the stream. */
static void ask_oracle(const uint8_t *s, size_t len, bool zmtp2, struct wants *ret)
{
    ret->count = 0;
    ret->in_message = false;
    for (size_t at = 0; want_at(s, len, at, zmtp2, &ret->list[ret->count]);) {
        const struct want *w = &ret->list[ret->count++];
        assert_true(ret->count < WANT_MAX);
        if (w->error != ZMTP_OK || w->size > len - w->body)
            return;
        at = w->end;
        if (!(w->flags & 4))
            ret->in_message = w->flags & 1;
    }
}

/* ---- the comparison ---- */

struct run {
    const struct wants *wants;
    struct zmtp_decoder d;
    size_t next;     /* of wants */
    size_t offset;   /* of the piece being fed */
    bool header_due; /* not yet said for wants[next] */
};

static void start(struct run *r, const struct wants *wants, bool zmtp2)
{
    *r = (struct run){.wants = wants, .header_due = true};
    zmtp_decoder_init(&r->d, zmtp2);
}

static void check_header(struct run *r, size_t at, size_t piece_end)
{
    const struct want *w = &r->wants->list[r->next];
    assert_true(r->next < r->wants->count && r->header_due && w->error == ZMTP_OK);
    assert_int_equal(at, w->body);
    assert_true(w->size > piece_end - w->body);
    assert_int_equal(r->d.flags, w->flags);
    assert_int_equal(r->d.size, w->size);
    assert_int_equal(r->d.left, w->size);
    r->header_due = false;
}

static void check_frame(struct run *r, size_t at, size_t piece_start)
{
    const struct want *w = &r->wants->list[r->next++];
    assert_true(r->next <= r->wants->count && w->error == ZMTP_OK);
    assert_int_equal(at, w->end);
    assert_int_equal(r->d.flags, w->flags);
    assert_int_equal(r->d.size, w->size);
    assert_int_equal(r->d.left, 0);
    assert_int_equal(r->d.header_len, w->flags & 2 ? 9 : 2);
    assert_int_equal(zmtp_is_command(&r->d), (w->flags & 4) != 0);
    /* HEADER was said exactly when the body did not end in the piece where the header ended. */
    assert_int_equal(r->header_due, w->body > piece_start || w->size == 0);
    r->header_due = true;
}

static void check_bad(struct run *r, size_t at)
{
    assert_true(r->next < r->wants->count);
    assert_int_equal(r->d.error, r->wants->list[r->next].error);
    assert_int_not_equal(r->d.error, ZMTP_OK);
    assert_int_equal(at, r->wants->list[r->next].end);
}

/* False when the decoder has found a violation. */
static bool feed(struct run *r, const uint8_t *piece, size_t len)
{
    const uint8_t *at = piece, *end = piece + len;
    for (;;) {
        enum zmtp_item item = zmtp_next(&r->d, &at, end);
        assert_true(at >= piece && at <= end);
        size_t where = r->offset + (size_t)(at - piece);
        if (item == ZMTP_NEED)
            break;
        if (item == ZMTP_HEADER)
            check_header(r, where, r->offset + len);
        if (item == ZMTP_FRAME)
            check_frame(r, where, r->offset);
        if (item == ZMTP_BAD) {
            check_bad(r, where);
            assert_int_equal(zmtp_next(&r->d, &at, end), ZMTP_BAD);
            assert_int_equal(r->offset + (size_t)(at - piece), where);
            return false;
        }
    }
    assert_ptr_equal(at, end);
    r->offset += len;
    return true;
}

/* The whole stream was fed: everything that the oracle saw was said. */
static void finish(const struct run *r, size_t len)
{
    const struct want *w = &r->wants->list[r->next];
    bool body_waits = r->next < r->wants->count;
    if (body_waits) {
        assert_int_equal(r->next + 1, r->wants->count);
        assert_false(r->header_due);
        assert_int_equal(r->d.left, w->end - len);
    }
    assert_int_equal(r->d.in_body, body_waits);
    size_t seen = r->next ? r->wants->list[r->next - 1].end : 0;
    assert_int_equal(zmtp_at_boundary(&r->d), !r->wants->in_message && seen == len);
}

static bool ends_badly(const struct wants *wants)
{
    return wants->count && wants->list[wants->count - 1].error != ZMTP_OK;
}

/* Cuts at a and b (a <= b <= len), without copies. */
static void try_cuts(const struct wants *wants, const uint8_t *s, size_t len, bool zmtp2, size_t a, size_t b)
{
    struct run r;
    start(&r, wants, zmtp2);
    bool fine = feed(&r, s, a) && feed(&r, s + a, b - a) && feed(&r, s + b, len - b);
    assert_int_equal(fine, !ends_badly(wants));
    if (fine)
        finish(&r, len);
}

/* Pieces of random sizes up to `most`, each in memory of its own, so that AddressSanitizer sees every byte read too
 * many. */
static void try_pieces(const struct wants *wants, const uint8_t *s, size_t len, bool zmtp2, struct property_rng *random,
                       size_t most)
{
    struct run r;
    bool fine = true;
    start(&r, wants, zmtp2);
    for (size_t at = 0; fine && at < len;) {
        size_t n = 1 + property_below(random, most);
        n = n < len - at ? n : len - at;
        uint8_t *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, s + at, n);
        fine = feed(&r, copy, n);
        free(copy);
        at += n;
    }
    assert_int_equal(fine, !ends_badly(wants));
    if (fine)
        finish(&r, len);
}

static void try_everything(const uint8_t *s, size_t len, bool zmtp2, struct property_rng *random)
{
    static struct wants wants;
    ask_oracle(s, len, zmtp2, &wants);
    try_cuts(&wants, s, len, zmtp2, len, len);
    for (size_t cut = 0; cut <= len; cut++)
        try_cuts(&wants, s, len, zmtp2, cut, len);
    try_pieces(&wants, s, len, zmtp2, random, 1);
    for (int i = 0; i < 20; i++)
        try_pieces(&wants, s, len, zmtp2, random, (size_t)1 << property_below(random, 14));
    /* Every pair of cuts, where that is a matter of thousands. */
    for (size_t a = 0; len <= 128 && a <= len; a++)
        for (size_t b = a; b <= len; b++)
            try_cuts(&wants, s, len, zmtp2, a, b);
}

/* ---- streams ---- */

static void captured_streams(void **state)
{
    struct property_rng random = property_rng_new("decoder");
    struct seeds seeds;
    assert_true(seeds_load(WEIR_SEEDS, &seeds));
    for (size_t i = 0; i < seeds.count; i++) {
        const struct seed *s = &seeds.list[i];
        bool zmtp2 = strstr(s->name, "_20-") != NULL;
        size_t skip = zmtp2 ? ZMTP2_GREETING_BYTES : ZMTP_GREETING_BYTES;
        static struct wants wants;
        assert_true(s->len > skip);
        ask_oracle(s->bytes + skip, s->len - skip, zmtp2, &wants);
        /* What libzmq says is whole and right. */
        assert_true(wants.count > 0 && !ends_badly(&wants) && !wants.in_message);
        assert_int_equal(wants.list[wants.count - 1].end, s->len - skip);
        try_everything(s->bytes + skip, s->len - skip, zmtp2, &random);
    }
    seeds_free(&seeds);
}

/* libzmq really does this (tests/seeds/capture.py): a heartbeat that is due cuts into a message. */
static void ping_stands_between_frames_of_a_message(void **state)
{
    static const uint8_t s[] = "\x01\x01"
                               "A\x04\x07\x04PING\0\0\x00\x01"
                               "B";
    struct zmtp_decoder d;
    const uint8_t *at = s, *end = s + sizeof(s) - 1;
    zmtp_decoder_init(&d, false);
    assert_int_equal(zmtp_next(&d, &at, end), ZMTP_FRAME);
    assert_true(d.in_message);
    assert_int_equal(zmtp_next(&d, &at, end), ZMTP_FRAME);
    assert_true(zmtp_is_command(&d) && d.in_message && !zmtp_at_boundary(&d));
    assert_int_equal(zmtp_next(&d, &at, end), ZMTP_FRAME);
    assert_true(!zmtp_is_command(&d) && zmtp_at_boundary(&d));
}

struct made {
    const char *bytes;
    size_t len;
};

#define MADE(literal) .bytes = literal, .len = sizeof(literal) - 1

/* Whole, cut short, and wrong in every way. */
static const struct made made[] = {
    {MADE("")},
    {MADE("\x00\x00")},
    {MADE("\x01\x00\x00\x00")},
    {MADE("\x00\x03one\x01\x03two\x00\x05three")},
    {MADE("\x02\0\0\0\0\0\0\0\x03"
          "abc\x03\0\0\0\0\0\0\0\x00\x00\x01z")},
    {MADE("\x04\x05\x04PONG\x06\0\0\0\0\0\0\0\x05\x04PONG")},
    {MADE("\x01\x01"
          "a\x04\x05\x04PONG\x00\x01"
          "b")},
    {MADE("\x01\x01")},
    {MADE("\x00\x05"
          "cut")},
    {MADE("\x02\0\0\0\0")},
    {MADE("\x02\x7f\xff\xff\xff\xff\xff\xff\xff"
          "the largest")},
    {MADE("\x02\x80\0\0\0\0\0\0\0")},
    {MADE("\x00\x01q\x03\xff\xff\xff\xff\xff\xff\xff\xff")},
    {MADE("\x05\x05\x04PONG")},
    {MADE("\x01\x01x\x07\0\0\0\0\0\0\0\x05\x04PONG")},
    {MADE("\x00\x01q\x08\x00")},
    {MADE("\x80")},
    {MADE("GET / HTTP/1.1\r\n\r\n")},
};

static void made_streams(void **state)
{
    struct property_rng random = property_rng_new("decoder");
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        for (int zmtp2 = 0; zmtp2 < 2; zmtp2++)
            try_everything((const uint8_t *)made[i].bytes, made[i].len, zmtp2, &random);
}

/* Each value of the flags byte, alone and inside a message, in both versions. */
static void every_flags_byte(void **state)
{
    struct property_rng random = property_rng_new("decoder");
    for (unsigned i = 0; i < 1024; i++) {
        uint8_t s[] = {1, 0, (uint8_t)i, 0, 0, 0, 0, 0, 0, 0, 2, 'x', 'y', 0, 0};
        size_t skip = i & 256 ? 2 : 0;
        try_everything(s + skip, sizeof(s) - skip, i >= 512, &random);
    }
}

/* Random frames, valid or with one byte changed. */
static void random_streams(void **state)
{
    struct property_rng random = property_rng_new("decoder");
    for (int i = 0; i < 200; i++) {
        uint8_t s[700];
        size_t len = 0;
        while (len < 300) {
            size_t size = property_below(&random, 4) ? property_below(&random, 20) : property_below(&random, 300);
            len += zmtp_put_header(
                s + len, (unsigned)(property_below(&random, 2) + 4 * (property_below(&random, 8) == 0)), size);
            for (size_t b = 0; b < size; b++)
                s[len++] = (uint8_t)property_next(&random);
        }
        if (property_below(&random, 2))
            s[property_below(&random, len)] = (uint8_t)property_next(&random);
        try_everything(s, len, property_below(&random, 2), &random);
    }
}

static void header_written_is_header_read(void **state)
{
    static const uint64_t sizes[] = {0, 1, 254, 255, 256, 65535, 65536, 1ull << 32, INT64_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t bytes[ZMTP_HEADER_MAX];
        size_t len = zmtp_put_header(bytes, ZMTP_FLAG_COMMAND, sizes[i]);
        struct want w;
        assert_int_equal(len, sizes[i] > 255 ? 9 : 2);
        assert_true(want_at(bytes, len, 0, false, &w));
        assert_int_equal(w.error, ZMTP_OK);
        assert_int_equal(w.size, sizes[i]);
        assert_int_equal(w.flags & ~ZMTP_FLAG_LONG, ZMTP_FLAG_COMMAND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_streams), cmocka_unit_test(ping_stands_between_frames_of_a_message),
        cmocka_unit_test(made_streams),     cmocka_unit_test(every_flags_byte),
        cmocka_unit_test(random_streams),   cmocka_unit_test(header_written_is_header_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
