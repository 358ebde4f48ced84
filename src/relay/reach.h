/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Whether a gate's application is known and reachable, and which client's connection probes it.
 *
 * Weir opens no connection of its own; it learns only from connections of clients. An application may count every
 * connection as a client: libzmq before 4.3.3, JeroMQ and NetMQ send messages to a connection as soon as it is
 * accepted.
 *
 *   state     event                                                           next
 *   KNOWN     no connection stands, its last greeting is FRESH_NS old         UNKNOWN
 *   KNOWN     the application has closed a connection (reach_doubt())         KNOWN while another stands, else UNKNOWN
 *   KNOWN     it is another application (reach_forget())                      UNKNOWN
 *   UNKNOWN   a client has sent its version, and the turn is free             PROBED: it is connected
 *   PROBED    the application shows its greeting                              KNOWN; the turn is free, all go on
 *   PROBED    it cannot be reached                                            AWAY
 *   PROBED    it accepts, and then closes or stays silent                     AWAY, unless another connection stands
 *   PROBED    REACH_TURN_NS is over                                           PROBED, by one more client
 *   PROBED    the client ends                                                 UNKNOWN; the turn is free
 *   AWAY      20 ms, doubling up to 500 ms, are over                          PROBED, by the client with the turn
 *   AWAY      the application shows its greeting                              KNOWN
 *
 * One client at a time has the turn (single flight); the others wait for it, a second at most. Hundreds of waiting
 * clients thus probe no more often than one. Without clients nothing is probed.
 *
 * Threads: any worker; atomics in struct gate. Nothing is allocated.
 */
#ifndef WEIR_RELAY_REACH_H
#define WEIR_RELAY_REACH_H

#include "base/attr.h"
#include "base/units.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct handshake_app;
struct session;
struct worker_gate;

/* The session with the turn keeps it from others for this long after it began to connect. */
#define REACH_TURN_NS NS_PER_S

/* What the application speaks. It is unknown only under weir run, where the socket's type is not known, until the
 * application has shown it (blind.h). */
enum reach_speech { REACH_SPEAKS_ZMTP, REACH_SPEAKS_UNKNOWN, REACH_SPEAKS_OTHER };

/* A gate's part in it; all zero before reach_init(). */
struct reach {
    _Atomic uint32_t speech;      /* enum reach_speech */
    _Atomic bool up;              /* it answered the last attempt, or was never tried */
    _Atomic uint32_t greeted;     /* connections in their handshakes that have shown its greeting */
    _Atomic uint64_t verified_ns; /* when it last showed its greeting */
    _Atomic uint64_t turn_ns;     /* since when a session has the turn; 0: none has it */
    _Atomic uint64_t again_ns;    /* while it is away: no attempt before this */
    _Atomic uint32_t failures;    /* in a row */
    _Atomic uint32_t waiting;     /* sessions that wait for the one with the turn */
    _Atomic int process;          /* whose descriptor limit bounds the gate's connections; 0: not known */
};

static inline void reach_init(struct reach *r)
{
    atomic_store(&r->up, true);
}

static inline enum reach_speech reach_speech(const struct reach *r)
{
    return (enum reach_speech)atomic_load_explicit(&r->speech, memory_order_relaxed);
}

/* The application was heard: whether this is news. */
static inline bool reach_hear(struct reach *r, enum reach_speech speech)
{
    return reach_speech(r) != speech && atomic_exchange(&r->speech, speech) != speech;
}

/* A session's part in it; a member of struct handshaking. */
struct reach_part {
    uint64_t turn_ns; /* it has had the turn since then; 0: it does not have it */
    bool waits;       /* for the session with the turn */
    bool stands;      /* its connection has shown the application's greeting */
};

/* Facts about the application; false: nothing that is valid now. */
bool reach_knows(const struct worker_gate *wg, struct handshake_app *ret);

/* Whether a connection stands that has shown the greeting. */
bool reach_stands(const struct worker_gate *wg);

/* Whether an opening session may connect now. If not, its retry_ns is set, and it is woken when something was
 * learned. */
MUST_USE bool reach_takes_turn(struct session *s);

/* Whether a newcomer would be the one that probes an application which could not be reached. */
bool reach_is_due(const struct worker_gate *wg);

/* The session's attempt has failed with this error (-errno), which speaks of the application. Returns the nanoseconds
 * until the next attempt. */
uint64_t reach_on_failure(struct session *s, int error);

/* The application has accepted the connection, and then closed it or stayed silent. */
void reach_on_silence(struct session *s, const char *why);

/* The application has shown its greeting; it has shown more of itself in the handshake. */
void reach_on_greeting(struct session *s);
void reach_on_words(struct session *s);

/* The handshake is over, or the session ends. */
void reach_leave(struct session *s);

/* The application has closed a connection: only other connections that stand can tell which of the learned facts still
 * hold. */
void reach_doubt(struct worker_gate *wg);

/* It is another application than before. */
void reach_forget(struct worker_gate *wg);

#endif
