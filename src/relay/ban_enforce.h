/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Enforces bans at the gates: a banned newcomer meets ban.action before any other check, and every worker closes the
 * banned connections that are open. The kernel may drop their packets before that (daemon/kernel_bans.h).
 *
 * Networks of ban.exempt are exempt from both. Each worker follows the changes of the ban table (bans/bans.h). A
 * worker that fell behind looks at all of its connections.
 *
 * A ban for offences closes no open connection, unless `ban.shared` is `ban`. The banned source may have an open
 * connection: another worker's offender had the same address, or the connection opened meanwhile. A worker that finds
 * one lifts the ban and puts the source on probation. A ban by an operator or a list closes everything.
 *
 * The tarpit keeps a connection open without reading it. A libzmq client would otherwise reconnect every 100 ms; in the
 * tarpit it waits for its own timeout (30 s). The tarpit also takes the connections of offenders (strike_scoring.h).
 *
 *   state   event                                                       next
 *   none    a banned newcomer (ban_enforce_receive())                   KEPT until the ban ends
 *   none    an offending or mistaken session ends (ban_enforce_keep())  KEPT for a given time
 *   none    ban.action is not tarpit, ban.tarpit connections are kept   closed at once
 *           at the gate already, or out of memory
 *   KEPT    its time is over, its client leaves, or the worker ends     closed
 *   KEPT    a sweep finds its ban lifted or exempt (only a banned       closed in the next round
 *           newcomer's; sweep.h)
 *
 * Threads: each worker has its own tarpit; the places are counted in an atomic of the gate. The ban table has locks of
 * its own. A kept connection costs about 100 bytes, charged to the memory account.
 */
#ifndef WEIR_RELAY_BAN_ENFORCE_H
#define WEIR_RELAY_BAN_ENFORCE_H

#include "base/addr.h"
#include "base/attr.h"
#include "base/list.h"
#include "limits/verdict.h"
#include "loop/loop.h"

struct bans;
struct session;
struct worker;
struct worker_gate;

/* A worker's part in it. */
struct ban_enforce_worker {
    struct bans *table; /* of all gates; may be NULL */
    uint64_t seen;      /* changes of it that this worker has followed */
    struct list tarpit;
};

void ban_enforce_init(struct ban_enforce_worker *b, struct bans *table);

/* Bans the session's address for a verdict, and tells all workers. */
void ban_enforce_punish(struct session *s, enum verdict v);

/* Whether a newcomer is banned; *ret_until_ns is the end of the ban. One atomic load while nobody is banned. */
bool ban_enforce_is_banned(const struct worker_gate *wg, const struct addr *addr, uint64_t *ret_until_ns);

/* Before a connection to a gate is closed: where the kernel may drop the packets of its source, it is closed with a
 * reset. A FIN would never be acknowledged, and the kernel would retransmit it again and again. */
void ban_enforce_before_close(const struct worker_gate *wg, int fd, const struct addr *addr);

/* Takes over a banned newcomer's descriptor: keeps it in the tarpit (true), or closes it. */
bool ban_enforce_receive(struct worker_gate *wg, int fd, const struct addr *addr, uint64_t until_ns);

/* Takes the client's descriptor from a session that ends, and keeps it in the tarpit for a while. False: the client has
 * left, no place is free, Weir is draining, or ban.action is not tarpit; nothing has happened. */
MUST_USE bool ban_enforce_keep(struct session *s, uint64_t for_ns);

/* For a sweep. The first ends the session if its client is banned now. The second releases connections from the
 * tarpit whose ban is gone, and looks at `most` of them at most; true: all were looked at. */
void ban_enforce_look_at(struct session *s);
bool ban_enforce_look_at_tarpit(struct worker *w, unsigned most);

/* The table has changed: ends the sessions of single sources that are banned now. True: changes concern more than
 * single sources, or were missed, and a sweep has to look at every connection. */
MUST_USE bool ban_enforce_follow(struct worker *w);

/* An event at a connection in the tarpit: its client has left. */
void ban_enforce_on_event(struct watch *watch);

/* Closes a worker's whole tarpit. */
void ban_enforce_end_all(struct worker *w);

/* Tells the workers to follow the ban table. Any thread. */
void ban_enforce_tell_all(struct worker **workers, unsigned count);

#endif
