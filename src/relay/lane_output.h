/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a lane writes: admitted bytes, in order, and frames of Weir's own between two messages.
 *
 *   state     event                                                 next
 *   FLOWING   the receiver does not take everything                 BLOCKED: the rest is in the lane's buffer
 *   BLOCKED   the receiver takes the rest (lane_output_flush())     FLOWING
 *   any       the application is gone                               SHUT: nothing more is read or written
 *   any       the client is gone                                    the session ends
 *
 * A kernel without memory for a write (ENOBUFS of Unix sockets) reports no event afterwards: the write is tried again
 * at the session's alarm. No write waits.
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_LANE_OUTPUT_H
#define WEIR_RELAY_LANE_OUTPUT_H

#include "relay/lane_buffer.h"

/* Writes the bytes admitted before. True when all of them are gone. May end the session. */
MUST_USE bool lane_output_flush(struct lane *l, struct session *s);

/* Writes the spans of `r` and keeps the rest. False when the lane cannot go on now. May end the session. */
MUST_USE bool lane_output_pass(struct lane *l, struct session *s, struct lane_window *w, struct traffic_result *r);

/* Sends a frame of Weir's own between two messages of the lane, if that is possible now. `keep`: if the receiver takes
 * nothing now, the frame is kept for it. May end the session. */
bool lane_output_send(struct lane *l, struct session *s, const uint8_t *frame, size_t len, bool keep);

/* At the session's alarm: retries a write for which the kernel had no memory. */
void lane_output_try_starved(struct lane *l, struct session *s);

#endif
