/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Coming in: what is decided about a newcomer before anything is allocated for it: connections of the gate and of its
 * source, a place in line, descriptors. Belongs to a worker.
 */
#ifndef WEIR_RELAY_LISTENER_H
#define WEIR_RELAY_LISTENER_H

#include "relay/worker.h"

/* Connections are waiting at the listener. */
void listener_on_event(struct worker_gate *wg);

/* Closes the listener. */
void listener_stop(struct worker_gate *wg);

/* The alarm of wg->accept_again. */
void listener_on_alarm(struct alarm *a);

#endif
