/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/preload_say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 1024

/* Behind the `n` bytes that are in `line`. One write: lines of several threads do not mix. */
static void preload_write(char line[static LINE_BYTES], int n, const char *fmt, va_list ap)
{
    size_t room = LINE_BYTES - 1, head = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
    int body = vsnprintf(line + head, room - head, fmt, ap);
    size_t len = head + (body < 0 ? 0 : (size_t)body < room - head ? (size_t)body : room - head - 1);
    line[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored;
}

void preload_say(const char *fmt, ...)
{
    char line[LINE_BYTES];
    int before = errno;
    if (!preload_may_say())
        return;
    va_list ap;
    va_start(ap, fmt);
    preload_write(line,
                  snprintf(line, LINE_BYTES - 1, "weir count: %s[%d]: ", program_invocation_short_name, (int)getpid()),
                  fmt, ap);
    va_end(ap);
    errno = before;
}

void preload_say_once(_Atomic bool *said, const char *fmt, ...)
{
    char line[LINE_BYTES];
    int before = errno;
    if (!preload_may_say() || atomic_exchange(said, true))
        return;
    va_list ap;
    va_start(ap, fmt);
    preload_write(line, snprintf(line, LINE_BYTES - 1, "weir: run: "), fmt, ap);
    va_end(ap);
    errno = before;
}
