/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Enters the routing id of a client before its application sees it. Two clients of a ROUTER or REP application have
 * never the same id (claim.h decides who keeps it).
 *
 *   state      member                      event                                            next
 *   UNKNOWN    !checked, !named            the client sends its READY or INITIATE           TO CHECK
 *   TO CHECK   !checked, named             the id is free, or nobody minds                  CHECKED
 *   TO CHECK   !checked, named             in use: it is refused                            the session ends
 *   TO CHECK   !checked, named             in use: the claim is not decided yet             TO CHECK, again in 100 ms
 *   CHECKED    checked                     the id goes on to the application
 *
 * Threads: belongs to the session's worker; the gate's table of ids has a lock of its own.
 */
#ifndef WEIR_RELAY_ROUTING_ID_H
#define WEIR_RELAY_ROUTING_ID_H

#include "base/attr.h"

#include <stdbool.h>

struct session;

/* Enters the routing id as soon as the client has sent it. False: the session has ended. */
MUST_USE bool routing_id_enter(struct session *s);

/* Whether the application may see what the client says of itself: an id is entered before. */
bool routing_id_may_pass(const struct session *s);

#endif
