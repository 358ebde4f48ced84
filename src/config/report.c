/* SPDX-License-Identifier: MPL-2.0 */
#include "config/report.h"

#include <stdarg.h>

static void report_write_line(const struct report *r, struct place at, const char *kind, const char *fmt, va_list ap)
{
    fprintf(r->out, "%s:", r->file);
    if (at.line && !r->without_places)
        fprintf(r->out, "%u:%u:", at.line, at.column);
    fprintf(r->out, " %s", kind);
    vfprintf(r->out, fmt, ap);
    fputc('\n', r->out);
}

void report_mistake(struct report *r, struct place at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_write_line(r, at, "", fmt, ap);
    va_end(ap);
    r->mistakes++;
}

void report_warning(struct report *r, struct place at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_write_line(r, at, "warning: ", fmt, ap);
    va_end(ap);
}
