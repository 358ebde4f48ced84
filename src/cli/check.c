/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/command.h"

#include "config/checks.h"
#include "config/config.h"
#include "config/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 0, or -errno: no file can be made in its folder. */
static int folder_refuses(const char *path, char folder[static CONFIG_PATH_MAX])
{
    snprintf(folder, CONFIG_PATH_MAX, "%s", path);
    char *slash = strrchr(folder, '/'); /* paths of a configuration are absolute */
    slash[slash == folder] = '\0';
    return faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* Warns if the file cannot be made, or, if it exists and `is_appended`, not be written. */
static void check_path(struct report *r, const struct schema *s, const char *key, const struct section_given *given,
                       const char *path, bool is_appended)
{
    char folder[CONFIG_PATH_MAX];
    bool exists = is_appended && access(path, F_OK) == 0;
    int error = 0;
    if (!*path)
        return;
    if (exists)
        error = faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0 ? -errno : 0;
    else
        error = folder_refuses(path, folder);
    if (error)
        report_warning(r, given->keys[schema_find(s, key) - s->keys].at, "%s cannot be %s by user %u: %s: %s", key,
                       exists ? "written" : "made", (unsigned)geteuid(), exists ? path : folder, strerror(-error));
}

/* Only warnings: Weir may run as another user, and its folders may be made when it starts. */
static void check_paths(struct report *r, const struct config *c, const struct section_given *given)
{
    const struct section_given *top = &given[CONFIG_GATES_MAX];
    check_path(r, &schema_top, "state.file", top, c->state_file, false);
    check_path(r, &schema_top, "events.file", top, c->events.file, true);
    for (size_t i = 0; i < c->gate_count; i++)
        check_path(r, &schema_gate, "counter", &given[i], c->gates[i].counter, false);
}

static int check_file(const char *path, struct section_given given[static CONFIG_PLACES])
{
    struct report r = {.out = stdout, .file = path};
    struct config *c = config_load_placed(path, stdout, given);
    if (!c)
        return EXIT_FAILED;
    check_paths(&r, c, given);
    printf("%s: ok, %zu gate%s\n", path, c->gate_count, c->gate_count == 1 ? "" : "s");
    config_free(c);
    return EXIT_DONE;
}

static int check_run(int argc, char **argv)
{
    int first = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;
    if (first == 1 && argc > 1 && argv[1][0] == '-')
        return usage_error("check", "unknown option: %s", argv[1]);
    if (argc <= first)
        return usage_error("check", "a FILE is missing");
    if (argc > first + 1)
        return usage_error("check", "one FILE at a time: \"%s\" is too much", argv[first + 1]);

    struct section_given *given = calloc(CONFIG_PLACES, sizeof(*given));
    if (!given) {
        fprintf(stderr, "weir check: not enough memory\n");
        return EXIT_FAILED;
    }
    int code = check_file(argv[first], given);
    free(given);
    return code;
}

const struct command command_check = {
    .name = "check",
    .synopsis = "check FILE",
    .summary = "Find every mistake in a configuration file.",
    .help = "Reads a configuration file as `weir serve -c FILE` would, without serving, and prints each mistake and "
            "warning as\n"
            "FILE:LINE:COLUMN: sentence. Host names in the file are looked up. A file or socket that this user cannot "
            "make\n"
            "is a warning.\n\n"
            "Exit code: 0 when FILE has no mistake, 1 when it has one, 2 when the arguments are wrong. Whether another "
            "process\n"
            "has a port already shows only when Weir serves.",
    .run = check_run,
};
