/* SPDX-License-Identifier: MPL-2.0 */
#include "daemon/preload_object.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const preload_folders[] = {PRELOAD_FOLDERS, NULL};

bool preload_object_find(const char *name, char *ret, size_t size)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n <= 0)
        return false;
    program[n] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        slash[1] = '\0';
    for (const char *const *folder = preload_folders; *folder; folder++) {
        char path[2 * PATH_MAX];
        snprintf(path, sizeof(path), "%s%s/%s", program, *folder, name);
        char *real = realpath(path, NULL);
        bool fits = real && snprintf(ret, size, "%s", real) < (int)size;
        free(real);
        if (fits)
            return true;
    }
    return false;
}

bool preload_object_can_be_named(const char *path)
{
    return strpbrk(path, " :") == NULL;
}

int preload_object_add(const char *path)
{
    const char *others = getenv("LD_PRELOAD");
    char *all = NULL;
    if (asprintf(&all, "%s%s%s", path, others && *others ? ":" : "", others ? others : "") < 0)
        return -ENOMEM;
    int error = setenv("LD_PRELOAD", all, 1) < 0 ? -errno : 0;
    free(all);
    return error;
}
