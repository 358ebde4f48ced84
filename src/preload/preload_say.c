/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/preload_say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 1024

void preload_say(const char *fmt, ...)
{
    char line[LINE_BYTES];
    int before = errno;
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
