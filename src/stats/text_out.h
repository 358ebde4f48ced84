/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Text that grows as it is written, up to a maximum. It belongs to one thread.
 *
 * Out of memory, or when the maximum would be exceeded, it fails for good: later writes do nothing, and text_out_take()
 * returns NULL. So a writer writes straight on and checks once, at the end. Half a page is never shown.
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

/* An empty text. Allocates nothing yet. */
void text_out_init(struct text_out *o, size_t max_bytes);

void text_out_bytes(struct text_out *o, const void *bytes, size_t len);
void text_out_str(struct text_out *o, const char *s);
void text_out_u64(struct text_out *o, uint64_t n);

/* Makes the text fail, as if memory were out, because its content could not be made. */
void text_out_fail(struct text_out *o);

/* Hands over the text; the caller frees it with free(). NULL: it has failed, and there is nothing to free. `o` is empty
 * afterwards and may be written anew. */
MUST_USE char *text_out_take(struct text_out *o, size_t *ret_len);

#endif
