/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Lines of the preload object on the standard error of the program that it is in: one for each thing that the operator
 * has to know, in one write(2). Only where standard error was when the program began: it may have put something else
 * under that number since, a client's connection perhaps. errno stays.
 */
#ifndef WEIR_PRELOAD_PRELOAD_SAY_H
#define WEIR_PRELOAD_PRELOAD_SAY_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a line may be written. */
bool preload_may_say(void);

/* A line of `weir count`. */
void preload_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A line of `weir run`, once for each place that `said` belongs to. */
void preload_say_once(_Atomic bool *said, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
