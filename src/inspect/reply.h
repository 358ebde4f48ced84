/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Writes Weir's own answer to a request that the application never sees: the request's envelope (RFC 28: all frames up
 * to the empty one that ends it) and one frame of text, as a REP would answer it. A request without an envelope is
 * answered by the text alone.
 *
 * Pure; no memory of its own.
 */
#ifndef WEIR_INSPECT_REPLY_H
#define WEIR_INSPECT_REPLY_H

#include "base/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest envelope that is answered, with its frame headers. No honest one is longer: an address is five bytes, and
 * there is one for each device on the way. */
#define REPLY_ENVELOPE_MAX 1024u
#define REPLY_TEXT_MAX     255u
#define REPLY_MAX          (REPLY_ENVELOPE_MAX + 9u + REPLY_TEXT_MAX)

/* Writes the answer to `request`, one whole message as it was on the wire (commands between its frames are left out),
 * and returns its length; 0 when the envelope is too long. `text`: at most REPLY_TEXT_MAX. */
size_t reply_to(uint8_t dst[static REPLY_MAX], struct bytes request, struct bytes text, bool zmtp2);

#endif
