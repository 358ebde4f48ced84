/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The four byte queues of a handshake: from the client and the application, and for them.
 *
 * A queue owns a buffer of the worker's pool from its first byte to handshake_bytes_free(); a larger one replaces it
 * when it is full. When the pool refuses, the handshake ends (no_memory). Owned by the handshake.
 */
#ifndef WEIR_INSPECT_HANDSHAKE_BYTES_H
#define WEIR_INSPECT_HANDSHAKE_BYTES_H

#include "base/attr.h"
#include "base/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handshake;

/* A queue of bytes in one buffer: [start, len) waits. */
struct handshake_bytes {
    uint8_t *data;
    uint32_t start, len, cap;
};

uint32_t handshake_bytes_len(const struct handshake_bytes *q);

/* Makes room for `more` bytes behind the others. False: refused. */
MUST_USE bool handshake_bytes_reserve(struct handshake *h, struct handshake_bytes *q, size_t more);
MUST_USE bool handshake_bytes_put(struct handshake *h, struct handshake_bytes *q, const void *data, size_t len);

/* All that waits. Valid until the next call. */
struct bytes handshake_bytes_all(const struct handshake_bytes *q);

/* Takes away the first n bytes. */
void handshake_bytes_drop(struct handshake_bytes *q, size_t n);
void handshake_bytes_free(struct handshake *h, struct handshake_bytes *q);

#endif
