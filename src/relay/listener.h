/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Coming in: what is decided about a newcomer before anything is allocated for it: connections of the gate and of its
 * source, a place in line, descriptors. Belongs to a worker.
 *
 * When the gate is full (connections.max, or the application's descriptors), or Weir has no descriptor left, an
 * unfinished handshake gives way, else a session that has passed no message yet (strangers.h), here or at another
 * worker, else one that has stood idle for longer than what it was used for is worth (strangers.h). If there is none
 * the newcomer is refused. A newcomer whose source was of no use lately is refused at once. Of the gate up to a 16th,
 * but no more than sources have come into good standing, is kept for those that are, and hold few connections.
 */
#ifndef WEIR_RELAY_LISTENER_H
#define WEIR_RELAY_LISTENER_H

#include "policy/event.h"
#include "relay/worker.h"

/* Connections are waiting at the listener. */
void listener_on_event(struct worker_gate *wg);

/* A newcomer that is who `addr` says, with a descriptor of its own: from here on it is let in or refused.
 * `of_balancer`: see struct session. */
void listener_welcome(struct worker_gate *wg, int fd, const struct addr *addr, bool of_balancer);

/* Counts that a newcomer was not let in, and says so now and then. */
void listener_note_refusal(struct worker_gate *wg, const struct addr *addr, enum verdict v, enum event_deed done);

/* Other workers have newcomers for which there is no room: as many sessions give way here. */
void listener_give_way(struct worker *w);

/* Closes the listener. */
void listener_stop(struct worker_gate *wg);

/* The alarm of wg->accept_again. */
void listener_on_alarm(struct alarm *a);

#endif
