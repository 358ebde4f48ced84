/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Tells an application under `weir run` who is behind a connection of Weir: the table of preload/protocol.h.
 *
 * The connection to the application is bound to a loopback port first, the client is noted under that port, and only
 * then is it connected. So the entry is there when the application accepts. It stays until the application has closed
 * the connection, or else until the port is bound again; the application has lost that connection by then.
 *
 * Over Unix sockets a name that the kernel gives to the connection takes the place of the port, and the entry has the
 * client's credentials.
 *
 * Each port belongs to the one worker that has bound it, so there is no lock. When the ports of all loopback addresses
 * are used up, a connection is made from any port, and the application sees 127.0.0.1. Before that, the listener is
 * marked: until then its program closes connections that are not noted.
 */
#ifndef WEIR_RELAY_CLIENT_BOOK_H
#define WEIR_RELAY_CLIENT_BOOK_H

#include "base/addr.h"
#include "base/attr.h"
#include "preload/protocol.h"

#include <stdbool.h>

/* Connects to the application at `to`, which listens on loopback, for the client with this address and descriptor. A
 * descriptor or -errno, as net_connect(). Any worker. */
MUST_USE int client_book_connect(struct run_table *t, const struct endpoint *to, const struct addr *client,
                                 int client_fd, bool *ret_pending);

/* The application at `to` has closed this connection, which is about to be closed: whoever comes from its port next is
 * not Weir. Its worker. */
void client_book_forget(struct run_table *t, const struct endpoint *to, int fd);

/* Notes that an application listens on a loopback port for this real address, or (NULL) that it does not any more. Main
 * thread. */
void client_book_note_listener(struct run_table *t, int family, uint16_t port, const struct sockaddr *real);

/* The same for a Unix socket: it listens on the name with this number. `place` is below RUN_UNIX_LISTENERS. */
void client_book_note_unix_listener(struct run_table *t, unsigned place, uint32_t number, const struct endpoint *real);

#endif
