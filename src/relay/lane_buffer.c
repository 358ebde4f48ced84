/* SPDX-License-Identifier: MPL-2.0 */
#include "relay/lane_buffer.h"

#include "relay/buffer_room.h"
#include "relay/record.h"

#include <string.h>

/* A smaller buffer replaces a larger one only above this. */
#define SHRINK_ABOVE_BYTES 4096u

/* Takes a buffer of at least `need` bytes; the caller handles the contents of the old one. False: no memory, nothing
 * changed. */
static bool swap_buffer(struct lane *l, struct session *s, size_t need, uint8_t **ret_old, uint32_t *ret_old_cap)
{
    uint32_t cap;
    uint8_t *buf = need <= BUFPOOL_MAX_BYTES ? bufpool_get(&s->wg->worker->loop.pool, need, &cap) : NULL;
    if (!buf)
        return false;
    cell_add(session_cells(s), CELL_HELD, cap);
    buffer_room_took(s, cap);
    *ret_old = l->buf;
    *ret_old_cap = l->cap;
    l->buf = buf;
    l->cap = cap;
    return true;
}

static void put_back(struct session *s, uint8_t *buf, uint32_t cap)
{
    if (!buf)
        return;
    cell_sub(session_cells(s), CELL_HELD, cap);
    buffer_room_gave(s, cap);
    bufpool_put(&s->wg->worker->loop.pool, buf, cap);
}

void lane_buffer_drop(struct lane *l, struct session *s)
{
    if (!l->buf)
        return;
    put_back(s, l->buf, l->cap);
    l->buf = NULL;
    l->cap = l->start = l->ready = l->scanned = l->end = 0;
}

bool lane_buffer_make_room(struct lane *l, struct session *s, size_t more)
{
    size_t used = l->end - l->start;
    if (l->end + more <= l->cap)
        return true;
    uint8_t *old = NULL, *from = used ? l->buf + l->start : NULL;
    uint32_t old_cap = 0;
    if (used + more > l->cap && !swap_buffer(l, s, used + more, &old, &old_cap))
        return false;
    if (used)
        memmove(l->buf, from, used);
    put_back(s, old, old_cap);
    l->ready -= l->start;
    l->scanned -= l->start;
    l->end -= l->start;
    l->start = 0;
    return true;
}

bool lane_buffer_append(struct lane *l, struct session *s, struct bytes bytes)
{
    if (bytes.len == 0)
        return true;
    if (!lane_buffer_make_room(l, s, bytes.len))
        return false;
    memcpy(l->buf + l->end, bytes.at, bytes.len);
    l->end += (uint32_t)bytes.len;
    return true;
}

bool lane_buffer_insert(struct lane *l, struct session *s, const uint8_t *bytes, size_t len)
{
    if (!lane_buffer_make_room(l, s, len))
        return false;
    memmove(l->buf + l->start + len, l->buf + l->start, l->end - l->start);
    memcpy(l->buf + l->start, bytes, len);
    l->ready += (uint32_t)len;
    l->scanned += (uint32_t)len;
    l->end += (uint32_t)len;
    return true;
}

/* Puts the unwritten spans and the kept bytes into the lane's buffer, in this order. */
static void lane_gather(struct lane *l, const struct traffic_result *r, const struct bytes *spans, size_t unsent,
                        const uint8_t *keep, size_t kept, size_t scanned)
{
    uint8_t *at = l->buf;
    for (unsigned i = 0; i < r->span_count; i++) {
        if (spans[i].len)
            memmove(at, spans[i].at, spans[i].len);
        at += spans[i].len;
    }
    if (kept)
        memmove(at, keep, kept);
    l->start = 0;
    l->ready = (uint32_t)unsent;
    l->scanned = (uint32_t)(unsent + scanned);
    l->end = (uint32_t)(unsent + kept);
}

bool lane_buffer_keep(struct lane *l, struct session *s, const struct lane_window *w, const struct traffic_result *r,
                      const struct bytes *spans, size_t unsent)
{
    size_t kept = (size_t)(w->end - r->keep), scanned = (size_t)(r->scanned - r->keep);
    uint8_t *old = NULL;
    uint32_t old_cap = 0;
    if (unsent + kept == 0) {
        lane_buffer_drop(l, s);
        return true;
    }
    /* Within the buffer nothing has to move while only its front was written. */
    if (!w->in_scratch && unsent == 0) {
        l->start = l->ready = (uint32_t)(r->keep - l->buf);
        l->scanned = (uint32_t)(r->scanned - l->buf);
        return true;
    }
    if (unsent + kept > l->cap) {
        if (!swap_buffer(l, s, unsent + kept, &old, &old_cap))
            return false;
    } else if (l->cap > SHRINK_ABOVE_BYTES && unsent + kept <= l->cap / 4) {
        /* A few bytes must not occupy a large buffer; if no smaller one is available now, they may. */
        (void)!swap_buffer(l, s, unsent + kept, &old, &old_cap);
    }
    lane_gather(l, r, spans, unsent, r->keep, kept, scanned);
    put_back(s, old, old_cap);
    return true;
}
