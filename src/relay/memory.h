/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The pressure on the memory (flow/pressure.h) as a worker applies it: which lane may read, who waits for memory, which
 * newcomer is let in, and who is cut when nothing else helps. Belongs to its worker.
 *
 * What a source holds are the buffers of its connections' lanes at this worker, counted to the byte in struct peer.
 * A read that needs no memory is always allowed: what fits into a buffer that is held anyway lets messages end, and
 * only the end of a message gives its memory back.
 *
 * No memory of its own: who waits is linked in `worker.pressed` by `session.in_peer_entry`.
 */
#ifndef WEIR_RELAY_MEMORY_H
#define WEIR_RELAY_MEMORY_H

#include "relay/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct lane;
struct session;
struct source;

/* Counts a buffer of a lane that was taken, given back. */
void memory_took(struct session *s, uint32_t cap);
void memory_gave(struct session *s, uint32_t cap);

enum memory_grant {
    MEMORY_NOTHING, /* wait: the session is woken when it may try again */
    MEMORY_WITHIN,  /* only what fits into the lane's own buffer */
    MEMORY_FREE,    /* up to 1 << l->read_log2 bytes, which may be lowered here */
};

/* What the lane may read now. While there is no pressure this is one relaxed load. */
enum memory_grant memory_grants(struct lane *l, struct session *s);

/* Makes the lane wait for memory. */
void memory_wait(struct lane *l, struct session *s);

/* The session has its turn: it waits no longer, until it is told so again. Also for one that ends. */
void memory_resume(struct session *s);

/* Whether a newcomer of this source may come in. */
bool memory_admits(struct worker_gate *wg, const struct source *source);

/* Once a round: brings the level up to date, and while nothing is left cuts the heaviest unfinished messages. */
void memory_relieve(struct worker *w);

/* Wakes some of those who wait. The ring of `worker.press`. */
void memory_on_alarm(struct alarm *a);

#endif
