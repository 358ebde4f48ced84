/* SPDX-License-Identifier: MPL-2.0 */
/*
 * How the client's incomplete message gets on, and when it has taken too long.
 *
 * The lane starts the clock with each message, and starts it again when the client was not read: time during which Weir
 * or the application made it wait does not count. Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_PROGRESS_H
#define WEIR_RELAY_PROGRESS_H

#include "base/attr.h"
#include "limits/verdict.h"

#include <stdbool.h>
#include <stdint.h>

struct limits;
struct session;

/* A session's part in it. */
struct progress {
    uint64_t begun_ns;   /* when the client's incomplete message began; 0: there is none */
    uint64_t moved;      /* bytes read from the client since then */
    uint64_t check_ns;   /* when a large message was last checked */
    uint32_t moved_then; /* `moved` at check_ns */
    uint32_t turn_bytes; /* bytes that both lanes have moved in the last turn */
};

/* Whether the message is late under `lim`; if not, the session's alarm is set for that. A message costs what it holds,
 * however slowly it arrives. But if nothing is heard of its client for message.complete_within, it will hardly be
 * completed. */
MUST_USE bool progress_is_late(struct session *s, const struct limits *lim);

/* A session that holds room for a large message while others wait for it must use it (stream_budget_least()). Only time
 * in which Weir and the application took the bytes counts. The verdict for which it ends; PASS: it is in nobody's way.
 */
MUST_USE enum verdict progress_in_the_way(struct session *s);

#endif
