/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides whether a newcomer is let in or refused, before anything is allocated for it: connections of the gate and of
 * its source, a place in line, memory, descriptors.
 *
 * When the gate is full (connections.max, or the application's descriptors), or Weir has no descriptor left, one
 * session gives way, in this order:
 * 1. an unfinished handshake;
 * 2. a session that has passed no message yet (strangers.h), here or at another worker;
 * 3. a session that has been idle for longer than its use so far is worth (strangers.h).
 *
 * If there is none, the newcomer is refused. At a full gate, a newcomer whose source was of no use lately is refused at
 * once. Part of the gate is reserved for sources in good standing that hold few connections: up to a 16th, but no more
 * than the number of sources that have come into good standing.
 *
 * Threads: belongs to a worker.
 */
#ifndef WEIR_RELAY_NEWCOMER_H
#define WEIR_RELAY_NEWCOMER_H

#include "events/event.h"
#include "relay/worker.h"

/* A newcomer whose address is `addr`, with a descriptor of its own: from here on it is let in or refused.
 * `of_balancer`: see struct session_flags. */
void newcomer_welcome(struct worker_gate *wg, int fd, const struct addr *addr, bool of_balancer);

/* Counts a refused newcomer, and logs it now and then. `detail`: what the verdict does not say, or "". */
void newcomer_note_refusal(struct worker_gate *wg, const struct addr *addr, enum verdict v, enum event_deed done,
                           const char *detail);

/* One session of this worker gives way, and its descriptor is free at once. False: there is none. */
bool newcomer_one_gives_way(struct worker_gate *wg);

/* Other workers have newcomers without room: as many sessions give way here. */
void newcomer_give_way(struct worker *w);

#endif
