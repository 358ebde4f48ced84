/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Saves the largest claims of all gates and restores them after a restart; the ban store writes and reads them
 * (flow/claims_state.h).
 *
 * A gate's table is copied in parts, each under the limiter's lock, so that no worker waits for more than some
 * microseconds.
 *
 * The KEPT_CLAIMS_MOST largest claims of each gate are kept, 20 bytes each. A source with a smaller one is a stranger
 * after a restart. The keyed hash of sources matches the previous run only after kept_claims_read(), so that call comes
 * before any connection.
 */
#ifndef WEIR_RELAY_KEPT_CLAIMS_H
#define WEIR_RELAY_KEPT_CLAIMS_H

#include "base/attr.h"
#include "relay/gate.h"

#include <stddef.h>
#include <stdint.h>

#define KEPT_CLAIMS_MOST 4096u

/* Grows whenever a message passes. */
uint64_t kept_claims_served(struct gate *gates, size_t count);

/* The bytes of the file, to be freed by the caller; NULL: out of memory. */
MUST_USE uint8_t *kept_claims_write(struct gate *gates, size_t count, size_t *ret_len);

/* Restores what was written. NULL, or a text that says what is wrong with it. Main thread, before the workers start. */
MUST_USE const char *kept_claims_read(struct gate *gates, size_t count, const uint8_t *bytes, size_t len);

#endif
