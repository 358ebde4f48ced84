/* SPDX-License-Identifier: MPL-2.0 */
/*
 * One address that stands for many clients (a load balancer without PROXY protocol, NAT) shares one source's limits and
 * bans, and its operator may not know. So once an address holds more than SHARED_ADDRESS_LEAST connections in good
 * order and more than half of the gate's, and something well-behaved was seen of it lately, one line says so, and a
 * metric counts it: once a day and address. Addresses are remembered by a hash in SHARED_ADDRESS_PLACES words of the
 * gate; one that meets another's place is not told of that day.
 *
 * Looked at when a handshake is done, never for a message. Any worker.
 */
#ifndef WEIR_RELAY_SHARED_ADDRESS_H
#define WEIR_RELAY_SHARED_ADDRESS_H

#include "relay/session.h"

#define SHARED_ADDRESS_LEAST 50u

/* The session is established. */
void shared_address_look(const struct session *s);

#endif
