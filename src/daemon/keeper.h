/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Looks after the ban table, on a thread of its own: once a second it forgets what has run out, and writes the table to
 * the state file when it has changed, at most every two seconds, and when it is stopped. A file is written beside the
 * old one, flushed to the disk and put in its place, so there is always a whole one. One that is damaged is set aside,
 * and the start goes on without it.
 *
 * Reads and writes at most some 3 MiB, held only meanwhile.
 */
#ifndef WEIR_DAEMON_KEEPER_H
#define WEIR_DAEMON_KEEPER_H

#include "base/attr.h"
#include "policy/bans.h"

struct keeper;

/* Reads the state file `path` ("": none) into `bans`, and starts the thread. Both must outlive it. NULL when memory or
 * threads are out. Main thread, before the workers start. */
MUST_USE struct keeper *keeper_start(const char *path, struct bans *bans);

/* Writes once more if need be, ends the thread, frees everything. Accepts NULL. Main thread. */
void keeper_stop(struct keeper *k);

#endif
