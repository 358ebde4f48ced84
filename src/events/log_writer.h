/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes log lines (base/log.h) to standard error on a thread of its own, so that a blocked reader of standard error (a
 * full pipe, a stopped terminal) holds up no other thread.
 *
 * The lines of all threads pass through a ring of LOG_WRITER_LINES (about 256 KiB). When the ring is full, lines are
 * lost. They are counted (weir_log_lines_lost_total), and a line says how many as soon as lines can be written again.
 * Standard error is never made non-blocking, since other processes may share it.
 */
#ifndef WEIR_EVENTS_LOG_WRITER_H
#define WEIR_EVENTS_LOG_WRITER_H

#include "base/attr.h"

#define LOG_WRITER_LINES 256u

struct log_writer;

/* Gets a line without its newline, on the writer's thread. */
typedef void log_writer_line(void *arg, const char *text);

/* Starts the thread; from now on log_line() hands lines to it. `line`: gets them in place of standard error; NULL:
 * standard error. NULL when memory, descriptors or threads are out. Main thread, after the last fork and before any
 * thread that logs. */
MUST_USE struct log_writer *log_writer_start(log_writer_line *line, void *arg);

/* Writes the remaining lines, for a second at most, and ends the thread; from now on the caller of log_line() writes.
 * If standard error still takes nothing, later lines are lost. Accepts NULL. Main thread, after all other threads that
 * log. */
void log_writer_stop(struct log_writer *w);

#endif
