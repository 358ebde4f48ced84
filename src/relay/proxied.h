/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Connections from the load balancers of proxy_protocol.from, between accept and the end of their PROXY protocol
 * header: who the client is, and so whose limits and bans they meet, is not known before. The header usually comes with
 * the first packet; it stays in the kernel until it is complete (MSG_PEEK), so a connection has no buffer here.
 *
 * Belongs to a worker. About 120 bytes a connection, charged to the memory account. At most PROXIED_PLACES of a gate;
 * beyond that the one of this worker that has waited longest is closed, for a balancer sends its header at once. Closed
 * as well is who has sent none within handshake.within, or something else: with a verdict of its own that is no
 * offence, because it is the operator's mistake, or a check of the balancer that connects and leaves.
 */
#ifndef WEIR_RELAY_PROXIED_H
#define WEIR_RELAY_PROXIED_H

#include "relay/worker.h"

#define PROXIED_PLACES 256u

/* Takes over an accepted descriptor of a balancer. */
void proxied_take(struct worker_gate *wg, int fd, const struct addr *balancer);

/* Something happened to one: more of its header is there, or it has gone. */
void proxied_on_event(struct watch *watch, uint32_t events);

/* Weir is about to end: no client comes out of them any more, and they are closed soon. */
void proxied_drain(struct worker *w);

/* Closes all of a worker. */
void proxied_end_all(struct worker *w);

#endif
