/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/command.h"

#include "config/config.h"

#include <stdio.h>
#include <string.h>

static int check_run(int argc, char **argv)
{
    int first = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;
    if (first == 1 && argc > 1 && argv[1][0] == '-')
        return usage_error("check", "unknown option: %s", argv[1]);
    if (argc <= first)
        return usage_error("check", "a FILE is missing");
    if (argc > first + 1)
        return usage_error("check", "one FILE at a time: \"%s\" is too much", argv[first + 1]);

    struct config *c = config_load(argv[first], stdout);
    if (!c)
        return EXIT_FAILED;
    printf("%s: ok, %zu gate%s\n", argv[first], c->gate_count, c->gate_count == 1 ? "" : "s");
    config_free(c);
    return EXIT_DONE;
}

const struct command command_check = {
    .name = "check",
    .synopsis = "check FILE",
    .summary = "Find every mistake in a configuration file.",
    .help = "Reads a configuration file as `weir serve -c FILE` would, without serving, and prints each mistake and "
            "warning as\n"
            "FILE:LINE:COLUMN: sentence. Host names in the file are looked up.\n\n"
            "Exit code: 0 when FILE can be served, 1 when it has a mistake, 2 when the arguments are wrong.",
    .run = check_run,
};
