/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Reading the configuration again: the file is checked as a whole, compared with what is in force, and put into force
 * or refused whole, with the reasons in the log. Main thread: it reads a file and looks up names, which may block.
 */
#ifndef WEIR_DAEMON_RELOAD_H
#define WEIR_DAEMON_RELOAD_H

#include "admin/admin.h"
#include "relay/relay.h"

#include <stdbool.h>
#include <stdio.h>

/* Where the configuration comes from; the strings must live as long as the daemon. */
struct reload_source {
    const char *file;  /* NULL: from the command line alone, so that there is nothing to reload */
    const char *admin; /* --admin, in place of admin.listen of the file; or NULL */
};

/* Lines of one reload in the log: that many mistakes are named, and so many changed keys. */
#define RELOAD_MISTAKES_SHOWN 20u
#define RELOAD_CHANGES_SHOWN  8u

/* Writes what came of it to the log, and the same to `said` (or NULL), a line each; counts it, and tells the service
 * manager that it reloads and is ready again. `a` may be NULL. Whether what the file says is in force now. */
bool reload(struct relay *r, struct admin *a, const struct reload_source *from, FILE *said);

#endif
