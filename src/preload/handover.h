/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Which sockets have ZMQ_ROUTER_HANDOVER: libzmq does not tell, so it is noted when the option is set.
 *
 * Threads: any; no locks, so a fork(2) leaves it whole. Memory: a fixed table. Of more than HANDOVER_MOST sockets that
 * have it at a time, the others are not known.
 */
#ifndef WEIR_PRELOAD_HANDOVER_H
#define WEIR_PRELOAD_HANDOVER_H

#include <stdbool.h>

#define HANDOVER_MOST 64u

/* The option was set to 1, or to 0. */
void handover_note(void *socket, bool on);

bool handover_is_on(const void *socket);

/* The socket is about to be closed: another one may get its address. */
static inline void handover_forget(void *socket)
{
    handover_note(socket, false);
}

#endif
