/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Keeps both ends of a session from taking each other for dead while Weir does not read the client: sends PONGs in
 * their names.
 *
 *   while the client is                           sent
 *   paused, blocked, short of memory, in line     a PONG to it each heartbeat.interval (see below)
 *   paused, short of memory, in line              a PONG to the application too, if one of the ends sends PINGs
 *   paused, in line                               an answer to each PING of the application
 *
 * A client gets PONGs if it is there for sure, waits for answers to PINGs, is answered, or is a subscriber. Any other
 * one that has closed would lose what its kernel still holds.
 *
 * Only between two messages, and only if both ends speak ZMTP 3.1 in the clear (session_flags.can_pong).
 *
 * Threads: belongs to the session's worker.
 */
#ifndef WEIR_RELAY_KEEPALIVE_H
#define WEIR_RELAY_KEEPALIVE_H

struct lane;
struct session;
struct traffic_ping;

/* At the alarm of an open session: sends what is due, and sets the alarm for the next. May end the session. */
void keepalive_on_alarm(struct session *s);

/* The lane has passed a PING. May end the session. */
void keepalive_note_ping(struct lane *l, struct session *s, const struct traffic_ping *ping);

#endif
