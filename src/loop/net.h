/* SPDX-License-Identifier: MPL-2.0 */
/* Sockets, as the relay needs them: non-blocking, close-on-exec. Functions return a descriptor or 0, or -errno. */
#ifndef WEIR_LOOP_NET_H
#define WEIR_LOOP_NET_H

#include "base/addr.h"
#include "base/attr.h"

#include <stddef.h>

/*
 * Binds and listens. TCP: with SO_REUSEPORT when `share`, after making sure that nobody else listens there (which
 * SO_REUSEPORT would hide). Unix: a socket file that nobody listens on is replaced. *e is updated to the real address.
 */
MUST_USE int net_listen(struct endpoint *e, bool first, bool share);

/* Prepares a listening TCP socket of another process: non-blocking, and with the options that its connections inherit.
 */
void net_listen_for_clients(int fd);

/* Accepts one connection. *ret_peer is the peer's address (a user id for Unix sockets). -EAGAIN: none is waiting. */
MUST_USE int net_accept(int listen_fd, enum endpoint_kind kind, struct addr *ret_peer);

/* How large SO_RCVBUF may be set here (twice net.core.rmem_max); 0: not known. A larger one has grown by itself. */
int net_receive_buffer_most(void);

/* Makes the receive buffer, and so the window, of a connection that will not be read as small as possible. */
void net_shrink(int fd);

/* Discards the unread bytes of a TCP connection, so that they take no kernel memory. */
void net_discard(int fd);

/* Starts a connection. *ret_pending: it is not established yet; EPOLLOUT reports it. */
MUST_USE int net_connect(const struct endpoint *e, bool *ret_pending);

/* The same from a foreign address, which is not this machine's (IP_TRANSPARENT, CAP_NET_RAW; the answers must find
 * their way back: daemon/source_routes.h). -EADDRNOTAVAIL: not from this address. */
MUST_USE int net_connect_from(const struct endpoint *e, const struct addr *from, bool *ret_pending);

/* The same in two steps: a socket for a connection to `to`, bound to this address of this machine (port 0: any free
 * one, and *from is updated), and the connection. The second takes `fd` over, and returns it or -errno. */
MUST_USE int net_open_from(const struct endpoint *to, struct endpoint *from);
MUST_USE int net_connect_on(int fd, const struct endpoint *to, bool *ret_pending);

/* The outcome of a pending connect: 0 or -errno. */
MUST_USE int net_connect_result(int fd);

/* How many bytes the kernel holds that were not read yet. */
size_t net_unread(int fd);

/* The process that listens at the other end of a Unix socket, and the descriptor limit of a process; 0 when it is not
 * known. */
int net_peer_process(int fd);
size_t net_descriptor_limit(int process);

/* From now on close(2) of this connection sends a reset and leaves nothing behind. */
void net_close_with_reset(int fd);

/* How soon and how often the kernel probes a silent TCP peer. */
enum net_keepalive {
    NET_KEEPALIVE_USUAL,  /* after a minute, then every 10 s */
    NET_KEEPALIVE_SOON,   /* after 10 s, then every 10 s */
    NET_KEEPALIVE_CLOSELY /* each second */
};
void net_keepalive(int fd, enum net_keepalive how);

#endif
