/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/command.h"

#include "base/text.h"
#include "config/suggest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct command *const commands[] = {&command_serve, &command_check, &command_explain,
                                          &command_ctl,   &command_help,  NULL};

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

int usage_error(const char *command, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "weir%s%s: ", command ? " " : "", command ? command : "");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry: weir %s%s--help\n", command ? command : "", command ? " " : "");
    return EXIT_USAGE;
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
