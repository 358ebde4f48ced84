/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Moves a listening socket behind a gate: the real one goes to Weir, and one on a loopback port takes its place. A Unix
 * socket gets a name that the kernel chooses.
 *
 * Remembered is which descriptors may stand for a moved socket, so that close() costs nothing for others: 256 KiB of
 * zeroes, of which a page is used. Higher descriptors than MOVED_MOST are moved, but their end is noticed up to a
 * second late.
 */
#ifndef WEIR_PRELOAD_MOVED_H
#define WEIR_PRELOAD_MOVED_H

#include "preload/setting.h"
#include "preload/ungated.h"

#define MOVED_MOST 65536

/* Whether this descriptor stands for a moved socket. `own`: its address, as the kernel has it; that of a connection
 * that it has accepted is the same. The first may be true of others, and costs no system call. */
bool moved_may_be(int fd);
bool moved_is(int fd, const struct sockaddr *own);

/* Until UNGATED_NOTHING takes this back, what this thread listens on stays as it is, with a line that says why. */
void moved_leave(enum ungated why);

/* What this thread listens on until this is taken back (NULL) belongs to a socket of which libzmq says this. */
void moved_tell(const struct socket_options *told);

/* `fd` has begun to listen on its real address. If Weir cannot open a gate, it goes on like that. errno stays. */
void moved_begin(const struct setting *s, int fd, int backlog);

/* The gate in front of what this thread has begun to listen on last, once; 0: none. */
uint32_t moved_gate(void);

/* The socket behind that gate was given ZMQ_ROUTER_HANDOVER, or it was taken from it. errno stays. */
void moved_hand_over(uint32_t gate, bool on);

/* A connection with that gate, over which it sends what a counter needs (weir/taken.h). Or -errno: -EPERM when it does
 * not want any. */
int moved_count_at(uint32_t gate);

/* `fd` is about to be closed: what was remembered of it, and is forgotten now; 0: nothing. Afterwards another thread
 * may have the number for another socket. */
uint32_t moved_take(int fd);

/* No descriptor from this on has a note. */
unsigned moved_end_of_notes(void);

/* `fd` was closed, of which moved_take() said `note`: waits until the real address is free. errno stays. */
void moved_end(const struct setting *s, int fd, uint32_t note);

/* An address is in use, perhaps by the gate of a listener that has ended without a word: its process was killed, or has
 * begun another program. Whether Weir has looked, and it is worth another bind(). errno stays. */
bool moved_frees(const struct setting *s, const struct sockaddr *at, socklen_t len);

/* It was not closed after all. */
void moved_keep(int fd, uint32_t note);

/* `copy` stands for the same socket as `fd`. */
void moved_copy(int fd, int copy);

#endif
