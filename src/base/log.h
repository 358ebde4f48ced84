/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Log lines on standard error: one line a call and one write(2) a line, so that lines of threads never mix. Only floors
 * 4 and up write log lines; libraries return errors.
 *
 * A caller limits the rate of lines that a peer can trigger (LOG_LIMITED), and passes foreign bytes through
 * text_escape() first. As a second fence, control characters in the finished line are replaced by '?'.
 *
 * Without a sink the calling thread writes, and waits for the reader of standard error. The daemon sets a sink before
 * it starts threads (events/log_writer.h). Then no caller waits, and a line for which the sink has no room is counted
 * as lost.
 */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include "base/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest line with its newline, and one byte more. */
#define LOG_LINE_MAX 1024u

/* Least time between two lines of one log_limit. */
#define LOG_LIMIT_NS (10 * NS_PER_S)

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines of a level above `level` are not written. Default: info. Call once, before threads start. */
void log_set_level(enum log_level level);

/* Prefixes each line with a UTC time as in RFC 3339. Default: on, unless under systemd (JOURNAL_STREAM is set). */
void log_set_timestamps(bool on);

/* Whether a line of this level would be written. */
bool log_enabled(enum log_level level);

/* Writes "weir: <text>\n" (at most 1023 bytes, cut with "..."). Any thread; never blocks on a lock. */
void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

/* Composes the line that log_line() would write. Returns its length. */
size_t log_format(char line[static LOG_LINE_MAX], const char *fmt, ...) PRINTF(2, 3);

/* ---- the sink ---- */

/* The first member of a structure that takes lines in place of standard error. */
struct log_sink {
    bool (*put)(struct log_sink *, const char *line, size_t len); /* any thread; never waits; false: no room */
};

/* NULL: the calling thread writes. The sink must outlive all threads that log. Call while only one thread logs. */
void log_set_sink(struct log_sink *sink);

/* Lines lost since the start: those for which the sink had no room, and those of log_note_lost(). Any thread. */
uint64_t log_lost(void);
void log_note_lost(uint64_t lines);

/* ---- lines that peers can trigger ---- */

/* Limits lines of one kind to one in LOG_LIMIT_NS. All zeros at first. Any thread. */
struct log_limit {
    _Atomic uint64_t at_ns; /* when a line of this kind was last written */
    _Atomic uint64_t held;  /* lines held back since then */
};

/* Whether a line may be written now. *ret_held: the lines held back since the last one. */
bool log_limit_pass(struct log_limit *l, uint64_t now_ns, uint64_t *ret_held);

/* The lines held back, when none of the kind was written for twice as long as the limit asks for: no next one has told
 * of them. Takes them. Any thread. */
uint64_t log_limit_take_held(struct log_limit *l, uint64_t now_ns);

/* As log_line(), followed by "; <held> more like this not shown" unless `held` is 0. */
void log_line_held(enum log_level level, uint64_t held, const char *fmt, ...) PRINTF(3, 4);

/* Writes a line if the limit allows one now. Only then the arguments are evaluated. */
#define LOG_LIMITED(limit, now_ns, level, ...)                                                                         \
    do {                                                                                                               \
        uint64_t log_held_;                                                                                            \
        if (log_limit_pass((limit), (now_ns), &log_held_))                                                             \
            log_line_held((level), log_held_, __VA_ARGS__);                                                            \
    } while (0)

#define LOG_ERROR(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_WARN(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_INFO(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_DEBUG(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
