/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Scores a source for a verdict: strikes, and a ban or probation when ban.strikes are reached. The only place where
 * sources are scored.
 *
 * Called when a session is ended or limited. Threads: the session's worker.
 *
 * An offence that ends the connection counts each time. One that does not (messages dropped) counts once a second and
 * connection: a burst of one second is one offence, and ten offences take ten seconds. Only a client that goes on
 * offends again. A pause is no offence: the client is slowed down to its rate, loses nothing and costs nobody anything,
 * and a client with much to send looks the same as a flood. ban.paused is for operators who know better.
 *
 * An offence belongs to its connection, which is closed. Behind the address there may be other clients, so the
 * consequence for the source is decided in probation.h. The connection is kept in the tarpit for as long as a first ban
 * if its offence is one too many or comes during probation, since a libzmq client would reconnect every 100 ms.
 *
 * A mistake is held against nobody. Its connection is kept for STRIKE_MISTAKE_NS before it is closed, for the same
 * reason. A second is no loss for a client that cannot work, and short for one whose application is being changed.
 *
 * Both take places of ban.tarpit. Without a free place, or with `ban.action: close`, the connection is closed at once.
 */
#ifndef WEIR_RELAY_STRIKE_SCORING_H
#define WEIR_RELAY_STRIKE_SCORING_H

#include "base/units.h"
#include "limits/verdict.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

/* An offence that goes on counts once in this time. */
#define STRIKE_AGAIN_MS 1000u

#define STRIKE_MISTAKE_NS NS_PER_S

/* A session's part in it; as session_ms(), 0: never. */
struct strike_marks {
    uint32_t struck_ms;        /* when an offence that goes on last counted */
    uint32_t shadow_struck_ms; /* the same for a rule in shadow (shadow.h) */
    uint32_t over_since_ms;    /* paused again and again since then */
};

/* The connection ends for this verdict, which may be an offence or not. `overdue`: it was the client's turn for long
 * (handshaking_clock_is_overdue()). `misfit`: what does not fit the application, for the event log; "": nothing. */
void strike_ends(struct session *s, enum verdict v, bool overdue, const char *misfit);

/* Messages were dropped for this verdict. */
void strike_goes_on(struct session *s, enum verdict v);

/* The first: a rate limit has paused the connection. The second: it was read until nothing was left, which ends the
 * count of ban.paused. */
void strike_paused(struct session *s, enum verdict v);
static inline void strike_ran_dry(struct strike_marks *m)
{
    m->over_since_ms = 0;
}

#endif
