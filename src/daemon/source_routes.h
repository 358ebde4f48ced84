/* SPDX-License-Identifier: MPL-2.0 */
/*
 * upstream.source: client. The main process makes connections from clients' addresses, for which it keeps CAP_NET_RAW
 * and nothing else of the kind; a seccomp filter takes from it what else that capability is for (raw and packet
 * sockets). The ways back (routes.h) take CAP_NET_ADMIN: a helper process makes them, says so, makes them again every
 * two seconds if somebody has removed them, waits until the main process has ended, however it ends, removes them, and
 * ends as well. It is confined like the helper of ban.kernel, but outlives its parent for that moment, and takes no
 * requests at all: what it makes was fixed before it was forked.
 *
 * While it runs it holds an abstract Unix socket for each application: a second Weir in front of the same application
 * in this network namespace does not start, because the first to end would take the ways back of both.
 *
 * A helper that is killed itself leaves rules and routes behind; the next start takes them over.
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
    int fd;    /* closed: it is to end */
};

/* Whether a gate has it. */
bool source_routes_wanted(const struct config *c);

/* Starts the helper and waits until the ways back are there, if a gate wants them. 0, or -1 after a line to `errors`.
 * Before rights are given up and before there are threads. */
MUST_USE int source_routes_start(struct source_routes *r, const struct config *c, FILE *errors);

/* If there is a helper: the main process gives up what it does not need for connecting. After everything else that
 * needs rights, before there are threads. */
void source_routes_settle(const struct source_routes *r);

/* Has them removed, and waits for it. */
void source_routes_stop(struct source_routes *r);

#endif
