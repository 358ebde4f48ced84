/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Sheds a request that has stood in line for too long (load shedding by CoDel; flow/codel.h): Weir answers it, closes
 * the connection, or drops it.
 *
 * concurrency.shed says which. The application does not see the request.
 *
 * A request is answered only while no earlier one of its connection is with the application: a client with several
 * requests under way tells the answers apart by their order. Until then it waits. Threads: the session's worker.
 */
#ifndef WEIR_RELAY_REQUEST_SHED_H
#define WEIR_RELAY_REQUEST_SHED_H

#include "base/cursor.h"
#include "inspect/reply.h"
#include "inspect/traffic.h"
#include "relay/worker.h"

struct session;

/* The gate has another policy. */
void request_shed_adopt(struct worker_gate *wg);

/* Sheds a request that has waited too long, or sets the alarm. Called when the session has lined up, at its alarm, and
 * when there is another policy. */
void request_shed_look(struct session *s);

/* What becomes of the waiting request; asked when it is judged. */
enum traffic_shed request_shed_now(struct session *s);

/* `request` was shed: the answer to its client, if it is to have one, is put into `ret`. Returns its length. */
MUST_USE size_t request_shed_done(struct session *s, struct bytes request, uint8_t ret[static REPLY_MAX]);

#endif
