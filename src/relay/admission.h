/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides whether an open session may pass messages to the application now, or waits in line at its gate's request
 * limiter (flow/request_limiter.h).
 *
 * A newcomer that waits to be let in is entry.h's subject.
 *
 *   state     event                                                      next
 *   PASSES    it opens and its source has claims, or its first message   PASSES; it joins the limiter
 *             begins
 *   PASSES    a message is complete and the limiter allows it            PASSES
 *   PASSES    a message is complete and the limiter does not allow it    IN LINE: neither read nor judged
 *   PASSES    it runs dry or is paused while it has messages granted     PASSES; these are given back
 *   IN LINE   the limiter grants it messages (any worker may find out)   PASSES, on its own worker
 *   IN LINE   heartbeat.max_pause is over, and nobody can answer PINGs   PASSES one message
 *             in the client's name: inside CURVE, or in front of the
 *             last octet of a large message (security/traffic.h)
 *   IN LINE   its request is shed (shedding.h)                           PASSES, without the request
 *   IN LINE   the session ends                                           its offered messages are dropped
 *
 * Locks and threads:
 * - The limiter (struct gate_limiter) has one lock. Any worker takes it, for one limiter call at a time.
 * - Members of the session are touched by its own worker only.
 * - A connection under no limit takes the lock once in 10 ms or 512 messages.
 * - The worker that holds the lock when it is due brings the limiter up to date (reqlimit_tick()). Each worker with
 *   active connections has a timer for that; an idle gate has none.
 */
#ifndef WEIR_RELAY_ADMISSION_H
#define WEIR_RELAY_ADMISSION_H

#include "flow/codel.h"
#include "flow/reqlimit_report.h"
#include "relay/worker.h"

struct admission;
struct session;
struct traffic_result;

#define ADMISSION_UNLIMITED UINT32_MAX

/* What each session may need here besides its own memory. Charged to the memory account from the start. */
#define ADMISSION_BYTES 224u

/* Sources whose claims are remembered, at 128 bytes each. */
#define ADMISSION_SOURCES 16384u

/* 0 or -ENOMEM. */
MUST_USE int admission_init(struct gate_limiter *g, const struct hash_key *key, uint64_t now_ns);
void admission_fini(struct gate_limiter *g);

/* Attaches the application's counter. NULL detaches it: the previous page is not read any more. Any thread. */
void admission_attach(struct gate *g, struct taken_page *page);

/* The counter has signalled: looks at it. */
void admission_look(struct worker_gate *wg);

/* The application has another socket type than before: the limiter starts over. Any worker. */
void admission_begin_anew(struct gate_limiter *g, enum socket_type app, uint64_t now_ns);

/* Prepares a gate of a worker: its timer and its list of woken sessions. */
void admission_watch(struct worker_gate *wg);

/* Whether a session is in line. Any thread. */
static inline bool admission_holds(const struct gate *g)
{
    return atomic_load_explicit(&g->limiter.waiting, memory_order_relaxed) != 0;
}

/* The session opens, and ends. Its worker. */
void admission_begin(struct session *s);
void admission_end(struct session *s);

/* Other limits are in force: a session that need not wait any more goes on, and one that must wait now joins the
 * limiter. */
void admission_reconsider(struct session *s);

/* Messages that may pass now. The limiter is asked again when it was not asked for a while. */
uint32_t admission_allows(struct session *s);

/* Counts the messages that passed. Asks the limiter for the next one if it has to wait. False: it waits. */
bool admission_passed(struct session *s, const struct traffic_result *r);

/* At the session's alarm: the session may have been in line for long enough. */
void admission_on_alarm(struct session *s);

/* Nothing more to pass at the moment: grants are given back. */
void admission_rest(struct session *s);

/* `n` messages came back from the application. */
void admission_answered(struct session *s, uint32_t n);

/* Whether an earlier message of its client may still be answered. */
bool admission_owes(const struct session *s);

/* Reports why the session is in line. */
void admission_hold_of(const struct session *s, struct reqlimit_hold *ret);

/* Sets the parameters by which messages in line are shed from now on. Any worker. */
void admission_shed_by(struct gate_limiter *g, const struct codel_params *p);

/* Whether the session has been in line for so long that its waiting request is to be shed. If so, it leaves the line
 * and is not woken. If not, *ret_again_ns is when to ask again; UINT64_MAX: not before it lines up again. */
MUST_USE bool admission_sheds(struct session *s, uint64_t *ret_again_ns);

/* Wakes the sessions of this worker that were granted messages. */
void admission_wake_all(struct worker *w);

#endif
