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
 * A source with n connections in good order has n times the strikes, up to STRIKES_PATIENCE_MAX: behind a shared
 * address the connection that offends is closed each time, and only if that goes on do its neighbours go with it.
 */
#ifndef WEIR_RELAY_OFFENCE_H
#define WEIR_RELAY_OFFENCE_H

#include "relay/session.h"

/* What goes on counts once in this time. */
#define OFFENCE_AGAIN_NS NS_PER_S

/* The connection ends for this verdict, whether it is an offence or not. */
void offence_ends(struct session *s, enum verdict v);

/* Messages were left out for this verdict. */
void offence_goes_on(struct session *s, enum verdict v);

/* A rate has paused the connection; and it was read until nothing was left, which ends the count of ban.paused. */
void offence_paused(struct session *s, enum verdict v);
static inline void offence_ran_dry(struct session *s)
{
    s->over_since_ns = 0;
}

/* How many times deeper the bucket of a source is. */
unsigned offence_patience(const struct source *source);

#endif
