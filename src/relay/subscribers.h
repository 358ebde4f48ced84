/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Decides which subscriber gives way when a gate has too many subscriptions, and when the application is told that a
 * subscriber has left.
 *
 * libzmq keeps all topics in one trie. For each subscriber that leaves it walks through the whole trie, before it
 * publishes the next message. The ends of subscribers' connections therefore reach the application one after the other,
 * at the pace of subscriptions.removal_rate. Until then their topics count as held.
 *
 * The pace rises with the time that the first of them has waited, and while places for newcomers are short. After half
 * a minute none waits any longer. Messages still sent to them cost the publisher too: a subscriber that was sent more
 * than its end would cost leaves at once (the ski rental rule: at most twice the optimum).
 *
 * Threads: runs on the workers, and each looks at its own sessions; the gate's words are atomic.
 */
#ifndef WEIR_RELAY_SUBSCRIBERS_H
#define WEIR_RELAY_SUBSCRIBERS_H

#include "policy/topics.h"
#include "relay/worker.h"

struct session;

/* Gives back the cost of these subscriptions, and frees them. */
void subscribers_give_back(struct worker_gate *wg, struct source *source, struct topics *t);

/* subscriptions.trie_bytes is reached, and a subscriber that holds less than a share waits: makes every worker look for
 * one that holds more. */
void subscribers_crowd(struct worker_gate *wg);

/* The connection of this worker that holds most gives way, if the pace of leaving allows it. */
void subscribers_make_room(struct worker *w);

/* The first subscriber waits to leave: saving for a walk that costs more than the burst starts now. */
void subscribers_begin_to_leave(struct worker_gate *wg);

/* Whether the application may be told now of the end of a subscriber whose client left at `left_ns`; if so, that is
 * charged. Otherwise *ret_wait_ns says when to ask again, unless the pace rises before. */
bool subscribers_may_leave(struct worker_gate *wg, uint64_t left_ns, uint64_t *ret_wait_ns);

/* Whether a subscriber that has left and was sent `sent` bytes since then has cost the publisher more than its end
 * would. */
bool subscribers_must_leave(const struct worker_gate *wg, uint64_t sent);

#endif
