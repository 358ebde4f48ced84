/* SPDX-License-Identifier: MPL-2.0 */
/*
 * One end of a session: a descriptor, and what epoll has told of it. Edge-triggered: what is there stays known until it
 * is used up. Belongs to the session's worker.
 */
#ifndef WEIR_RELAY_SIDE_H
#define WEIR_RELAY_SIDE_H

#include "base/attr.h"
#include "relay/worker.h"

#include <stdbool.h>
#include <stdint.h>

/* Times that an unread side may tell of more before it is no longer watched for it. */
#define SIDE_KNOCKS_MOST 8u

struct side {
    struct watch watch;
    bool readable, writable;
    bool hup;     /* the other end has closed: read on until 0 comes */
    bool reset;   /* ... and takes nothing any more */
    bool starved; /* the kernel had no memory for what was to be written: it will tell of none, so it is tried again */
    bool muted;   /* not watched for bytes to read */
    uint8_t knocks; /* times that more came since it is not read */
};

/* Takes what epoll says. `held`: it is not to be read for a while. Edge-triggered epoll tells of each segment that
 * comes, and one who stands in line could wake the worker with each byte. */
void side_note(struct side *side, struct worker *w, uint32_t events, bool held);

void side_unmute(struct side *side, struct worker *w);

/* It was read until nothing was left. */
static inline void side_was_emptied(struct side *side, struct worker *w)
{
    side->readable = false;
    side->knocks = 0;
    if (UNLIKELY(side->muted))
        side_unmute(side, w);
}

#endif
