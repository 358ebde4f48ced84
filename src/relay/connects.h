/* SPDX-License-Identifier: MPL-2.0 */
/*
 * How many connections to the application a worker opens at once. Each costs the application a few hundred
 * microseconds (a session, two pipes, a handshake) in the thread that also carries everybody's messages: hundreds at
 * once, after a restart of all clients or by malice, would hold those up for as long as all of them take. So a few are
 * under way at a time and the others wait. While clients stand in line for the application, too, every connection is at
 * the expense of those who are in: then there is one in CONNECT_PACE_NS, and the one that came last and the one that
 * has waited longest go in turn. So a newcomer does not stand behind a crowd that came just before it, and the crowd
 * gets in.
 *
 * Newcomers of a source in good standing go first, and those of a source whose connections were of no use lately go
 * last (strangers.h); one turn of CONNECT_REVERSED goes the other way round.
 *
 * CONNECTS_AT_ONCE for each worker and gate. A turn ends as soon as the next move is the client's. One that takes
 * longer than CONNECT_NS waits for an application that is busy, and no longer counts, so nobody keeps the others
 * waiting. Runs on the session's worker.
 */
#ifndef WEIR_RELAY_CONNECTS_H
#define WEIR_RELAY_CONNECTS_H

#include "base/attr.h"
#include "relay/worker.h"

#define CONNECTS_AT_ONCE 2u
#define CONNECT_NS       (20 * NS_PER_MS)
#define CONNECT_PACE_NS  (4 * NS_PER_MS)
#define CONNECT_REVERSED 8u

struct session;

enum connect_turn { CONNECT_NONE, CONNECT_WAITS, CONNECT_HAS_TURN };

/* A session's part in it; in struct opening. */
struct connect {
    struct list node;    /* in worker_gate.connect_line or .connecting */
    uint64_t counts_ns;  /* until when it counts */
    uint8_t turn;        /* enum connect_turn */
    struct session *who; /* to be woken */
};

void connect_init(struct connect *c, struct session *who);

/* Whether it may connect now; if not, the session is woken when it may. */
MUST_USE bool connects_take(struct worker_gate *wg, struct connect *c);

/* It has finished, failed or given up, or its client has the next move; harmless when it has no turn. */
void connects_give_back(struct worker_gate *wg, struct connect *c);

/* Whether newcomers are let in slowly now. */
bool connects_are_paced(const struct worker_gate *wg);

/* Some take too long. */
void connects_on_alarm(struct alarm *a);

#endif
