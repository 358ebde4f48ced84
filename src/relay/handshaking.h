/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session before its traffic: joins the handshake machine (inspect/handshake.h) to the descriptors of client and
 * application. Exists from accept to the end of the handshake; about 1100 bytes, and the machine's buffers.
 *
 *   part                                                    module
 *   whose turn it is, and how much time is left             handshaking_clock.h
 *   the connection to the application                       upstream.h
 *   the client's routing id, once it is known               routing_id.h
 *   whether the newcomer may come in at all                 half_open.h
 *
 * At the end of the handshake session.c opens the session; each refusal ends it (session_end()). Each wait has its time
 * in upstream.retry_ns or clock.deadline_ns, and the session's one alarm is set to the first.
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_HANDSHAKING_H
#define WEIR_RELAY_HANDSHAKING_H

#include "inspect/handshake.h"
#include "relay/claim.h"
#include "relay/connect_pacer.h"
#include "relay/handshaking_clock.h"
#include "relay/reach.h"
#include "relay/record.h"
#include "relay/upstream.h"

struct handshaking {
    struct handshake handshake;
    struct list in_half_open; /* in half_open_worker.half_open */
    struct handshaking_clock clock;
    struct upstream upstream;
    struct connect connect;
    struct reach_part reach;
    struct id_claim claim;         /* to a routing id in use */
    uint64_t place;                /* a place among the trials of the gate's breaker; 0: none */
    uint64_t moved_ns;             /* when the handshake last moved on, or began */
    uint8_t steps;                 /* handshake_client_steps() at the last look */
    bool awaits_app;               /* half-open, and the next move is not the client's */
    bool checked;                  /* the routing id was checked */
    bool asked;                    /* a connection to the application was begun, whether it still stands or not */
    bool token_back;               /* its token of the rate was given back, until the application is asked */
    bool met;                      /* the application has shown its greeting */
    enum socket_type shown_socket; /* and this much of itself */
    enum initiator shown_initiator;
};

/* The session that a link in half_open_worker.half_open belongs to. */
static inline struct session *handshaking_session_of(struct list *in_half_open)
{
    return LIST_ENTRY(in_half_open, struct handshaking, in_half_open)->connect.who;
}

/* NULL when out of memory. */
MUST_USE struct handshaking *handshaking_new(struct session *s);
void handshaking_free(struct handshaking *o, struct session *s);

/* Begins to serve the client (later than accept, if the newcomer had to wait). */
void handshaking_start(struct session *s);

/* Moves the handshake on as far as it goes now. True: it is done, and the session opens. May end the session. */
MUST_USE bool handshaking_run(struct session *s);

#endif
