/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/preload_say.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* What descriptor 2 was when the program began. */
static bool is_known;
static struct stat first;

__attribute__((constructor)) static void note_standard_error(void)
{
    int before = errno;
    is_known = fstat(STDERR_FILENO, &first) == 0;
    errno = before;
}

bool preload_may_say(void)
{
    struct stat now;
    int before = errno;
    bool same = is_known && fstat(STDERR_FILENO, &now) == 0 && now.st_dev == first.st_dev && now.st_ino == first.st_ino;
    errno = before;
    return same;
}
