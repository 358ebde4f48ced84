/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A call that waits for several sockets, some of which count. First it is made without waiting. If that finds no
 * message for a socket that counts, its counter says so. Then it is made as the application meant it.
 *
 * Use: begin; the call with a timeout of 0; tried; if that returns true, the call again; ended.
 */
#ifndef WEIR_PRELOAD_ZMQ_WAIT_H
#define WEIR_PRELOAD_ZMQ_WAIT_H

#include "preload/taken_tally.h"

/* Bits of tallies. */
struct zmq_wait {
    uint32_t asked, readable;
};

_Static_assert(TAKEN_RULES_MOST <= 32, "one bit for each");

/* The bit of the socket's tally, or 0. */
static inline uint32_t zmq_wait_bit(const void *socket)
{
    const struct taken_tally *t = taken_tally_of(socket);
    return t ? UINT32_C(1) << (t - taken_tallies) : 0;
}

void zmq_wait_begin(const struct zmq_wait *w);

/* The first call has returned, with nothing at all (`empty`) or with w->readable. `waits`: the application waits.
 * Returns whether the call is made again. errno stays. */
bool zmq_wait_tried(struct zmq_wait *w, bool empty, bool waits);

/* The second call has returned, with w->readable. */
void zmq_wait_ended(const struct zmq_wait *w);

#endif
