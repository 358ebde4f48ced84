/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The sockets of the process that have bound an endpoint, and which of them counts for which rule (taken_rules.h).
 *
 *   state of a rule  event                                          next
 *   FREE             a socket binds an endpoint that it matches     HELD by the socket: it counts
 *   FREE             that, but Weir refuses the counter             FREE; one line says why
 *   HELD             the socket closes, or unbinds what matched     FREE
 *   HELD             another socket binds what it matches           OFF for good; one line says so
 *   HELD             its socket binds what another rule matches     both OFF for good; one line says so
 *   HELD             zmq_proxy() takes the socket over              LENT: it does not count, and Weir is told
 *   LENT             zmq_proxy() returns                            HELD
 *   any              the process forks                              FREE in the child
 *
 * Under `weir run` a socket that no rule is for counts for the gate of the only endpoint that it has bound, in a tally
 * that no rule has. Once a socket has had two endpoints, it does not do so any more: it cannot tell whose messages it
 * takes. TAKEN_RULES_MOST sockets of a process count at a time, those of rules included.
 *
 * A rule without an endpoint is for the only socket that is bound and that no other rule is for. Sockets that cannot
 * receive do not count (PUB, PUSH), nor do XPUB, which receives subscriptions, and those that several threads may use
 * at once (drafts).
 *
 * Threads: any; one lock, which is held over fork(2). Memory: some 300 bytes for each socket that is bound or waits by
 * ZMQ_FD, freed when it closes.
 */
#ifndef WEIR_PRELOAD_TAKEN_SOCKETS_H
#define WEIR_PRELOAD_TAKEN_SOCKETS_H

#include "preload/zmq_library.h"

/* Sockets count for their gates. `open_line` makes a connection with a gate, for weir_taken_open_on(), or returns
 * -errno. At the start of the process. */
void taken_sockets_count_for_gates(int (*open_line)(uint32_t gate));

/* zmq_bind(), zmq_unbind() have succeeded. By the thread that has the socket, as are those below. errno stays. `gate`:
 * in front of this endpoint; 0: none. */
void taken_sockets_bound(const struct zmq_library *zmq, void *socket, const char *endpoint, uint32_t gate);
void taken_sockets_unbound(const struct zmq_library *zmq, void *socket, const char *endpoint);

/* The gates in front of what the socket has bound, `most` of them at most; only of sockets that can receive. errno
 * stays. Returns their number. */
unsigned taken_sockets_gates(const void *socket, uint32_t *ret, unsigned most);

/* Before zmq_close(). */
void taken_sockets_closing(void *socket);

/* The application has asked for ZMQ_FD. */
void taken_sockets_waits_by_fd(const struct zmq_library *zmq, void *socket);

/* Before and after a call that takes messages unseen. */
void taken_sockets_lend(void *socket);
void taken_sockets_return(void *socket);

/* A libzmq that was not reached opens a listening socket; `name`: where it is. One line, once. */
void taken_sockets_unreached(const char *name);

#endif
