/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Shows a program the addresses that it would see without Weir: of its clients, and of its listening sockets.
 *
 * Nothing is kept for a descriptor. Whose connection it is follows from its two loopback addresses and the table, so it
 * holds for copies of the descriptor and in other processes too.
 */
#ifndef WEIR_PRELOAD_LOOKUP_H
#define WEIR_PRELOAD_LOOKUP_H

#include "preload/setting.h"

/* `addr` is what the kernel says is the peer of the connection `fd`, or its own address; *len is the length of that,
 * and `room` that of the program's buffer. If the other end is Weir, both are replaced. errno stays. */
void lookup_peer(const struct setting *s, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room);
void lookup_own(const struct setting *s, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room);

/* Whether `fd`, accepted by a moved socket, certainly is no connection of Weir. `own`: its address, as the kernel has
 * it. errno stays. */
bool lookup_is_stranger(const struct setting *s, int fd, const struct sockaddr *own);

#endif
