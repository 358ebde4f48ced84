/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes log lines (base/log.h) to standard error on a thread of its own, so that a reader of standard error that
 * stands still, a full pipe or a terminal that is stopped, holds up nobody else. The lines of all threads pass through
 * a ring of LOG_WRITER_LINES (about 256 KiB).
 *
 * When the ring is full, lines are lost: they are counted (weir_log_lines_lost_total), and a line says how many as soon
 * as lines can be written again. Standard error is never made non-blocking, since others may share it.
 */
#ifndef WEIR_DAEMON_LOG_WRITER_H
#define WEIR_DAEMON_LOG_WRITER_H

#include "base/attr.h"

#define LOG_WRITER_LINES 256u

struct log_writer;

/* Starts the thread; from now on log_line() hands lines to it. NULL when memory, descriptors or threads are out. Main
 * thread, after the last fork and before any thread that logs. */
MUST_USE struct log_writer *log_writer_start(void);

/* Writes what is there, for a second at most, and ends the thread; from now on the caller of log_line() writes. When
 * standard error still takes nothing, later lines are lost. Accepts NULL. Main thread, after all others that log. */
void log_writer_stop(struct log_writer *w);

#endif
