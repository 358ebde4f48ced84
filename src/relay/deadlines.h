/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What the alarm of an open session is for: everything that ends it, or is due, because time has passed.
 *
 *   looked at, in this order                                       ends the session for
 *   a write for which the kernel had no memory (lane_output.h)     -
 *   a client that has caught up (slow_reader.h)                    -
 *   a request that has waited too long (request_shed.h)            -
 *   a place in line (request_flow.h)                               -
 *   a message that takes too long (progress.h)                     message too slow; gives way, while memory is short
 *   room for a large message that is not used (progress.h)         message too slow, or gives way
 *   a client too far behind (slow_reader.h)                        slow reader
 *   a subscriber that waits for room in vain (topic_room.h)        topics full
 *   PONGs in the names of the ends (keepalive.h)                   -
 *
 * Each of them sets the alarm for its next look. Rules in shadow are only counted.
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_DEADLINES_H
#define WEIR_RELAY_DEADLINES_H

struct session;

/* The alarm of an open session. May end the session. */
void deadlines_on_alarm(struct session *s);

/* Other limits are in force. A pause that is over is judged again, and starts again if needed. The alarm is set for
 * deadlines that have moved, and does not ring at once: it would send a PONG for each session held back. */
void deadlines_reconsider(struct session *s);

#endif
