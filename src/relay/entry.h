/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session between accept and the beginning of its traffic: in line, or half-open.
 *
 * Newcomers of a source over source.connections.rate stand in one line a worker, first come, first let in; nothing of
 * them is read. The first of the line has the alarm, and nobody overtakes. When the line is full
 * (source.connections.half_open) further newcomers are refused: whoever waited longest would otherwise make room for
 * whoever came last, and a source whose clients all come back at once would never get one in.
 *
 * From there on a session is half-open until its handshake is over. When there are too many of a source or of the gate,
 * the one that has gone on longest makes room: an honest handshake takes milliseconds. Since the half-open come in at
 * the rate at most, each has its time.
 */
#ifndef WEIR_RELAY_ENTRY_H
#define WEIR_RELAY_ENTRY_H

#include "relay/session.h"

/* Whether a newcomer of this source would find no place in line. */
bool entry_is_full(struct worker_gate *wg, const struct source *source);

/* Lets the session in, or puts it in line. May close other sessions. */
void entry_begin(struct session *s);

/* The alarm of the first in line. */
void entry_on_alarm(struct session *s);

/* The handshake is over, or the session ends: neither in line nor half-open any more. */
void entry_end(struct session *s);

#endif
