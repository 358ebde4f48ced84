/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes the event log (relay/event_log.h) to its file, on a thread of its own, and tells there what the ban table
 * alone knows: bans of an operator, bans that were lifted, bans that have come to their end.
 *
 * Whole lines go out by one write(2) at the end of the file. The file is opened anew when it was moved away or removed
 * (looked at once a second), and when that is asked for. While it cannot be opened or written, a line in the log says
 * so once, lines are counted as failed, and it is tried again once a second: nobody waits for a full disk.
 */
#ifndef WEIR_DAEMON_EVENT_WRITER_H
#define WEIR_DAEMON_EVENT_WRITER_H

#include "base/attr.h"
#include "policy/bans.h"

struct event_log;
struct event_writer;

/* Starts the thread. All must outlive it. NULL when memory or threads are out. Main thread, before the workers start.
 */
MUST_USE struct event_writer *event_writer_start(const char *path, struct event_log *log, struct bans *bans);

/* Opens the file anew before the next line. Accepts NULL. Main thread. */
void event_writer_reopen(struct event_writer *w);

/* Writes what was told until now, ends the thread, frees everything. Accepts NULL. Main thread. */
void event_writer_stop(struct event_writer *w);

#endif
