/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The health of a gate's application: what sessions see of it is told to the gate's circuit breaker (flow/breaker.h),
 * and newcomers ask it before they connect to the application. Changes of its state are logged, one line of a kind in
 * 10 s, and told to all workers, so that those who wait go on. While it is open because the application could not be
 * reached, whoever has the turn to ask (reach.h) goes on asking, so that one that restarts is not kept waiting.
 *
 * No client may open the breaker: only what no client can bring about counts as a failure. So an application that ends
 * a PLAIN or CURVE handshake counts for nothing (it may be the password), nor does a second connection to a PAIR.
 *
 * Nothing is allocated. Any worker, but for the stall watch, which lives in worker 0 and looks four times in
 * breaker.stall.
 */
#ifndef WEIR_RELAY_HEALTH_H
#define WEIR_RELAY_HEALTH_H

#include "relay/worker.h"

struct session;

/* ---- newcomers ---- */

/* Whether newcomers are refused now: the breaker is open, and the configuration says so. */
bool health_refuses(const struct worker_gate *wg);

/* Whether an opening session may connect to the application now. If not, its retry_ns is set, and it asks again then or
 * when the state has changed. */
bool health_admits(struct session *s);

/* The session's trial is over, or it is the client's turn: whoever holds a place must use it. */
void health_give_back(struct session *s);

/* ---- what happened ---- */

void health_on_greeting(struct worker_gate *wg);
void health_on_handshake(struct session *s);
void health_on_failure(struct worker_gate *wg, enum breaker_cause cause);

/* In the handshake of an opening session the application has ended the connection; has said what ZMTP does not allow;
 * has not shown its greeting in time. */
void health_on_early_end(struct session *s);
void health_on_wrong_words(struct session *s);
void health_on_late_handshake(struct session *s);

/* Whether this error of a connect (-errno) speaks of the application: a full backlog is no absence, and what Weir
 * itself lacks is not the application's. */
bool health_is_absence(int error);

/* ---- stalls ---- */

/* Worker 0, with its first policy and with each that follows. */
void stall_watch_begin(struct worker_gate *wg);

#endif
