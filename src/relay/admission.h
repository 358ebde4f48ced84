/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session at the request limiter of its gate (flow/request_limiter.h): whether it may pass messages to the
 * application now, or stands in line.
 *
 *   state of a session   event                                                        next
 *   PASSES               a message is whole, and the limiter allows it                PASSES
 *   PASSES               a message is whole, and the limiter does not allow it        IN LINE: not read, not judged
 *   IN LINE              the limiter grants it messages (any worker finds out)        PASSES, on its own worker
 *   IN LINE              heartbeat.max_pause is over, and nobody can answer PINGs     PASSES one message
 *                        in the client's name: inside CURVE, or in front of the last
 *                        octet of a large message (security/traffic.h)
 *   IN LINE              it ends                                                      what it offered is dropped
 *   PASSES               it runs dry, or is paused, with messages granted             these are given back
 *
 * Locks: the limiter's own (struct gate_limiter), held for one call of it at a time and by any worker; what belongs to
 * the session is touched by its worker alone. A connection that meets no limit takes the lock once in 10 ms or 512
 * messages. Whoever holds the lock when it is time brings the limiter up to date (reqlimit_tick()); each worker whose
 * connections are active has a timer for it, and an idle gate has none.
 */
#ifndef WEIR_RELAY_ADMISSION_H
#define WEIR_RELAY_ADMISSION_H

#include "flow/codel.h"
#include "flow/reqlimit_report.h"
#include "relay/worker.h"

struct session;
struct traffic_result;

#define ADMISSION_UNLIMITED UINT32_MAX

/* Sources whose claims are remembered, each 128 bytes. */
#define ADMISSION_SOURCES 16384u

/* 0 or -ENOMEM. */
MUST_USE int admission_init(struct gate_limiter *g, const struct hash_key *key, uint64_t now_ns);
void admission_fini(struct gate_limiter *g);

/* The application's counter is there; NULL: gone, and what was there is not read any more. Any thread. */
void admission_attach(struct gate *g, struct taken_page *page);

/* The counter has called. */
void admission_look(struct worker_gate *wg);

/* The application is of another type than before. Any worker. */
void admission_begin_anew(struct gate_limiter *g, enum socket_type app, uint64_t now_ns);

/* A worker that has a gate. */
void admission_watch(struct worker_gate *wg);

/* Whether somebody is in line. Any thread. */
static inline bool admission_holds(const struct gate *g)
{
    return atomic_load_explicit(&g->limiter.waiting, memory_order_relaxed) != 0;
}

/* The session opens, ends. */
void admission_begin(struct session *s);
void admission_end(struct session *s);

/* Other limits are in force: who is held while nothing is to be held any more goes on, and the other way round. */
void admission_reconsider(struct session *s);

/* Messages that may pass now; the limiter is asked again when it was not for a while. */
uint32_t admission_allows(struct session *s);

/* Counts what passed; when a message has to wait, asks for it. False: it waits. */
bool admission_passed(struct session *s, const struct traffic_result *r);

/* At the session's alarm: it may have been in line for long enough. */
void admission_on_alarm(struct session *s);

/* There is nothing more to pass at the moment. */
void admission_rest(struct session *s);

/* `n` messages came back from the application. */
void admission_answered(struct session *s, uint32_t n);

/* Whether an earlier message of its client may still be answered. */
bool admission_owes(const struct session *s);

/* Why the session is in line. */
void admission_hold_of(const struct session *s, struct reqlimit_hold *ret);

/* From now on messages in line are shed by these. Any worker. */
void admission_shed_by(struct gate_limiter *g, const struct codel_params *p);

/* Whether the session has been in line for so long that what it waits with is to be shed: then it is not any more, and
 * is not woken. If not, *ret_again_ns is when to ask again; UINT64_MAX: not before it lines up anew. */
MUST_USE bool admission_sheds(struct session *s, uint64_t *ret_again_ns);

/* Wakes the sessions of this worker that were granted messages. */
void admission_wake_all(struct worker *w);

#endif
