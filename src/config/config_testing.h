/* SPDX-License-Identifier: MPL-2.0 */
/* For tests only: a configuration from a string, and what the reader said about it. */
#ifndef WEIR_CONFIG_CONFIG_TESTING_H
#define WEIR_CONFIG_CONFIG_TESTING_H

#include "config/reader.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct config *config; /* NULL: refused */
    char *said;
};

static inline struct reading reading_of_bytes(const char *bytes, size_t size)
{
    struct reading result = {0};
    size_t len;
    FILE *out = open_memstream(&result.said, &len);
    if (!out)
        abort();
    struct report r = {.out = out, .file = "weir.yaml"};
    result.config = config_read(bytes, size, false, &r, NULL);
    fclose(out);
    return result;
}

static inline struct reading reading_of(const char *text)
{
    return reading_of_bytes(text, strlen(text));
}

static inline void reading_free(struct reading *r)
{
    config_free(r->config);
    free(r->said);
}

#endif
