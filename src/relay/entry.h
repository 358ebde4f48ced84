/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session between accept and the beginning of its traffic: in line, or half-open.
 *
 * Newcomers of a source over source.connections.rate stand in one line a worker, first come, first let in; nothing of
 * them is read. The first of the line has the alarm, and nobody overtakes. When the line is full
 * (source.connections.half_open, or half of the gate together with its unfinished handshakes) further newcomers are
 * refused: whoever waited longest would otherwise make room for
 * whoever came last, and a source whose clients all come back at once would never get one in. Of those in line, one who
 * has said something goes before one who keeps silent, as no libzmq client does. The rate is for those who come to
 * nothing at the application: a handshake that is done gives its token back, and takes it again if the connection ends
 * within ENTRY_USED_NS without a message; one that stands still or ends before the application is asked gives it back
 * too, since it has cost the application nothing. So a host with a connection for each request is never held up, nor
 * one that starts hundreds of idle workers, nor the neighbours of one that stalls.
 *
 * Newcomers of a source on probation (probation.h) stand in the same line while ENTRY_PROBATION_PLACES handshakes of it
 * wait for their client. For each that comes then one gives way: one that has said nothing for ENTRY_TURN_NS, else the
 * one that has not moved on for longest, if that is ENTRY_TURN_NS. So how long a silence may be depends on how many
 * come: with 32 places and 200 newcomers a second 160 ms. While nobody waits, none gives way; and what waits for the
 * application takes no place. An honest handshake moves on each few milliseconds, or once in a round trip.
 *
 * From there on a session is half-open until its handshake is over. When there are too many of a source, or too many of
 * the gate and most are of the newcomer's own source, newcomers of it wait in line until one is done, or its client has
 * not moved on for ENTRY_OWN_NS: that one makes room, and what waits for the application only if all do. When there are
 * too many of the gate (each worker has its share of connections.half_open), one that has the next move itself makes
 * room before one that waits for the application, and those whose source was of no use lately before others
 * (strangers.h). Who waits for a routing id that is in use (claim.h) is among those who make room first. If all that
 * are there wait for the application, newcomers wait in the kernel's queue, as they would at the application itself;
 * one of no use is refused.
 */
#ifndef WEIR_RELAY_ENTRY_H
#define WEIR_RELAY_ENTRY_H

#include "relay/session.h"

/* Of each worker. */
#define ENTRY_PROBATION_PLACES 32u
#define ENTRY_TURN_NS          (20 * NS_PER_MS)

/* A handshake gives way to a newcomer of its own source when its client has let this much time pass. */
#define ENTRY_OWN_NS NS_PER_S

/* A connection that ends before without a message was of no use. */
#define ENTRY_USED_NS NS_PER_S

/* For the full gate: an unfinished handshake that has had this long is no newcomer's any more. */
#define ENTRY_SPARED_NS (200 * NS_PER_MS)

/* While nobody may come in, how long until the next look. */
#define ENTRY_CROWDED_NS (5 * NS_PER_MS)

/* Whether nobody may come in now, because all half-open sessions wait for the application, or have just come. The alarm
 * of accept_again is set when that has changed, if the caller has set wg->crowded_out. */
bool entry_is_crowded(const struct worker_gate *wg);

/* An unfinished handshake that gives way when the gate is full, or NULL. */
struct session *entry_pick(const struct worker_gate *wg);

/* Wakes all unfinished handshakes: something was learned of the application. At most connections.half_open of them. */
void entry_wake_all(struct worker_gate *wg);

/* Whether nothing but the application is missing in a half-open session now. */
void entry_note_turn(struct session *s, bool awaits_app);

/* A connection to the application is begun for it. */
void entry_note_asked(struct session *s);

/* A half-open handshake has moved on: it has its turn anew. */
void entry_note_move(struct session *s);

/* Why a newcomer of this source would find no place in line; PASS: it would. */
enum verdict entry_refuses(struct worker_gate *wg, const struct source *source);

/* Lets the session in, or puts it in line. May close other sessions. */
void entry_begin(struct session *s);

/* The alarm of the first in line. */
void entry_on_alarm(struct session *s);

/* Its handshake is done. */
void entry_done(struct session *s);

/* An open session ends and no message has passed. */
void entry_came_to_nothing(struct session *s);

/* The handshake is over, or the session ends: neither in line nor half-open any more. */
void entry_end(struct session *s);

#endif
