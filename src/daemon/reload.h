/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Reads the configuration again: the file is checked as a whole, compared with the one in force, and put into force or
 * refused as a whole, with the reasons in the log.
 *
 * Main thread: it reads a file and looks up names, which may block.
 */
#ifndef WEIR_DAEMON_RELOAD_H
#define WEIR_DAEMON_RELOAD_H

#include "admin/admin.h"
#include "relay/relay.h"

#include <stdbool.h>
#include <stdio.h>

/* Where the configuration comes from; the strings must live as long as the daemon. */
struct reload_source {
    const char *file;  /* NULL: from the command line alone, so there is nothing to reload */
    const char *admin; /* --admin, which replaces admin.listen of the file; or NULL */
    bool patterns;     /* the file has those of weir run */
};

/* Log lines of one reload: at most this many mistakes, and this many changed keys. */
#define RELOAD_MISTAKES_SHOWN 20u
#define RELOAD_CHANGES_SHOWN  8u

/* Writes the result to the log, and the same to `said` (or NULL), one line for each message. Counts it, and tells the
 * service manager that it reloads and is ready again. `a` may be NULL. Returns whether the file is in force now. */
bool reload(struct relay *r, struct admin *a, const struct reload_source *from, FILE *said);

#endif
