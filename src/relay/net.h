/* SPDX-License-Identifier: MPL-2.0 */
/* Sockets, as the relay needs them: non-blocking, close-on-exec. Functions return a descriptor or 0, or -errno. */
#ifndef WEIR_RELAY_NET_H
#define WEIR_RELAY_NET_H

#include "base/addr.h"
#include "base/attr.h"

#include <stddef.h>

/*
 * Binds and listens. TCP: with SO_REUSEPORT when `share`, after making sure that nobody else listens there (which
 * SO_REUSEPORT would hide). Unix: a socket file that nobody listens on is replaced. *e is updated to the real address.
 */
MUST_USE int net_listen(struct endpoint *e, bool first, bool share);

/* Accepts one connection. *ret_peer tells who it is (a user id for Unix sockets). -EAGAIN: none is waiting. */
MUST_USE int net_accept(int listen_fd, enum endpoint_kind kind, struct addr *ret_peer);

/* How large SO_RCVBUF may be made here (twice net.core.rmem_max); 0: not known. What is larger grew by itself. */
int net_receive_buffer_most(void);

/* Makes the receive buffer, and so the window, of a connection that is not going to be read as small as it gets. */
void net_shrink(int fd);

/* Throws away what has come over a TCP connection and was not read, so that it takes no memory of the kernel. */
void net_discard(int fd);

/* Starts a connection. *ret_pending: it is not there yet, EPOLLOUT will tell. */
MUST_USE int net_connect(const struct endpoint *e, bool *ret_pending);

/* The same from the address of somebody else, of whom this machine is not (IP_TRANSPARENT, CAP_NET_RAW; the answers
 * must find their way back: daemon/source_routes.h). -EADDRNOTAVAIL: not from this one. */
MUST_USE int net_connect_from(const struct endpoint *e, const struct addr *from, bool *ret_pending);

/* The outcome of a pending connect: 0 or -errno. */
MUST_USE int net_connect_result(int fd);

/* The process that listens on the other end of a Unix socket, and the descriptor limit of a process; 0 when that cannot
 * be known. */
int net_peer_process(int fd);
size_t net_descriptor_limit(int process);

/* What close(2) of this connection does from now on: a reset, and nothing is left behind. */
void net_close_with_reset(int fd);

/* How soon and how often a silent other end of a TCP connection is asked whether it is there. */
enum net_keepalive {
    NET_KEEPALIVE_USUAL,  /* after a minute, then every 10 s */
    NET_KEEPALIVE_SOON,   /* after 10 s, then every 10 s */
    NET_KEEPALIVE_CLOSELY /* each second */
};
void net_keepalive(int fd, enum net_keepalive how);

#endif
