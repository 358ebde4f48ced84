/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Closes the application's end of a connection whose client has gone, without exhausting the application's descriptors.
 *
 * libzmq does not look at a connection whose queue is full. It may learn of the end much later, and until then the
 * connection costs it a descriptor. Weir therefore shuts down only its sending half, discards the bytes that still
 * arrive, and counts the connection until the application has closed it too. Otherwise clients that connect, fill a
 * queue and leave would take the application's last descriptor, however few of them are connected at any time.
 *
 * Subscribers leave one after the other. libzmq keeps all topics in one trie. For each subscriber that leaves it walks
 * through the whole trie, before it publishes the next message. The ends of subscribers' connections therefore reach
 * the application one after the other, at the pace of subscriptions.removal_rate. Until then their topics count as
 * held.
 *
 * The pace rises with the time that the first of them has waited, and while places for newcomers are short. After half
 * a minute none waits any longer. Messages still sent to them cost the publisher too: a subscriber that was sent more
 * than its end would cost leaves at once (the ski rental rule: at most twice the optimum).
 *
 * That protects the remaining subscribers, so it keeps no newcomer out: when places are short, a newcomer makes the
 * first waiting subscriber leave.
 *
 *   state     event                                                         next
 *   none      an open session of a subscriber ends                          WAITING
 *   none      any other open session ends                                   TOLD: the sending half is shut down
 *   none      not open, the application has closed, or no memory            closed; not counted any more
 *   WAITING   its turn comes; places are short; or it was sent more bytes   TOLD
 *             than its end would cost the publisher
 *   WAITING   the application closes                                        closed
 *   TOLD      the application sends bytes                                   TOLD; they are discarded
 *   TOLD      the application closes                                        closed
 *
 * Threads: belongs to the session's worker. The counts of the gate (upstream, leaving) are atomic. Memory: 120 bytes
 * each, charged to the memory account; at most connections.max of them, together with the open connections.
 */
#ifndef WEIR_RELAY_LINGER_H
#define WEIR_RELAY_LINGER_H

#include "base/list.h"
#include "loop/loop.h"

#include <stdbool.h>

struct session;
struct worker;
struct worker_gate;

/* A gate of a worker: the lingering connections that are not reported to the application yet. */
struct linger_worker {
    struct list line;  /* oldest first */
    struct alarm next; /* the first of them may leave */
};

void linger_init(struct linger_worker *l);

/* Takes over the application's end of `s` (which is being closed), and a reference on its source. */
void linger_begin(struct session *s);

/* The application has sent more bytes, or has closed. */
void linger_on_event(struct watch *watch);

/* Another pace may be in force: looks at the first in line. */
void linger_reconsider(struct worker_gate *wg);

/* The worker's subscriber that has waited longest leaves now, if one waits. */
void linger_hasten(struct worker_gate *wg);

/* Closes all lingering connections of a worker. */
void linger_end_all(struct worker *w);

/* Whether this session may open one more connection to the application. If so, it is counted until
 * linger_give_back(). A source with many ends that the application does not close has to wait when half of the places
 * are taken, so that it does not shut the others out. A source with many subscribers that wait to leave waits for a
 * second. */
bool linger_take_place(struct session *s);
void linger_give_back(struct worker_gate *wg);

#endif
