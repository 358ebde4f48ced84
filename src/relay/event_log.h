/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Carries events from the threads that see them to the thread that writes them (daemon/event_writer.h).
 *
 * Events pass the limits of events.rate and enter a queue of EVENT_LOG_QUEUE, which one thread empties. A caller never
 * waits. An event that finds the queue full is counted and lost; bans are lost last. Memory: 800 KiB, allocated only
 * when there is an event log.
 *
 * The functions that take a gate or a log accept that there is no event log (gate.events NULL), and then
 * cost one check.
 */
#ifndef WEIR_RELAY_EVENT_LOG_H
#define WEIR_RELAY_EVENT_LOG_H

#include "bans/bans.h"
#include "events/event.h"
#include "events/event_limit.h"
#include "relay/worker.h"

#define EVENT_LOG_QUEUE 2048u

/* What became of events. */
struct event_log_stats {
    uint64_t written, suppressed, lost, failed;
};

/* NULL when memory or descriptors are out. */
MUST_USE struct event_log *event_log_new(void);

/* Accepts NULL. After all callers have ended. */
void event_log_free(struct event_log *log);

/* ---- reporting; any thread ---- */

/* The client that an event is about, as far as it is known. */
struct event_peer {
    const struct addr *addr;
    struct bytes routing_id; /* while its handshake lasts */
    bool good;               /* something well-behaved is known at its address (probation.h) */
};

/* A client's connection ends, or goes on, for an offence. `strikes` of `of` are counted now. */
void event_log_offence(struct worker_gate *wg, const struct event_peer *who, enum event_kind k, enum verdict v,
                       enum event_deed done, uint32_t strikes, uint32_t of);

/* A client's connection ends for something that is no offence: it is closed, or kept in the tarpit first. `misfit`:
 * what does not fit the application, or "". */
void event_log_closed(struct worker_gate *wg, const struct event_peer *who, enum verdict v, enum event_deed done,
                      const char *misfit);

/* A source is banned for a verdict. */
void event_log_ban(struct worker_gate *wg, const struct addr *who, const struct ban *b, enum verdict v);

/* A source is on probation for a verdict. */
void event_log_probation(struct worker_gate *wg, const struct addr *who, enum verdict v, uint64_t for_ns);

/* A newcomer is refused. */
void event_log_refused(struct worker_gate *wg, const struct addr *addr, enum verdict v, enum event_deed done);

/* About a gate: its breaker has changed (open for `for_ns`), or something else about its application. */
void event_log_gate(struct worker_gate *wg, enum event_kind k, uint64_t for_ns, const char *detail);

/* The application's counter has come, has gone, or is not believed. */
void event_log_counter(struct worker_gate *wg, const char *detail);

/* A gate has come or gone. `name`: valid as long as the log. `log` may be NULL. No limit. */
void event_log_gates(struct event_log *log, enum event_kind k, const char *name, const char *detail);

/* An event without a limit, about Weir as a whole. `log` may be NULL. */
void event_log_note(struct event_log *log, enum event_kind k, const char *detail);

/* ---- writing; one thread ---- */

/* Takes the oldest event of the queue. False: it is empty. */
MUST_USE bool event_log_take(struct event_log *log, struct event *ret);

/* Waits until the queue has an event or event_log_wake() is called, at most `most_ms`. */
void event_log_wait(struct event_log *log, int most_ms);
void event_log_wake(struct event_log *log);

/* The number of events of one kind and verdict that were suppressed since the last line that told it. */
uint64_t event_log_take_suppressed(struct event_log *log, enum event_kind k, enum verdict v);

/* Counts lines that were written, and lines that failed. */
void event_log_count(struct event_log *log, uint64_t written, uint64_t failed);

/* Any thread; zeros for NULL. */
struct event_log_stats event_log_stats(const struct event_log *log);

#endif
