/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The books of the request limiter: what each message cost, which connection is charged for it, and what is due to each
 * connection.
 *
 * The state is that of request_limiter.h. A cost is the time that the application worked on a message:
 *
 *   message                   measured
 *   counter, answered         from its take to its answer
 *   counter, not answered     from its take until the application asks for the next message, or waits for one
 *   without a counter         from its passing, or from the answer before it if that was later, to its answer
 *
 * An answered message is measured as without a counter in two cases: the take is not known any more; or latency is high
 * and the application was not lately seen to leave messages in its pipes (reqcost_is_lazy()).
 *
 * When a message passes, its connection is charged the expected cost. A measured message corrects that charge, and
 * stands for all of its connection that were not measured since the last one, up to 64. By answers, one message of a
 * connection is measured at a time; by the counter, REQLIMIT_PROBES messages of a gate.
 *
 * A connection is charged in three sums: its claim (claims.h), its attained work, which fades, and its debt, which
 * leaks at its share. The share is 1.5 x its claim, and by its weight a part of what all claims leave over. A bucket is
 * the debt up to which an established connection passes at once: 1.5 x its claim for a second, and two messages.
 *
 *   mark of a connection  event (reqcost_update())                                                 next
 *   established           its claim is ripe (claims.h) or not any more                             true or false
 *   over                  it is active and a stranger; or it is active, has no credit, and either  true
 *                         its debt is above 4 buckets or its work above 2 x its share over 5 s
 *   over                  otherwise                                                                false
 *   is_active             it sends something                                                       true
 *   is_active             reqcost_review(): it has nothing in line, and sent nothing for a second  false
 *   silent                less than 3/4 of its messages were answered, in LIMIT_NONE and without   true
 *                         an operator's limit; or no awaited answer came for max(100 ms, 10 x
 *                         latency), with an operator's limit max(1 s, 10 x latency)
 *   silent                20 s are over                                                            false
 *
 * If no answer is awaited, messages in hand are forgotten after the same time without a message or an answer: some of
 * the connection's messages are never answered (notes among requests), and others' messages must not wait for them.
 *
 * A client that does not take its answers (`unread_at`) keeps Weir from reading them. Then nothing shows whether the
 * application still works on them. After 20 ms they count in the gate like messages of a connection that has left
 * (REQLIMIT_APART), until the client reads again or they are answered. With an operator's limit they stay in hand.
 *
 * Locks: the limiter lock, for all functions. `silent` is an atomic that is read without it.
 * Units: costs in nanoseconds of the application's work, 1 us to 100 s a message; shares in cost a nanosecond.
 * Memory: none but that of struct reqlimit: REQLIMIT_COSTS expected costs and REQLIMIT_PROBES measurements. Above that
 * the oldest costs are forgotten, and no further measurement by the counter begins.
 */
#ifndef WEIR_FLOW_REQUEST_COSTS_H
#define WEIR_FLOW_REQUEST_COSTS_H

#include "flow/request_limiter.h"

/* Whether the counter is believed and the application was lately (10 s) seen to leave messages in its pipes. Then it
 * works on what it takes, and the counter tells more than latency. */
bool reqcost_is_lazy(const struct reqlimit *l, uint64_t now_ns);

/* The expected cost of one message of the connection, in nanoseconds. */
double reqcost_expected(const struct reqlimit *l, const struct reqlimit_conn *c);

/* Messages a nanosecond that the application works off. */
double reqcost_pace(const struct reqlimit *l);

/* The connection ends: what it has in hand is charged to the gate (`left`) until it is worked off at its pace. */
void reqcost_leave_behind(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* `n` messages of the connection have passed. If what it has in hand is not in the sums of the gate, they are charged
 * like those of a connection that has left. */
void reqcost_pass_apart(struct reqlimit *l, const struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* Updates claim, share and marks of a connection. */
void reqcost_update(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* Charges a connection for `n` messages that passed. 0: it is only marked as active. */
void reqcost_charge(struct reqlimit *l, struct reqlimit_conn *c, uint32_t n, uint64_t now_ns);

/* Begins to measure the last message that passed, if it can be measured now. */
void reqcost_start(struct reqlimit *l, struct reqlimit_conn *c, uint64_t now_ns);

/* The measured message was answered. `before_ns`: the time of the answer before it, on any connection. */
void reqcost_answered(struct reqlimit *l, struct reqlimit_conn *c, uint64_t before_ns, uint64_t now_ns);

/* Measures, by the counter, messages that are not answered. */
void reqcost_look(struct reqlimit *l, uint64_t now_ns);

/* How many messages a connection may pass at once because it is within its claim. After reqcost_update(). */
uint32_t reqcost_credit(const struct reqlimit *l, const struct reqlimit_conn *c);

/* The level of a connection in the fair queue, its wait included. */
int reqcost_level(const struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns);

/* Whether the source of a connection was lately served less than half of an equal part. */
bool reqcost_is_modest(const struct reqlimit *l, const struct reqlimit_conn *c, uint64_t now_ns);

/* The expected cost of all untaken messages, in nanoseconds. */
double reqcost_untaken(const struct reqlimit *l);

/* Reviews some of the active connections (16 to 256): the marks `is_active` and `silent`. */
void reqcost_review(struct reqlimit *l, uint64_t now_ns);

/* A connection ends: its measurements and marks go with it. */
void reqcost_forget(struct reqlimit *l, struct reqlimit_conn *c);

#endif
