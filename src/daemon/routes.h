/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The return path for connections that Weir makes from clients' addresses (upstream.source: client).
 *
 * An application on this machine would send its answers to such an address out of the machine. So each application gets
 * one policy rule, "packets from its address and TCP port are looked up in a table of Weir's", and in that table one
 * route, "everything is local":
 *
 *   ip rule add priority 20570 from ADDRESS iif lo ipproto tcp sport PORT lookup TABLE
 *   ip route add local default dev lo table TABLE
 *
 * TABLE follows from address and port. Rule and route carry a protocol number of Weir's own. The code speaks rtnetlink
 * itself: no library, and no foreign bytes in a message. Needs CAP_NET_ADMIN. Blocks only for the kernel's answer.
 */
#ifndef WEIR_DAEMON_ROUTES_H
#define WEIR_DAEMON_ROUTES_H

#include "base/addr.h"
#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

/* The most different applications of one process. */
#define ROUTES_MAX 16u

struct routes {
    size_t count;
    struct {
        struct addr app;
        uint32_t table;
    } at[ROUTES_MAX];
};

/* Adds an application, unless it is there. -E2BIG: there are too many. */
MUST_USE int routes_add(struct routes *r, const struct endpoint *app);

/* A socket for the two below, or -errno. */
MUST_USE int routes_open(void);

/* Makes all of them; existing ones stay. 0, or the first error (-errno) after trying all. */
int routes_make(int fd, const struct routes *r);

/* Removes those that exist. */
void routes_remove(int fd, const struct routes *r);

#endif
