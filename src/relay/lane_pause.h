/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Why a lane does not read although there are bytes: a limit makes it wait, or its session is in line.
 *
 *   state       event                                                          next
 *   GOES        a rate limit is reached (lane_pause_begin())                   PAUSED, until the session's resume_ns
 *   PAUSED      that time has come (lane_pause_is_over())                      GOES
 *   PAUSED      the application is gone                                        GOES: what it has sent is delivered
 *   GOES        the session is in line (lane_pause_has_turn(); inbound)        HELD BACK
 *   HELD BACK   the session's turn has come (lane_pause_has_turn())            GOES
 *
 * The clock of the incomplete message starts again when either ends. Inside CURVE a pause lasts heartbeat.max_pause at
 * most.
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_LANE_PAUSE_H
#define WEIR_RELAY_LANE_PAUSE_H

#include "base/attr.h"

#include <stdbool.h>

struct lane;
struct session;
struct traffic_result;

/* Time that the receiver or Weir took does not count against the sender of the incomplete message. */
void lane_pause_restart_clock(struct lane *l, struct session *s);

/* The lane waits as long as `r` says. */
void lane_pause_begin(struct lane *l, struct session *s, const struct traffic_result *r);
void lane_pause_end(struct lane *l, struct session *s);

/* Whether no limit makes the lane wait any more; if one does, the session's alarm is set. */
MUST_USE bool lane_pause_is_over(struct lane *l, struct session *s);

/* Whether the lane is not in line. */
MUST_USE bool lane_pause_has_turn(struct lane *l, struct session *s);

#endif
