/* SPDX-License-Identifier: MPL-2.0 */
/*
 * weir_counter: the application tells the Weir in front of it (`counter: PATH`) how many messages it has taken from a
 * socket. Then Weir knows which messages are worked on and which would only lie in a queue; during a flood it holds
 * back the latter. It is the counter of weir/taken.h as functions of the library, for other languages and for C++.
 * A weir_pool that is given the counter calls it itself.
 *
 *     struct weir_counter *counter = weir_counter_open("/run/weir/main.taken");
 *     weir_counter_recv(counter, &msg, socket, 0);             // for zmq_msg_recv(&msg, socket, 0)
 *     weir_counter_poll(counter, socket, items, 2, -1);        // for zmq_poll(items, 2, -1)
 *
 * An application that receives in another way calls weir_counter_asked() before it asks for a message, then
 * weir_counter_took() or weir_counter_found_nothing().
 *
 * An application with a queue of its own says how much of what it took waits there: weir_credit().
 *
 * Threads: one counter for each socket, used by the thread that has the socket, or by one thread at a time. A second
 * thread keeps up the heartbeat. Open the counter after fork(2), not before.
 * Cost: see weir/taken.h. weir_counter_open() blocks for a second at most; recv and poll as what they replace; nothing
 * else blocks. With a NULL counter, recv and poll only do what they replace, and the others do nothing.
 */
#ifndef WEIR_COUNTER_H
#define WEIR_COUNTER_H

#include <weir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_counter;
struct zmq_msg_t;      /* of zmq.h */
struct zmq_pollitem_t; /* of zmq.h */

/* A Weir that is not there yet is found when it comes. NULL: EBUSY (another counter has the page), EACCES (this user
 * may not connect), EPROTO (a Weir with another layout), ENAMETOOLONG; or no memory, descriptors or threads. The
 * application may go on with NULL. */
WEIR_MUST_USE struct weir_counter *weir_counter_open(const char *path);
void weir_counter_close(struct weir_counter *c);

/* As zmq_msg_recv(): same results and errno. */
int weir_counter_recv(struct weir_counter *c, struct zmq_msg_t *msg, void *socket, int flags);

/* As zmq_poll() with `timeout_ms`, and `socket` among the items; then receive with weir_counter_recv(). */
int weir_counter_poll(struct weir_counter *c, void *socket, struct zmq_pollitem_t *items, int count, long timeout_ms);

/* The application is about to ask for a message; it has taken one, with its last part; it has asked and there was none
 * (`waits` is not 0: it now waits for one in a call that blocks; call again with 0 if that ends without a message). */
void weir_counter_asked(struct weir_counter *c);
void weir_counter_took(struct weir_counter *c);
void weir_counter_found_nothing(struct weir_counter *c, int waits);

/* Of the messages that were taken, `in_hand` wait in a queue of the application's own, and count as not taken. What is
 * taken later is in hand until the next call says otherwise, so call this whenever that queue has changed; and once
 * with 0 before the first message, which begins it. */
void weir_credit(struct weir_counter *c, uint64_t in_hand);

#ifdef __cplusplus
}
#endif
#endif
