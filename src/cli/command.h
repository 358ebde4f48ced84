/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The subcommands: one row of commands[] and one file each. Exit codes of all: 0 done, 1 failed, 2 usage.
 */
#ifndef WEIR_CLI_COMMAND_H
#define WEIR_CLI_COMMAND_H

#include "base/attr.h"

#define EXIT_DONE   0
#define EXIT_FAILED 1
#define EXIT_USAGE  2

struct command {
    const char *name;
    const char *synopsis;              /* the text after "weir " */
    const char *summary;               /* one line for the list */
    const char *help;                  /* the rest of its help, in whole lines */
    int (*run)(int argc, char **argv); /* argv[0] is the command; returns the exit code */
};

extern const struct command command_serve;
extern const struct command command_check;
extern const struct command command_ctl;
extern const struct command command_explain;
extern const struct command command_help;

/* All of them, ended by NULL. */
extern const struct command *const commands[];

/* The row of this name, or NULL. */
const struct command *command_find(const char *name);

/* Prints its whole help to standard output. */
void command_print_help(const struct command *c);

/* Says what is wrong with the arguments and where help is, both on standard error. Returns EXIT_USAGE. */
int usage_error(const char *command, const char *fmt, ...) PRINTF(2, 3);

/* For an unknown command: names the nearest one. Returns EXIT_USAGE. */
int usage_unknown_command(const char *name);

#endif
