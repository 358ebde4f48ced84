/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Coming in: what is decided about a newcomer before anything is allocated for it: connections of the gate and of its
 * source, a place in line, descriptors. Belongs to a worker.
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

/* Closes the listener. */
void listener_stop(struct worker_gate *wg);

/* The alarm of wg->accept_again. */
void listener_on_alarm(struct alarm *a);

#endif
