/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The books of the request limiter (request_limiter.h, whose state these functions keep): what each message cost, whom
 * it is charged to, and what is due to whom. Costs are nanoseconds of the application's work:
 *
 *   counter, answered      from its taking to its answer
 *   counter, not answered  from its taking until the next one is asked for
 *   without a counter      from its passing, or from the answer before it, to its answer
 *
 * A message is charged what its connection's are expected to cost when it is passed, and corrected by those that are
 * measured: one of a connection at a time, each for all that were not. All under the limiter's lock.
 */
#ifndef WEIR_FLOW_REQUEST_COSTS_H
#define WEIR_FLOW_REQUEST_COSTS_H

#include "flow/request_limiter.h"

/* Whether the application was lately seen to leave messages in its pipes: what it takes, it works on. */
bool reqcost_is_lazy(const struct reqlimit *l, uint64_t now_ns);

/* What one message of the connection is expected to cost. */
double reqcost_expected(const struct reqlimit *l, const struct reqlimit_conn *c);

/* Brings claim and share of a connection up to date. */
void reqcost_update(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* `n` messages of it were passed. */
void reqcost_charge(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* The last one passed is to be measured, if none of its connection is. */
void reqcost_start(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* The measured one was answered, the one before it (of any connection) at `before_ns`. */
void reqcost_answered(struct reqlimit *l, struct reqlimit_conn *c, uint64_t before_ns, uint64_t now_ns);

/* Measures what is not answered by what the counter says. */
void reqcost_look(struct reqlimit *l, uint64_t now_ns);

/* How many messages it may pass at once, since it is within its claim. After reqcost_update(). */
uint32_t reqcost_credit(const struct reqlimit *l, const struct reqlimit_conn *c);

/* Its level in line, after its wait. */
int reqcost_level(const struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns);

/* Whether its source was served less than half of an equal part lately. */
bool reqcost_is_modest(const struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns);

/* What the untaken messages are expected to cost. */
double reqcost_untaken(const struct reqlimit *l);

/* Looks at some of the active connections: who is not any more, whose messages are not answered. */
void reqcost_review(struct reqlimit *l, uint64_t now_ns);

/* A connection leaves: its samples with it. */
void reqcost_forget(struct reqlimit *l, struct reqlimit_conn *c);

#endif
