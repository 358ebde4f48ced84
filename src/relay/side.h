/* SPDX-License-Identifier: MPL-2.0 */
/*
 * One end of a session: a descriptor, and the readiness that epoll has reported for it.
 *
 * Edge-triggered: readiness stays known until it is used up. Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_SIDE_H
#define WEIR_RELAY_SIDE_H

#include "base/attr.h"
#include "relay/worker.h"

#include <stdbool.h>
#include <stdint.h>

/* How many times an unread side may report more bytes before it is not watched for them any more. */
#define SIDE_KNOCKS_MOST 8u

struct side {
    struct watch watch;
    uint8_t knocks; /* how often more bytes came since it is not read */
    bool readable : 1, writable : 1;
    bool hup : 1;     /* the other end has closed: read on until recv() returns 0 */
    bool reset : 1;   /* ... and does not take anything any more */
    bool starved : 1; /* the kernel had no memory for a write, and no event will follow: the write is retried */
    bool muted : 1;   /* not watched for incoming bytes */
};

/* Takes an event of epoll. `held`: the side is not to be read for a while. Edge-triggered epoll reports each segment
 * that arrives, and a client in line could wake the worker with each byte. */
void side_note(struct side *side, struct worker *w, uint32_t events, bool held);

void side_unmute(struct side *side, struct worker *w);

/* The side was read until nothing was left. */
static inline void side_was_emptied(struct side *side, struct worker *w)
{
    side->readable = false;
    side->knocks = 0;
    if (UNLIKELY(side->muted))
        side_unmute(side, w);
}

#endif
