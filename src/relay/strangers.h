/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Who gives way at a full gate. Three kinds of sources, by what is remembered of them: GOOD (something well-behaved was
 * seen of it within ban.standing), STRANGER (nothing is known), USELESS (within the last minute one of its connections
 * was of no use: it left without a word after its handshake, or did not finish it in its own turn).
 *
 * A session that is open and has passed no message yet, and subscribed to nothing, is a candidate. Of a few of them,
 * chosen at random, the one goes whose prefix (IPv4 /24, IPv6 /48) has the most candidates; one whose handshake was
 * just finished is spared if there is another, and one of a GOOD source that holds few connections is never chosen. A
 * session with a message to its name is no candidate: it is never closed for a newcomer, unless one source holds more
 * than half of the gate and leaves it idle.
 *
 * One array of pointers a worker and gate, charged to the memory account and freed with the last of them, and 16 KiB of
 * counters a gate, by a keyed hash of the prefix (two prefixes may share one: then both look larger). When memory is
 * out a session is not entered: it stays. Runs on the session's worker; the counters are shared.
 */
#ifndef WEIR_RELAY_STRANGERS_H
#define WEIR_RELAY_STRANGERS_H

#include "base/attr.h"
#include "relay/worker.h"

struct session;

/* What is known of a newcomer's source. `source` was acquired for it. */
enum standing strangers_judge(const struct worker_gate *wg, const struct source *source);

/* The session ends and was of no use: remembered of its source for a minute. */
void strangers_note_useless(const struct session *s);

/* Enters a session whose handshake is done; removes one that has passed a message, or ends. Harmless when done twice.
 */
void strangers_enter(struct session *s);
void strangers_leave(struct session *s);

/* The candidate that goes now; NULL: nobody. A look at STRANGERS_LOOKED_AT at most. */
#define STRANGERS_LOOKED_AT 16u
struct session *strangers_pick(struct worker_gate *wg);

/* One source holds more than half of the gate (a client that never closes what it opens): of a few of its sessions
 * here, served or not, the one that has been idle longest, if that is a second; for a newcomer of another source that
 * holds few. NULL: nobody. The peer is looked at when a session of it comes. */
void strangers_note_dominant(struct worker_gate *wg, struct peer *p);
struct session *strangers_pick_of_dominant(struct worker_gate *wg, const struct source *newcomer);

/* A session of a source that was served comes, and goes: how many such sources are away. */
void strangers_note_return(const struct session *s);
void strangers_note_leave(const struct session *s);

#endif
