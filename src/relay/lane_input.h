/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a lane reads: where the next bytes to judge come from, and where they are put.
 *
 *   bytes                                        read into
 *   nothing is held, or little                   the worker's scratch; what is held is copied in front
 *   the beginning of a long message is held      the lane's buffer, behind it: no byte is moved twice
 *   memory is short (buffer_room.h)              what is left of the lane's buffer, or nothing
 *
 * A read that fills its room doubles the size of the next one. No read waits.
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_LANE_INPUT_H
#define WEIR_RELAY_LANE_INPUT_H

#include "relay/lane_buffer.h"

/* The next bytes to judge; false when there are none now, or the sender has closed (lane.eof). */
MUST_USE bool lane_input_next(struct lane *l, struct session *s, struct lane_window *w);

#endif
