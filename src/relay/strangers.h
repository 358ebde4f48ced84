/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Picks the open session that gives way at a full gate: strangers first, then idle sessions.
 *
 * Sources are of three kinds, by what is remembered of them:
 * - GOOD: something well-behaved was seen of it within ban.standing.
 * - STRANGER: nothing is known.
 * - USELESS: within the last minute one of its connections was of no use. It left without a word after its handshake,
 *   or did not finish the handshake in its own turn.
 *
 *   state      event                                               next
 *   none       the handshake is done                               STRANGER
 *   STRANGER   it has passed a message, or has subscribed          PROVEN
 *   any        the session ends                                    none
 *
 * An open session that has passed no message and has no subscription is a stranger, and goes first. Of a few strangers,
 * chosen at random, one goes in this order:
 * 1. The youngest goes, by powers of two of seconds: a session from before the gate was full goes last.
 * 2. Of the same age, one that has sent nothing at all goes.
 * 3. Then one goes whose prefix (IPv4 /24, IPv6 /48) has had most arrivals lately.
 *
 * One whose handshake was just finished is spared if any other can go. One of a GOOD source that holds few connections
 * is not chosen here.
 *
 * Any other session is proven. Each message that has passed (of the direction with more) is worth 10 s of idleness, up
 * to 10 minutes. If its source holds more than half of the gate, all messages together are worth one second. A session
 * that has been idle for longer (no byte either way) goes when no stranger does, and so does a stranger that was not
 * chosen above:
 * - of the source that holds most connections, if these are more than a few and more than the newcomer's source holds,
 *   the one that has been idle longest;
 * - else, for a newcomer of a GOOD source with few, the one that came last.
 *
 * Threads: each worker has its own two arrays of pointers for each gate, charged to the memory account and freed with
 * the last of their sessions. All workers share 16 KiB of atomic counters for each gate, by a keyed hash of the prefix
 * (two prefixes may share one: then both look larger). Without memory for it a session is not entered, and so stays.
 */
#ifndef WEIR_RELAY_STRANGERS_H
#define WEIR_RELAY_STRANGERS_H

#include "base/attr.h"
#include "relay/gate.h" /* enum standing */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct session;
struct worker_gate;

/* Open sessions of one kind. */
struct strangers {
    struct session **at;
    uint32_t count, capacity;
    uint64_t random;
};

/* A gate of a worker; all zero at the start. */
struct strangers_worker {
    struct strangers unproven; /* sessions that have been of no use yet */
    struct strangers proven;   /* the other open ones */
    _Atomic uint32_t count;    /* unproven.count, for other workers */
    _Atomic uint32_t asked;    /* how many of them shall give way to newcomers of other workers */
};

/* The standing of a newcomer's source. `source` was acquired for it. */
enum standing strangers_judge(const struct worker_gate *wg, const struct source *source);

/* The session ends and was of no use: this is remembered of its source for a minute. */
void strangers_note_useless(const struct session *s);

/* The first enters a session whose handshake is done. The second marks it proven, once it has passed a message or
 * subscribed. The third removes it when it ends. Harmless when done twice. */
void strangers_enter(struct session *s);
void strangers_prove(struct session *s);
void strangers_leave(struct session *s);

/* A session this long after its handshake has had its chance to send something. */
#define STRANGERS_SPARED_NS (200 * NS_PER_MS)

/* The stranger that goes now; NULL: none. A spared one only if `spared_too`. Looks at STRANGERS_LOOKED_AT at most. */
#define STRANGERS_LOOKED_AT 16u
struct session *strangers_pick(struct worker_gate *wg, bool spared_too);

/* The idle session here that goes for a newcomer of this source (NULL: one of another worker) and standing; NULL: none.
 * Looks at as many. */
struct session *strangers_pick_idle(struct worker_gate *wg, const struct source *newcomer, enum standing standing);

/* Whether a source holds few connections, including the newcomer that it was acquired for. */
bool strangers_holds_few(const struct source *source);

/* The first message of a session passes, and its source is not marked good yet: counts the sources that came into good
 * standing. */
void strangers_note_served(const struct session *s);

#endif
