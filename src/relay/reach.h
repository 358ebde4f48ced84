/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Whether a gate's application is known and there, and who finds out. Weir opens no connection of its own: what it
 * knows, it knows from connections of clients, because an application may count every connection as a client (libzmq
 * before 4.3.3, JeroMQ and NetMQ send messages to one as soon as it is accepted).
 *
 * What was learned is true while a connection stands that has shown its greeting, or has just done so. Otherwise one
 * client at a time has the turn (single flight): it is connected as soon as it has said its version, and what the
 * application answers is learned for all. The others wait for that, a second at most: then one more of them tries.
 * While the application cannot be reached, only who has the turn asks again, after 20 ms, doubling up to 500 ms, so
 * that hundreds who wait ask no more often than one. Without clients nobody asks.
 *
 * Any worker; atomics in struct gate. Nothing is allocated.
 */
#ifndef WEIR_RELAY_REACH_H
#define WEIR_RELAY_REACH_H

#include "relay/worker.h"

struct session;

/* Who has the turn keeps it from others for so long after it began to connect. */
#define REACH_TURN_NS NS_PER_S

/* A session's part in it; in struct opening. */
struct reach_part {
    uint64_t turn_ns; /* it has the turn, since then; 0: it has not */
    bool waits;       /* for who has it */
    bool stands;      /* its connection has shown the application's greeting */
};

/* What is known of the application; false: nothing that is true now. */
bool reach_knows(const struct worker_gate *wg, struct handshake_app *ret);

/* Whether a connection stands that has shown the greeting. */
bool reach_stands(const struct worker_gate *wg);

/* Whether an opening session may connect now. If not, its retry_ns is set, and it is woken when something was learned.
 */
MUST_USE bool reach_takes_turn(struct session *s);

/* Whether a newcomer would be the one that asks an application which could not be reached. */
bool reach_is_due(const struct worker_gate *wg);

/* Its attempt has failed with this error (-errno), which speaks of the application. Returns after how many nanoseconds
 * it may be tried again. */
uint64_t reach_on_failure(struct session *s, int error);

/* The application has accepted the connection, and then closed it or stayed silent. */
void reach_on_silence(struct session *s, const char *why);

/* It has shown its greeting; it has shown more of itself in the handshake. */
void reach_on_greeting(struct session *s);
void reach_on_words(struct session *s);

/* The handshake is over, or the session ends. */
void reach_leave(struct session *s);

/* The application has closed a connection: what stands of what was learned, only others that stand can tell. */
void reach_doubt(struct worker_gate *wg);

/* It is another than before. */
void reach_forget(struct worker_gate *wg);

#endif
