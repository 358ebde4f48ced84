/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Accepts connections of a gate's listener, a few in one turn. While no unfinished handshake can make room, and while
 * descriptors are out, newcomers wait in the kernel's queue. Whether one is let in is decided in newcomer.h.
 *
 * Threads: belongs to a worker.
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
