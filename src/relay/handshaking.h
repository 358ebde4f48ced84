/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session before its traffic: joins the handshake machine (inspect/handshake.h) to descriptors, and opens the
 * connection to the application.
 *
 * Exists from accept to the end of the handshake; about 1100 bytes, and the machine's buffers. The client has
 * handshake.within for all of its own turns together. A turn that waits for the application (to be reached, to be
 * asked, for its ZAP handler) has libzmq's 30 s, or handshake.within if that is longer.
 *
 *   state            member                   leaves it when
 *   CLIENT'S TURN    !apps_turn               the client has sent its part; no time left: closed, handshake timeout
 *   APP'S TURN       apps_turn                the application has sent its part; no time left: closed, application
 *                                             absent or late, table full, or breaker open
 *
 *   Steps to the application, while handshake.wants_app:
 *   TO BE ASKED      reach.waits              its turn comes, or something was learned (reach.h)
 *   IN LINE          connect.turn == WAITS    its turn comes (connect_pacer.h)
 *   NO PLACE         no_place                 tried again after 20 ms, doubling up to 500 ms (linger.h)
 *   HELD             held                     the breaker lets it through (health.h)
 *   CONNECTING       connecting               connected; or it failed, and is tried again at retry_ns
 *   CONNECTED        connected                the handshake is done, refused, or ended by the application
 *
 *   Beside these:
 *   CLAIMS AN ID     claim.hash != 0          the claim is decided (claim.h)
 *   READY IS HELD    held_ns != 0             the application's READY is there, or after 100 ms
 *
 * At the end of the handshake session.c opens the session; each refusal ends it (session_end()). Each wait
 * has its time in retry_ns or deadline_ns, and the session's one alarm is set to the first.
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_HANDSHAKING_H
#define WEIR_RELAY_HANDSHAKING_H

#include "inspect/handshake.h"
#include "relay/claim.h"
#include "relay/connect_pacer.h"
#include "relay/reach.h"
#include "relay/record.h"

struct handshaking {
    struct handshake handshake;
    struct list in_half_open; /* in half_open_worker.half_open */
    uint64_t turn_ns;         /* since when the current turn lasts, the client's or the application's */
    uint64_t left_ns[2];      /* what was left of the client's time, and of the application's ([true]), at turn_ns */
    uint64_t deadline_ns;     /* of the current turn */
    uint64_t retry_ns;        /* when a refused connection to the application is tried again; 0: not waiting */
    uint64_t retry_delay_ns;  /* for shortages of Weir's own or a full backlog */
    uint64_t held_ns;         /* since when the client's READY waits for the application's; 0: it does not wait */
    uint64_t asked_ns;        /* when the connection to the application was begun; 0: there is none */
    struct connect connect;
    struct id_claim claim; /* to a routing id in use */
    uint64_t place;        /* a place among the trials of the gate's breaker; 0: none */
    bool awaits_app;       /* half-open, and the next move is not the client's */
    bool connecting;       /* a connect is pending */
    bool no_place;         /* the application may not have one more connection now */
    bool held;             /* the breaker holds it back */
    bool connected;
    bool checked;      /* the routing id was checked */
    bool late;         /* the application's greeting did not come in time */
    bool apps_turn;    /* it is the application's turn: left_ns[] */
    bool asked;        /* a connection to the application was begun, whether it still stands or not */
    bool token_back;   /* its token of the rate was given back, until the application is asked */
    uint8_t steps;     /* handshake_client_steps() at the last look */
    uint64_t moved_ns; /* when the handshake last moved on, or began */
    struct reach_part reach;
    bool met;                      /* the application has shown its greeting */
    enum socket_type shown_socket; /* and this much of itself */
    enum initiator shown_initiator;
};

/* NULL when memory is out. */
MUST_USE struct handshaking *handshaking_new(struct session *s);
void handshaking_free(struct handshaking *o, struct session *s);

/* Begins to serve the client (later than accept, if the newcomer had to wait). */
void handshaking_start(struct session *s);

/* Moves the handshake on as far as it goes now. True: it is done, and the session opens. May end the session. */
MUST_USE bool handshaking_run(struct session *s);

/* Whether it has long been the client's turn: the client has had a second of its own, and only its bytes are
 * missing. */
bool handshaking_is_overdue(const struct session *s);

/* Formats a mismatch between client and application in the operator's words: ": it is a SUB, the application a ROUTER";
 * "" for other verdicts. Returns `dst`. */
const char *handshaking_detail(char *dst, size_t size, const struct session *s, enum verdict v);

/* The session's alarm: deadline and retries. */
void handshaking_on_timer(struct session *s);

#endif
