/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/usage.h"

#include <stdarg.h>
#include <stdio.h>

int usage_error(const char *command, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "weir%s%s: ", command ? " " : "", command ? command : "");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry: weir %s%s--help\n", command ? command : "", command ? " " : "");
    return EXIT_USAGE;
}
