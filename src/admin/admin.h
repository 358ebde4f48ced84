/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The admin address: /metrics, /healthz, /version over HTTP, read-only. It has one thread of its own and reads
 * snapshots of the relay only, so that it answers while every worker is busy and never slows one.
 *
 * Bounded: at most 32 connections (places.h), each of 16 KiB and one rendered page (some 15 KiB a gate, 8 MiB at most);
 * 10 s without traffic; no request bodies. When places run short, the connection that has asked for nothing for longest
 * gives way: nobody who holds connections locks the scraper out. Nothing of a request ever comes back in an answer, and
 * nothing is logged.
 */
#ifndef WEIR_ADMIN_ADMIN_H
#define WEIR_ADMIN_ADMIN_H

#include "base/attr.h"
#include "config/config.h"
#include "relay/relay.h"

#include <stdio.h>

struct admin;

/* Listens at c->admin and starts the thread. `c` is not kept; `r` must outlive it. NULL after a line to `errors` that
 * says what failed and what to do. Opens what it needs of /proc now, so that it works in a sandbox later. Main thread.
 */
MUST_USE struct admin *admin_start(const struct config *c, const struct relay *r, FILE *errors);

/* "127.0.0.1:9700": the real port when port 0 was asked. Valid as long as `a`. */
const char *admin_address(const struct admin *a);

/* Closes every connection, ends the thread, frees everything. Accepts NULL. Main thread. */
void admin_stop(struct admin *a);

#endif
