/* SPDX-License-Identifier: MPL-2.0 */
#include "embed/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int inside_make_in(struct inside *i, const char *parent)
{
    if (!parent || parent[0] != '/' ||
        snprintf(i->dir, sizeof(i->dir), "%s/weir-XXXXXX", parent) >= (int)sizeof(i->dir))
        return -ENAMETOOLONG;
    return mkdtemp(i->dir) ? 0 : -errno;
}

int inside_make(struct inside *i)
{
    const char *const parents[] = {secure_getenv("XDG_RUNTIME_DIR"), secure_getenv("TMPDIR"), "/tmp"};
    int error = -ENOENT;
    for (size_t n = 0; n < sizeof(parents) / sizeof(parents[0]) && error; n++)
        error = inside_make_in(i, parents[n]);
    if (error) {
        i->dir[0] = '\0';
        return error;
    }
    snprintf(i->endpoint, sizeof(i->endpoint), "ipc://%s/app", i->dir);
    snprintf(i->counter, sizeof(i->counter), "%s/taken", i->dir);
    return 0;
}

void inside_remove(struct inside *i)
{
    if (!i->dir[0])
        return;
    (void)unlink(i->endpoint + strlen("ipc://"));
    (void)unlink(i->counter);
    (void)rmdir(i->dir);
    i->dir[0] = '\0';
}
