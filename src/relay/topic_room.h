/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The topics that subscribers hold at a gate: given back when they leave, and which subscriber gives way when there are
 * too many. How subscribers leave is linger.h's.
 *
 * Threads: runs on the workers, and each looks at its own sessions; the gate's words are atomic.
 */
#ifndef WEIR_RELAY_TOPIC_ROOM_H
#define WEIR_RELAY_TOPIC_ROOM_H

#include "limits/topics.h"
#include "relay/worker.h"

struct session;

/* Gives back the cost of these subscriptions, and frees them. */
void topic_room_give_back(struct worker_gate *wg, struct source *source, struct topics *t);

/* subscriptions.trie_bytes is reached, and a subscriber that holds less than a share waits: makes every worker look for
 * one that holds more. */
void topic_room_crowd(struct worker_gate *wg);

/* Whether a subscriber has to leave now, to make room for others: the pace of leaving allows it. Then *ret is the
 * session that holds most, or NULL while one that has left waits (linger_hasten()). One at a time, since the
 * publisher walks through all topics for each: a waiting subscriber asks again. */
MUST_USE bool topic_room_must_make_room(struct worker_gate *wg, struct session **ret);

#endif
