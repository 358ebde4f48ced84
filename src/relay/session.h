/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session: one client connection and its one connection to the application. session.c is the place where both are
 * closed (tear_down()).
 *
 * A connection is closed elsewhere only by newcomer.h (a refused one), by ban_enforce.h (the tarpit), by proxied.h
 * (before there is a client), by upstream.h (a connect to the application that failed), and by linger.h (the
 * application's end of a session that was open).
 *
 *   state        event                                                       next
 *   NEW          half_open.h lets the newcomer in                            HANDSHAKING
 *   NEW          the newcomer has to wait                                    WAITING: in line, nothing is read
 *   WAITING      its turn comes                                              HANDSHAKING: greeting and handshake
 *                                                                            (handshaking.h); the application is
 *                                                                            connected once the client is worth it
 *                                                                            (upstream.h)
 *   HANDSHAKING  the handshake is done                                       OPEN: two lanes of judged traffic (lane.h)
 *   any          a verdict ends it; one side ends (lane.h, handshaking.h);   ended: it takes no more turns
 *                time has passed (deadlines.h, handshaking_clock.h);
 *                out of memory; ban, kick, drain; it gives way (give_way.h)
 *   ended        at the end of the turn (session_reap())                     torn down: descriptors closed, unlinked
 *   torn down    the round of events is done                                 freed
 *
 * A client may leave while its messages wait in line (request_flow.h). These are still delivered, as for a DEALER or
 * PUSH that sends and closes. Messages of a REQ, or of a connection that was reset, are not passed on any more
 * (asker_left): their answer would reach nobody. Messages passed before stay charged to the source.
 *
 * Threads: belongs to the worker that accepted it.
 */
#ifndef WEIR_RELAY_SESSION_H
#define WEIR_RELAY_SESSION_H

#include "relay/record.h"

/* Takes over an accepted descriptor. On failure the descriptor is closed and the verdict counted. `of_balancer`: see
 * struct session_flags. */
void session_accept(struct worker_gate *wg, int fd, const struct addr *addr, struct source *source, bool of_balancer);

/* Gives the session its turn. */
void session_run(struct session *s);

/* Other limits are in force: everything it waits for is judged again. */
void session_reconsider(struct session *s);

/* Ends the session and tears it down at once: counts and logs the verdict, closes both descriptors. For modules above
 * this one; those below it call session_end(). */
void session_close(struct session *s, enum verdict v);

/* Tears down the sessions that have ended (session_end()). After each call that may end any: none is left when the
 * worker goes on to the next event, turn or alarm. */
void session_reap(struct worker *w);

/* Frees a session that was torn down. */
void session_free(struct session *s);

#endif
