/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A byte cursor with a sticky error: a parser reads straight on and checks once at the end. After the first read past
 * the end, all further reads return zeros and `failed` stays set. A cursor points into the caller's bytes and owns
 * nothing.
 */
#ifndef WEIR_BASE_CURSOR_H
#define WEIR_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const uint8_t *at, *end;
    bool failed;
};

/* A run of bytes that another structure owns. */
struct bytes {
    const uint8_t *at;
    size_t len;
};

static inline struct cursor cursor_over(const void *data, size_t len)
{
    /* No arithmetic on a null pointer, not even + 0. */
    const uint8_t *at = data;
    return (struct cursor){.at = at, .end = len ? at + len : at, .failed = false};
}

static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* The next `len` bytes; an empty run, with `failed` set, if there are fewer. */
static inline struct bytes cursor_take(struct cursor *c, size_t len)
{
    if (c->failed || len > cursor_left(c)) {
        c->failed = true;
        return (struct bytes){.at = c->at, .len = 0};
    }
    struct bytes b = {.at = c->at, .len = len};
    c->at += len;
    return b;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
    struct bytes b = cursor_take(c, 1);
    return b.len ? b.at[0] : 0;
}

static inline uint16_t cursor_be16(struct cursor *c)
{
    struct bytes b = cursor_take(c, 2);
    return b.len ? (uint16_t)(b.at[0] << 8 | b.at[1]) : 0;
}

static inline uint32_t cursor_be32(struct cursor *c)
{
    struct bytes b = cursor_take(c, 4);
    return b.len ? (uint32_t)b.at[0] << 24 | (uint32_t)b.at[1] << 16 | (uint32_t)b.at[2] << 8 | b.at[3] : 0;
}

static inline uint64_t cursor_be64(struct cursor *c)
{
    uint64_t high = cursor_be32(c);
    return high << 32 | cursor_be32(c);
}

/* Writes the low `bytes` bytes of a number, the highest first. Returns the address behind them. */
static inline uint8_t *cursor_put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    return at + bytes;
}

#endif
