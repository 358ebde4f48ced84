/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Whose turn it is in a handshake, and how much time is left: decides when a handshake has taken too long, and who is
 * to blame.
 *
 *   state           member       event                                    next
 *   CLIENT'S TURN   !apps_turn   the client has sent its part             APP'S TURN
 *   CLIENT'S TURN   !apps_turn   no time is left                          ended: handshake timeout
 *   APP'S TURN      apps_turn    the application has sent its part        CLIENT'S TURN
 *   APP'S TURN      apps_turn    no time is left                          ended: application absent or late, table
 * full, or breaker open
 *
 * The client has handshake.within for all of its own turns together, or the application's ZMQ_HANDSHAKE_IVL if that was
 * told and is shorter. A turn that waits for the application (to be reached, to be asked, for its ZAP handler) has
 * libzmq's 30 s, or the longest of the two.
 *
 * Beside that, the client's READY waits for the application's (held_ns != 0), for 100 ms at most, and an application
 * that shows no greeting within handshake.within is reported as silent, once (late).
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_HANDSHAKING_CLOCK_H
#define WEIR_RELAY_HANDSHAKING_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct session;

/* A session's part in it; a member of struct handshaking. */
struct handshaking_clock {
    uint64_t turn_ns;     /* since when the current turn lasts, the client's or the application's */
    uint64_t left_ns[2];  /* what was left of the client's time, and of the application's ([true]), at turn_ns */
    uint64_t deadline_ns; /* of the current turn */
    uint64_t held_ns;     /* since when the client's READY waits for the application's; 0: it does not wait */
    bool apps_turn;       /* it is the application's turn: left_ns[] */
    bool late;            /* the application's greeting did not come in time */
};

/* The client's turn begins. */
void handshaking_clock_start(struct session *s);

/* The other end has the next move. */
void handshaking_clock_switch(struct session *s, bool apps_turn);

/* While the client's READY waits for the application's: it goes on when its time has come. */
void handshaking_clock_hold_ready(struct session *s);

/* Whether it has long been the client's turn: the client has had a second of its own, and only its bytes are
 * missing. */
bool handshaking_clock_is_overdue(const struct session *s);

/* The session's alarm: deadline and retries. May end the session. */
void handshaking_clock_on_alarm(struct session *s);

#endif
