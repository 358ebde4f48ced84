/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Log lines on standard error: one line a call, one write(2) a line, so lines of threads never mix. Only floors 4 and
 * up log; libraries return errors. Callers limit the rate of what a peer can trigger, and pass foreign bytes through
 * text_escape() first; as a second fence, control characters in the finished line are replaced by '?'.
 */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include "base/attr.h"

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above `level` are not written. Default: info. Call once, before threads start. */
void log_set_level(enum log_level level);

/* Prefixes each line with an RFC 3339 UTC time (on by default when not under systemd: JOURNAL_STREAM unset). */
void log_set_timestamps(bool on);

/* Whether a line of this level would be written. */
bool log_enabled(enum log_level level);

/* Writes "weir: <text>\n" (at most 1023 bytes, cut with "..."). Any thread; never blocks on a lock. */
void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

#define LOG_ERROR(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_WARN(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_INFO(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_DEBUG(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
