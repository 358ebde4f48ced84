/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The words about the end of a session, for the log and the event log: what was seen and what is allowed, or what of
 * client and application does not fit.
 *
 * Threads: belongs to the session's worker. Nothing is allocated.
 */
#ifndef WEIR_RELAY_END_DETAIL_H
#define WEIR_RELAY_END_DETAIL_H

#include "limits/verdict.h"

#include <stddef.h>

struct session;

/* Formats why `v` ends the session in the operator's words: ": it is a SUB, the application a ROUTER"; "" when the
 * verdict says it all. Only for a verdict that ends the session: then nothing was read behind it. Returns `dst`. */
const char *end_detail(char *dst, size_t size, const struct session *s, enum verdict v);

#endif
