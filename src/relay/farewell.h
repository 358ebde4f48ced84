/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The application's end of a connection whose client has gone. libzmq does not look at a connection whose queue is
 * full, so it may learn of the end much later, and until then the connection costs it a descriptor. Weir therefore
 * closes only its sending half, throws away what still comes, and counts the connection until the application has
 * closed it too. Otherwise clients that connect, fill a queue and leave would take the application's last descriptor,
 * however few of them are there at any time.
 *
 * Subscribers leave one after the other (subscribers.h): until it is its turn, the application's end stays as it is.
 * That is for the good of those who are there, so it keeps nobody out: when places are short, a newcomer has the first
 * of those who wait leave.
 *
 * 120 bytes each, charged to the memory account; at most as many as connections.max, together with the living. When
 * memory is out the descriptor is simply closed, and the application's end is no longer counted.
 */
#ifndef WEIR_RELAY_FAREWELL_H
#define WEIR_RELAY_FAREWELL_H

#include "relay/worker.h"

struct session;

/* Takes over the application's end of `s` (which is being closed) and a reference on its source. */
void farewell_begin(struct session *s);

/* The application has sent more, or has closed. */
void farewell_on_event(struct watch *watch);

/* The next subscriber may leave. */
void farewell_on_alarm(struct alarm *a);

/* The oldest of the worker's subscribers who wait to leave leaves now. False: there is none. */
bool farewell_hasten(struct worker_gate *wg);

/* Whether places for connections to the application are short. */
bool farewell_is_crowded(const struct gate *g);

/* Closes all of a worker's. */
void farewell_end_all(struct worker *w);

/* Whether this session may open one more connection to the application; if so it is counted, until
 * farewell_give_back(). A source with many ends that the application does not close has to wait when half of the places
 * are taken, so that it does not shut the others out. One with many subscribers that wait to leave waits for a second.
 */
bool farewell_take_place(struct session *s);
void farewell_give_back(struct worker_gate *wg);

#endif
