/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Finds a program that runs under this `weir run` by its environment. A daemon that has closed all descriptors that it
 * has inherited, the lifeline too, is not to be found otherwise before it listens.
 *
 * Any thread. Reads /proc once: some ten microseconds for each process of the machine. A process whose environment may
 * not be read (of another user) is not found.
 */
#ifndef WEIR_DAEMON_PROGRAM_SEARCH_H
#define WEIR_DAEMON_PROGRAM_SEARCH_H

#include "base/attr.h"

#include <sys/types.h>

/* The first process that has begun with the variable `name` and a value that starts with `value`; 0: none. Not this
 * process. */
MUST_USE pid_t program_search(const char *name, const char *value);

#endif
