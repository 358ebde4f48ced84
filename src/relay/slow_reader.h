/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A client that does not take what the application sends to it: what the application holds back for it is counted, and
 * a client that is too far behind gives way (flow/lag.h).
 *
 *   state   event                                                                next
 *   NONE    the client does not take everything (slow_reader_begin())            LAGS, if its backlog can be known
 *   LAGS    it has taken everything for SLOW_READER_CAUGHT_UP_NS (session.c)     NONE
 *   LAGS    it is looked at: each 100 or 500 ms, and when it sends a message     LAGS; too far behind: it gives way
 *   LAGS    its session ends                                                     NONE
 *
 * It lags until it has kept up for a while: a client that empties what waits in Weir may still have much waiting behind
 * that.
 *
 * Threads: belongs to the session's worker; the gate's sums are atomic.
 */
#ifndef WEIR_RELAY_SLOW_READER_H
#define WEIR_RELAY_SLOW_READER_H

#include "base/units.h"

#include <stdbool.h>
#include <stdint.h>

/* A subscriber without a backlog in Weir for this long has received all that the publisher held back for it. */
#define SLOW_READER_CAUGHT_UP_NS (100 * NS_PER_MS)

struct laggard;
struct limits;
struct session;

/* A session's part in it. */
struct slow_reader {
    uint64_t flowing_ns;     /* when the client was last seen to take everything */
    struct laggard *laggard; /* NULL: its client has kept up */
};

/* Its client does not take what the application sends. Without memory for it, it counts from the next time on. */
void slow_reader_begin(struct session *s);

/* Its client has caught up, or its session ends. */
void slow_reader_end(struct session *s);

/* Whether the backlog in the application for clients that do not read is so large that this one gives way. */
bool slow_reader_is(struct session *s, const struct limits *lim);

/* Whether a client that does not take its answers has asked for so many that it must give way. */
bool slow_reader_asks_too_much(struct session *s);

/* Sets the alarm for the next look, while it lags. */
void slow_reader_look_again(struct session *s);

#endif
