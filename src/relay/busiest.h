/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The busiest second that a gate has seen: how many messages passed and were taken in it, how large they were, and how
 * many connections there were. `weir suggest hwm` proposes high-water marks from these.
 *
 * Nothing is counted for it: once a second, the counters that workers keep anyway are read, and compared with what they
 * were. A look that comes late sees the mean of its time. Seconds of an embedded gate are not looked at, since it has
 * no admin address.
 *
 * Owner: the relay, one for each gate; zeroed when a gate begins. Lock: the caller's, for all functions.
 * Memory: 136 bytes. Cost: eight loads for each worker and second.
 */
#ifndef WEIR_RELAY_BUSIEST_H
#define WEIR_RELAY_BUSIEST_H

#include "relay/gate.h"

#define BUSIEST_SHORTEST_NS (NS_PER_S / 2) /* a look that comes sooner is left out */
#define BUSIEST_SIZED       16u            /* messages of a second whose mean size says something */

/* One direction. */
struct busiest_way {
    uint64_t messages, bytes; /* in all, at the last look */
    uint64_t most, heaviest;  /* messages in a second; the largest mean size of a second's messages */
    uint64_t seconds;         /* with messages */
};

struct busiest {
    uint64_t looked_ns; /* 0: not yet */
    struct busiest_way in, out;
    uint64_t taken, taken_most; /* by the application's counter: in all, at the last look; in a second */
    uint64_t each_most;         /* messages out in a second, for each connection in the mean */
    uint64_t connections_most;  /* established */
};

void busiest_look(struct busiest *b, const struct gate *g, unsigned workers, uint64_t now_ns);

/* Fills the cells that show it. */
void busiest_report(const struct busiest *b, uint64_t cells[static CELL_COUNT]);

#endif
