/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The largest claims of all gates, over a restart: what the keeper writes and reads (flow/claims_state.h). A part of a
 * gate's table is copied at a time under its limiter's lock, so that no worker waits for more than some microseconds.
 *
 * Kept are the KEPT_CLAIMS_MOST largest of each gate, 20 bytes each; who has less is a stranger after a restart. The
 * keyed hash of sources is the same as before only after kept_claims_read(), so that comes before any connection.
 */
#ifndef WEIR_RELAY_KEPT_CLAIMS_H
#define WEIR_RELAY_KEPT_CLAIMS_H

#include "base/attr.h"
#include "relay/gate.h"

#include <stddef.h>
#include <stdint.h>

#define KEPT_CLAIMS_MOST 4096u

/* Grows whenever somebody is served. */
uint64_t kept_claims_served(struct gate *gates, size_t count);

/* The bytes of the file, to be freed; NULL: memory is out. */
MUST_USE uint8_t *kept_claims_write(struct gate *gates, size_t count, size_t *ret_len);

/* Takes over what was written. NULL, or what is the matter with it. Main thread, before the workers start. */
MUST_USE const char *kept_claims_read(struct gate *gates, size_t count, const uint8_t *bytes, size_t len);

#endif
