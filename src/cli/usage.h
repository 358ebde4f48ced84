/* SPDX-License-Identifier: MPL-2.0 */
/*
 * What every subcommand says of wrong arguments, and its exit codes: 0 done, 1 failed, 2 usage.
 */
#ifndef WEIR_CLI_USAGE_H
#define WEIR_CLI_USAGE_H

#include "base/attr.h"

#define EXIT_DONE   0
#define EXIT_FAILED 1
#define EXIT_USAGE  2

/* Says what is wrong with the arguments and where help is, both on standard error; returns EXIT_USAGE. */
int usage_error(const char *command, const char *fmt, ...) PRINTF(2, 3);

#endif
