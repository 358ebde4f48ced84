/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What a verdict costs the source that it was passed on: strikes, and past ban.strikes a ban. The one place where
 * sources are scored; called by whoever ends or limits a session. Belongs to the session's worker.
 *
 * An offence that ends the connection counts each time. What does not end it (messages left out) counts once a second
 * and connection, so that a burst of one second is one offence and ten of them take ten seconds: only who goes on
 * offends again. Being paused is no offence: the client is slowed down to its rate, loses nothing and costs nobody
 * anything, and one that has much to send looks the same as a flood; ban.paused is for those who know better.
 *
 * An offence belongs to its connection, which is closed; behind an address there may be others, so what follows for the
 * source is decided in probation.h. The connection of an offence that is one too many, or that comes during probation,
 * is kept in the tarpit for as long as a first ban, since a libzmq client would come back every 100 ms.
 *
 * A mistake is held against nobody. Its connection is kept for OFFENCE_MISTAKE_NS before it is closed, for the same
 * reason: a second is no loss for a client that cannot work, and short for one whose application is being changed.
 * Both take places of ban.tarpit; without one, and with `ban.action: close`, the connection is closed at once.
 */
#ifndef WEIR_RELAY_OFFENCE_H
#define WEIR_RELAY_OFFENCE_H

#include "relay/session.h"

/* What goes on counts once in this time. */
#define OFFENCE_AGAIN_MS 1000u

#define OFFENCE_MISTAKE_NS NS_PER_S

/* The connection ends for this verdict, whether it is an offence or not. */
void offence_ends(struct session *s, enum verdict v);

/* Messages were left out for this verdict. */
void offence_goes_on(struct session *s, enum verdict v);

/* A rate has paused the connection; and it was read until nothing was left, which ends the count of ban.paused. */
void offence_paused(struct session *s, enum verdict v);
static inline void offence_ran_dry(struct session *s)
{
    s->over_since_ms = 0;
}

#endif
