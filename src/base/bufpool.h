/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Buffers by size class (512 B to 1 MiB, powers of two) for bytes that have to wait. Owned by one worker thread; every
 * buffer is charged to the shared memory account for its whole class size while it is lent, and while it rests in the
 * pool's free lists (at most BUFPOOL_IDLE_BYTES in all, and none is added while more than half of the account is held;
 * what exceeds that goes back to malloc at once).
 *
 * When full: bufpool_get() returns NULL if the account refuses or malloc fails (the idle lists are emptied and the
 * charge tried again first); the caller must cope, and nothing has changed.
 *
 * Under AddressSanitizer nothing is kept idle, so that each use after bufpool_put() is reported.
 */
#ifndef WEIR_BASE_BUFPOOL_H
#define WEIR_BASE_BUFPOOL_H

#include "base/account.h"

#include <stddef.h>
#include <stdint.h>

#define BUFPOOL_MIN_BYTES  512u
#define BUFPOOL_MAX_BYTES  (1024u * 1024u)
#define BUFPOOL_CLASSES    12
#define BUFPOOL_IDLE_BYTES (1024u * 1024u)

struct bufpool {
    struct account *account;
    void *idle[BUFPOOL_CLASSES]; /* singly linked through the first word */
    size_t idle_bytes;
    size_t fail_after; /* tests: the n-th bufpool_get() from now fails; 0 = never */
};

void bufpool_init(struct bufpool *p, struct account *account);

/* Frees the idle buffers. Buffers still lent must have been put back. */
void bufpool_fini(struct bufpool *p);

/* Frees the idle buffers and gives back their charge. */
void bufpool_trim(struct bufpool *p);

/* A buffer of at least `min_bytes` (at most BUFPOOL_MAX_BYTES); its real size, a power of two, goes to *ret_cap.
 * NULL when the account or malloc refuses. The caller owns it until bufpool_put(). */
MUST_USE uint8_t *bufpool_get(struct bufpool *p, size_t min_bytes, uint32_t *ret_cap);

/* Takes back a buffer with the capacity that bufpool_get() gave. `data` may be NULL. */
void bufpool_put(struct bufpool *p, uint8_t *data, uint32_t cap);

#endif
