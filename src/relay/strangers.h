/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Who gives way at a full gate. Three kinds of sources, by what is remembered of them: GOOD (something well-behaved was
 * seen of it within ban.standing), STRANGER (nothing is known), USELESS (within the last minute one of its connections
 * was of no use: it left without a word after its handshake, or did not finish it in its own turn).
 *
 * A session that is open and has passed no message yet, and subscribed to nothing, is a stranger and goes first. Of a
 * few of them, chosen at random, the youngest goes, by powers of two of seconds: who stood before the gate was full
 * goes last. Of the same age who has said nothing at all goes, then the one from whose prefix (IPv4 /24, IPv6 /48) most
 * have come lately. One whose handshake was just finished is spared if anybody else goes, and one of a GOOD source that
 * holds few connections is not chosen here.
 *
 * Any other session is proven. Each message that has passed (of the direction with more) is worth 10 s of idleness, up
 * to 10 minutes; if its source holds more than half of the gate, all of them are worth one second. Who has been idle
 * for longer (no byte either way) goes when no stranger does, and so does a stranger that was not chosen above: of the
 * source that holds most connections, if these are more than a few and more than the newcomer's source holds, the one
 * that has been idle longest; else, for a newcomer of a GOOD source with few, the one that came last.
 *
 * Two arrays of pointers a worker and gate, charged to the memory account and freed with the last of their sessions,
 * and 16 KiB of counters a gate, by a keyed hash of the prefix (two prefixes may share one: then both look larger).
 * When memory is out a session is not entered: it stays. Runs on the session's worker; the counters are shared.
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

/* Enters a session whose handshake is done; has it proven, once it has passed a message or subscribed; removes it when
 * it ends. Harmless when done twice. */
void strangers_enter(struct session *s);
void strangers_prove(struct session *s);
void strangers_leave(struct session *s);

/* So long after its handshake a session has had its chance to say something. */
#define STRANGERS_SPARED_NS (200 * NS_PER_MS)

/* The stranger that goes now; NULL: nobody. One that is spared only if `spared_too`. A look at STRANGERS_LOOKED_AT at
 * most. */
#define STRANGERS_LOOKED_AT 16u
struct session *strangers_pick(struct worker_gate *wg, bool spared_too);

/* The idle session here that goes for a newcomer of this source (NULL: one of another worker) and standing; NULL:
 * nobody. Looks at as many. */
struct session *strangers_pick_idle(struct worker_gate *wg, const struct source *newcomer, enum standing standing);

/* Whether a source holds few connections; its newcomer, if it was acquired for one, included. */
bool strangers_holds_few(const struct source *source);

/* The first message of a session passes, and its source is not marked good yet: how many sources came into good
 * standing. */
void strangers_note_served(const struct session *s);

#endif
