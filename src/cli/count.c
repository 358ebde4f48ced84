/* SPDX-License-Identifier: MPL-2.0 */
/*
 * `weir count`: becomes the command, with a preload object in it (src/preload) that counts what the application takes.
 */
#include "cli/command.h"

#include "daemon/preload_object.h"
#include "preload/protocol.h"
#include "preload/taken_rules.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_NOT_STARTED 126 /* as env(1) and shells have it */
#define EXIT_NOT_FOUND   127

/* The command may change its folder. */
static const char *make_absolute(struct taken_rule *rule)
{
    char folder[PATH_MAX], whole[sizeof(rule->path)];
    if (rule->path[0] == '/')
        return NULL;
    if (!getcwd(folder, sizeof(folder)))
        return "the working directory is not known: give a path that begins with /";
    int n = snprintf(whole, sizeof(whole), "%s/%s", folder, rule->path);
    if (n < 0 || (size_t)n >= sizeof(whole))
        return "the path is too long: 107 bytes at most, with the working directory before it";
    memcpy(rule->path, whole, (size_t)n + 1);
    return NULL;
}

static int add_counter(struct taken_rules *rules, const char *text)
{
    struct taken_rule rule;
    const char *wrong = taken_rule_read(&rule, text, strlen(text));
    if (!wrong)
        wrong = make_absolute(&rule);
    if (!wrong)
        wrong = taken_rules_add(rules, &rule);
    return wrong ? usage_error("count", "--counter %s: %s", text, wrong) : EXIT_DONE;
}

static int count_parse(struct taken_rules *rules, int argc, char **argv)
{
    static const struct option options[] = {{"counter", required_argument, NULL, 'c'}, {0}};
    int option, code = EXIT_DONE;
    opterr = 0;
    while (code == EXIT_DONE && (option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        if (option == ':')
            return usage_error("count", "%s needs a value", argv[optind - 1]);
        if (option != 'c')
            return usage_error("count", "unknown option: %s", argv[optind - 1]);
        code = add_counter(rules, optarg);
    }
    if (code != EXIT_DONE)
        return code;
    if (!rules->count)
        return usage_error("count", "--counter PATH is missing: PATH as in `counter: PATH` of the gate");
    if (optind == argc)
        return usage_error("count", "a COMMAND is missing");
    return EXIT_DONE;
}

static int set_environment(const struct taken_rules *rules)
{
    char text[TAKEN_RULES_MOST * (TAKEN_ENDPOINT_BYTES + TAKEN_PATH_BYTES)];
    size_t n = 0;
    for (size_t i = 0; i < rules->count; i++) {
        const struct taken_rule *r = &rules->at[i];
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s%s", i ? "\n" : "", r->endpoint,
                              r->endpoint[0] ? "=" : "", r->path);
    }
    return setenv(TAKEN_ENV, text, 1) ? -errno : 0;
}

static void warn_of_nobody(const struct taken_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        if (access(rules->at[i].path, F_OK) < 0)
            fprintf(stderr, "weir count: %s: %s; messages are counted as soon as a gate with this `counter` is there\n",
                    rules->at[i].path, strerror(errno));
}

static int count_run(int argc, char **argv)
{
    struct taken_rules rules = {.count = 0};
    char path[PATH_MAX];
    int code = count_parse(&rules, argc, argv);
    if (code != EXIT_DONE)
        return code;
    if (!preload_object_find("libweir-count.so", path, sizeof(path))) {
        fprintf(stderr, "weir count: libweir-count.so is missing beside this program: is Weir installed completely?\n");
        return EXIT_NOT_STARTED;
    }
    if (!preload_object_can_be_named(path)) {
        fprintf(stderr, "weir count: a space or colon in %s keeps the dynamic linker from finding it\n", path);
        return EXIT_NOT_STARTED;
    }
    int error = set_environment(&rules);
    if (!error && !getenv(RUN_ENV)) /* the object of `weir run` counts, too */
        error = preload_object_add(path);
    if (error) {
        fprintf(stderr, "weir count: %s\n", strerror(-error));
        return EXIT_NOT_STARTED;
    }
    warn_of_nobody(&rules);
    execvp(argv[optind], argv + optind);
    error = errno;
    fprintf(stderr, "weir count: %s: %s\n", argv[optind], strerror(error));
    return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_STARTED;
}

const struct command command_count = {
    .name = "count",
    .synopsis = "count --counter [ENDPOINT=]PATH... -- COMMAND [ARG...]",
    .summary = "Run a program with the application's counter in it, without changes to the program.",
    .help =
        "      --counter [ENDPOINT=]PATH   PATH as in `counter: PATH` of the gate. ENDPOINT is what the program binds\n"
        "                                  for this gate (tcp:// or ipc://). Without ENDPOINT it is the only socket\n"
        "                                  that the program binds and receives from. Up to 16 counters\n\n"
        "Becomes COMMAND, which runs as ever: same process, same results, same exit code. Its libzmq tells the gate\n"
        "how many messages the program has taken, and when it found none. Programs that it starts do so, too.\n\n"
        "Works with a libzmq that is a shared library (C, C++, Python, JNI, cgo), or linked into a module that "
        "exports\n"
        "its names (npm zeromq). Where these are hidden, or reached by dlsym (ctypes, P/Invoke), or where there is no\n"
        "libzmq (JeroMQ, pure Go), the program runs uncounted.\n\n"
        "Exit code: that of COMMAND; 126 when it cannot be started, 127 when it is not found, 2 when the arguments\n"
        "are wrong.",
    .run = count_run,
};
