/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides whether an open session may pass messages to the application now, or waits in line at its gate's request
 * limiter (flow/request_limiter.h).
 *
 * A newcomer that waits to be let in is half_open.h's subject.
 *
 *   state     event                                                      next
 *   PASSES    it opens and its source has claims, or its first bytes     PASSES; it joins the limiter
 *             come
 *   PASSES    a message is complete and the limiter allows it            PASSES
 *   PASSES    a message is complete and the limiter does not allow it    IN LINE: neither read nor judged
 *   PASSES    it runs dry or is paused while it has messages granted     PASSES; these are given back
 *   IN LINE   the limiter grants it messages (any worker may find out)   PASSES, on its own worker
 *   IN LINE   heartbeat.max_pause is over, and nobody can answer PINGs   PASSES one message
 *             in the client's name: inside CURVE, or in front of the
 *             last octet of a large message (inspect/traffic.h)
 *   IN LINE   its request is shed (request_shed.h)                       PASSES, without the request
 *   IN LINE   the session ends                                           its offered messages are dropped
 *
 * Threads: members of the session are touched by its own worker only. A connection under no limit takes the limiter's
 * lock (gate_limiter.h) once in 10 ms or 512 messages.
 */
#ifndef WEIR_RELAY_REQUEST_FLOW_H
#define WEIR_RELAY_REQUEST_FLOW_H

#include "flow/reqlimit_report.h"
#include "flow/request_limiter.h"
#include "relay/worker.h"

struct session;
struct traffic_result;

#define REQUEST_FLOW_UNLIMITED UINT32_MAX

/* What each session may need here besides its own memory. Charged to the memory account from the start. */
#define REQUEST_FLOW_BYTES 224u

/* Most connections are idle, and many never send a message: a session has one of these from its first message on. */
struct request_flow {
    struct reqlimit_conn conn;
    struct session *session;
    uint32_t granted; /* messages that may pass, and already count as passed */
};

/* The session opens, and ends. Its worker. */
void request_flow_begin(struct session *s);
void request_flow_end(struct session *s);

/* Other limits are in force: a session that need not wait any more goes on, and one that must wait now joins the
 * limiter. */
void request_flow_reconsider(struct session *s);

/* Messages that may pass now. The limiter is asked again when it was not asked for a while. */
uint32_t request_flow_allows(struct session *s);

/* Counts the messages that passed. Asks the limiter for the next one if it has to wait. False: it waits, and the caller
 * looks whether it is to be shed (request_shed_look()), and for how long it may wait (request_flow_on_alarm()). */
bool request_flow_passed(struct session *s, const struct traffic_result *r);

/* At the session's alarm: the session may have been in line for long enough. */
void request_flow_on_alarm(struct session *s);

/* Nothing more to pass at the moment: grants are given back. */
void request_flow_rest(struct session *s);

/* `n` messages came back from the application. */
void request_flow_answered(struct session *s, uint32_t n);

/* Whether the client does not take its answers now. */
void request_flow_unread(struct session *s, bool unread);

/* Whether an earlier message of its client may still be answered. */
bool request_flow_owes(const struct session *s);

/* Reports why the session is in line. */
void request_flow_hold_of(const struct session *s, struct reqlimit_hold *ret);

/* Whether the session has been in line for so long that its waiting request is to be shed. If so, it leaves the line
 * and is not woken. If not, *ret_again_ns is when to ask again; UINT64_MAX: not before it lines up again. */
MUST_USE bool request_flow_sheds(struct session *s, uint64_t *ret_again_ns);

/* Wakes the sessions of this worker that were granted messages. */
void request_flow_wake_all(struct worker *w);

#endif
