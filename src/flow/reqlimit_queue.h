/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The line of the request limiter: puts messages in, grants them, and counts how many wait and why. A part of
 * request_limiter.h, whose table of a message's states has the transitions: IN LINE begins in reqlimit_line_up() and
 * ends in reqlimit_release() (it is first and is allowed), in reqlimit_go_on() (it is within its claim by now), or when
 * its owner takes it back.
 *
 * One call grants a bounded number of messages, so that the lock is not held for long. Who is served next is
 * fair_queue.h's subject.
 *
 * Locks: the limiter lock.
 */
#ifndef WEIR_FLOW_REQLIMIT_QUEUE_H
#define WEIR_FLOW_REQLIMIT_QUEUE_H

#include "flow/request_limiter.h"

/* After a message has begun to wait, reqlimit_tick() is due in this time. */
#define TICK_HELD_NS NS_PER_MS

/* Whether messages and answers now show what the service is like. */
bool reqlimit_is_quiet(const struct reqlimit *l, uint64_t now_ns);

/* `n` messages of the connection pass. */
void reqlimit_pass(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* `n` more messages of the connection wait in line. */
void reqlimit_line_up(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* Counts the messages of the connection that wait now. Each is counted once, by the proof of the first refusal. */
void reqlimit_hold(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* `n` messages in line pass, or have left. */
void reqlimit_unhold(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, bool passed);

/* How many messages the connection may pass whatever else is true. */
uint32_t reqlimit_credit(const struct reqlimit *l, const struct reqlimit_conn *c);

/* A connection in line is within its claim by now. */
void reqlimit_go_on(struct reqlimit *l, struct reqlimit_conn *c, uint32_t credit, uint64_t now_ns);

/* Grants what may pass now. */
void reqlimit_release(struct reqlimit *l, uint64_t now_ns);

/* reqlimit_tick() is due at this time, or sooner. */
void reqlimit_tick_by(struct reqlimit *l, uint64_t at_ns);

#endif
