/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides whether an address may be banned for an offence of one of its connections, and puts it on probation if not.
 *
 * An offence belongs to its connection. Behind the address there may be other clients (NAT, a container bridge, a
 * proxy). An address that was seen well-behaved is therefore not banned. It is put on probation for as long as the
 * first ban lasts. During probation its newcomers are let in a few unproven handshakes at a time (half_open.h), and no
 * open connection is touched. `ban.shared: ban` bans it all the same.
 *
 *   state          event                                                              next
 *   none           ban.strikes are reached, and the address is spared                 ON PROBATION
 *   none           a ban for offences is lifted, because a connection is open         ON PROBATION
 *   none           ban.strikes are reached, and the address is not spared             banned (ban_enforce.h)
 *   ON PROBATION   a further offence, and the address is spared                       ON PROBATION, starting again
 *   ON PROBATION   the time of a first ban is over                                    none
 *
 * An address is spared, too, in the first minute of a gate (`ban.warm_up`). Clients that were well-behaved before a
 * restart of Weir have not come back yet, and behind a ban they could not.
 *
 * An entry that many sources share is never put on probation: the others have done nothing.
 *
 * Threads: the session's worker. Probation is a state of the source's strikes (limits/strikes.h) at one gate, in an
 * atomic word; it takes no memory.
 */
#ifndef WEIR_RELAY_PROBATION_H
#define WEIR_RELAY_PROBATION_H

#include "relay/record.h"

/* Whether the session's address is spared: it was seen well-behaved at any gate within ban.standing, another of its
 * connections is open here, or many sources share its entry. Connections at other workers are found when these follow
 * the ban (ban_enforce.c). */
bool probation_knows_good(const struct session *s);

/* Whether it is put on probation instead of banned: spared, or the gate is new, and ban.shared says so. */
bool probation_exempts(const struct session *s);

/* Puts the session's source on probation for a verdict; again, if it is already. */
void probation_begin(struct session *s, enum verdict v);

/* Whether a source is on probation under the limits `l`. */
static inline bool probation_holds(const struct source *source, const struct limits *l, uint64_t now_ns)
{
    return strikes_on_probation(&source->strikes, &l->ban.strikes, now_ns);
}

#endif
