/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Starts a command with its gates (`weir run`).
 *
 * Weir leaves its own process to the command, and goes on in another, which is nobody's child. So the command has the
 * process id, parent, terminal, process group and signals that it would have without Weir, whoever waits for it gets
 * its own exit status, and nothing has to be passed on.
 */
#ifndef WEIR_DAEMON_RUN_H
#define WEIR_DAEMON_RUN_H

#include "base/attr.h"
#include "daemon/reload.h"

struct run_order {
    char **command;    /* ended by NULL */
    const char *ports; /* of --port, --leave and --ipc, as in RUN_ENV; "": none */
    const char *marks; /* of --hwm, as in RUN_ENV; "": none */
    bool no_counter;   /* the programs do not count what they take */
};

/* Returns only if the command cannot be started: the exit code, after a line on standard error. 126: it cannot be
 * executed, 127: it is not found, 1: Weir cannot start. */
MUST_USE int run_command(const struct config *c, const struct reload_source *from, const struct run_order *order);

#endif
