/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/command.h"
#include "cli/version.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_help(const char *arg)
{
    return !strcmp(arg, "--help") || !strcmp(arg, "-h");
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (is_help(argv[i]))
            return true;
    return false;
}

static int run_command(int argc, char **argv)
{
    const struct command *c = command_find(argv[0]);
    if (!c)
        return usage_unknown_command(argv[0]);
    if (!wants_help(argc, argv))
        return c->run(argc, argv);
    command_print_help(c);
    return EXIT_DONE;
}

static int main_run(int argc, char **argv)
{
    if (argc < 2)
        return usage_error(NULL, "a command is missing");
    if (is_help(argv[1]))
        return command_help.run(1, argv + 1);
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        version_print(stdout);
        return EXIT_DONE;
    }
    if (argv[1][0] == '-')
        return usage_error(NULL, "unknown option before the command: %s", argv[1]);
    return run_command(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int code = main_run(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    perror("weir: standard output");
    return code ? code : EXIT_FAILED;
}
