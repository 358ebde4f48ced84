/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Limits how many connections to the application a worker opens at once, and orders the newcomers that wait for one.
 *
 * A connection costs the application a few hundred microseconds (a session, two pipes, a handshake) in the thread that
 * also carries all messages. Hundreds at once, after a restart of all clients or by malice, would hold up the messages
 * for as long as all of them take. Each worker therefore has CONNECT_PACER_AT_ONCE of them under way for each gate; the
 * others wait.
 *
 * While clients are in line for the application (request_flow.h), each connection is also at the expense of the clients
 * that are in. Then one connection starts per CONNECT_PACE_NS, alternately the newest and the oldest of the line. A
 * newcomer does not wait behind a crowd that came just before it, and the crowd gets in as well.
 *
 * Newcomers of a source in good standing go first. Those of a source whose connections were of no use lately go last
 * (strangers.h). One turn in CONNECT_REVERSED goes the other way round.
 *
 *   turn       event                                              next
 *   NONE       the session asks (connect_pacer_take())            WAITS
 *   WAITS      fewer than CONNECT_PACER_AT_ONCE count, its line   HAS_TURN; the session is woken
 *              is next, and the pace allows it
 *   HAS_TURN   CONNECT_NS is over: the application is busy        HAS_TURN, but it does not count any more
 *   HAS_TURN   finished, failed, or the client has the next move  NONE; the next of the line goes on
 *   any        the session ends                                   NONE
 *
 * Threads: all of it belongs to the session's worker.
 */
#ifndef WEIR_RELAY_CONNECT_PACER_H
#define WEIR_RELAY_CONNECT_PACER_H

#include "base/attr.h"
#include "base/list.h"
#include "loop/loop.h"
#include "relay/gate.h" /* enum standing */

#define CONNECT_PACER_AT_ONCE 2u
#define CONNECT_NS            (20 * NS_PER_MS)
#define CONNECT_PACE_NS       (4 * NS_PER_MS)
#define CONNECT_REVERSED      8u

struct session;
struct worker_gate;

enum connect_turn { CONNECT_NONE, CONNECT_WAITS, CONNECT_HAS_TURN };

/* A gate of a worker. */
struct connect_pacer_worker {
    struct list line[STANDING_COUNT]; /* those that wait, oldest first */
    struct list connecting;           /* those that have a turn, oldest first */
    unsigned connecting_count;
    uint64_t again_ns; /* no connect before this while requests wait */
    bool oldest;       /* which end of the line is next then */
    unsigned turns;    /* given so far */
    struct alarm next; /* for turns that take too long, and for the pace */
};

void connect_pacer_init(struct connect_pacer_worker *c);

/* A session's part in it; a member of struct handshaking. */
struct connect {
    struct list node;    /* in a line of connect_pacer_worker, or in .connecting */
    uint64_t counts_ns;  /* it counts until then */
    uint8_t turn;        /* enum connect_turn */
    struct session *who; /* woken when it has its turn */
};

void connect_init(struct connect *c, struct session *who);

/* Whether it may connect now. If not, the session is woken when it may. */
MUST_USE bool connect_pacer_take(struct worker_gate *wg, struct connect *c);

/* It has finished, failed or given up, or its client has the next move. Harmless when it has no turn. */
void connect_pacer_give_back(struct worker_gate *wg, struct connect *c);

/* Whether newcomers connect at the slow pace now. */
bool connect_pacer_is_on(const struct worker_gate *wg);

#endif
