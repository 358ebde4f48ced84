/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a ban does at the gates: newcomers meet ban.action before anything else is looked at, and every worker closes
 * the connections that are there. Networks of ban.exempt are asked first. A worker follows the changes of the ban
 * table; when it fell behind it looks at all of its connections.
 *
 * A ban for offences closes no connection that stands, unless `ban.shared` is ban: a worker that finds one (another
 * worker's offender has its address, or the connection has come to stand meanwhile) lifts the ban and puts the source
 * on probation. A ban by an operator or a list closes all.
 *
 * The tarpit: a connection that is kept and not read until the ban ends, so that a libzmq client, which would come back
 * every 100 ms, waits for its own timeout (30 s) instead; also that of an offender (offence.h). About 100 bytes each,
 * charged to the memory account; at most ban.tarpit of a gate; beyond that, or without memory, the connection is closed
 * at once.
 */
#ifndef WEIR_RELAY_BANNED_H
#define WEIR_RELAY_BANNED_H

#include "relay/session.h"

/* Enters the session's own address (IPv6: its /64), never the network of an entry that it shares, into a ban table for
 * a verdict, and says what bans_punish() does. */
MUST_USE bool banned_enter(struct bans *t, const struct session *s, const struct ban_terms *terms, enum verdict v,
                           uint64_t random, struct ban *ret);

/* Bans the session's address for a verdict, and tells all workers. */
void banned_punish(struct session *s, enum verdict v);

/* Whether a newcomer is banned; *ret_until_ns tells until when. One atomic load while nobody is. */
bool banned_is(const struct worker_gate *wg, const struct addr *addr, uint64_t *ret_until_ns);

/* Before a connection to a gate is closed: where the kernel may drop what its source sends, it ends with a reset. A FIN
 * would never be acknowledged, and the kernel would send it again and again. */
void banned_before_close(const struct worker_gate *wg, int fd, const struct addr *addr);

/* Takes over a banned newcomer's descriptor: keeps it in the tarpit (true), or closes it. */
bool banned_receive(struct worker_gate *wg, int fd, const struct addr *addr, uint64_t until_ns);

/* Takes the client's descriptor from a session that ends and keeps it in the tarpit for a while. False: the client has
 * left, there is no place, or ban.action is not tarpit; nothing has happened. */
MUST_USE bool banned_keep(struct session *s, uint64_t for_ns);

/* For a sweep: closes the session if its client is banned now; and lets go of those in the tarpit who are no longer, at
 * most so many: true when all were looked at. */
void banned_look_at(struct session *s);
bool banned_look_at_tarpit(struct worker *w, unsigned most);

/* The table has changed: closes connections of those who are banned now, lets go of those who are no longer. */
void banned_follow(struct worker *w);

/* ban.exempt may have changed: the same for everybody. */
void banned_reconsider(struct worker *w);

/* Something happened to a connection in the tarpit: its client has left. */
void banned_on_event(struct watch *watch);

/* Closes all of a worker's tarpit. */
void banned_end_all(struct worker *w);

/* Tells the workers to follow. Any thread. */
void banned_tell_all(struct worker **workers, unsigned count);

#endif
