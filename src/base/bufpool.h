/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Buffers by size class (512 B to 1 MiB, powers of two) for bytes that have to wait. A pool is owned by one worker
 * thread.
 *
 * Every buffer is charged to the shared memory account with its whole class size, both while it is lent and while it
 * rests in the pool's free lists. The free lists hold at most BUFPOOL_IDLE_BYTES in all, and take no buffer while more
 * than half of the account is held. A buffer that they do not take goes back to malloc at once.
 *
 * When full: bufpool_get() returns NULL if the account refuses or malloc fails. Before that the free lists are emptied
 * and the charge is tried again. The caller must cope; nothing has changed.
 *
 * Under AddressSanitizer no buffer is kept idle, so that each use after bufpool_put() is reported.
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

/* Frees the idle buffers. All lent buffers must have been put back. */
void bufpool_fini(struct bufpool *p);

/* Frees the idle buffers and gives back their charge. */
void bufpool_trim(struct bufpool *p);

/* A buffer of at least `min_bytes` (at most BUFPOOL_MAX_BYTES); *ret_cap is its real size, a power of two. The caller
 * owns it until bufpool_put(). NULL: the account or malloc refuses. */
MUST_USE uint8_t *bufpool_get(struct bufpool *p, size_t min_bytes, uint32_t *ret_cap);

/* Takes back a buffer with the capacity that bufpool_get() gave. `data` may be NULL. */
void bufpool_put(struct bufpool *p, uint8_t *data, uint32_t cap);

#endif
