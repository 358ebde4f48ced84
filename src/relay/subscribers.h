/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The subscriptions of a gate as a whole: who gives way when they are too many, and when the application is told that a
 * subscriber has left. Runs on the workers; each looks at its own sessions.
 *
 * libzmq keeps all topics in one trie, walks through the whole of it for each subscriber that leaves, and does so
 * before it publishes the next message. So the ends of subscribers' connections reach the application one after the
 * other, at the pace of subscriptions.removal_rate; until then their topics count as held. The pace rises with the time
 * that the first of them has waited, and while places for newcomers are short; after half a minute nobody waits any
 * longer. What is still sent to them costs the publisher too: who has been sent more than its end would cost leaves at
 * once (the ski rental rule: at most twice what is best).
 */
#ifndef WEIR_RELAY_SUBSCRIBERS_H
#define WEIR_RELAY_SUBSCRIBERS_H

#include "policy/topics.h"
#include "relay/worker.h"

struct session;

/* Gives back what these subscriptions count, and frees them. */
void subscribers_give_back(struct worker_gate *wg, struct source *source, struct topics *t);

/* subscriptions.trie_bytes is reached, and somebody waits who holds less than a share: has every worker look for
 * somebody who holds more. */
void subscribers_crowd(struct worker_gate *wg);

/* The connection of this worker that holds most gives way, if the pace of leaving allows it. */
void subscribers_make_room(struct worker *w);

/* The first one waits to leave: what is more than the burst is saved up for from now on. */
void subscribers_begin_to_leave(struct worker_gate *wg);

/* Whether the application may be told now that a subscriber leaves whose client left at `left_ns`; if so, that is
 * charged. Otherwise *ret_wait_ns says when to ask again, unless the pace rises before. */
bool subscribers_may_leave(struct worker_gate *wg, uint64_t left_ns, uint64_t *ret_wait_ns);

/* Whether a subscriber that has left and was sent `sent` bytes since has cost the publisher more than its end would. */
bool subscribers_must_leave(const struct worker_gate *wg, uint64_t sent);

#endif
