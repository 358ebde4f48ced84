/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session whose request has stood in line for too long (flow/codel.h), and what it meets then: an answer of Weir's
 * own, the end of its connection, or nothing at all (concurrency.shed). The application does not see the request.
 *
 * A request is answered only while no earlier one of its connection is with the application: a client that has several
 * under way tells the answers apart by their order. Until then it waits. Runs on the session's worker.
 */
#ifndef WEIR_RELAY_SHEDDING_H
#define WEIR_RELAY_SHEDDING_H

#include "base/cursor.h"
#include "relay/worker.h"
#include "security/traffic.h"

struct session;

/* The gate has another policy. */
void shedding_adopt(struct worker_gate *wg);

/* When it has lined up, at its alarm, and when there is another policy: sheds what waits too long, or sets the alarm.
 */
void shedding_look(struct session *s);

/* What is to become of the request that waits, asked when it is judged. */
enum traffic_shed shedding_now(struct session *s);

/* `request` was shed. */
void shedding_done(struct session *s, struct bytes request);

#endif
