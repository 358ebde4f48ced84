/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Whether an address may be banned for what one of its connections does, and what becomes of it when it may not. An
 * offence belongs to its connection: behind the address there may be others (NAT, a container bridge, a proxy), so one
 * from which something well-behaved was seen is not banned, but is put on probation for as long as the first ban lasts.
 * During probation its newcomers are let in a few unproven handshakes at a time (entry.h), and no connection that
 * stands is touched. `ban.shared: ban` bans it all the same.
 *
 * Probation is a state of the source's strikes (policy/strikes.h), at one gate; it takes no memory. Belongs to the
 * session's worker.
 */
#ifndef WEIR_RELAY_PROBATION_H
#define WEIR_RELAY_PROBATION_H

#include "relay/session.h"

/* Whether the session's address is spared: it was seen well-behaved at any gate within ban.standing, another connection
 * of it stands here, or its entry is one that many sources share. Connections at other workers are found when these
 * follow the ban (banned.c). */
bool probation_knows_good(const struct session *s);

/* The same under ban.shared: not banned, but on probation. */
bool probation_spares(const struct session *s);

/* Puts the session's source on probation for a verdict; again, if it is. */
void probation_begin(struct session *s, enum verdict v);

/* Whether the limits `l` have a source on probation. */
static inline bool probation_holds(const struct source *source, const struct limits *l, uint64_t now_ns)
{
    return strikes_on_probation(&source->strikes, &l->ban.strikes, now_ns);
}

#endif
