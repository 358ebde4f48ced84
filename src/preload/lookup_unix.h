/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The same as lookup.h for Unix sockets (weir run --ipc): a moved one shows the path that it was bound to, and a
 * connection the credentials of its client, which libzmq judges by (ZMQ_IPC_FILTER_UID) and tells ZAP handlers. errno
 * stays.
 */
#ifndef WEIR_PRELOAD_LOOKUP_UNIX_H
#define WEIR_PRELOAD_LOOKUP_UNIX_H

#include "preload/setting.h"

#include <sys/socket.h>

void lookup_unix_peer(const struct setting *s, int fd, struct sockaddr *addr, socklen_t *len);
void lookup_unix_own(const struct setting *s, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room);
bool lookup_unix_is_stranger(const struct setting *s, int fd, const struct sockaddr *own);

/* What SO_PEERCRED says of `fd`, if the other end is Weir. */
void lookup_unix_credentials(const struct setting *s, int fd, struct ucred *cred);

#endif
