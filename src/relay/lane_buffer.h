/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The buffer of a lane: bytes that wait, in the order in which they came. lane.h has its parts.
 *
 *   state   event                                                             next
 *   NONE    bytes have to wait (append, insert, keep)                         HELD
 *   HELD    more bytes than fit                                               HELD, in a larger buffer of the pool
 *   HELD    a quarter or less of it is used, after a window was judged        HELD, in a smaller one if there is one
 *   HELD    no byte waits any more, the receiver is gone, the session ends    NONE (lane_buffer_drop())
 *
 * Each buffer comes from the worker's pool and is counted on its source (buffer_room.h). Without memory nothing
 * changes and the caller is told.
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_LANE_BUFFER_H
#define WEIR_RELAY_LANE_BUFFER_H

#include "inspect/traffic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane;
struct session;

/* Bytes to be judged: [base, end), of which [base, scan) were judged before. In the lane's own buffer, or in the
 * worker's scratch. */
struct lane_window {
    uint8_t *base, *scan, *end;
    bool in_scratch;
};

/* Gives the buffer back, whatever is in it. */
void lane_buffer_drop(struct lane *l, struct session *s);

/* Makes room for `more` bytes behind `end`, by moving everything to the front. False: no memory. */
MUST_USE bool lane_buffer_make_room(struct lane *l, struct session *s, size_t more);

/* Puts bytes behind all others, to be judged. False: no memory. */
MUST_USE bool lane_buffer_append(struct lane *l, struct session *s, struct bytes bytes);

/* Puts admitted bytes in front of the held ones. Only while nothing admitted waits. False: no memory. */
MUST_USE bool lane_buffer_insert(struct lane *l, struct session *s, const uint8_t *bytes, size_t len);

/* After a window was judged: keeps the `unsent` bytes of `spans`, which were admitted and not written, and what `r`
 * says is to be kept. False: no memory. */
MUST_USE bool lane_buffer_keep(struct lane *l, struct session *s, const struct lane_window *w,
                               const struct traffic_result *r, const struct bytes *spans, size_t unsent);

#endif
