/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/preload_say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES 1024

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

void preload_say(const char *fmt, ...)
{
    char line[LINE_BYTES];
    int before = errno;
    if (!preload_may_say())
        return;
    int head = snprintf(line, sizeof(line), "weir count: %s[%d]: ", program_invocation_short_name, (int)getpid());
    size_t n = head < 0 ? 0 : (size_t)head < sizeof(line) ? (size_t)head : sizeof(line) - 1;
    va_list ap;
    va_start(ap, fmt);
    int body = vsnprintf(line + n, sizeof(line) - n, fmt, ap);
    va_end(ap);
    n += body < 0 ? 0 : (size_t)body < sizeof(line) - n ? (size_t)body : sizeof(line) - n - 1;
    if (n == sizeof(line) - 1)
        n--;
    line[n++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
    errno = before;
}
