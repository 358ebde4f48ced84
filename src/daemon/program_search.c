/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/program_search.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool program_search_fits(const char *text, const char *name, const char *value)
{
    size_t n = strlen(name);
    return strncmp(text, name, n) == 0 && text[n] == '=' && strncmp(text + n + 1, value, strlen(value)) == 0;
}

static bool has_variable(pid_t pid, const char *name, const char *value)
{
    char path[64], *text = NULL;
    size_t room = 0;
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    while (!found && getdelim(&text, &room, '\0', f) > 0)
        found = program_search_fits(text, name, value);
    free(text);
    fclose(f);
    return found;
}

/* 0: it is no process. */
static pid_t pid_of(const struct dirent *d)
{
    char *end;
    long pid = strtol(d->d_name, &end, 10);
    return *end == '\0' && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

pid_t program_search(const char *name, const char *value)
{
    pid_t found = 0;
    DIR *proc = opendir("/proc");
    for (const struct dirent *d; !found && proc && (d = readdir(proc)) != NULL;) {
        pid_t pid = pid_of(d);
        if (pid && pid != getpid() && has_variable(pid, name, value))
            found = pid;
    }
    if (proc)
        closedir(proc);
    return found;
}
