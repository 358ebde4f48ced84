/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes the event log (relay/event_log.h) to its file, on a thread of its own.
 *
 * It adds the events that only the ban table knows: bans by an operator, bans that were lifted, bans that have expired.
 *
 * Whole lines are appended by one write(2). The file is opened again when it was moved away or removed (checked once a
 * second), and on request. While it cannot be opened or written, one log line says so, lines are counted as failed, and
 * it is tried again once a second: a full disk holds nothing up.
 */
#ifndef WEIR_DAEMON_EVENT_WRITER_H
#define WEIR_DAEMON_EVENT_WRITER_H

#include "bans/bans.h"
#include "base/attr.h"

struct event_log;
struct event_writer;

/* Starts the thread. All arguments must outlive it. NULL when memory or threads are out. Main thread, before the
 * workers start. */
MUST_USE struct event_writer *event_writer_start(const char *path, struct event_log *log, struct bans *bans);

/* Opens the file again before the next line. Accepts NULL. Main thread. */
void event_writer_reopen(struct event_writer *w);

/* Writes the events reported so far, ends the thread, frees everything. Accepts NULL. Main thread. */
void event_writer_stop(struct event_writer *w);

#endif
