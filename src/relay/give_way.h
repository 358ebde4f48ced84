/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Which unfinished handshake gives way to a newcomer, when its source, its worker or the gate has too many. Only looks:
 * half_open.h and newcomer.h end what is chosen.
 *
 *   too many                                     gives way
 *   of the source                                the one that has not moved on for longest and waits for its client;
 *                                                one that waits for the application only if all do
 *   of a source on probation                     one that has said nothing for HALF_OPEN_TURN_NS, else the one that
 *                                                has not moved on for longest
 *   of the worker (its share of                  of the 16 oldest, one of the source that has the most; see below
 *   connections.half_open)
 *   connections of the gate (connections.max)    the oldest useless one; a stranger's after GIVE_WAY_SPARED_NS
 *
 * In a full worker, a handshake whose client has the next move goes before one that waits for the application, and
 * those whose source was of no use lately go before others (strangers.h). A session that waits for a routing id in use
 * (claim.h) counts as one whose client has the next move. If all wait for the application, newcomers wait in the
 * kernel's queue, as they would at the application itself. A newcomer whose source was of no use lately is refused.
 *
 * A handshake that waits for the application takes no place on probation. An honest handshake moves on each few
 * milliseconds, or once in a round trip.
 *
 * Threads: looks at its own worker's sessions; the counts of a source are atomic. Each look is bounded: by 16
 * handshakes, or by source.connections.half_open.
 */
#ifndef WEIR_RELAY_GIVE_WAY_H
#define WEIR_RELAY_GIVE_WAY_H

#include "base/units.h"
#include "relay/gate.h" /* enum standing */

#include <stdbool.h>

struct session;
struct source_conns;
struct worker_gate;

/* For the full gate: an unfinished handshake older than this is not spared any more. */
#define GIVE_WAY_SPARED_NS (200 * NS_PER_MS)

/* Whether the client has the next move and none of its bytes waits to be read. */
bool give_way_awaits_client(const struct session *s);

/* ---- a full source ---- */

/* Whether the session's source has source.connections.half_open of them. Those of other workers make no room here. */
bool give_way_source_is_full(const struct session *s);

/* The one that gives way in a full source. There must be one. */
struct session *give_way_of_source(const struct source_conns *p);

/* Of a source's unfinished handshakes that wait for their client, the one to end first. NULL: none waits.
 * *ret_awaiting: how many do. */
struct session *give_way_on_probation(const struct source_conns *p, unsigned *ret_awaiting);

/* The unfinished handshake of its own source that would have to end for this newcomer; NULL: none. */
struct session *give_way_own(const struct session *s);

/* ---- a full worker ---- */

/* Whether the worker has its share of connections.half_open. Each has its own, so that it can make room by itself. */
bool give_way_is_full(const struct worker_gate *wg);

/* The one that makes room in a full worker. One that waits for the application gives way to no newcomer of its own
 * standing. A useless newcomer displaces none of more standing. NULL: none. */
struct session *give_way_choose(const struct worker_gate *wg, enum standing newcomer);

/* Whether no newcomer may come in now, because all half-open sessions wait for the application or have just come. If
 * the caller has set wg->crowded_out, the alarm of accept_again is set when that changes. */
bool give_way_is_crowded(const struct worker_gate *wg);

/* ---- a full gate ---- */

/* An unfinished handshake that gives way when the gate is full, or NULL. */
struct session *give_way_for_gate(const struct worker_gate *wg);

#endif
