/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The subcommands: one row of commands[] and one file each; `weir help`, which lists them all, stands beside the table.
 */
#ifndef WEIR_CLI_COMMAND_H
#define WEIR_CLI_COMMAND_H

#include "cli/usage.h"

struct command {
    const char *name;
    const char *synopsis;              /* the text after "weir " */
    const char *summary;               /* one line for the list */
    const char *help;                  /* the rest of its help, in whole lines */
    int (*run)(int argc, char **argv); /* argv[0] is the command; returns the exit code */
};

extern const struct command command_serve;
extern const struct command command_run;
extern const struct command command_check;
extern const struct command command_ctl;
extern const struct command command_explain;
extern const struct command command_count;
extern const struct command command_suggest;
extern const struct command command_help;

/* All of them, ended by NULL. */
extern const struct command *const commands[];

/* The row of this name, or NULL. */
const struct command *command_find(const char *name);

/* Prints its whole help to standard output. */
void command_print_help(const struct command *c);

/* For an unknown command: names the nearest one. Returns EXIT_USAGE. */
int usage_unknown_command(const char *name);

#endif
