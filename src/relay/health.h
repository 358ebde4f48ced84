/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The health of a gate's application: reports what sessions see of it to the gate's circuit breaker (flow/breaker.h),
 * which newcomers ask before they connect.
 *
 *   state       event                                                         next
 *   CLOSED      failures of one cause in a row (breaker.failures); a stall    OPEN
 *   OPEN        its time is over; earlier, a sign of life against its cause   HALF-OPEN
 *   OPEN        opened by a stall, and the application takes bytes            CLOSED
 *   HALF-OPEN   a failure, or a stall                                         OPEN, for twice as long
 *   HALF-OPEN   a handshake, unless a stall has opened it                     CLOSED
 *   HALF-OPEN   opened by a stall, and the application takes bytes            CLOSED
 *
 *   what a session or the stall watch sees                                    reported as
 *   the application shows its greeting                                        sign of life against CONNECT
 *   a handshake with the application is done                                  sign of life against CONNECT, HANDSHAKE
 *   an open connection takes bytes, or a message comes back                   sign of life against STALL
 *   the connect fails with an error that speaks of the application            failure, CONNECT
 *   no greeting within handshake.within, or an end before it                  failure, CONNECT
 *   an end after the greeting, or bytes that ZMTP does not allow              failure, HANDSHAKE
 *   no such byte or message for breaker.stall, while connections are blocked  stall
 *
 * No client may open the breaker: only events that no client can cause count as failures. An application that ends a
 * PLAIN or CURVE handshake counts for nothing (it may be the password), and neither does a second connection to a PAIR.
 * Ends with upstream.source: client count for nothing either, and neither does the handshake of a ZMTP 2.0 client.
 *
 * A state change is logged, one line of a kind in 10 s, and told to all workers, so that waiting sessions go on. While
 * the breaker is open because the application could not be reached, the session with the turn to probe (reach.h) goes
 * on probing. An application that restarts is thus not kept waiting.
 *
 * Threads: any worker; the breaker is lock-free. The stall watch lives in worker 0 and looks four times in
 * breaker.stall. Nothing is allocated.
 */
#ifndef WEIR_RELAY_HEALTH_H
#define WEIR_RELAY_HEALTH_H

#include "flow/breaker.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct session;
struct worker_gate;

/* Checks whether the application takes anything; of worker 0. */
struct stall_watch {
    struct alarm alarm;
    uint64_t taken;    /* by the application, at the last look */
    uint64_t since_ns; /* it has taken nothing since, and connections have waited */
};

/* ---- newcomers ---- */

/* Whether newcomers are refused now: the breaker is open, and the configuration says to refuse. */
bool health_refuses(const struct worker_gate *wg);

/* Whether an opening session may connect to the application now. If not, its retry_ns is set; it asks again then, or
 * when the state has changed. */
bool health_admits(struct session *s);

/* The session's trial is over, or its client has the next move: a session that holds a place must use it. */
void health_give_back(struct session *s);

/* ---- observations ---- */

void health_on_greeting(struct worker_gate *wg);
void health_on_handshake(struct session *s);
void health_on_failure(struct worker_gate *wg, enum breaker_cause cause);

/* During the handshake of an opening session the application has ended the connection; has sent bytes that ZMTP does
 * not allow; has not shown its greeting in time. */
void health_on_early_end(struct session *s);
void health_on_wrong_words(struct session *s);
void health_on_late_handshake(struct session *s);

/* Whether this error of a connect (-errno) speaks of the application. A full backlog does not mean that it is absent,
 * and neither does a shortage of Weir's own. */
bool health_is_absence(int error);

/* ---- stalls ---- */

void stall_watch_init(struct stall_watch *w);

/* Starts the stall watch. Worker 0, with its first policy and with each later one. */
void stall_watch_begin(struct worker_gate *wg);

#endif
