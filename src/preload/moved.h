/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Moves a listening socket behind a gate: the real one goes to Weir, and one on a loopback port takes its place.
 *
 * Remembered is which descriptors may stand for a moved socket, so that close() costs nothing for others: 256 KiB of
 * zeroes, of which a page is used. Higher descriptors than MOVED_MOST are moved, but their end is noticed up to a
 * second late.
 */
#ifndef WEIR_PRELOAD_MOVED_H
#define WEIR_PRELOAD_MOVED_H

#include "preload/setting.h"

#define MOVED_MOST 65536

/* Whether this descriptor may stand for a moved socket. */
bool moved_is(int fd);

/* `fd` has begun to listen on its real address. If Weir cannot open a gate, it goes on like that. errno stays. */
void moved_begin(const struct setting *s, int fd, int backlog);

/* What moved_is() knows of `fd`, to be asked before it is closed; 0: nothing. */
uint32_t moved_note(int fd);

/* `fd` was closed, of which moved_note() said `note`: waits until the real address is free. errno stays. */
void moved_end(const struct setting *s, int fd, uint32_t note);

/* `copy` stands for the same socket as `fd`. */
void moved_copy(int fd, int copy);

#endif
