/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Learning what an application speaks: a short connection that exchanges greetings and closes before any handshake, so
 * that clients can be answered without spending a connection on each. Done at start, again and again (100 ms to 1 s
 * apart) while the application cannot be reached, and after it has come back. Lives in worker 0; other workers only
 * report failures.
 */
#ifndef WEIR_RELAY_PROBE_H
#define WEIR_RELAY_PROBE_H

#include "relay/worker.h"

struct probe;

/* NULL when memory is out. The first attempt starts at once. */
MUST_USE struct probe *probe_new(struct worker_gate *wg);
void probe_free(struct probe *p);

/* A session could not connect (`error`: -errno), or found another application than expected (0). Any worker. */
void probe_report_failure(struct worker_gate *wg, int error);

/* The application is asked again, at most fifty times a second: what is known of it is old, or does not suit a client.
 * Any worker. */
void probe_request(struct worker_gate *wg);

/* The same, and what was known is no longer believed: the application has closed a connection. Not for anything that
 * clients can bring about alone, or they would keep all others waiting. Any worker. */
void probe_doubt(struct worker_gate *wg);

/* Worker 0: looks whether a failure was reported. */
void probe_wake(struct probe *p);

/* Worker 0: another policy is in force. */
void probe_on_policy(struct probe *p);

/* Events of the probe's descriptor. */
void probe_on_event(struct watch *watch, uint32_t events);

#endif
