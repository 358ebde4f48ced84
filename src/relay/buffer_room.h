/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Applies memory pressure (flow/pressure.h) at a worker: which lane may read, who waits for memory, which newcomer is
 * let in, and which session is cut when nothing else helps.
 *
 * A source holds the buffers of its connections' lanes at this worker, counted to the byte in struct source_conns. A
 * read that needs no memory is always allowed: bytes that fit into a buffer held anyway let messages end, and only the
 * end of a message gives its memory back.
 *
 * Threads: belongs to its worker. No memory of its own: waiting sessions are linked in `waiting` by
 * `session.in.waiting`.
 */
#ifndef WEIR_RELAY_BUFFER_ROOM_H
#define WEIR_RELAY_BUFFER_ROOM_H

#include "base/list.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct lane;
struct session;
struct source;
struct worker;
struct worker_gate;

/* A worker's part in it. */
struct buffer_room_worker {
    uint32_t holders;    /* sources here that hold buffers */
    struct list holding; /* the same; those visited longest ago first */
    bool wanted;         /* a session within its share found no room */
    uint64_t cut_ns;     /* when the heaviest sessions were last looked for */
    struct list waiting; /* sessions that wait for memory */
    struct alarm press;  /* when some of them try again */
};

void buffer_room_init(struct buffer_room_worker *m);

/* Counts a buffer that a lane took, and gave back. */
void buffer_room_took(struct session *s, uint32_t cap);
void buffer_room_gave(struct session *s, uint32_t cap);

enum buffer_room_grant {
    BUFFER_ROOM_NOTHING, /* wait: the session is woken when it may try again */
    BUFFER_ROOM_WITHIN,  /* read only what fits into the lane's own buffer */
    BUFFER_ROOM_FREE,    /* read up to 1 << l->read_log2 bytes, which may be lowered here */
};

/* What the lane may read now. Without pressure this is one relaxed load. */
enum buffer_room_grant buffer_room_grants(struct lane *l, struct session *s);

/* Makes the lane wait for memory. */
void buffer_room_wait(struct lane *l, struct session *s);

/* The session has its turn: it does not wait any longer, until it is told to again. Also for a session that ends. */
void buffer_room_resume(struct session *s);

/* Whether a newcomer of this source may come in. */
bool buffer_room_admits(struct worker_gate *wg, const struct source *source);

/* Once a round: updates the level. Returns the session that is to be cut, the heaviest, while no memory is left or when
 * a session within its share found no room; else NULL. It is asked again after each cut: `cut` have been cut in this
 * round. */
MUST_USE struct session *buffer_room_to_cut(struct worker *w, unsigned cut);

#endif
