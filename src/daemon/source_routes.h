/* SPDX-License-Identifier: MPL-2.0 */
/*
 * upstream.source: client: connections to the application come from the clients' addresses, and a helper process keeps
 * the return paths (routes.h).
 *
 * The main process makes these connections. It keeps CAP_NET_RAW for that and no other such right. A seccomp filter
 * takes away the other uses of that capability (raw and packet sockets).
 *
 * The return paths need CAP_NET_ADMIN, which only the helper has. It makes them, reports that, and makes them again
 * every two seconds if another program has removed them. It waits until the main process has ended, however that
 * happens, removes them, and ends as well. It is confined like the helper of ban.kernel, but outlives its parent for
 * that moment. It takes no requests at all: the return paths were fixed before it was forked.
 *
 * While it runs it holds an abstract Unix socket for each application. A second Weir in front of the same application
 * in this network namespace does not start, because the first to end would remove the return paths of both.
 *
 * A helper that is killed leaves rules and routes behind; the next start takes them over.
 */
#ifndef WEIR_DAEMON_SOURCE_ROUTES_H
#define WEIR_DAEMON_SOURCE_ROUTES_H

#include "base/attr.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct source_routes {
    pid_t pid; /* of the helper; 0: none */
    int fd;    /* closing it ends the helper */
};

/* Whether a gate has it. */
bool source_routes_wanted(const struct config *c);

/* Starts the helper and waits until the return paths exist, if a gate wants them. 0, or -1 after a line to `errors`.
 * Before rights are given up and before there are threads. */
MUST_USE int source_routes_start(struct source_routes *r, const struct config *c, FILE *errors);

/* If there is a helper: the main process gives up the rights it does not need for connecting. After everything else
 * that needs rights, before there are threads. */
void source_routes_settle(const struct source_routes *r);

/* Has the return paths removed, and waits for that. */
void source_routes_stop(struct source_routes *r);

#endif
