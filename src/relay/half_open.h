/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides which newcomer waits: handles a session between accept and the end of its handshake, in line or half-open.
 *
 *   state       event                                                          next
 *   NEW         the line is empty and nothing below makes it wait              HALF-OPEN
 *   NEW         the line is not empty, or it has to wait                       IN LINE
 *   IN LINE     it is first, and its wait is over                              HALF-OPEN
 *   IN LINE     its client leaves                                              ended (session.c)
 *   HALF-OPEN   its handshake is done                                          ended here: the session is open
 *   HALF-OPEN   it makes room for another newcomer, or is refused or too late  ended: the session is closed
 *   any         no room can be made and its source was of no use lately        ended: refused
 *
 * The line. A newcomer of a source over source.connections.rate waits in one line for each worker and source, and is
 * not read. The first of the line has the alarm; a newcomer never overtakes a line. Of the newcomers in line, one that
 * has sent something goes before a silent one: no libzmq client is silent. When the line is full, further newcomers are
 * refused. It is full at source.connections.half_open, or when it and the unfinished handshakes of the source are half
 * of the gate. If the oldest made room for the newest instead, a source whose clients all return at once would never
 * get one in.
 *
 * The rate counts connections that come to nothing at the application:
 * - A finished handshake gives its token back. It is charged again if the connection ends within HALF_OPEN_USED_NS
 *   without a message.
 * - A handshake that stands still or ends before the application is asked gives its token back too: it has cost the
 *   application nothing.
 *
 * So the rate never delays a host with a connection for each request, a host that starts hundreds of idle workers, or
 * the neighbours of a client that stalls.
 *
 * Probation. Newcomers of a source on probation (probation.h) wait in the same line while HALF_OPEN_PROBATION_PLACES
 * handshakes of it wait for their client. Then one handshake gives way for each newcomer. The allowed silence thus
 * depends on the number of newcomers: with 32 places and 200 newcomers a second it is 160 ms. While nobody waits, none
 * gives way.
 *
 * Half-open. A full source makes its own newcomers wait: there are too many half-open sessions of it, or too many of
 * the gate and most are of the newcomer's source. A newcomer then waits until one is done, or until the client of one
 * has not moved on for HALF_OPEN_OWN_NS. That one makes room. Which one makes room in each case: give_way.h.
 *
 * Threads: lines and lists belong to the worker; the counts of a source and a gate that all workers share are atomic.
 */
#ifndef WEIR_RELAY_HALF_OPEN_H
#define WEIR_RELAY_HALF_OPEN_H

#include "base/list.h"
#include "base/units.h"
#include "limits/source.h"
#include "limits/verdict.h"
#include "relay/gate.h" /* enum standing */

#include <stdbool.h>

struct source_conns;
struct session;
struct worker_gate;

/* For each worker. */
#define HALF_OPEN_PROBATION_PLACES 32u
#define HALF_OPEN_TURN_NS          (20 * NS_PER_MS)

/* A handshake gives way to a newcomer of its own source when its client has not moved for this long. */
#define HALF_OPEN_OWN_NS NS_PER_S

/* A connection that ends earlier without a message was of no use. */
#define HALF_OPEN_USED_NS NS_PER_S

/* While no newcomer may come in, the time until the next look. */
#define HALF_OPEN_CROWDED_NS (5 * NS_PER_MS)

/* Wakes all unfinished handshakes, because something was learned of the application. At most connections.half_open of
 * them. */
void half_open_wake_all(struct worker_gate *wg);

/* Notes whether a half-open session waits for nothing but the application now. */
void half_open_note_turn(struct session *s, bool awaits_app);

/* A connection to the application is begun for it. */
void half_open_note_asked(struct session *s);

/* A half-open handshake has moved on: its turn starts again. */
void half_open_note_move(struct session *s);

/* A gate of a worker: the sessions before the end of their handshake. */
struct half_open_worker {
    struct list half_open[STANDING_COUNT][2]; /* those whose client has the next move, and those that wait for the
                                               * application ([true]); longest first */
    unsigned count;
    bool crowded_out; /* newcomers wait in the kernel until a handshake ends */
};

void half_open_init(struct half_open_worker *e);

/* Why a newcomer of this source would find no place in line; PASS: it would find one. */
enum verdict half_open_refuses(struct worker_gate *wg, const struct source *source);

/* Lets the session in (true: its handshake begins), or puts it in line. May end other sessions, and this one. */
MUST_USE bool half_open_begin(struct session *s);

/* At the alarm of the first in line: lets the next of the line in and returns it: its handshake begins. NULL: nobody
 * may come in now; then the alarm is set again. May end sessions. */
MUST_USE struct session *half_open_next(struct source_conns *p);

/* Its handshake is done. */
void half_open_done(struct session *s);

/* An open session ends, and no message has passed. */
void half_open_came_to_nothing(struct session *s);

/* The handshake is over, or the session ends: it is neither in line nor half-open any more. */
void half_open_end(struct session *s);

#endif
