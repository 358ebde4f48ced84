/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session before its traffic: the handshake machine (security/handshake.h) joined to descriptors, and the connection
 * to the application. Exists from accept to the end of the handshake; about 1100 bytes and the machine's buffers.
 *
 * The client has handshake.within for all of its own turns together. What waits for the application (to be reached, to
 * be asked, for whoever it asks for permission) has libzmq's 30 s.
 */
#ifndef WEIR_RELAY_OPENING_H
#define WEIR_RELAY_OPENING_H

#include "relay/claim.h"
#include "relay/connects.h"
#include "relay/reach.h"
#include "relay/session.h"
#include "security/handshake.h"

struct opening {
    struct handshake handshake;
    struct list in_half_open; /* in worker_gate.half_open (entry.h) */
    uint64_t turn_ns;         /* since when it is the client's turn, or the application's */
    uint64_t left_ns[2];      /* of the client's time, and of the application's ([true]) at turn_ns */
    uint64_t deadline_ns;     /* of the turn */
    uint64_t retry_ns;        /* when a refused connection to the application is tried again; 0: not waiting */
    uint64_t retry_delay_ns;  /* where it is Weir or the backlog that had no room */
    uint64_t held_ns;         /* since when the client's READY waits for the application's; 0: it does not */
    uint64_t asked_ns;        /* when the connection to the application was begun; 0: there is none */
    struct connect connect;
    struct id_claim claim; /* to a routing id in use */
    uint64_t place;        /* among the trials of the gate's breaker; 0: none */
    bool awaits_app;       /* half-open, and the next move is not the client's */
    bool connecting;       /* a connect is pending */
    bool no_place;         /* the application may not have one more connection now */
    bool held;             /* the breaker holds it back */
    bool connected;
    bool checked;      /* the routing id was entered */
    bool late;         /* the application's greeting was missed */
    bool apps_turn;    /* it is the application's turn: left_ns[] */
    bool asked;        /* a connection to the application was begun, be it still there or not */
    bool token_back;   /* its token of the rate was given back, until the application is asked */
    uint8_t steps;     /* handshake_client_steps() at the last look */
    uint64_t moved_ns; /* when the handshake last moved on, or was begun */
    struct reach_part reach;
    bool met;                      /* the application has shown its greeting */
    enum socket_type shown_socket; /* and this of itself */
    enum initiator shown_initiator;
};

/* NULL when memory is out. */
MUST_USE struct opening *opening_new(struct session *s);
void opening_free(struct opening *o, struct session *s);

/* Begins to serve the client (a newcomer that had to wait begins late). */
void opening_start(struct session *s);

/* Moves the handshake on as far as it goes now. May open or close the session. */
void opening_run(struct session *s);

/* Whether it has long been the client's turn: it has had a second of its own, and nothing but its words is missing. */
bool opening_is_overdue(const struct session *s);

/* Whether the next move is the client's, and none of it waits to be read; and whether it has said nothing yet. */
bool opening_awaits_client(const struct session *s);
bool opening_is_silent(const struct session *s);

/* What a client and its application have that does not fit, in the operator's words: ": it is a SUB, the application a
 * ROUTER"; "" for other verdicts. Returns `dst`. */
const char *opening_detail(char *dst, size_t size, const struct session *s, enum verdict v);

/* The session's timer: deadline and retries. */
void opening_on_timer(struct session *s);

#endif
