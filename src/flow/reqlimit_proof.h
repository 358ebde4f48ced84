/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Whether a message has to wait at the request limiter now, and on what proof. Asked for the first in line; a part of
 * request_limiter.h.
 *
 *   proof      a message waits while                                                             told by
 *   MAX        `most` messages are in hand, the operator's limit                                 the limiter itself
 *   LATENCY    the service is plain, and the latency window is full                              latency_window.h
 *   COUNTER    messages lie untaken, and the release window is full; or, for a stranger, up to   taken_counter.h,
 *              the last message of an established connection                                     release_window.h
 *
 * Locks: the limiter lock. Nothing is stored but which proof it was (by_counter, by_guard).
 */
#ifndef WEIR_FLOW_REQLIMIT_PROOF_H
#define WEIR_FLOW_REQLIMIT_PROOF_H

#include "flow/request_limiter.h"

/* Messages in hand, those of connections that have left included: the application works on them all the same. */
uint64_t reqlimit_in_hand(const struct reqlimit *l, uint64_t now_ns);

/* How many messages are untaken, up to the last one of an established connection. */
uint64_t reqlimit_guarded(const struct reqlimit *l);

/* A connection has passed messages within its claim. */
void reqlimit_guard(struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns);

/* Whether one more message of the connection may go on. */
MUST_USE bool reqlimit_allows(struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns);

/* The proof of the last refusal. */
enum hold_proof reqlimit_proof(const struct reqlimit *l, uint64_t now_ns);

#endif
