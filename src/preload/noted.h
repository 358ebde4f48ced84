/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Which sockets have an option that libzmq takes and does not tell: it is noted when it is set.
 *
 * Threads: any; no locks, so a fork(2) leaves it whole. Memory: a fixed table for each option. Of more than NOTED_MOST
 * sockets that have it at a time, the others are not known.
 */
#ifndef WEIR_PRELOAD_NOTED_H
#define WEIR_PRELOAD_NOTED_H

#include <stdbool.h>

#define NOTED_MOST 64u

enum noted { NOTED_ROUTER_HANDOVER, NOTED_ROUTER_RAW, NOTED_COUNT };

/* The option was set to 1, or to 0. */
void noted_set(enum noted what, void *socket, bool on);

bool noted_is_on(enum noted what, const void *socket);

/* The socket is about to be closed: another one may get its address. */
void noted_forget(void *socket);

#endif
