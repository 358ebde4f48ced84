/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Text from a stranger, made safe to show: every byte outside printable ASCII, the backslash and both quotes become
 * \xNN. Also times as text. Pure.
 */
#ifndef WEIR_BASE_TEXT_H
#define WEIR_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Writes the escaped text, always NUL-terminated. It is cut with "..." if `size` (at least 8) does not suffice. Returns
 * `dst`. */
char *text_escape(char *dst, size_t size, const void *bytes, size_t len);

/* Writes nanoseconds since the Unix epoch as an RFC 3339 time in UTC with milliseconds: "2026-11-24T04:53:54.816Z".
 * Returns `dst`. */
#define TEXT_TIME_MAX 64
char *text_time(char dst[static TEXT_TIME_MAX], uint64_t wall_ns);

#endif
