/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The connections of one source to one gate, as one worker sees them.
 *
 * 136 bytes for each source with connections, charged to the memory account; freed with the last connection. Threads:
 * belongs to its worker.
 */
#ifndef WEIR_RELAY_SOURCE_CONNS_H
#define WEIR_RELAY_SOURCE_CONNS_H

#include "relay/worker.h"

struct session;

struct source_conns {
    struct list in_gate;        /* in worker_gate.conns */
    struct list in_holding;     /* in worker.buffer_room.holding, while it holds buffers */
    struct source_conns *chain; /* in worker.source_conns */
    struct worker_gate *wg;
    struct source *source;
    struct list sessions;       /* newest last */
    struct list line;           /* newcomers in line, first come first */
    struct list half_open;      /* the one that moved on last comes last */
    struct list linger_waiting; /* lingering connections not yet reported to the application (linger.h), oldest first */
    uint32_t count;
    uint16_t waiting;     /* at most source.connections.half_open, below 65536 */
    uint16_t holds;       /* source_conns_hold() */
    uint32_t linger_told; /* those that are not in `linger_waiting` */
    uint32_t held;        /* buffers of its lanes, in units of BUFPOOL_MIN_BYTES (buffer_room.h) */
};

/* Bytes of the buffers that its connections hold. */
static inline uint64_t source_conns_held_bytes(const struct source_conns *p)
{
    return (uint64_t)p->held * BUFPOOL_MIN_BYTES;
}

/* The connections of a source, or NULL when it has none here. */
struct source_conns *source_conns_find(struct worker_gate *wg, const struct source *source);

/* The same; creates one when there is none. NULL without memory. */
MUST_USE struct source_conns *source_conns_get(struct worker_gate *wg, struct source *source);

/* Frees one that no session was added to. Accepts NULL. */
void source_conns_discard_if_empty(struct source_conns *p);

/* Keeps it during a walk through its sessions, which may end all of them; then frees it if it is empty. */
static inline void source_conns_hold(struct source_conns *p)
{
    p->holds++;
}

static inline void source_conns_let_go(struct source_conns *p)
{
    p->holds--;
    source_conns_discard_if_empty(p);
}

/* Enters and removes a session; the last one frees it. */
void source_conns_add(struct source_conns *p, struct session *s);
void source_conns_remove(struct source_conns *p, struct session *s);

/* Of the sources with subscriptions here, the one whose source holds the most bytes of topics, if that is more than
 * `more_than`; NULL: none does. Walks all of them: for the rare moment when subscriptions.trie_bytes is exceeded. */
struct source_conns *source_conns_with_most_topics(struct worker_gate *wg, uint64_t more_than);

#endif
