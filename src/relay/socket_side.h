/* SPDX-License-Identifier: MPL-2.0 */
/*
 * One end of a session: a descriptor, and the readiness that epoll has reported for it.
 *
 * Edge-triggered: readiness stays known until it is used up. Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_SOCKET_SIDE_H
#define WEIR_RELAY_SOCKET_SIDE_H

#include "base/attr.h"
#include "relay/worker.h"

#include <stdbool.h>
#include <stdint.h>

/* How many times an unread side may report more bytes before it is not watched for them any more. */
#define SOCKET_SIDE_RX_WAKEUPS_MOST 8u

struct socket_side {
    struct watch watch;
    uint8_t rx_wakeups; /* how often more bytes came since it is not read */
    bool readable : 1, writable : 1;
    bool hup : 1;         /* the other end has closed: read on until recv() returns 0 */
    bool reset : 1;       /* ... and does not take anything any more */
    bool starved : 1;     /* the kernel had no memory for a write, and no event will follow: the write is retried */
    bool rx_disabled : 1; /* not watched for incoming bytes */
};

/* Takes an event of epoll. `held`: the side is not to be read for a while. Edge-triggered epoll reports each segment
 * that arrives, and a client in line could wake the worker with each byte. */
void socket_side_note(struct socket_side *side, struct worker *w, uint32_t events, bool held);

void socket_side_rx_enable(struct socket_side *side, struct worker *w);

/* The side was read until nothing was left. */
static inline void socket_side_was_emptied(struct socket_side *side, struct worker *w)
{
    side->readable = false;
    side->rx_wakeups = 0;
    if (UNLIKELY(side->rx_disabled))
        socket_side_rx_enable(side, w);
}

#endif
