/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Connections from the load balancers of proxy_protocol.from, between accept and the end of their PROXY protocol
 * header, which names the client.
 *
 * Before the header, neither the client nor its limits and bans are known. The header usually comes with the first
 * packet. It stays in the kernel until it is complete (MSG_PEEK), so a connection has no buffer here.
 *
 *   state      event                                                      next
 *   ACCEPTED   the header is there and names a client                     NAMED: listener.h decides about that client
 *   ACCEPTED   the header is there and names nobody                       NAMED, with the balancer's address
 *   ACCEPTED   the header is not complete                                 WAITS
 *   WAITS      the header is complete                                     NAMED
 *   WAITS      something else was sent, handshake.within is over, or      closed: WRONG, a verdict of its own
 *              PROXIED_PLACES are taken and it is the oldest here
 *   WAITS      the balancer leaves                                        closed: LEFT
 *   any        Weir drains                                                closed, without a verdict
 *
 * A balancer sends its header at once; that is why the oldest of this worker makes room when a gate has PROXIED_PLACES
 * of them. The verdict is no offence: the cause is the operator's mistake, or a check of the balancer that connects and
 * leaves.
 *
 * Threads: belongs to a worker; the gate's count is atomic. About 120 bytes for each connection, charged to the memory
 * account.
 */
#ifndef WEIR_RELAY_PROXIED_H
#define WEIR_RELAY_PROXIED_H

#include "relay/worker.h"

#define PROXIED_PLACES 256u

/* Takes over an accepted descriptor of a balancer. */
void proxied_take(struct worker_gate *wg, int fd, const struct addr *balancer);

/* An event at one of them: more of its header has come, or it has left. */
void proxied_on_event(struct watch *watch, uint32_t events);

/* Weir is about to end: no client comes out of them any more, and they are closed soon. */
void proxied_drain(struct worker *w);

/* Closes those of a worker. */
void proxied_end_all(struct worker *w);

#endif
