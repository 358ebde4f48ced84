/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Text that grows as it is written, up to a cap. Belongs to one thread. When memory cannot be had, or the cap would be
 * passed, it fails once and for all: later writes do nothing and text_out_take() gives NULL, so that a writer writes
 * straight down and checks once, at the end. Half a page is never shown.
 */
#ifndef WEIR_STATS_TEXT_OUT_H
#define WEIR_STATS_TEXT_OUT_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_out {
    char *bytes; /* not NUL-terminated */
    size_t len;
    size_t room;
    size_t max_bytes;
    bool failed;
};

/* Empty; allocates nothing yet. */
void text_out_init(struct text_out *o, size_t max_bytes);

void text_out_bytes(struct text_out *o, const void *bytes, size_t len);
void text_out_str(struct text_out *o, const char *s);
void text_out_u64(struct text_out *o, uint64_t n);

/* What was to be written could not be made: as if memory were out. */
void text_out_fail(struct text_out *o);

/* Hands the text over, to be given to free(); NULL, and nothing to free, after a failure. `o` is empty then and may be
 * written anew. */
MUST_USE char *text_out_take(struct text_out *o, size_t *ret_len);

/* Frees what was not taken. */
void text_out_free(struct text_out *o);

#endif
