/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/command.h"

#include "base/text.h"
#include "config/reference.h"
#include "config/suggest.h"

#include <stdio.h>
#include <string.h>

const struct command *const commands[] = {&command_serve,   &command_run,  &command_check,
                                          &command_explain, &command_ctl,  &command_suggest,
                                          &command_count,   &command_help, NULL};

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = commands; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}

void command_print_help(const struct command *c)
{
    printf("Usage: weir %s\n\n%s\n", c->synopsis, c->help);
}

int usage_unknown_command(const char *name)
{
    struct suggestion s = {0};
    char seen[64];
    for (const struct command *const *c = commands; *c; c++)
        suggest_offer(&s, name, (*c)->name, strlen((*c)->name));
    text_escape(seen, sizeof(seen), name, strlen(name));
    if (!s.best)
        return usage_error(NULL, "unknown command: \"%s\"", seen);
    return usage_error(NULL, "unknown command: \"%s\", did you mean \"%s\"?", seen, s.best);
}

/* ---- weir help ---- */

static void print_overview(void)
{
    printf("Weir: flood protection for ZeroMQ, a gate in front of unmodified libzmq applications.\n\n"
           "Usage: weir COMMAND [ARGUMENT...]\n\n");
    for (const struct command *const *c = commands; *c; c++)
        printf("  %-8s %s\n", (*c)->name, (*c)->summary);
    printf("\n"
           "  weir COMMAND --help   the options of one command\n"
           "  weir help config      every key of the configuration file\n"
           "  weir --version        the version, and the libraries in use\n\n"
           "A gate without a configuration file:\n"
           "  weir serve --listen tcp://0.0.0.0:5555 --forward tcp://127.0.0.1:5556\n");
}

static int help_run(int argc, char **argv)
{
    if (argc > 2)
        return usage_error("help", "one command at a time: \"%s\" is too much", argv[2]);
    if (argc < 2) {
        print_overview();
        return EXIT_DONE;
    }
    if (!strcmp(argv[1], "config")) {
        reference_print(stdout);
        return EXIT_DONE;
    }
    const struct command *c = command_find(argv[1]);
    if (!c)
        return usage_unknown_command(argv[1]);
    command_print_help(c);
    return EXIT_DONE;
}

const struct command command_help = {
    .name = "help",
    .synopsis = "help [COMMAND | config]",
    .summary = "Describe a command, or every key of the configuration file.",
    .help = "Describes a command. `weir help config` prints the reference of the configuration file (docs/config.md).",
    .run = help_run,
};
