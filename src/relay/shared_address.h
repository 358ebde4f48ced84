/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Reports an address that seems to stand for many clients (a load balancer without PROXY protocol, NAT), which share
 * one source's limits and bans.
 *
 * Its operator may not know. An address is reported when it holds more than SHARED_ADDRESS_LEAST connections in good
 * order and more than half of the gate's, and something well-behaved was seen of it lately. It is reported by one log
 * line and a metric, once a day and address. Addresses are remembered by a hash in SHARED_ADDRESS_PLACES words of the
 * gate. An address that falls on another's place is not reported that day.
 *
 * Checked when a handshake is done, never for a message. Threads: any worker.
 */
#ifndef WEIR_RELAY_SHARED_ADDRESS_H
#define WEIR_RELAY_SHARED_ADDRESS_H

#include "relay/record.h"

#define SHARED_ADDRESS_LEAST 50u

/* The session is established: checks its address. */
void shared_address_look(const struct session *s);

#endif
