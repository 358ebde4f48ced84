/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A session at the valve of its gate (flow/valve.h): whether it may pass messages to the application now, or stands in
 * line while others have theirs. Runs on the session's worker; turns that another worker gives away come by way of
 * admission_wake_all().
 */
#ifndef WEIR_RELAY_ADMISSION_H
#define WEIR_RELAY_ADMISSION_H

#include "relay/worker.h"

struct session;
struct traffic_result;

/* Called by the valve. */
void admission_wake(struct valve_client *c);

/* The session opens, ends. */
void admission_begin(struct session *s);
void admission_end(struct session *s);

/* Whether it stands in line: nothing is read or judged meanwhile. */
bool admission_waits(const struct session *s);

/* Whether its client is not read for a while, and would take the application for dead. */
bool admission_holds_back(const struct session *s);

/* Whether the session may read from its client now. */
bool admission_may_read(struct session *s);

/* It has to wait for its turn. */
void admission_line_up(struct session *s);

/* The application took `bytes`; `blocked`: and takes no more now. */
void admission_wrote(struct session *s, uint64_t bytes, bool blocked);

/* Messages that may pass now. */
uint32_t admission_allows(struct session *s);

/* Counts what passed; lines up when a message has to wait. False: it waits. */
bool admission_passed(struct session *s, const struct traffic_result *r);

/* There is nothing more to pass at the moment. */
void admission_rest(struct session *s);

/* `n` messages came back from the application. */
void admission_answered(struct session *s, uint32_t n);

/* Its client takes no answers now: what it has in hand is waited for no longer than the application needs for it. */
void admission_blocked(struct session *s);

/* At the session's alarm: looks at requests that were not answered for long. */
void admission_on_alarm(struct session *s);

/* Wakes the sessions of this worker that were given turns. */
void admission_wake_all(struct worker *w);

#endif
