/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The connection to the application while the handshake lasts: when it is begun, what a failure means, and when it is
 * tried again.
 *
 *   state          member                   leaves it when
 *   NONE           back.watch.fd < 0        the handshake wants the application (handshake.wants_app)
 *   TO BE ASKED    reach.waits              its turn comes, or something was learned (reach.h)
 *   IN LINE        connect.turn == WAITS    its turn comes (connect_pacer.h)
 *   NO PLACE       no_place                 tried again after 20 ms, doubling up to 500 ms (linger.h)
 *   HELD           held                     the breaker lets it through (health.h)
 *   CONNECTING     connecting               connected; or it failed, and is tried again at retry_ns
 *   CONNECTED      connected                the handshake is done, refused, or ended by the application
 *
 * A failure that speaks of the application is reported to its health and reach. Another one (a full backlog, a shortage
 * of Weir's own) only delays the next attempt.
 *
 * Threads: belongs to the session's worker. No call waits.
 */
#ifndef WEIR_RELAY_UPSTREAM_H
#define WEIR_RELAY_UPSTREAM_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

/* A session's part in it; a member of struct handshaking. */
struct upstream {
    uint64_t retry_ns;       /* when a refused connection to the application is tried again; 0: not waiting */
    uint64_t retry_delay_ns; /* for shortages of Weir's own or a full backlog */
    uint64_t asked_ns;       /* when the connection to the application was begun; 0: there is none */
    bool connecting;         /* a connect is pending */
    bool no_place;           /* the application may not have one more connection now */
    bool held;               /* the breaker holds it back */
    bool connected;
};

void upstream_init(struct upstream *u);

/* Takes the connection as far as it goes now, if the handshake wants it. False: the session has ended. */
MUST_USE bool upstream_reach(struct session *s);

#endif
