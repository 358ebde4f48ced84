/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/command.h"

#include "config/config.h"
#include "daemon/daemon.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

struct serve_args {
    const char *file, *listen, *forward, *admin;
};

enum { OPTION_LISTEN = 256, OPTION_FORWARD, OPTION_ADMIN };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"forward", required_argument, NULL, OPTION_FORWARD},
    {"admin", required_argument, NULL, OPTION_ADMIN},
    {0},
};

/* The place of an option's value, or NULL when it is no option. */
static const char **serve_place_of(struct serve_args *a, int option)
{
    switch (option) {
    case 'c':
        return &a->file;
    case OPTION_LISTEN:
        return &a->listen;
    case OPTION_FORWARD:
        return &a->forward;
    case OPTION_ADMIN:
        return &a->admin;
    default:
        return NULL;
    }
}

static int serve_parse(struct serve_args *a, int argc, char **argv)
{
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:", options, NULL)) != -1) {
        const char **place = serve_place_of(a, option);
        if (option == ':')
            return usage_error("serve", "%s needs a value", argv[optind - 1]);
        if (!place)
            return usage_error("serve", "unknown option: %s", argv[optind - 1]);
        if (*place)
            return usage_error("serve", "given twice, with \"%s\" and \"%s\": an option may come once", *place, optarg);
        *place = optarg;
    }
    if (optind < argc)
        return usage_error("serve", "no argument is expected: \"%s\"", argv[optind]);
    if (a->file && (a->listen || a->forward))
        return usage_error("serve", "either -c FILE or --listen and --forward, not both");
    if (!a->file && !a->listen && !a->forward)
        return usage_error("serve", "nothing to serve: give -c FILE, or --listen URL and --forward URL");
    if (!a->file && !(a->listen && a->forward))
        return usage_error("serve", "%s is missing: --listen and --forward go together",
                           a->listen ? "--forward" : "--listen");
    return EXIT_DONE;
}

static int serve_run(int argc, char **argv)
{
    struct serve_args a = {0};
    int code = serve_parse(&a, argc, argv);
    if (code != EXIT_DONE)
        return code;

    struct config *c = a.file ? config_load(a.file, stderr) : config_from_args(a.listen, a.forward, stderr);
    if (!c)
        return a.file ? EXIT_FAILED : EXIT_USAGE;
    if (a.admin && config_set_admin(c, a.admin, stderr))
        code = EXIT_USAGE;
    else
        code = daemon_run(c, &(struct reload_source){.file = a.file, .admin = a.admin}, NULL);
    config_free(c);
    return code;
}

const struct command command_serve = {
    .name = "serve",
    .synopsis = "serve (-c FILE | --listen URL --forward URL) [--admin ADDRESS:PORT]",
    .summary = "Run the gates.",
    .help = "  -c, --config FILE       gates and limits from a YAML file; see weir help config\n"
            "      --listen URL        where clients connect: tcp://HOST:PORT or ipc://PATH; HOST and PORT may be *,\n"
            "                          and HOST the name of a network interface\n"
            "      --forward URL       where the application listens\n"
            "      --admin ADDR:PORT   metrics and state over HTTP; in place of admin.listen of the file\n\n"
            "Prints a line for each gate when it listens:\n"
            "  weir: ready: tcp://127.0.0.1:5555 -> tcp://127.0.0.1:5556\n\n"
            "SIGTERM and SIGINT drain: connections close at the end of their messages, at the latest after `drain` "
            "(5s); a\n"
            "second signal stops at once. SIGHUP reads FILE again: a wrong one is refused whole.\n\n"
            "Exit code: 0 after a stop by signal, 1 when it cannot start, 2 when the arguments are wrong.",
    .run = serve_run,
};
