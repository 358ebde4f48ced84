/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Connections of a gate whose application may speak something else than ZMTP: under weir run, where the type of the
 * socket is not known. Weir says nothing to a client before it knows that, and passes on blindly what is no ZMTP.
 *
 * A ZMTP peer, of either side, says its signature as soon as the connection stands. All is looked at in the kernel
 * (MSG_PEEK): nothing is taken before it is decided whose it is, and no byte is kept here.
 *
 *   state    event                                                               next
 *   CLIENT   the client begins as a ZMTP peer, or leaves; the application was    a session (session.h)
 *            seen to speak ZMTP
 *   CLIENT   it begins otherwise; or it has said nothing for SILENCE_NS, or      APP: the application is connected
 *            the application is known not to speak ZMTP
 *   APP      as above; the application begins as a ZMTP peer, cannot be          a session
 *            connected, or leaves
 *   APP      the application begins otherwise; or the client has, and the        PASSES
 *            application has said nothing for SILENCE_NS or is known not to
 *            speak ZMTP
 *   PASSES   the application begins as a ZMTP peer: it had only stalled          closed; newcomers are sessions again
 *   PASSES   both sides have ended, or one is reset; Weir drains, and the         closed
 *            application has ended
 *   any      Weir drains and nothing passes yet; the gate's end                  closed
 *
 * So a ZMTP client is never passed on blindly, whatever is believed of the application, and the first greeting of the
 * application (here or in a session) ends the belief. An application that stalls is no worse off than without Weir.
 *
 * What counts here: bans and the limits of newcomers, connections of the gate and of the source. Nothing else: no
 * limit is judged, nobody gives way, and a ban does not end it.
 *
 * Threads: belongs to a worker. About 200 bytes for each connection, charged to the memory account.
 */
#ifndef WEIR_RELAY_BLIND_H
#define WEIR_RELAY_BLIND_H

#include "relay/worker.h"

/* For so long a side must be silent that could have begun. */
#define BLIND_SILENCE_NS NS_PER_S

/* Takes over a newcomer that was let in, and the reference to its source, if it has to be found out what the
 * application speaks. False: it is a session's. */
MUST_USE bool blind_takes(struct worker_gate *wg, int fd, const struct addr *addr, struct source *source,
                          bool of_balancer);

/* An event at one of its two descriptors. */
void blind_on_event(struct watch *watch, uint32_t events);

/* Weir is about to end: those that pass nothing are closed soon. */
void blind_drain(struct worker *w);

/* Closes those of a worker. */
void blind_end_all(struct worker *w);

#endif
