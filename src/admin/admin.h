/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The admin address: /metrics, /healthz and /version over HTTP, read-only and without a token; and the JSON API under
 * /v1/ (api.h) for callers that show the token of admin.token_file.
 *
 * It has one thread of its own. It only reads snapshots of the relay, or has workers copy rows between two rounds. So
 * it answers while every worker is busy, and never slows one.
 *
 * Bounds:
 * - at most 32 connections (conn_slots.h), each of 16 KiB and one rendered page (about 15 KiB for each gate, 8 MiB at
 *   most);
 * - 10 s without traffic;
 * - request bodies only with the token, of 4 KiB.
 *
 * When places run short, the connection that has asked for nothing for longest gives way: a client that holds
 * connections cannot lock the scraper out. Without the token no byte of a request is ever returned in an answer, and
 * only wrong tokens are logged, one line in 10 s.
 */
#ifndef WEIR_ADMIN_ADMIN_H
#define WEIR_ADMIN_ADMIN_H

#include "admin/callbacks.h"
#include "admin/token.h"
#include "base/attr.h"
#include "config/config.h"
#include "relay/relay.h"

#include <stdio.h>

struct admin;

/* Listens at c->admin, reads the token, and starts the thread. `c` is not kept; `r` and `calls` must outlive it. NULL
 * after a line to `errors` that says what failed and what to do. Opens the files of /proc now, so that it works in a
 * sandbox later. Main thread. */
MUST_USE struct admin *admin_start(const struct config *c, struct relay *r, const struct admin_callbacks *calls,
                                   FILE *errors);

/* Reads the token file of another configuration ("": none) for admin_take_token(). 0, or -EINVAL with a sentence in
 * `why`. Accepts NULL for `a`. Main thread. */
MUST_USE int admin_read_token(struct admin *a, const char *path, char why[static TOKEN_WHY_MAX]);

/* From now on the API is open to the token that was read last. Accepts NULL. Main thread. */
void admin_take_token(struct admin *a);

/* "127.0.0.1:9700": the real port if port 0 was configured. Valid as long as `a`. */
const char *admin_address(const struct admin *a);

/* Closes every connection, ends the thread, frees everything. Accepts NULL. Main thread. */
void admin_stop(struct admin *a);

#endif
